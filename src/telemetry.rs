//! Logs of the running server, on standard error. Knows nothing of requests; secrets never come here.

use std::io;

use tracing_subscriber::filter::LevelFilter;

/// Starts logging at a level: `trace`, `debug`, `info`, `warn`, `error` or `off`.
pub fn start(level: LevelFilter) {
    // A second start, as in tests that run several servers, keeps the first.
    let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_target(false).try_init();
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
