//! `coffer server`: from flags and files to a server that answers, until a signal ends it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::dev_tls::DevTls;
use super::output::print_line;
use super::{dev, reset, seed, variable};
use crate::barrier::Sealed;
use crate::clock::Clock;
use crate::config::{self, Config, Environment, Listener, Storage};
use crate::core::seal::Seals;
use crate::core::{Core, KvVersion, SealState};
use crate::outbound;
use crate::server::{Limits, serve_all};
use crate::storage::{self, Memory, Store};
use crate::telemetry;
use idle::Idle;
use listen::Open;
use process::{PidFile, Supervisor};
use signals::Reload;

mod cluster;
mod idle;
mod listen;
mod process;
mod settings;
mod signals;

#[derive(Clone, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Args {
    /// A file of configuration, HCL or JSON, or a directory of such files; may be repeated.
    #[arg(long, value_name = "FILE_OR_DIR")]
    config: Vec<PathBuf>,
    /// Reads the configuration and the certificates that it names, says what is wrong with them, and ends.
    #[arg(long, alias = "test-verify-only")]
    test_config: bool,
    /// Ends when the server is ready to serve.
    #[arg(long, hide = true)]
    test_server_config: bool,
    /// Starts a server for development: unsealed, with a root token, everything in memory.
    #[arg(long)]
    dev: bool,
    /// Root token of the dev server; a random one if absent.
    #[arg(long, value_name = "TOKEN")]
    dev_root_token_id: Option<String>,
    /// Address and port of the dev server.
    #[arg(long, value_name = "HOST:PORT")]
    dev_listen_address: Option<String>,
    /// Does not write the root token to `~/.vault-token`.
    #[arg(long)]
    dev_no_store_token: bool,
    /// Serves the dev server over TLS, with certificates made for it.
    #[arg(long)]
    dev_tls: bool,
    /// Directory for these certificates; without it they are kept for as long as the server runs.
    #[arg(long, value_name = "DIR")]
    dev_tls_cert_dir: Option<PathBuf>,
    /// A name or address more for the server's certificate; may be repeated.
    #[arg(long, value_name = "NAME")]
    dev_tls_san: Vec<String>,
    /// Begins without `secret/`, the mount that a dev server has otherwise.
    #[arg(long)]
    dev_no_kv: bool,
    /// Begins with a `secret/` that keeps no versions.
    #[arg(long)]
    dev_kv_v1: bool,
    /// As -dev-kv-v1, and each read of a secret is under a lease.
    #[arg(long)]
    dev_leased_kv: bool,
    /// Leaves the dev server uninitialised: without keys, a root token and mounts.
    #[arg(long, conflicts_with = "dev_seed")]
    dev_skip_init: bool,
    /// Writes where the dev server is, and its root token, to this file.
    #[arg(long, value_name = "FILE")]
    dev_cluster_json: Option<PathBuf>,
    /// Keeps the dev server's data in this directory, encrypted; it survives restarts.
    #[arg(long, value_name = "DIR")]
    dev_data_dir: Option<PathBuf>,
    /// Storage engine of the data directory: sled or redb.
    #[arg(long, value_name = "ENGINE", default_value = "sled")]
    dev_storage: storage::Engine,
    /// Writes what is in this file, path by path, before the dev server answers anybody.
    #[arg(long, value_name = "FILE", conflicts_with = "dev_data_dir")]
    dev_seed: Option<PathBuf>,
    /// Level of the log: trace, debug, info, warn, error or off.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Format of the log: standard or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// File that the log goes to, beside standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    idle: Idle,
}

