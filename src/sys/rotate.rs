//! `sys/rotate`, `sys/rotate/config` and `sys/key-status`: the key that encrypts the platform's records.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::tokens::nanoseconds;
use crate::api::fields::Ttl;
use crate::api::{Error, Reply};
use crate::clock::Timestamp;
use crate::core::Core;
use crate::core::rotation::RotationConfig;
use crate::engine::{Call, Endpoint};

/// Encrypts with a new key from now on. What was encrypted with the old ones stays readable.
#[derive(Deserialize, JsonSchema)]
pub struct Rotate {}

impl Endpoint for Rotate {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let term = core.unsealed()?.barrier.rotate(nanoseconds(call.now))?;
        tracing::info!(term, "the key of the platform's records was rotated");
        Ok(Reply::nothing())
    }
}

/// Tells the number of the key that encrypts, since when it does, and how often it did at most.
#[derive(Deserialize, JsonSchema)]
pub struct KeyStatus {}

impl Endpoint for KeyStatus {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let usage = core.unsealed()?.barrier.usage()?;
        let made = Timestamp::from_nanosecond(usage.made_ns.into()).map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("term", usage.term).set("install_time", made.to_string()).set("encryptions", usage.uses);
        }))
    }
}

/// Tells when the key is replaced without being asked.
#[derive(Deserialize, JsonSchema)]
pub struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let config = RotationConfig::read(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("enabled", config.enabled).set("max_operations", config.uses_max);
            match config.interval_s {
                0 => data.set("interval", 0),
                // In Go's notation, as an interval has hours in any case.
                s => data.set("interval", format!("{}h{}m{}s", s / 3600, s / 60 % 60, s % 60)),
            };
        }))
    }
}

/// Says when the key is replaced without being asked.
#[derive(Deserialize, JsonSchema)]
pub struct WriteConfig {
    /// Whether it is.
    enabled: Option<bool>,
    /// Encryptions after which it is replaced.
    max_operations: Option<i64>,
    /// Time after which it is replaced, at least a day; zero for never.
    #[serde(default)]
    interval: Ttl,
}

impl Endpoint for WriteConfig {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let old = RotationConfig::read(&view)?;
        let config = RotationConfig {
            enabled: self.enabled.unwrap_or(old.enabled),
            uses_max: self.max_operations.map_or(old.uses_max, |uses| u64::try_from(uses).unwrap_or_default()),
            interval_s: self.interval.0.map_or(old.interval_s, |interval| interval.as_secs()),
        };
        config.write(&view)?;
        Ok(Reply::nothing())
    }
}
