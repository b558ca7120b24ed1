//! A directory on disk for one run: what it takes, and how quick its disk is. Knows nothing of what is kept in it.

use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

use anyhow::{Context, Result};

/// Removed when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one where `TMPDIR` says, or else in `/var/tmp`, which lasts over restarts and so is no memory.
    pub(crate) fn make() -> Result<Self> {
        let parent = env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into());
        let directory = Path::new(&parent).join(format!("coffer-bench-{}", process::id()));
        fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        Ok(Self(directory))
    }

    /// Where a server may keep its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What all files in it take of the disk.
    pub(crate) fn disk_kib(&self) -> Result<u32> {
        disk_kib(&self.0)
    }

    /// Milliseconds until 4 KiB that were appended to a file are on disk, if nobody else wants it: the median of some.
    pub(crate) fn fsync_ms(&self) -> Result<f64> {
        let mut file = File::create(self.0.join("fsync"))?;
        let mut times = Vec::new();
        for _ in 0..FSYNCS {
            file.write_all(&[0; BLOCK_BYTES])?;
            let begin = Instant::now();
            file.sync_all()?;
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        Ok(times.get(FSYNCS / 2).context("nothing was written")?.as_secs_f64() * 1e3)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} remains: {error}", self.0.display());
        }
    }
}

fn disk_kib(directory: &Path) -> Result<u32> {
    let mut kib = 0;
    for entry in fs::read_dir(directory)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        kib += if metadata.is_dir() { disk_kib(&path)? } else { u32::try_from(metadata.blocks() / 2)? };
    }
    Ok(kib)
}

const FSYNCS: usize = 51;
const BLOCK_BYTES: usize = 4096;