/// Starts the server and serves until SIGTERM or SIGINT.
pub(super) fn run(args: &Args) -> Result<(), String> {
    args.idle.refuse()?;
    let environment = environment();
    let config = config::read(&args.config, &environment)?;
    if args.test_config {
        return test(args, &config);
    }
    args.expect_enough(&config, &environment)?;
    telemetry::start(&args.log(&config)?)?;
    for note in config.notes.iter().map(str::to_owned).chain(args.idle.notes()) {
        tracing::warn!("{note}");
    }
    if !args.is_dev() {
        process::forbid_dumps();
    }
    process::allow_files();
    let mlock = process::lock_memory(args.is_dev() || config.disable_mlock());
    process::tell_key_memory();
    // Connections have threads of their own.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    let outcome = runtime.block_on(serve(args, &config, mlock));
    runtime.shutdown_timeout(END_TIME_MAX);
    outcome
}

/// What the environment says of the configuration.
fn environment() -> Environment {
    Environment {
        local_config: variable("LOCAL_CONFIG"),
        api_addr: variable("API_ADDR").or_else(|| variable("REDIRECT_ADDR")),
        cluster_addr: variable("CLUSTER_ADDR"),
        log_level: variable("LOG_LEVEL"),
        log_format: variable("LOG_FORMAT"),
        raft_path: variable("RAFT_PATH"),
        ui: variable("UI"),
        disable_mlock: variable("DISABLE_MLOCK"),
    }
}

/// Where to tell whoever supervises this process.
#[allow(clippy::disallowed_methods, reason = "configuration is read here, once")]
fn notify_socket() -> Option<String> {
    std::env::var("NOTIFY_SOCKET").ok()
}

/// Says what a start with these flags would stumble over.
fn test(args: &Args, config: &Config) -> Result<(), String> {
    args.log(config)?;
    for note in config.notes.iter() {
        print_line(note);
    }
    for listener in &config.listeners {
        listen::tls_of(listener)?;
    }
    settings::seals(config)?;
    print_line("The configuration is valid.");
    Ok(())
}

impl Args {
    fn expect_enough(&self, config: &Config, environment: &Environment) -> Result<(), String> {
        if self.is_dev() {
            return Ok(());
        }
        if self.config.is_empty() && environment.local_config.is_none() {
            return Err("Must specify at least one config path using -config; \
                        `coffer server -dev` starts a server for development"
                .to_owned());
        }
        if config.storage.is_none() {
            return Err(
                "the configuration has no storage: write storage \"sled\" { path = \"/var/lib/coffer\" }".into()
            );
        }
        if config.listeners.is_empty() {
            return Err("the configuration has no listener: write listener \"tcp\" { address = \"127.0.0.1:8200\" } \
                        with tls_cert_file and tls_key_file"
                .to_owned());
        }
        Ok(())
    }

    /// Flags win over the environment, and that over files.
    fn log(&self, config: &Config) -> Result<telemetry::Log, String> {
        let level = self.log_level.as_deref().or(config.log_level()).unwrap_or("info");
        let format = self.log_format.as_deref().or(config.log_format()).unwrap_or("standard");
        let file = self.log_file.as_deref().or(config.log_file()).map(Path::to_owned);
        Ok(telemetry::Log { level: telemetry::level(level)?, format: telemetry::format(format)?, file })
    }

    fn is_dev(&self) -> bool {
        self.dev || self.dev_tls
    }

    fn dev_address(&self) -> String {
        let address = self.dev_listen_address.clone().or_else(|| variable("DEV_LISTEN_ADDRESS"));
        address.unwrap_or_else(|| ADDRESS_DEFAULT.to_owned())
    }

    /// The listeners: of a dev server its own, and those of the configuration.
    fn listeners(&self, config: &Config, tls: Option<&DevTls>) -> Vec<Listener> {
        let dev = || Listener::at("-dev-listen-address", &self.dev_address(), tls.map(DevTls::listener));
        self.is_dev().then(dev).into_iter().chain(config.listeners.iter().cloned()).collect()
    }

    /// Where the data is kept.
    fn storage(&self, config: &Config) -> Storage {
        let of_flag = self.dev_data_dir.clone().map(|dir| match self.dev_storage {
            storage::Engine::Sled => Storage::Sled(dir),
            storage::Engine::Redb => Storage::Redb(dir),
        });
        of_flag.or_else(|| config.storage.clone()).unwrap_or(Storage::Memory)
    }

