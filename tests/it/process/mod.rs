//! The server as operators start it: a process with a configuration, its files, its signals.

mod config;
mod dev;
mod floods;
mod keeper;
mod memory;
mod monitor;
mod others;
mod pkcs11;
mod proxies;
mod stall;
mod tls;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{Connection, PATIENCE};

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("coffer-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file. `DIR` in its text is this directory.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text.replace("DIR", &self.0.display().to_string())).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How to start the binary: nothing of the environment of the tests reaches it.
fn coffer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.env_clear().env("HOME", "/nonexistent").env("TMPDIR", std::env::temp_dir());
    command.stdin(Stdio::null());
    command
}

/// A server that runs; killed when this is dropped.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it has said until it was ready.
    said: String,
    addresses: Vec<SocketAddr>,
    log: PathBuf,
}

impl Process {
    /// Starts it with a configuration.
    fn start(scratch: &Scratch, config: &str) -> Self {
        let file = scratch.write("config.hcl", config);
        let mut command = coffer();
        command.arg("server").arg("-config").arg(file);
        Self::run(scratch, command)
    }

    /// As `start`, unsealed and with the root token `root`; the configuration's listeners come behind its own.
    fn start_dev(scratch: &Scratch, config: &str) -> Self {
        let file = scratch.write("config.hcl", config);
        let mut command = coffer();
        command.args(["server", "-dev", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0"]);
        command.arg("-dev-no-store-token").arg("-config").arg(file);
        Self::run(scratch, command)
    }

    fn run(scratch: &Scratch, mut command: Command) -> Self {
        let log = scratch.path("stderr");
        let mut child = command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, stdout, said: String::new(), addresses: Vec::new(), log };
        process.said = process.read_until("==> Vault server started!");
        process.addresses = process.said.lines().filter_map(address).collect();
        process
    }

    /// What it prints up to the line that begins so.
    #[track_caller]
    fn read_until(&mut self, beginning: &str) -> String {
        let mut text = String::new();
        loop {
            let from = text.len();
            let read = self.stdout.read_line(&mut text).unwrap();
            assert!(read > 0, "it ended without {beginning:?}, but with {text:?} and {}", self.log());
            if text[from..].starts_with(beginning) {
                return text;
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn connect(&self, listener: usize) -> Connection {
        Connection::open(self.addresses[listener])
    }

    fn stream(&self, listener: usize) -> TcpStream {
        let stream = TcpStream::connect(self.addresses[listener]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Has it read its files anew, and waits until it has.
    fn reload(&mut self) {
        self.signal(Signal::HUP);
        self.read_until("==> Vault reload complete");
    }

    fn end(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line such as `Listener 1: tcp (addr: "127.0.0.1:8200", …)`.
fn address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("Listener ")?.split('"').nth(1)?.parse().ok()
}

fn unix(path: &Path) -> Connection<UnixStream> {
    Connection::over(UnixStream::connect(path).unwrap())
}

/// What a command that fails says, and its exit code.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}
