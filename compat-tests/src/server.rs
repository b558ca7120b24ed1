//! Coffers of one's own, on free ports, in memory, killed at the end: one for each suite, and for all of them one over
//! TLS and one that is sealed. Knows only how they start.

use std::ffi::OsStr;
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
    /// Starts the binary beside this one in dev mode, and waits until it answers.
    pub(crate) fn start(log: &Path) -> io::Result<Self> {
        let address = free_address()?;
        Self::run(log, address.clone(), dev(&address), |server| server.get("sys/health").is_ok())
    }

    /// Starts it as an operator does, over a store that is not initialised.
    pub(crate) fn start_new(work: &Path) -> io::Result<Self> {
        let (address, config) = (free_address()?, work.join("new.hcl"));
        let listener = format!("listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n");
        fs::write(&config, listener + "storage \"inmem\" {}\n")?;
        let args = vec!["server".to_owned(), format!("-config={}", config.display())];
        Self::run(&work.join("new.log"), address, args, |server| server.get("sys/health").is_ok())
    }

    fn run<A: AsRef<OsStr>>(log: &Path, address: String, args: Vec<A>, is_up: fn(&Self) -> bool) -> io::Result<Self> {
        let output = File::create(log)?;
        let process = Command::new(binary()?).args(args).stdout(output.try_clone()?).stderr(output).spawn()?;
        let mut server = Self { process, address, log: log.to_owned() };
        for _ in 0..START_TRIES_MAX {
            if is_up(&server) {
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

    /// What the server answers as it comes over the wire, head and all.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        let head = format!("Host: {}\r\nX-Vault-Token: {TOKEN}\r\nConnection: close", self.address);
        write!(stream, "GET /v1/{path} HTTP/1.1\r\n{head}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    }
}

/// Servers in other states.
pub(crate) struct Others {
    tls: Server,
    authority: PathBuf,
    sealed: Server,
}

impl Others {
    pub(crate) fn start(work: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let mut args = dev(&address);
        args.extend(["-dev-tls".to_owned(), format!("-dev-tls-cert-dir={}", work.display())]);
        let up = |server: &Server| TcpStream::connect(&server.address).is_ok();
        let tls = Server::run(&work.join("tls.log"), address, args, up)?;
        Ok(Self { tls, authority: work.join("vault-ca.pem"), sealed: sealed(work)? })
    }

    /// Tells a program where they are.
    pub(crate) fn introduce<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("COMPAT_TLS_ADDR", format!("https://{}", self.tls.address));
        command.env("COMPAT_TLS_CACERT", &self.authority).env("COMPAT_SEALED_ADDR", self.sealed.url())
    }
}

/// As an operator starts it and initialises it, and before anybody has unsealed it.
fn sealed(work: &Path) -> io::Result<Server> {
    let server = Server::start_new(work)?;
    let init = ["operator", "init", "-key-shares=1", "-key-threshold=1"];
    let done = server.introduce(Command::new(binary()?).args(init)).output()?;
    if done.status.success() { Ok(server) } else { Err(io::Error::other(format!("it is not initialised: {done:?}"))) }
}

/// The arguments of a dev server.
fn dev(address: &str) -> Vec<String> {
    let token = format!("-dev-root-token-id={TOKEN}");
    let address = format!("-dev-listen-address={address}");
    vec!["server".to_owned(), "-dev".to_owned(), "-dev-no-store-token".to_owned(), token, address]
}

fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
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
