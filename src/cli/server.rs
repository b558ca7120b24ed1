//! `coffer server`: from flags to a server that answers, until a signal ends it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output::print_line;
use super::{dev, reset, seed, variable};
use crate::api::weak;
use crate::barrier::Sealed;
use crate::clock::Clock;
use crate::core::{Core, Settings};
use crate::server::{Limits, serve};
use crate::storage::{self, Memory, Store};
use crate::telemetry;

#[derive(clap::Args)]
pub(super) struct Args {
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
    /// Keeps the dev server's data in this directory, encrypted; it survives restarts.
    #[arg(long, value_name = "DIR")]
    dev_data_dir: Option<PathBuf>,
    /// Storage engine of the data directory: sled or redb.
    #[arg(long, value_name = "ENGINE", default_value = "sled")]
    dev_storage: storage::Engine,
    /// Writes what is in this file, path by path, before the dev server answers anybody.
    #[arg(long, value_name = "FILE")]
    dev_seed: Option<PathBuf>,
    /// Level of the log: trace, debug, info, warn, error or off.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// Starts the server and serves until SIGTERM or SIGINT.
pub(super) fn run(args: Args) -> Result<(), String> {
    if !args.dev {
        return Err("a server needs -dev for now: `coffer server -dev`".to_owned());
    }
    let level = args.log_level.or_else(|| variable("LOG_LEVEL")).unwrap_or_else(|| "info".to_owned());
    telemetry::start(telemetry::level(&level)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let address = args.dev_listen_address.or_else(|| variable("DEV_LISTEN_ADDRESS"));
        let listener = bind(address.as_deref().unwrap_or(ADDRESS_DEFAULT)).await?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let api_addr = variable("API_ADDR").unwrap_or_else(|| format!("http://{address}"));
        let (store, settings) = open_store(args.dev_data_dir.as_deref(), args.dev_storage)?;
        let settings = Settings { api_addr, ..settings };
        let core = Core::new(Sealed::new(store.clone()), settings, Clock::System);
        let wanted = args.dev_root_token_id.or_else(|| variable("DEV_ROOT_TOKEN_ID")).filter(|token| !token.is_empty());
        let opened = dev::open(&core, args.dev_data_dir.as_deref(), wanted.as_deref())?;
        if let Some(file) = &args.dev_seed {
            seed::sow(&core, file, &opened.root_token)?;
        }
        if !args.dev_no_store_token {
            dev::store_token(&opened.root_token);
        }
        print_line(&dev::banner(address, &opened, args.dev_data_dir.as_deref()));
        if args.dev_data_dir.is_none() {
            reset::allow(&core, store, opened.unseal_key)?;
        }
        tokio::task::spawn_blocking({
            let core = Arc::downgrade(&core);
            move || tick(&core)
        });
        tokio::spawn(reopen_audit(Arc::downgrade(&core))?);
        serve(listener, core, Limits::default(), ended()?).await;
        Ok(())
    })
}

async fn bind(address: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("cannot listen on {address}: {error}; choose another with -dev-listen-address"))
}

fn open_store(dir: Option<&Path>, engine: storage::Engine) -> Result<(Arc<dyn Store>, Settings), String> {
    let settings = Settings { user_lockout_disabled: lockout_disabled()?, ..Settings::default() };
    match dir {
        None => Ok((Arc::new(Memory::new()), settings)),
        Some(dir) => {
            let store = storage::open(engine, dir).map_err(|error| error.to_string())?;
            let storage_type = match engine {
                storage::Engine::Sled => "sled",
                storage::Engine::Redb => "redb",
            };
            Ok((store, Settings { storage_type, ..settings }))
        }
    }
}

fn lockout_disabled() -> Result<bool, String> {
    let Some(text) = variable("DISABLE_USER_LOCKOUT").filter(|text| !text.is_empty()) else { return Ok(false) };
    weak::go_bool(&text).ok_or_else(|| format!("VAULT_DISABLE_USER_LOCKOUT is neither true nor false: {text:?}"))
}

/// Lets time pass in the core until it is gone.
fn tick(core: &Weak<Core>) {
    while let Some(core) = core.upgrade() {
        core.tick();
        drop(core);
        std::thread::sleep(TICK);
    }
}

/// Opens the files of the audit devices anew at each SIGHUP, which is what tools send that move such files away.
fn reopen_audit(core: Weak<Core>) -> Result<impl Future<Output = ()>, String> {
    let mut hangup = on(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let Some(core) = core.upgrade() else { return };
            // A file that is being written to may keep it waiting.
            let _ = tokio::task::spawn_blocking(move || core.reopen_audit()).await;
        }
    })
}

/// Resolves at the first SIGTERM or SIGINT.
fn ended() -> Result<impl Future<Output = ()>, String> {
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        print_line("==> Vault shutdown triggered");
    })
}

fn on(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}"))
}

const ADDRESS_DEFAULT: &str = "127.0.0.1:8200";
const TICK: Duration = Duration::from_secs(1);
/// Threads for slow requests and `tick`. More make nothing faster, and each keeps memory of its own that it once used:
/// making keys over 256 connections took 1,342 MiB with as many threads, and 243 MiB with 8.
const BLOCKING_THREADS_MAX: usize = 16;
