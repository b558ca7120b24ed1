//! A disk whose power can be cut: ext4 on a loop device, whose shutdown ioctl drops what was not written out; knows
//! nothing of the files on it.
//!
//! It keeps everything that has reached the block device, so it finds what was never synced, not a disk that lies.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::scratch::MOUNT_POINT;

/// A mounted disk; unmounted when this is dropped.
pub(crate) struct Volume {
    image: PathBuf,
    mount: PathBuf,
}

/// A helper that has the disk open and waits for the word.
pub(crate) struct Trigger(Child);

impl Volume {
    /// Makes an empty disk in `dir`. An error says what this machine lacks for it.
    pub(crate) fn new(dir: &Path) -> Result<Self, String> {
        let volume = Self { image: dir.join("disk.img"), mount: dir.join(MOUNT_POINT) };
        fs::create_dir_all(&volume.mount).map_err(|error| error.to_string())?;
        volume.format()?;
        volume.arm()?.disarm();
        Ok(volume)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Starts over with an empty disk.
    pub(crate) fn renew(&self) {
        self.unmount();
        self.format().unwrap();
    }

    /// Mounts again after a cut, which replays what the journal has.
    pub(crate) fn recover(&self) {
        self.unmount();
        self.mount().unwrap();
    }

    /// Prepares a cut, so that pulling it takes no time.
    pub(crate) fn arm(&self) -> Result<Trigger, String> {
        let mut helper = Command::new("python3");
        helper.args(["-c", HELPER]).arg(&self.mount).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut trigger = Trigger(helper.spawn().map_err(|error| format!("python3: {error}"))?);
        let mut ready = String::new();
        let read = BufReader::new(trigger.0.stdout.take().unwrap()).read_line(&mut ready);
        if read.is_ok() && ready == "ready\n" { Ok(trigger) } else { Err("python3 cannot open the disk".to_owned()) }
    }

    fn format(&self) -> Result<(), String> {
        let image = File::create(&self.image).and_then(|image| image.set_len(BYTES));
        image.map_err(|error| format!("{}: {error}", self.image.display()))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&self.image))?;
        self.mount()
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount))
    }

    fn unmount(&self) {
        run(Command::new("umount").arg(&self.mount)).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there must not keep the disk for ever.
        let _ = Command::new("umount").args(["-q", "-l"]).arg(&self.mount).output();
    }
}

impl Trigger {
    /// Cuts the power.
    pub(crate) fn pull(mut self) -> Result<(), String> {
        let word = self.0.stdin.take().unwrap().write_all(b"cut\n");
        let status = self.0.wait().map_err(|error| error.to_string())?;
        if word.is_ok() && status.success() { Ok(()) } else { Err(format!("the power was not cut: {status}")) }
    }

    /// Leaves the power on.
    pub(crate) fn disarm(mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

const BYTES: u64 = 300 << 20;
/// `FS_IOC_SHUTDOWN` without a flush of the journal, when a line arrives; at the end of input nothing.
const HELPER: &str = "import fcntl, os, struct, sys
disk = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
if sys.stdin.readline():
    fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))
";
