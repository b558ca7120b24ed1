//! Signals: the first SIGTERM or SIGINT asks the server to end, the second makes it, SIGHUP has it read its files anew, and
//! SIGUSR2 has it say what it is doing.

use std::sync::{Arc, Weak};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::LevelFilter;

use super::process::Supervisor;
use crate::cli::output::print_line;
use crate::core::{Core, Working};
use crate::server::Tls;
use crate::telemetry;

/// How often the server was asked to end.
pub(super) struct Signals(watch::Receiver<u32>);

/// SIGHUP. It ends a process that does not listen for it, so that it comes before anybody knows of this one.
pub(super) fn hangup() -> Result<Signal, String> {
    on(SignalKind::hangup())
}

/// SIGUSR2, of which the same is true.
pub(super) fn inquiry() -> Result<Signal, String> {
    on(SignalKind::user_defined2())
}

/// Begins to listen for the signals that end the server.
pub(super) fn begin(supervisor: Supervisor) -> Result<Signals, String> {
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let (count, seen) = watch::channel(0_u32);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if *count.borrow() == 0 {
                supervisor.stopping();
                telemetry::end_monitors();
                print_line("==> Vault shutdown triggered");
            }
            count.send_modify(|count| *count = count.saturating_add(1));
        }
    });
    Ok(Signals(seen))
}

impl Signals {
    /// Resolves when the server was asked to end so many times.
    pub(super) async fn nth(&self, wanted: u32) {
        let _ = self.0.clone().wait_for(|count| *count >= wanted).await;
    }
}

/// What is read anew.
pub(super) struct Reload {
    pub(super) core: Weak<Core>,
    /// Certificates and keys, and where their names are written.
    pub(super) tls: Vec<(String, Arc<Tls>)>,
    /// Reads the level of the log.
    pub(super) level: Box<dyn Fn() -> Result<LevelFilter, String> + Send + Sync>,
}

/// Reads files anew at each SIGHUP, which is also what tools send that move logs away.
pub(super) async fn on_hangup(mut hangup: Signal, reload: Reload, supervisor: Supervisor) {
    let reload = Arc::new(reload);
    while hangup.recv().await.is_some() {
        supervisor.reloading();
        print_line("==> Vault reload triggered");
        let reload = Arc::clone(&reload);
        // A file that is being written to may keep it waiting.
        let _ = tokio::task::spawn_blocking(move || reload.all()).await;
        print_line("==> Vault reload complete");
        supervisor.ready();
    }
}

/// Logs the requests that take long, at each SIGUSR2.
pub(super) async fn on_inquiry(mut inquiry: Signal, core: Weak<Core>) {
    while inquiry.recv().await.is_some() {
        let Some(core) = core.upgrade() else { return };
        let working = core.working.all();
        tracing::info!(requests = working.len(), "what is being worked on, as SIGUSR2 asks");
        for (id, Working { since, remote, op, path, .. }) in working {
            tracing::info!(%id, %since, %remote, op = op.name(), path, "a request is being worked on");
        }
        print_line("==> Vault state logged");
    }
}

impl Reload {
    fn all(&self) {
        if let Some(core) = self.core.upgrade() {
            core.reopen_audit();
        }
        for (place, tls) in &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!("{place}: certificate and key were read anew"),
                Err(error) => tracing::error!("{place}: the old certificate stays, for {error}"),
            }
        }
        if let Err(error) = telemetry::reopen() {
            tracing::error!("the old file of the log stays, for {error}");
        }
        match (self.level)() {
            Ok(level) => telemetry::configure_level(level),
            Err(error) => tracing::error!("the level of the log stays, for {error}"),
        }
    }
}

fn on(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot wait for signals: {error}"))
}
