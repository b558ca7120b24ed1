//! `sys/metrics`: what is counted and measured, for machines that watch over the server.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Tells figures of the server: in Prometheus' text, or else in Vault's JSON.
#[derive(Deserialize, JsonSchema)]
pub struct Metrics {
    /// `prometheus` for its text. Where it is absent the header `Accept` of a scraper says the same.
    #[serde(default)]
    format: String,
}

impl Endpoint for Metrics {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        match self.format.as_str() {
            "" if call.request.scrapes => prometheus(core),
            "" => Ok(Reply::json(core.metrics_json()?)),
            "prometheus" => prometheus(core),
            other => Ok(Reply::text(PLAIN, format!("metric response format {other:?} unknown")).status(400)),
        }
    }
}

fn prometheus(core: &Core) -> Result<Reply, Error> {
    if core.settings.metrics_retention.is_zero() {
        return Ok(Reply::text(PLAIN, "prometheus is not enabled").status(400));
    }
    Ok(Reply::text(PROMETHEUS, core.metrics_text()?))
}

const PLAIN: &str = "text/plain";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
