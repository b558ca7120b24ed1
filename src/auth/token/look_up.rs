//! `lookup` and `accessors`: tells what is known of a token, never the token itself to who does not have it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::TokenAuth;
use crate::access::{Caller, Tokens};
use crate::api::{Error, Reply, Token};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};

/// Describes a token.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUp {
    /// The token; the caller's own if absent.
    #[serde(default)]
    token: String,
}

impl Endpoint for LookUp {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        if self.token.is_empty() {
            return LookUpSelf {}.run(on, call);
        }
        let token = Token::new(self.token);
        let found = about(on, call, &token)?.ok_or(Error::Forbidden("bad token".into()))?;
        Ok(describe(&found, token.expose(), call.now))
    }
}

/// Describes the caller's own token.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUpSelf {}

impl Endpoint for LookUpSelf {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let token = call.request.token.as_ref().ok_or(Error::Unauthenticated)?;
        Ok(describe(call.admitted.known_caller()?, token.expose(), call.now))
    }
}

/// Describes the token with an accessor, but for the token itself.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUpAccessor {
    /// The accessor.
    #[serde(default)]
    accessor: String,
}

impl Endpoint for LookUpAccessor {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let found = by_accessor(on, call, &self.accessor)?.ok_or_else(invalid_accessor)?;
        Ok(describe(&found, "", call.now))
    }
}

/// Lists the accessors of all tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListAccessors {}

impl Endpoint for ListAccessors {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = Tokens::accessors(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// The owner of the token that a request is about. The sender's own is known even in its last request.
pub(super) fn about(on: &TokenAuth, call: &Call<'_>, token: &Token) -> Result<Option<Arc<Caller>>, Error> {
    let sender = call.admitted.known_caller()?;
    if sender.id == on.tokens.id(token) {
        return Ok(Some(sender.clone()));
    }
    on.tokens.look_up(&call.view()?, token, call.now)
}

/// The owner of the token with an accessor.
pub(super) fn by_accessor(on: &TokenAuth, call: &Call<'_>, accessor: &str) -> Result<Option<Arc<Caller>>, Error> {
    if accessor.is_empty() {
        return Err(Error::invalid("missing accessor"));
    }
    on.tokens.by_accessor(&call.view()?, accessor, call.now)
}

pub(super) fn invalid_accessor() -> Error {
    Error::invalid("1 error occurred:\n\t* invalid accessor\n\n")
}

fn describe(caller: &Caller, id: &str, now: Timestamp) -> Reply {
    let record = &caller.record;
    Reply::object(|data| {
        data.set("accessor", &record.accessor);
        if !record.bound_cidrs.is_empty() {
            data.set("bound_cidrs", &record.bound_cidrs);
        }
        data.set("creation_time", record.created_ns.div_euclid(NS_PER_S)).set("creation_ttl", record.ttl_s);
        data.set("display_name", &record.display_name).set("entity_id", &record.entity_id);
        data.set("expire_time", record.expires_ns.map(time)).set("explicit_max_ttl", record.explicit_ttl_max_s);
        if !record.entity_id.is_empty() {
            data.set_object("external_namespace_policies", |_| {});
        }
        data.set("id", id);
        if !caller.identity_policies().is_empty() {
            data.set("identity_policies", caller.identity_policies());
        }
        data.set("issue_time", time(record.created_ns));
        if let Some(renewed) = record.renewed_ns {
            data.set("last_renewal", time(renewed)).set("last_renewal_time", renewed.div_euclid(NS_PER_S));
        }
        data.set("meta", &record.metadata).set("num_uses", record.uses_left()).set("orphan", record.parent.is_none());
        data.set("path", &record.path);
        if record.period_s > 0 {
            data.set("period", record.period_s);
        }
        data.set("policies", &record.policies).set("renewable", record.renewable);
        if !record.role.is_empty() {
            data.set("role", &record.role);
        }
        data.set("ttl", record.ttl_left(now).as_secs()).set("type", if record.batch { "batch" } else { "service" });
    })
}

/// As RFC 3339 has it.
fn time(ns: i64) -> String {
    Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).unwrap_or_default()
}

const NS_PER_S: i64 = 1_000_000_000;
