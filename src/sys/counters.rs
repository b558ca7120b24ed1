//! `sys/internal/counters`: how many tokens and entities there are.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Tokens;
use crate::access::identity::Identity;
use crate::api::{Error, Reply};
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

fn counted(what: &str, total: usize) -> Reply {
    Reply::object(|data| {
        data.set_object("counters", |counters| {
            counters.set_object(what, |counter| {
                counter.set("total", total);
            });
        });
    })
}
