//! `sys/seal-backend-status`: whether what unseals the server can be reached.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::seal::SealStatus;
use crate::engine::{Call, Endpoint};

/// Tells which seal there is and whether it works. Shares that people keep always do; what should have unsealed the server
/// by itself, and has not, does not.
#[derive(Deserialize, JsonSchema)]
pub struct SealBackends {}

impl Endpoint for SealBackends {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let SealStatus { kind, initialised, sealed, recovery, .. } = core.seal_status()?;
        let healthy = !(initialised && sealed && recovery);
        Ok(Reply::object(|status| {
            status.set("healthy", healthy).set("fully_wrapped", true);
            status.set_list("backends", [kind].iter(), |backend, name| {
                backend.set("name", name).set("healthy", healthy);
            });
        }))
    }
}
