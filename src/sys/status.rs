//! `sys/seal-status`, `sys/leader` and `sys/ha-status`: what is asked of a server before anything else.

use schemars::JsonSchema;
use serde::Deserialize;

use super::host::hostname;
use crate::api::{Error, Reply};
use crate::core::{Core, VAULT_VERSION};
use crate::engine::{Call, Endpoint};

/// Tells whether the server is initialised and sealed, and how many shares unseal it.
#[derive(Deserialize, JsonSchema)]
pub struct SealStatus {}

impl Endpoint for SealStatus {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        seal_status(core)
    }
}

/// What is told of the seal, here and to those who unseal the server.
pub(super) fn seal_status(core: &Core) -> Result<Reply, Error> {
    let told = core.seal_status()?;
    Ok(Reply::object(|status| {
        status.set("type", &told.kind).set("initialized", told.initialised).set("sealed", told.sealed);
        status.set("t", told.split.threshold).set("n", told.split.shares);
        status.set("progress", told.progress).set("nonce", &told.nonce);
        status.set("version", VAULT_VERSION).set("build_date", BUILD_DATE);
        status.set("migration", told.migration).set("recovery_seal", told.recovery);
        status.set("storage_type", core.settings.storage_type);
        if let Some(active) = core.active() {
            status.set("cluster_name", &active.cluster.name).set("cluster_id", &active.cluster.id);
        }
    }))
}

/// Tells which servers make up the cluster: this one.
#[derive(Deserialize, JsonSchema)]
pub struct HaStatus {}

impl Endpoint for HaStatus {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let hostname = hostname();
        Ok(Reply::object(|data| {
            data.set_list("nodes", [&hostname].into_iter(), |node, hostname| {
                node.set("hostname", hostname).set("api_address", &core.settings.api_addr).set("cluster_address", "");
                node.set("active_node", true).set("last_echo", None::<&str>).set("version", VAULT_VERSION);
            });
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
