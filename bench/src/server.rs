//! A server under measurement: a process of its own, its start, and what the kernel says of it. Knows the two kinds of
//! server and their paths, but no workload.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    time::ClockId,
    unistd::Pid,
};
use serde_json::Value;

use crate::client::{self, TOKEN};

/// Which server to start.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Coffer's release binary, with its data in a directory, or all in memory, and with a file of configuration, or none.
    Coffer { program: PathBuf, data: Option<PathBuf>, config: Option<PathBuf> },
    /// This program's own bare server.
    Bare,
}

/// A running server; it is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// From just before the process was made to its first successful answer.
    pub(crate) started_in: Duration,
    kind: Kind,
    process: Child,
}

impl Server {
    /// Starts a server on a free port and waits for its first successful answer.
    pub(crate) fn start(kind: &Kind) -> Result<Self> {
        let address = free_address()?;
        let mut command = kind.command(address)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begin = Instant::now();
        let process = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Server { address, started_in: Duration::ZERO, kind: kind.clone(), process };
        let probe = kind.probe();
        while client::exchange(address, &probe).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("{command:?} ended at once ({status}); run it by hand to see why");
            }
            if begin.elapsed() > START_MAX {
                bail!("{command:?} gave no answer in {START_MAX:?}");
            }
            thread::sleep(START_POLL);
        }
        server.started_in = begin.elapsed();
        Ok(server)
    }

    /// Makes what the transit workloads use: the engine at its usual path and the key `k`.
    pub(crate) fn provision(&self) -> Result<()> {
        if let Kind::Coffer { .. } = self.kind {
            self.post("/v1/sys/mounts/transit", r#"{"type":"transit"}"#)?;
            self.post("/v1/transit/keys/k", "{}")?;
        }
        Ok(())
    }

    /// Sends one request outside any measurement and returns the JSON of a successful answer.
    pub(crate) fn post(&self, path: &str, body: &str) -> Result<Value> {
        client::exchange(self.address, &client::request("POST", path, body)).with_context(|| format!("POST {path}"))
    }

    pub(crate) fn encrypt_path(&self) -> &'static str {
        match self.kind {
            Kind::Coffer { .. } => "/v1/transit/encrypt/k",
            Kind::Bare => "/encrypt",
        }
    }

    pub(crate) fn decrypt_path(&self) -> &'static str {
        match self.kind {
            Kind::Coffer { .. } => "/v1/transit/decrypt/k",
            Kind::Bare => "/decrypt",
        }
    }

    /// Ends the process by a signal and starts another in its place.
    pub(crate) fn restart(&mut self, how: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.process.id())?), how)?;
        self.process.wait()?;
        *self = Server::start(&self.kind.clone())?;
        Ok(())
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The CPU time, user and system, of all threads that the process has had.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let process = Pid::from_raw(i32::try_from(self.process.id())?);
        Ok(ClockId::pid_cpu_clock_id(process)?.now()?.into())
    }

    /// Resident memory in KiB, mapped pages of the binary included.
    pub(crate) fn resident_kib(&self) -> Result<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has already ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Kind {
    fn command(&self, address: SocketAddr) -> Result<Command> {
        let mut command;
        match self {
            Kind::Coffer { program, data, config } => {
                command = Command::new(program);
                command.args(["server", "-dev", "-dev-no-store-token"]);
                command.arg(format!("-dev-root-token-id={TOKEN}")).arg(format!("-dev-listen-address={address}"));
                if let Some(data) = data {
                    command.arg("-dev-data-dir").arg(data);
                }
                if let Some(config) = config {
                    command.arg("-config").arg(config);
                }
            }
            Kind::Bare => {
                command = Command::new(env::current_exe()?);
                command.arg("bare").arg(address.to_string());
            }
        }
        Ok(command)
    }

    /// The request whose success says that the server is up.
    fn probe(&self) -> Vec<u8> {
        match self {
            Kind::Coffer { .. } => client::request("GET", "/v1/sys/health", ""),
            Kind::Bare => client::request("POST", "/encrypt", r#"{"plaintext":""}"#),
        }
    }
}

/// An address of this machine on a port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

const START_MAX: Duration = Duration::from_mins(2);
const START_POLL: Duration = Duration::from_micros(500);
