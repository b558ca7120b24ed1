//! `sys/health`: what load balancers and clients ask first.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::weak::go_bool;
use crate::api::{Error, Reply};
use crate::core::{Core, SealState, VAULT_VERSION};
use crate::engine::{Call, Endpoint};

/// Tells the state of the server by its status code: 200 active, 501 not initialised, 503 sealed, and 503 too while no audit
/// device can write, for no request is served then.
#[derive(Deserialize, JsonSchema)]
pub struct Health {
    /// Status to answer when active.
    #[serde(default)]
    activecode: Code,
    /// Status to answer when sealed.
    #[serde(default)]
    sealedcode: Code,
    /// Status to answer when not initialised.
    #[serde(default)]
    uninitcode: Code,
    /// Of those who wait for another server to fail, which a single server never does. So are the following.
    #[serde(default)]
    standbycode: Code,
    /// Of those who answer reads.
    #[serde(default)]
    performancestandbycode: Code,
    /// Of those in another place.
    #[serde(default)]
    drsecondarycode: Code,
    /// Those who wait count as active.
    #[serde(default)]
    standbyok: String,
    /// Those who answer reads count as active.
    #[serde(default)]
    perfstandbyok: String,
}

/// A status code as a query gives it; `None` if it does not.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Code(Option<String>);

impl Code {
    /// Codes that HTTP cannot carry, and texts that are no number, are refused.
    fn or(&self, usual: u16) -> Result<u16, Error> {
        let Some(text) = &self.0 else { return Ok(usual) };
        text.parse().ok().filter(|code| (200..=999).contains(code)).ok_or(Error::Unreadable)
    }
}

impl Health {
    /// What is for other states of a server than this one can be in must be well formed all the same: a typing error shows
    /// at once.
    fn check_others(&self) -> Result<(), Error> {
        for code in [&self.standbycode, &self.performancestandbycode, &self.drsecondarycode] {
            code.or(OTHER)?;
        }
        let is_flag = |text: &&String| text.is_empty() || go_bool(text).is_some();
        [&self.standbyok, &self.perfstandbyok].iter().all(is_flag).then_some(()).ok_or(Error::Unreadable)
    }
}

impl Endpoint for Health {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let state = core.seal_state()?;
        self.check_others()?;
        let (active, sealed, uninitialised) =
            (self.activecode.or(200)?, self.sealedcode.or(503)?, self.uninitcode.or(501)?);
        let (status, is_active) = match state {
            SealState::Unsealed { .. } if !core.audit.is_able() => (UNABLE, true),
            SealState::Unsealed { .. } => (active, true),
            SealState::Sealed { .. } => (sealed, false),
            SealState::Uninitialised => (uninitialised, false),
        };
        let replication = if is_active { "disabled" } else { "unknown" };
        let reply = Reply::object(|health| {
            health.set("initialized", state != SealState::Uninitialised);
            health.set("sealed", !is_active).set("standby", !is_active).set("performance_standby", false);
            health.set("replication_performance_mode", replication).set("replication_dr_mode", replication);
            health.set("server_time_utc", call.now.as_second()).set("version", VAULT_VERSION).set("enterprise", false);
            if let Some(active) = core.active() {
                health.set("cluster_name", &active.cluster.name).set("cluster_id", &active.cluster.id);
            }
            health.set("echo_duration_ms", 0).set("clock_skew_ms", 0).set("replication_primary_canary_age_ms", 0);
        });
        Ok(reply.status(status))
    }
}

/// Stands for the usual code of a state that this server is never in.
const OTHER: u16 = 200;
/// Nobody can be served, whatever the codes that were asked for.
const UNABLE: u16 = 503;