    /// The version of the `secret/` that a dev server begins with.
    fn dev_kv(&self) -> Option<KvVersion> {
        let version = match (self.dev_leased_kv, self.dev_kv_v1) {
            (true, _) => KvVersion::V1Leased,
            (false, true) => KvVersion::V1,
            (false, false) => KvVersion::V2,
        };
        (!self.dev_no_kv).then_some(version)
    }

    fn open_dev(&self, core: &Arc<Core>, storage: &Storage) -> Result<Option<dev::Opened>, String> {
        if !self.is_dev() || self.dev_skip_init {
            return Ok(None);
        }
        let wanted = self.dev_root_token_id.clone().or_else(|| variable("DEV_ROOT_TOKEN_ID"));
        let wanted = wanted.filter(|token| !token.is_empty());
        let opened = dev::open(core, dir_of(storage), wanted.as_deref(), self.dev_kv())?;
        if let Some(file) = &self.dev_seed {
            seed::sow(core, file, &opened.root_token)?;
        }
        if !self.dev_no_store_token {
            dev::store_token(&opened.root_token);
        }
        Ok(Some(opened))
    }

    fn tell_cluster(&self, url: &str, tls: Option<&DevTls>, opened: Option<&dev::Opened>) -> Result<(), String> {
        let Some(file) = self.dev_cluster_json.as_deref().filter(|_| self.is_dev()) else { return Ok(()) };
        let (ca, token) = (tls.map(DevTls::ca), opened.map(|opened| opened.root_token.expose()));
        cluster::write(file, url, ca.as_deref(), token)
    }
}

async fn serve(args: &Args, config: &Config, mlock: &str) -> Result<(), String> {
    let (hangup, inquiry) = (signals::hangup()?, signals::inquiry()?);
    let dev_tls =
        args.dev_tls.then(|| DevTls::make(args.dev_tls_cert_dir.as_deref(), &args.dev_address(), &args.dev_tls_san));
    let dev_tls = dev_tls.transpose()?;
    let listeners = args.listeners(config, dev_tls.as_ref());
    let Open { listenings, lines, tls, url } = listen::open(&listeners, config).await?;
    let storage = args.storage(config);
    let store = open_store(&storage)?;
    let mut settings = settings::of(config, &listeners, &storage, url.as_deref())?;
    if args.is_dev() && settings.seals.unseal() {
        tracing::warn!("the seals of the configuration have no effect in dev mode");
        settings.seals = Seals::default();
    }
    let log_level = args.log(config)?.level;
    let mut facts = vec![("Api Address".to_owned(), settings.api_addr.clone())];
    facts.extend(config.cluster_addr().map(|address| ("Cluster Address".to_owned(), address.to_owned())));
    facts.extend((1..).zip(lines).map(|(number, line)| (format!("Listener {number}"), line)));
    facts.push(("Log Level".to_owned(), log_level.to_string()));
    facts.push(("Mlock".to_owned(), mlock.to_owned()));
    facts.push(("Storage".to_owned(), described(&storage)));
    facts.push(("Version".to_owned(), version()));
    let core = Core::new(Sealed::new(store.clone()), settings, Clock::System);
    let _pid_file = config.pid_file().map(PidFile::write).transpose()?;
    let supervisor = Supervisor::new(notify_socket().as_deref());
    let signals = signals::begin(supervisor.clone())?;
    let dev = args.open_dev(&core, &storage)?;
    args.tell_cluster(url.as_deref().unwrap_or_default(), dev_tls.as_ref(), dev.as_ref())?;
    print_line(&banner(&facts));
    match dev {
        Some(opened) => {
            let ca = dev_tls.as_ref().map(DevTls::ca);
            let url = url.as_deref().unwrap_or_default();
            print_line(&dev::instructions(url, &opened, dir_of(&storage), ca.as_deref()));
            if matches!(storage, Storage::Memory) {
                reset::allow(&core, store, opened.unseal_key)?;
            }
        }
        None => tell_state(&core),
    }
    if args.test_server_config {
        return Ok(());
    }
    tokio::task::spawn_blocking({
        let core = Arc::downgrade(&core);
        move || tick(&core)
    });
    let level = {
        let args = args.clone();
        move || Ok(args.log(&config::read(&args.config, &environment())?)?.level)
    };
    let reload = Reload { core: Arc::downgrade(&core), tls, level: Box::new(level) };
    tokio::spawn(signals::on_inquiry(inquiry, Arc::downgrade(&core)));
    tokio::spawn(signals::on_hangup(hangup, reload, supervisor.clone()));
    supervisor.ready();
    let limits = Limits::default();
    tokio::select! {
        served = serve_all(listenings, core, &limits, signals.nth(1)) => {
            served.map_err(|error| format!("cannot serve: {error}"))
        }
        () = signals.nth(2) => {
            tracing::warn!("a second signal: requests that were still running are cut off");
            Ok(())
        }
    }
}

