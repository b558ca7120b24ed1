//! `sys/config/state`: what the operator has configured, without secrets.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Reads the configuration of the server, without secrets.
#[derive(Deserialize, JsonSchema)]
pub struct Sanitized {}

impl Endpoint for Sanitized {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::of(&core.settings.configuration))
    }
}
