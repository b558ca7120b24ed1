//! Paths that version 2 does not have: most often those of version 1, which clients are told.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kv2;
use super::data::NOT_FOUND;
use crate::api::{Data, Error, Op, Reply};
use crate::engine::{Call, Endpoint};

/// Says which paths there are.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Invalid {}

impl Endpoint for Invalid {
    type On = Kv2;

    fn run(self, _: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(reply(call))
    }
}

/// The answer to a path that is none.
pub(super) fn reply(call: &Call<'_>) -> Reply {
    let below = call.request.path.strip_prefix(call.mount).unwrap_or_default();
    let reply = Reply { data: Data::Null, ..Reply::default() }.status(NOT_FOUND);
    if matches!(below, "metadata" | "data" | "delete" | "undelete" | "destroy") {
        return reply.warn("Non-listing operations on the root of a K/V v2 mount are not supported.");
    }
    let command = match call.request.op {
        Op::Write => "put",
        Op::Read => "get",
        Op::List | Op::Scan => "list",
        Op::Patch => "patch",
        Op::Delete => "delete",
    };
    reply.warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If \
         using the Vault CLI, use 'vault kv {command}' for this operation."
    ))
}
