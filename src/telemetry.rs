//! Logs of the running server, on standard error and in a file if there is one, at levels that an operator can change while
//! it runs. Knows nothing of requests; secrets never come here.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use output::{JsonLines, Output};

mod output;

/// What is logged, and where.
pub struct Log {
    pub level: LevelFilter,
    pub format: Format,
    /// Beside standard error.
    pub file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Standard,
    /// One object a line, with the names that Vault's have.
    Json,
}

/// Starts logging.
pub fn start(log: &Log) -> Result<(), String> {
    let output = Output::open(log.file.clone())?;
    let levels = Levels { usual: log.level, own: BTreeMap::new() };
    let (filter, handle) = reload::Layer::new(levels.filter());
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        Format::Json => registry.with(JsonLines(output.clone())).try_init(),
        Format::Standard => {
            let plain = fmt::layer().with_target(false).with_ansi(log.file.is_none() && io::stderr().is_terminal());
            let writer = output.clone();
            registry.with(plain.with_writer(move || writer.clone())).try_init()
        }
    };
    // A second start, as in tests that run several servers, keeps the first.
    if started.is_ok() {
        let _ = LOGS.set(Logs { handle, levels: Mutex::new(levels), first: log.level, output });
    }
    Ok(())
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

/// Reads a format by the names that Vault takes.
pub fn format(name: &str) -> Result<Format, String> {
    match name.to_lowercase().as_str() {
        "standard" => Ok(Format::Standard),
        "json" => Ok(Format::Json),
        _ => Err(format!("unknown log format {name:?}: use standard or json")),
    }
}

/// Opens the file anew, which somebody has moved away.
pub fn reopen() -> Result<(), String> {
    LOGS.get().map_or(Ok(()), |logs| logs.output.reopen())
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
    output: Output,
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
    fn levels_have_the_names_that_vault_takes() {
        let check = |name: &str, expected: Result<LevelFilter, &str>| {
            assert_eq!(level(name), expected.map_err(str::to_owned), "{name}");
        };
        check("INFO", Ok(LevelFilter::INFO));
        check("err", Ok(LevelFilter::ERROR));
        check("warning", Ok(LevelFilter::WARN));
        check("notice", Ok(LevelFilter::INFO));
        check("loud", Err("unknown log level \"loud\": use trace, debug, info, warn, error or off"));
    }
}
