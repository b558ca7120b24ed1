//! The server under test: a process with a data directory, from its start to its end; knows what it prints and no more.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Connection, read};

/// How to start it.
pub(crate) struct Setup {
    pub(crate) program: PathBuf,
    pub(crate) engine: &'static str,
    /// In which way a build that can do so breaks its word.
    pub(crate) sabotage: Option<&'static str>,
    pub(crate) root_token: String,
    /// Its data directory; what belongs to it lies beside it.
    pub(crate) store: PathBuf,
    pub(crate) log: PathBuf,
}

/// A running server; killed when this is dropped.
pub(crate) struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    made: Instant,
}

/// Ends a server from another thread.
#[derive(Clone, Copy)]
pub(crate) struct Handle(Pid);

impl Server {
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut command = Command::new(&setup.program);
        command.args(["server", "-dev", "-dev-no-store-token", "-dev-listen-address=127.0.0.1:0"]);
        command.arg(format!("-dev-root-token-id={}", setup.root_token)).arg("-dev-data-dir").arg(&setup.store);
        command.arg(format!("-dev-storage={}", setup.engine)).args(["-log-level", "warn"]);
        command.env_remove("COFFER_SABOTAGE").envs(setup.sabotage.map(|way| ("COFFER_SABOTAGE", way)));
        let log = File::create(&setup.log).unwrap();
        let made = Instant::now();
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
        let mut process = process.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Self { process, stdout, made }
    }

    /// Waits for its first answer; `None` if it ends before.
    pub(crate) fn wait_until_up(&mut self) -> Option<(SocketAddr, Duration)> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap_or_default() > 0 {
            if let Some(address) = line.trim().strip_prefix("Api Address: http://") {
                let address = address.parse().unwrap();
                let answer = Connection::new(address).exchange(&read("sys/health"), "");
                return answer.is_ok_and(|answer| answer.status == 200).then(|| (address, self.made.elapsed()));
            }
            line.clear();
        }
        None
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Pid::from_child(&self.process))
    }

    /// Waits for its end.
    pub(crate) fn reap(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Handle {
    pub(crate) fn kill(self) {
        // It may have ended by itself; nobody has waited for it yet, so the number is still its own.
        let _ = kill_process(self.0, Signal::KILL);
    }

    pub(crate) fn terminate(self) {
        let _ = kill_process(self.0, Signal::TERM);
    }
}

impl Setup {
    /// What it wrote to its log in this run.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }

    /// The file with its unseal key.
    pub(crate) fn unseal_key(&self) -> PathBuf {
        beside(&self.store, ".unseal-key")
    }
}

pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
