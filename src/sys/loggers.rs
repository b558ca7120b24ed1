//! `sys/loggers`: how much the parts of the server log, which changes at once and lasts until the server ends.

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};
use crate::telemetry;

/// Tells the level of every logger.
#[derive(Deserialize, JsonSchema)]
pub struct ReadLoggers {}

impl Endpoint for ReadLoggers {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            for (name, level) in telemetry::levels() {
                data.set(name, level.to_string());
            }
        }))
    }
}

/// Tells the level of one logger.
#[derive(Deserialize, JsonSchema)]
pub struct ReadLogger {
    /// Name of the logger.
    name: String,
}

impl Endpoint for ReadLogger {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let level = telemetry::levels().get(self.name.as_str()).copied().ok_or_else(|| unknown(&self.name))?;
        Ok(Reply::object(|data| {
            data.set_entry(&self.name, level.to_string());
        }))
    }
}

/// Sets the level of all loggers.
#[derive(Deserialize, JsonSchema)]
pub struct WriteLoggers {
    /// `trace`, `debug`, `info`, `warn`, `error` or `off`.
    #[serde(default)]
    level: String,
}

impl Endpoint for WriteLoggers {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        telemetry::set_level(None, level(&self.level)?);
        Ok(Reply::nothing())
    }
}

/// Sets the level of one logger.
#[derive(Deserialize, JsonSchema)]
pub struct WriteLogger {
    /// Name of the logger.
    name: String,
    /// `trace`, `debug`, `info`, `warn`, `error` or `off`.
    #[serde(default)]
    level: String,
}

impl Endpoint for WriteLogger {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let set = telemetry::set_level(Some(&self.name), level(&self.level)?);
        if set { Ok(Reply::nothing()) } else { Err(unknown(&self.name)) }
    }
}

/// Gives all loggers the level back that the server was started with.
#[derive(Deserialize, JsonSchema)]
pub struct ResetLoggers {}

impl Endpoint for ResetLoggers {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        telemetry::reset_level(None);
        Ok(Reply::nothing())
    }
}

/// Gives one logger the level back that the server was started with.
#[derive(Deserialize, JsonSchema)]
pub struct ResetLogger {
    /// Name of the logger.
    name: String,
}

impl Endpoint for ResetLogger {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        if telemetry::reset_level(Some(&self.name)) { Ok(Reply::nothing()) } else { Err(unknown(&self.name)) }
    }
}

fn level(name: &str) -> Result<LevelFilter, Error> {
    if name.is_empty() {
        return Err(Error::invalid("level is required"));
    }
    telemetry::level(name).map_err(|why| Error::invalid(format!("invalid level provided: {why}")))
}

fn unknown(name: &str) -> Error {
    Error::invalid(format!("logger {name:?} not found"))
}
