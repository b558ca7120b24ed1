//! `revoke`: ends a token, with all that it made or alone.

use schemars::JsonSchema;
use serde::Deserialize;

use super::TokenAuth;
use super::look_up::{about, by_accessor};
use crate::access::Caller;
use crate::access::acl::Capabilities;
use crate::api::{Data, Error, Reply, Token};
use crate::engine::{Call, Endpoint};

/// Ends a token, and all that were made with it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RevokeToken {
    /// The token.
    #[serde(default)]
    token: String,
}

impl Endpoint for RevokeToken {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        match about(on, call, &named(self.token)?)? {
            Some(found) => revoke(on, call, &found),
            None => Ok(Reply::nothing()),
        }
    }
}

/// Ends the caller's own token, and all that were made with it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RevokeSelf {}

impl Endpoint for RevokeSelf {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        revoke(on, call, call.admitted.known_caller()?)
    }
}

/// Ends a token alone: what was made with it lives on without a maker. Needs sudo.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RevokeOrphan {
    /// The token.
    #[serde(default)]
    token: String,
}

impl Endpoint for RevokeOrphan {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let token = named(self.token)?;
        let sender = call.admitted.known_caller()?;
        if !sender.acl().capabilities(&call.request.path).contain(Capabilities::SUDO) {
            return Err(Error::invalid("root or sudo privileges required to revoke and orphan"));
        }
        let found = about(on, call, &token)?.ok_or(Error::invalid("token to revoke not found"))?;
        refuse_batch(&found)?;
        on.tokens.revoke_orphan(&call.view()?, &found)?;
        Ok(Reply::nothing())
    }
}

/// Ends the token with an accessor, and all that were made with it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RevokeAccessor {
    /// The accessor.
    #[serde(default)]
    accessor: String,
}

impl Endpoint for RevokeAccessor {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        match by_accessor(on, call, &self.accessor)? {
            Some(found) => revoke(on, call, &found),
            None => Ok(Reply { data: Data::Null, ..Reply::default() }.warn("No token found with this accessor")),
        }
    }
}

fn revoke(on: &TokenAuth, call: &Call<'_>, caller: &Caller) -> Result<Reply, Error> {
    refuse_batch(caller)?;
    on.tokens.revoke(&call.view()?, caller)?;
    Ok(Reply::nothing())
}

fn named(token: String) -> Result<Token, Error> {
    if token.is_empty() { Err(Error::invalid("missing token ID")) } else { Ok(Token::new(token)) }
}

fn refuse_batch(caller: &Caller) -> Result<(), Error> {
    if caller.record.batch { Err(Error::invalid("batch tokens cannot be revoked")) } else { Ok(()) }
}
