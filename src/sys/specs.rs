//! `sys/internal/specs/openapi`: the route table for machines.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::{Core, catalog};
use crate::engine::{Call, Endpoint};

/// Describes every endpoint of every mount as an OpenAPI document.
#[derive(Deserialize, JsonSchema)]
pub struct OpenApi {}

impl Endpoint for OpenApi {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::of(&catalog::openapi(core)?))
    }
}
