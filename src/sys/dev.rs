//! `sys/dev`: what only servers for development do.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Brings a dev server in memory back to where it was when it was ready, after its seed. Nothing stays of what was done
/// since: no mount, no key, no secret, no token. Other servers refuse it.
#[derive(Deserialize, JsonSchema)]
pub struct Reset {}

impl Endpoint for Reset {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        core.reset()?;
        Ok(Reply::nothing())
    }
}
