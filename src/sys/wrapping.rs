//! `sys/wrapping`: keep what a client sends for whoever brings a token, and look up, exchange or spend such tokens.
//!
//! Knows who may ask; how an answer is kept is `core::wrapping`'s business. The token that a request is about stands in its
//! body, or else is its own.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::{Caller, gate};
use crate::api::json::Json;
use crate::api::route::Access;
use crate::api::{Error, Reply, Token, weak};
use crate::clock::Timestamp;
use crate::core::Core;
use crate::core::wrapping::Order;
use crate::engine::{Call, Endpoint};

/// Keeps all parameters together for whoever spends a token that is made for them. Needs the header `X-Vault-Wrap-TTL`.
#[derive(Deserialize, JsonSchema)]
pub struct Wrap {}

impl Endpoint for Wrap {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let ttl = call.request.wrap_ttl;
        let ttl = ttl.ok_or_else(|| Error::invalid("endpoint requires response wrapping to be used"))?;
        let data = weak::object(&call.request.params)?.into_owned().into_bytes();
        let reply = Reply::json(Json(data.into()));
        core.unsealed()?.wrap(&call.view()?, reply, &Order::of(call, "system", ttl))
    }
}

/// Spends a response-wrapping token and answers what is kept for it, once.
#[derive(Deserialize, JsonSchema)]
pub struct Unwrap {
    /// The response-wrapping token; that of the request if absent.
    #[serde(default)]
    token: String,
}

impl Endpoint for Unwrap {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let caller = entitled(core, call, self.token)?;
        let reply = core.unsealed()?.unwrap(&call.view()?, &caller, call.request.id)?;
        reply.ok_or_else(not_wrapping)
    }
}

/// Exchanges a response-wrapping token for a new one, with as much time as the old one had at first.
#[derive(Deserialize, JsonSchema)]
pub struct Rewrap {
    /// The response-wrapping token; that of the request if absent.
    #[serde(default)]
    token: String,
}

impl Endpoint for Rewrap {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let caller = entitled(core, call, self.token)?;
        let first = caller.record.ttl_left(created(&caller)?);
        let ttl = call.request.wrap_ttl.map_or(first, |ttl| ttl.min(first));
        let order = Order { path: &caller.record.path, ..Order::of(call, "", ttl) };
        core.unsealed()?.rewrap(&call.view()?, &caller, &order)?.ok_or_else(not_wrapping)
    }
}

/// Tells where a response-wrapping token comes from, without spending it.
#[derive(Deserialize, JsonSchema)]
pub struct LookUp {
    /// The response-wrapping token; that of the request if absent.
    #[serde(default)]
    token: String,
}

impl Endpoint for LookUp {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let caller = about(core, call, self.token)?;
        let created = created(&caller)?;
        Ok(Reply::object(|data| {
            data.set("creation_path", &caller.record.path).set("creation_time", created.to_string());
            data.set("creation_ttl", caller.record.ttl_s);
        }))
    }
}

/// As `about`. Who brings another's token in the body needs the right to use the path, too.
fn entitled(core: &Core, call: &Call<'_>, token: String) -> Result<Arc<Caller>, Error> {
    let in_body = !token.is_empty();
    let caller = about(core, call, token)?;
    if in_body {
        let (active, view) = (core.unsealed()?, call.view()?);
        let sender = gate::identify(&active.tokens, &view, call.request, call.now)?;
        let sender = active.tokens.charge(&view, sender)?;
        let admitted = gate::admit(&sender, Access::Token, &call.request.into(), || None);
        active.tokens.settle(&view, &sender);
        admitted?;
    }
    Ok(caller)
}

/// The owner of the response-wrapping token that a request is about.
fn about(core: &Core, call: &Call<'_>, token: String) -> Result<Arc<Caller>, Error> {
    let in_body = Some(Token::new(token)).filter(|token| !token.expose().is_empty());
    let token = in_body.as_ref().or(call.request.token.as_ref()).ok_or(Error::Forbidden(NO_TOKEN.into()))?;
    let caller = core.unsealed()?.tokens.look_up(&call.view()?, token, call.now)?;
    caller.filter(|caller| caller.is_wrapping()).ok_or_else(not_wrapping)
}

fn created(caller: &Caller) -> Result<Timestamp, Error> {
    Timestamp::from_nanosecond(caller.record.created_ns.into()).map_err(Error::internal)
}

fn not_wrapping() -> Error {
    Error::invalid("wrapping token is not valid or does not exist")
}

const NO_TOKEN: &str = "error validating wrapping token: token is empty";
