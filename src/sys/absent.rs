//! What clients ask every server for and this one has none of: namespaces, licences, replication, experiments. Each says so
//! in the words that they know.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Refuses, for this server has no namespaces, licences or policies for groups of them.
#[derive(Deserialize, JsonSchema)]
pub struct EnterpriseOnly {}

impl Endpoint for EnterpriseOnly {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Err(Error::EnterpriseOnly)
    }
}

/// Tells that nothing is replicated.
#[derive(Deserialize, JsonSchema)]
pub struct ReplicationStatus {}

impl Endpoint for ReplicationStatus {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("mode", "disabled");
        }))
    }
}

/// Tells that there are no experiments.
#[derive(Deserialize, JsonSchema)]
pub struct Experiments {}

impl Endpoint for Experiments {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let none: [&str; 0] = [];
        Ok(Reply::object(|data| {
            data.set("available", none).set("enabled", none);
        }))
    }
}

/// Tells that user interfaces have no features to switch on.
#[derive(Deserialize, JsonSchema)]
pub struct FeatureFlags {}

impl Endpoint for FeatureFlags {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("feature_flags", ());
        }))
    }
}
