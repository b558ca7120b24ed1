//! A Coffer of one's own: `coffer server -dev` on a free port, in memory, killed at the end; knows only its health.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

pub(crate) const TOKEN: &str = "root";

pub(crate) struct Server {
    process: Child,
    address: String,
    log: PathBuf,
}

impl Server {
    /// Starts the binary beside this one and waits until it says that it is healthy.
    pub(crate) fn start(log: &Path) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let output = File::create(log)?;
        let mut command = Command::new(binary()?);
        command.args(["server", "-dev", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={TOKEN}")).arg(format!("-dev-listen-address={address}"));
        let process = command.stdout(output.try_clone()?).stderr(output).spawn()?;
        let mut server = Self { process, address, log: log.to_owned() };
        for _ in 0..START_TRIES_MAX {
            if server.is_healthy() {
                return Ok(server);
            }
            if server.process.try_wait()?.is_some() {
                break;
            }
            sleep(START_TRY_EVERY);
        }
        Err(io::Error::other(format!("the server did not start; it said:\n{}", fs::read_to_string(log)?)))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells a program where the server is, in the variables that Vault's clients read.
    pub(crate) fn introduce<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let local = [("NO_PROXY", "127.0.0.1"), ("no_proxy", "127.0.0.1")];
        command.env("VAULT_ADDR", self.url()).env("VAULT_TOKEN", TOKEN).env_remove("VAULT_NAMESPACE").envs(local)
    }

    /// What went wrong with the server itself, however well its answers looked.
    pub(crate) fn complaint(&mut self) -> io::Result<Option<String>> {
        if let Some(status) = self.process.try_wait()? {
            return Ok(Some(format!("the server ended with {status}; see {}", self.log.display())));
        }
        let panicked = fs::read_to_string(&self.log)?.contains("panicked at");
        Ok(panicked.then(|| format!("the server panicked; see {}", self.log.display())))
    }

    fn is_healthy(&self) -> bool {
        let health = || {
            let mut stream = TcpStream::connect(&self.address)?;
            write!(stream, "GET /v1/sys/health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        health().is_ok_and(|answer: String| answer.starts_with("HTTP/1.1 200 "))
    }
}

/// The Coffer beside this program.
pub(crate) fn binary() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("coffer"))
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const START_TRIES_MAX: usize = 500;
const START_TRY_EVERY: Duration = Duration::from_millis(20);
