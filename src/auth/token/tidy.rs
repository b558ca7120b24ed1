//! `tidy`: sets right what is kept of tokens, by and by.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TokenAuth;
use crate::access::tokens::TIDY_STARTED;
use crate::api::{Data, Error, Reply};
use crate::engine::{Call, Endpoint};

/// Begins to go over all that is kept of tokens, and deletes what belongs to none.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Tidy {}

impl Endpoint for Tidy {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, _: &Call<'_>) -> Result<Reply, Error> {
        on.tokens.tidy();
        Ok(Reply { data: Data::Null, ..Reply::default() }.status(202).warn(TIDY_STARTED))
    }
}