fn open_store(storage: &Storage) -> Result<Arc<dyn Store>, String> {
    let opened = match storage {
        Storage::Memory => return Ok(Arc::new(Memory::new())),
        Storage::Sled(dir) => storage::open(storage::Engine::Sled, dir),
        Storage::Redb(dir) => storage::open(storage::Engine::Redb, dir),
    };
    opened.map_err(|error| error.to_string())
}

fn dir_of(storage: &Storage) -> Option<&Path> {
    match storage {
        Storage::Memory => None,
        Storage::Sled(dir) | Storage::Redb(dir) => Some(dir),
    }
}

fn described(storage: &Storage) -> String {
    match storage {
        Storage::Memory => "inmem".to_owned(),
        Storage::Sled(dir) => format!("sled, encrypted in {}", dir.display()),
        Storage::Redb(dir) => format!("redb, encrypted in {}", dir.display()),
    }
}

/// Names and values in two columns, as Vault's server begins. Scripts look for some of these lines.
fn banner(facts: &[(String, String)]) -> String {
    let mut text = "==> Vault server configuration:\n\n".to_owned();
    for (name, value) in facts {
        text += &format!("{name:>24}: {value}\n");
    }
    text + "\n==> Vault server started! Log data will stream in below:\n"
}

fn version() -> String {
    format!("Coffer v{}, API of Vault v{}", env!("CARGO_PKG_VERSION"), crate::core::VAULT_VERSION)
}

/// Says what to do next.
fn tell_state(core: &Core) {
    match core.seal_state() {
        Ok(SealState::Uninitialised) => {
            tracing::info!("this store is new: initialise it with `coffer operator init`, or by PUT sys/init");
        }
        Ok(SealState::Sealed { threshold, .. }) => {
            tracing::info!(
                threshold,
                "the server is sealed: unseal it with `coffer operator unseal`, or by PUT sys/unseal"
            );
        }
        Ok(SealState::Unsealed { .. }) => tracing::info!("the server is unsealed"),
        Err(error) => tracing::error!(%error, "the seal cannot be read"),
    }
}

/// Lets time pass in the core until it is gone.
fn tick(core: &Weak<Core>) {
    let mut is_told = false;
    while let Some(core) = core.upgrade() {
        core.tick();
        drop(core);
        is_told = is_told || process::tell_overflow();
        std::thread::sleep(TICK);
    }
}

const ADDRESS_DEFAULT: &str = "127.0.0.1:8200";
const TICK: Duration = Duration::from_secs(1);
/// From the end of the last connection to the end of what still runs on threads.
const END_TIME_MAX: Duration = Duration::from_secs(5);
/// Threads for slow requests and `tick`: for those that work, and for those that wait for other servers. More make nothing
/// faster, and each keeps memory of its own that it once used: making keys over 256 connections took 1,342 MiB with as
/// many threads, and 243 MiB with 8.
const BLOCKING_THREADS_MAX: usize = 8 + outbound::WAITING_MAX;
