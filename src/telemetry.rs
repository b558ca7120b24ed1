//! Logs of the running server, on standard error and in a file if there is one, at levels that an operator can change while
//! it runs. Knows nothing of requests; secrets never come here.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use monitor::Monitor;
use monitor::Readers;
use output::{JsonLines, Output};

mod monitor;
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
    let levels = Levels { usual: log.level, own: BTreeMap::new(), configured: log.level };
    let (filter, handle) = reload::Layer::new(levels.filter());
    let (read_along, along) = reload::Layer::new(all_at(LevelFilter::OFF));
    let written = match log.format {
        Format::Json => JsonLines(output.clone()).with_filter(filter).boxed(),
        Format::Standard => {
            let plain = fmt::layer().with_target(false).with_ansi(log.file.is_none() && io::stderr().is_terminal());
            let writer = output.clone();
            plain.with_writer(move || writer.clone()).with_filter(filter).boxed()
        }
    };
    let layers = vec![written, (&*READERS).with_filter(read_along).boxed()];
    // A second start, as in tests that run several servers, keeps the first.
    if tracing_subscriber::registry().with(layers).try_init().is_ok() {
        let _ = LOGS.set(Logs { handle, along, levels: Mutex::new(levels), format: log.format, output });
    }
    Ok(())
}

/// Reads a level by the names that Vault takes.
pub fn level(name: &str) -> Result<LevelFilter, String> {
    match name.to_lowercase().as_str() {
        "err" => Ok(LevelFilter::ERROR),
        "notice" => Ok(LevelFilter::INFO),
        "warning" => Ok(LevelFilter::WARN),
        // Levels have numbers for others, which Vault does not take.
        other => other
            .parse()
            .ok()
            .filter(|_| !other.is_empty() && !other.contains(|char: char| char.is_ascii_digit()))
            .ok_or_else(|| format!("unknown log level {name:?}: use trace, debug, info, warn, error or off")),
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
    let off = LevelFilter::OFF;
    let levels = levels.unwrap_or(Levels { usual: off, own: BTreeMap::new(), configured: off });
    LOGGERS.iter().map(|name| (*name, levels.own.get(name).copied().unwrap_or(levels.usual))).collect()
}

/// Sets the level of one logger, or of all. Returns whether there is such a logger.
pub fn set_level(logger: Option<&str>, level: LevelFilter) -> bool {
    change(logger, |levels, name| levels.set(name, level))
}

/// Sets the level of all loggers, as the configuration has it now.
pub fn configure_level(level: LevelFilter) {
    change(None, |levels, _| {
        levels.configured = level;
        levels.set(None, level);
    });
}

/// Gives one logger, or all, the level back that the configuration has. Returns whether there is such a logger.
pub fn reset_level(logger: Option<&str>) -> bool {
    change(logger, |levels, name| levels.set(name, levels.configured))
}

/// Reads along what is logged, at a level that is not the log's; in JSON also where that is how the log looks. None if too
/// many read along.
pub fn monitor(level: LevelFilter, format: Format) -> Option<Monitor> {
    let format = LOGS.get().filter(|logs| logs.format == Format::Json).map_or(format, |logs| logs.format);
    let monitor = READERS.add(level, format, attend)?;
    attend();
    Some(monitor)
}

/// Ends for all what they read along.
pub fn end_monitors() {
    READERS.end();
    attend();
}

/// Has those lines come that somebody reads along.
fn attend() {
    if let Some(logs) = LOGS.get() {
        // One at a time, so that the last one knows of all. The lock protects nothing else.
        let _turn = logs.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = logs.along.reload(all_at(READERS.tidy()));
    }
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
    /// What is read along.
    along: reload::Handle<Targets, Registry>,
    levels: Mutex<Levels>,
    format: Format,
    output: Output,
}

#[derive(Clone)]
struct Levels {
    usual: LevelFilter,
    /// Of the loggers that have one of their own.
    own: BTreeMap<&'static str, LevelFilter>,
    /// What they go back to.
    configured: LevelFilter,
}

impl Levels {
    /// Sets that of one logger, or of all.
    fn set(&mut self, logger: Option<&'static str>, level: LevelFilter) {
        if let Some(name) = logger {
            self.own.insert(name, level);
        } else {
            self.usual = level;
            self.own.clear();
        }
    }

    /// The same as `tracing` takes it.
    fn filter(&self) -> Targets {
        let own = self.own.iter().map(|(name, level)| (format!("coffer::{}", name.replace('.', "::")), *level));
        all_at(self.usual).with_targets(own)
    }
}

/// Libraries tell each page and each frame that they touch, also those that a line of the log is sent in: of theirs, only
/// what is for people.
fn all_at(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::INFO)).with_target("coffer", level)
}

static READERS: LazyLock<Readers> = LazyLock::new(Readers::default);
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
        let mut levels = Levels { usual: LevelFilter::INFO, own: BTreeMap::new(), configured: LevelFilter::INFO };
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
        levels.usual = LevelFilter::TRACE;
        check(&levels, "coffer::http", tracing::Level::TRACE, true);
        check(&levels, "sled::pagecache", tracing::Level::DEBUG, false);
        check(&levels, "h2::codec", tracing::Level::TRACE, false);
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
