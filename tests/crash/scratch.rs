//! Directories for a run under cargo's own folder for tests, removed at its end; knows nothing of what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// A directory that no other run uses; its name begins with the process that made it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        sweep(parent);
        let path = parent.join(format!("{PREFIX}{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Copies a directory for the study of a failure to a place that stays, and tells it.
    pub(crate) fn keep(&self, dir: &Path) -> PathBuf {
        let kept = self.kept();
        let copied = Command::new("cp").arg("-r").arg(dir).arg(&kept).status();
        assert!(copied.is_ok_and(|status| status.success()), "cannot copy {} to {}", dir.display(), kept.display());
        kept
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.0.with_file_name(self.0.file_name().unwrap().to_string_lossy().replace(PREFIX, "failed-"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what runs left behind that could not clean up, disks that are still mounted included.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).unwrap().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'));
        if owner.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists()) {
            let _ = Command::new("umount").arg("-q").arg(entry.path().join(MOUNT_POINT)).output();
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a run mounts its disk, if it has one.
pub(crate) const MOUNT_POINT: &str = "disk";
const PREFIX: &str = "crash-";
