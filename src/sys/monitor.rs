//! `sys/monitor`: the log as it is written, told to whoever may read it along.

use std::task::{Context, Poll};

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::api::{Data, Error, Lines, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};
use crate::telemetry;

/// Tells what is logged, line by line, until the client goes or the server ends.
#[derive(Deserialize, JsonSchema)]
pub struct Monitor {
    /// The least level that is told: `trace`, `debug`, `info`, `warn` or `error`; `info` if absent.
    #[serde(default)]
    log_level: String,
    /// `standard` or `json`; `standard` if absent, unless the log itself is JSON.
    #[serde(default)]
    log_format: String,
}

impl Endpoint for Monitor {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let level = match self.log_level.trim().to_lowercase().as_str() {
            "trace" => LevelFilter::TRACE,
            "debug" => LevelFilter::DEBUG,
            "" | "info" => LevelFilter::INFO,
            "warn" => LevelFilter::WARN,
            "error" => LevelFilter::ERROR,
            "off" => LevelFilter::OFF,
            _ => return Err(Error::invalid("unknown log level")),
        };
        let format = if self.log_format.is_empty() { "standard" } else { &self.log_format };
        let format = telemetry::format(format).map_err(|_| Error::invalid("unknown log format"))?;
        let monitor = telemetry::monitor(level, format);
        let monitor = monitor.ok_or_else(|| Error::Unavailable("too many read the log along; try again".into()))?;
        let data = Data::Stream { media_type: "text/plain; charset=utf-8", lines: Box::new(Along(monitor)) };
        Ok(Reply { data, ..Reply::default() })
    }
}

struct Along(telemetry::Monitor);

impl Lines for Along {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        self.0.poll_next(context)
    }
}
