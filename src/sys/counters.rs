//! `sys/internal/counters`: how many tokens and entities there are. Clients are not counted: nobody is billed for them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Tokens;
use crate::access::identity::Identity;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::clock::Timestamp;
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Counts the tokens that are stored. Batch tokens are not.
#[derive(Deserialize, JsonSchema)]
pub struct CountTokens {}

impl Endpoint for CountTokens {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let total = Tokens::count(&call.view()?)?;
        Ok(counted("service_tokens", total))
    }
}

/// Counts the entities.
#[derive(Deserialize, JsonSchema)]
pub struct CountEntities {}

impl Endpoint for CountEntities {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let total = Identity::entity_count(&call.view()?)?;
        Ok(counted("entities", total))
    }
}

/// Refuses, as servers of Vault's do since they count clients.
#[derive(Deserialize, JsonSchema)]
pub struct CountRequests {}

impl Endpoint for CountRequests {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Err(Error::Missing("The functionality has been removed on this path".into()))
    }
}

/// Tells of no clients in a time, for none are counted.
#[derive(Deserialize, JsonSchema)]
pub struct Activity {
    /// From when; 1970 if nobody says.
    #[serde(default)]
    start_time: String,
    /// Until when; now if nobody says.
    #[serde(default)]
    end_time: String,
}

impl Endpoint for Activity {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let start = if self.start_time.is_empty() { Timestamp::UNIX_EPOCH } else { time(&self.start_time)? };
        let end = if self.end_time.is_empty() { call.now } else { time(&self.end_time)? };
        let reply = Reply::object(|data| {
            data.set("by_namespace", [(); 0]).set("start_time", start).set("end_time", end).set("months", [(); 0]);
            data.set_object("total", tell_nobody);
        });
        Ok(reply.warn(NOT_COUNTED))
    }
}

/// Tells of no clients in this month, for none are counted.
#[derive(Deserialize, JsonSchema)]
pub struct MonthlyActivity {}

impl Endpoint for MonthlyActivity {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let reply = Reply::object(|data| {
            data.set("by_namespace", [(); 0]).set("months", [(); 0]);
            tell_nobody(data);
        });
        Ok(reply.warn(NOT_COUNTED))
    }
}

/// Tells that clients are not counted.
#[derive(Deserialize, JsonSchema)]
pub struct ReadActivityConfig {}

impl Endpoint for ReadActivityConfig {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("enabled", "disable").set("queries_available", false).set("reporting_enabled", false);
            data.set("default_report_months", 12).set("retention_months", 48).set("minimum_retention_months", 0);
        }))
    }
}

fn tell_nobody(object: &mut Object) {
    for name in ["clients", "distinct_entities", "entity_clients", "non_entity_clients", "non_entity_tokens"] {
        object.set(name, 0);
    }
}

/// A time as RFC 3339 has it, or in seconds since 1970.
fn time(text: &str) -> Result<Timestamp, Error> {
    let seconds = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = seconds.or_else(|| text.parse().ok());
    time.ok_or_else(|| Error::invalid(format!("{text:?} is neither a time nor a number of seconds")))
}

const NOT_COUNTED: &str = "this server does not count clients: all figures are zero";

fn counted(what: &str, total: usize) -> Reply {
    Reply::object(|data| {
        data.set_object("counters", |counters| {
            counters.set_object(what, |counter| {
                counter.set("total", total);
            });
        });
    })
}
