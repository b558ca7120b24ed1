//! `sys/seal-status`, `sys/init` and `sys/leader`: what is asked of a server before it has a token to show.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::{Core, SealState, VAULT_VERSION};
use crate::engine::{Call, Endpoint};

/// Tells whether the server is initialised and sealed, and how many shares unseal it.
#[derive(Deserialize, JsonSchema)]
pub struct SealStatus {}

impl Endpoint for SealStatus {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let state = core.seal_state()?;
        let (shares, threshold) = match state {
            SealState::Uninitialised => (0, 0),
            SealState::Sealed { shares, threshold } | SealState::Unsealed { shares, threshold } => (shares, threshold),
        };
        Ok(Reply::object(|status| {
            status.set("type", "shamir").set("initialized", state != SealState::Uninitialised);
            status.set("sealed", core.active().is_none()).set("t", threshold).set("n", shares);
            status.set("progress", 0).set("nonce", "").set("version", VAULT_VERSION).set("build_date", BUILD_DATE);
            status.set("migration", false).set("recovery_seal", false).set("storage_type", core.settings.storage_type);
            if let Some(active) = core.active() {
                status.set("cluster_name", &active.cluster.name).set("cluster_id", &active.cluster.id);
            }
        }))
    }
}

/// Tells whether the server is initialised.
#[derive(Deserialize, JsonSchema)]
pub struct Initialised {}

impl Endpoint for Initialised {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let initialised = core.seal_state()? != SealState::Uninitialised;
        Ok(Reply::object(|answer| {
            answer.set("initialized", initialised);
        }))
    }
}

/// Refuses to initialise a server that is; one that is not is initialised where it runs.
#[derive(Deserialize, JsonSchema)]
pub struct Initialise {
    /// Accepted from clients.
    #[serde(default, rename = "secret_shares")]
    _shares: i64,
    /// Accepted from clients.
    #[serde(default, rename = "secret_threshold")]
    _threshold: i64,
}

impl Endpoint for Initialise {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Err(Error::invalid(match core.seal_state()? {
            SealState::Uninitialised => "this server cannot be initialised over the API",
            SealState::Sealed { .. } | SealState::Unsealed { .. } => "Vault is already initialized",
        }))
    }
}

/// Tells who leads the cluster: a single server has no other.
#[derive(Deserialize, JsonSchema)]
pub struct Leader {}

impl Endpoint for Leader {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|leader| {
            leader.set("ha_enabled", false).set("is_self", false).set("active_time", "0001-01-01T00:00:00Z");
            leader.set("leader_address", "").set("leader_cluster_address", "");
            leader.set("performance_standby", false).set("performance_standby_last_remote_wal", 0);
        }))
    }
}

/// Some clients parse this as a time.
const BUILD_DATE: &str = "2026-11-22T00:00:00Z";
