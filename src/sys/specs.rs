//! `sys/internal/specs/openapi`: the route table for machines.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ui::{caller, is_visible};
use crate::api::{Error, Reply};
use crate::core::{Core, catalog};
use crate::engine::{Call, Endpoint};

/// Describes every endpoint of the mounts that the caller may see as an OpenAPI document; without a token, of those that are
/// visible to everyone.
#[derive(Deserialize, JsonSchema)]
pub struct OpenApi {}

impl Endpoint for OpenApi {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        let caller = caller(&active, call)?;
        let may_see = |path: &str| active.mounts.at(path).is_some_and(|mount| is_visible(&mount, caller.as_deref()));
        Ok(Reply::of(&catalog::openapi(core, may_see)?))
    }
}
