//! What a server asks of the operating system for itself: memory that is not written to disks, no dumps, a file with its
//! number, and word to whoever supervises it. Knows nothing of what the server does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use rustix::time::{ClockId, clock_gettime};

use crate::crypto::arena::{self, Kind};

/// No dumps of memory, whoever asks for them: neither into files nor for debuggers of the same user.
pub(super) fn forbid_dumps() {
    let no_files = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let no_readers = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for error in [no_files, no_readers].into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "dumps of this process's memory could not be forbidden");
    }
}

/// Opens as many files as the process may, and not only as many as it may without asking: a connection takes two.
pub(super) fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Keeps memory out of swap, and says in a few words whether it could.
pub(super) fn lock_memory(disabled: bool) -> &'static str {
    if disabled {
        return "disabled";
    }
    let locked = if may_lock_everything() {
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).map_err(io::Error::from)
    } else {
        Err(io::Error::other("the limit of locked memory is too low"))
    };
    match locked {
        Ok(()) => "enabled",
        Err(error) => {
            tracing::warn!(
                %error,
                "memory could not be locked and may be written to swap: give the process CAP_IPC_LOCK or an unlimited \
                 RLIMIT_MEMLOCK, or turn swap off and set disable_mlock = true"
            );
            "not permitted"
        }
    }
}

/// Says what memory this process has for its keys.
pub(super) fn tell_key_memory() {
    match arena::kind() {
        Kind::Secret => tracing::info!("keys lie in memory that the kernel hides from everybody else (memfd_secret)"),
        Kind::Locked => tracing::info!("keys lie in locked memory that root can read: the kernel has no memfd_secret"),
        Kind::Ordinary => tracing::warn!(
            "keys lie in memory that may be written to swap: no memfd_secret, and RLIMIT_MEMLOCK is below 4 MiB"
        ),
    }
}

/// Says so if there are more keys than that memory has room for. Whether there are.
pub(super) fn tell_overflow() -> bool {
    let arena::Usage { inside, outside } = arena::usage();
    if outside > 0 && arena::kind() != Kind::Ordinary {
        tracing::warn!(
            inside,
            outside,
            "there are more keys than memory for them that is locked: so many bytes of them lie outside; give the process \
             CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK"
        );
    }
    outside > 0
}

/// A limit that holds now would be reached later, and then every allocation fails.
fn may_lock_everything() -> bool {
    let capable = || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    getrlimit(Resource::Memlock).current.is_none() || capable()
}

/// A file with the number of this process; removed when this is dropped.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: &Path) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o644);
        let written = options.open(path).and_then(|mut file| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| format!("cannot write pid_file {}: {error}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whoever supervises the process, as systemd does (`sd_notify(3)`), if anybody.
#[derive(Clone)]
pub(super) struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// `socket`: the variable `NOTIFY_SOCKET`.
    pub(super) fn new(socket: Option<&str>) -> Self {
        Self(socket.filter(|socket| !socket.is_empty()).and_then(|socket| match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(socket).ok(),
        }))
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        let Some(address) = &self.0 else { return };
        let told = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(what.as_bytes(), address));
        if let Err(error) = told {
            tracing::warn!(%error, "the supervisor of this process could not be told {what:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_told_by_path_or_by_name() {
        let path = std::env::temp_dir().join(format!("coffer-notify-{}", std::process::id()));
        let name = format!("coffer-notify-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(by_path, path.display().to_string()), (by_name, format!("@{name}"))] {
            let supervisor = Supervisor::new(Some(&address));
            let mut told = [0; 100];
            let mut check = |expected: &str| {
                let len = socket.recv(&mut told).unwrap();
                assert!(told[..len].starts_with(expected.as_bytes()), "{:?}", String::from_utf8_lossy(&told[..len]));
            };
            supervisor.ready();
            check("READY=1");
            supervisor.reloading();
            check("RELOADING=1\nMONOTONIC_USEC=");
            supervisor.stopping();
            check("STOPPING=1");
        }
        fs::remove_file(&path).unwrap();
        Supervisor::new(None).ready();
        Supervisor::new(Some("")).ready();
    }

    #[test]
    fn a_pid_file_goes_with_its_process() {
        let path = std::env::temp_dir().join(format!("coffer-pid-{}", std::process::id()));
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        let error = PidFile::write(Path::new("/no/such/directory/pid")).err().unwrap();
        assert!(error.starts_with("cannot write pid_file /no/such/directory/pid: "), "{error}");
    }
}
