//! Logs of the running server, on standard error, at levels that an operator can change while it runs. Knows nothing of
//! requests; secrets never come here.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// Starts logging at a level: `trace`, `debug`, `info`, `warn`, `error` or `off`.
pub fn start(level: LevelFilter) {
    let levels = Levels { usual: level, own: BTreeMap::new() };
    let (filter, handle) = reload::Layer::new(levels.filter());
    let layer = fmt::layer().with_writer(io::stderr).with_target(false);
    // A second start, as in tests that run several servers, keeps the first.
    if tracing_subscriber::registry().with(filter).with(layer).try_init().is_ok() {
        let _ = LOGS.set(Logs { handle, levels: Mutex::new(levels), first: level });
    }
}

/// Reads a level by the names that Vault takes.
pub fn level(name: &str) -> Result<LevelFilter, String> {
    match name.to_lowercase().as_str() {
        "err" => Ok(LevelFilter::ERROR),
        "notice" => Ok(LevelFilter::INFO),
        "warning" => Ok(LevelFilter::WARN),
        other => {
            other.parse().map_err(|_| format!("unknown log level {name:?}: use trace, debug, info, warn, error or off"))
        }
    }
}

/// The loggers, by name, with their levels. Each is one part of the server.
pub fn levels() -> BTreeMap<&'static str, LevelFilter> {
    let levels = LOGS.get().map(|logs| logs.levels.lock().unwrap_or_else(PoisonError::into_inner).clone());
    let levels = levels.unwrap_or(Levels { usual: LevelFilter::OFF, own: BTreeMap::new() });
    LOGGERS.iter().map(|name| (*name, levels.own.get(name).copied().unwrap_or(levels.usual))).collect()
}

/// Sets the level of one logger, or of all. Returns whether there is such a logger.
pub fn set_level(logger: Option<&str>, level: LevelFilter) -> bool {
    change(logger, |levels, name| match name {
        Some(name) => drop(levels.own.insert(name, level)),
        None => *levels = Levels { usual: level, own: BTreeMap::new() },
    })
}

/// Gives one logger, or all, the level back that the server was started with. Returns whether there is such a logger.
pub fn reset_level(logger: Option<&str>) -> bool {
    let first = LOGS.get().map_or(LevelFilter::OFF, |logs| logs.first);
    set_level(logger, first)
}

fn change(logger: Option<&str>, edit: impl FnOnce(&mut Levels, Option<&'static str>)) -> bool {
    let name = logger.map(|logger| LOGGERS.iter().copied().find(|name| *name == logger));
    let (name, known) = (name.flatten(), name != Some(None));
    if let Some(logs) = LOGS.get().filter(|_| known) {
        let mut levels = logs.levels.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut levels, name);
        // Fails when the subscriber is gone, which it is when the process ends.
        let _ = logs.handle.reload(levels.filter());
    }
    known
}

/// What the process logs.
struct Logs {
    handle: reload::Handle<Targets, Registry>,
    levels: Mutex<Levels>,
    first: LevelFilter,
}

#[derive(Clone)]
struct Levels {
    usual: LevelFilter,
    /// Of the loggers that have one of their own.
    own: BTreeMap<&'static str, LevelFilter>,
}

impl Levels {
    /// The same as `tracing` takes it.
    fn filter(&self) -> Targets {
        let own = self.own.iter().map(|(name, level)| (format!("coffer::{}", name.replace('.', "::")), *level));
        Targets::new().with_default(self.usual).with_targets(own)
    }
}

static LOGS: OnceLock<Logs> = OnceLock::new();
/// Parts of the server as their modules are called; what is below a part is told apart by a dot.
const LOGGERS: &[&str] = &[
    "access",
    "auth",
    "barrier",
    "cli",
    "core",
    "core.audit",
    "core.customer_keys",
    "core.protection",
    "http",
    "identity",
    "outbound",
    "secrets",
    "server",
    "storage",
    "sys",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_has_its_own_level_or_that_of_all() {
        let mut levels = Levels { usual: LevelFilter::INFO, own: BTreeMap::new() };
        let check = |levels: &Levels, target: &str, level: tracing::Level, expected: bool| {
            assert_eq!(levels.filter().would_enable(target, &level), expected, "{target} {level}");
        };
        check(&levels, "coffer::core::audit::writer", tracing::Level::DEBUG, false);
        levels.own.insert("core.audit", LevelFilter::DEBUG);
        check(&levels, "coffer::core::audit::writer", tracing::Level::DEBUG, true);
        check(&levels, "coffer::core::mounts", tracing::Level::DEBUG, false);
        levels.own.insert("core", LevelFilter::ERROR);
        check(&levels, "coffer::core::mounts", tracing::Level::WARN, false);
        check(&levels, "coffer::core::audit::writer", tracing::Level::DEBUG, true);
        check(&levels, "hyper::proto", tracing::Level::INFO, true);
    }

    #[test]
    fn levels_have_vaults_names() {
        for (name, expected) in [("err", "error"), ("Notice", "info"), ("WARNING", "warn"), ("trace", "trace")] {
            assert_eq!(level(name).unwrap().to_string(), expected);
        }
        assert!(level("loud").is_err());
    }
}
