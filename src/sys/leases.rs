//! `sys/leases`, and `sys/renew` and `sys/revoke`, as they were called before: look at leases by their names, and end them.
//!
//! Every token has a lease, named after the path that made it, and so have secrets of mounts that ask for that.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::leases::{self, Lease};
use crate::access::tokens::{TIDY_STARTED, TokenRecord, nanoseconds};
use crate::access::{Caller, Tokens};
use crate::api::fields::Ttl;
use crate::api::{Data, Error, Reply};
use crate::clock::Timestamp;
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Tells from when until when a lease is good.
#[derive(Deserialize, JsonSchema)]
pub struct LookUpLease {
    /// The lease.
    #[serde(default)]
    lease_id: String,
}

impl Endpoint for LookUpLease {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let id = named(&self.lease_id, "")?;
        let term = match find(core, call, &id)? {
            Some(found) => Some(Term::from(&found.record)),
            None => {
                leases::look_up(&call.view()?, &core.unsealed()?.tokens, &id, call.now)?.map(|lease| (&lease).into())
            }
        };
        let term = term.ok_or(Error::invalid("invalid lease"))?;
        let time = |ns: i64| Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).unwrap_or_default();
        let left_ns = term.expires_ns.map_or(0, |expires_ns| expires_ns.saturating_sub(nanoseconds(call.now)));
        Ok(Reply::object(|data| {
            data.set("expire_time", term.expires_ns.map(time)).set("id", &id);
            data.set("issue_time", time(term.issued_ns)).set("last_renewal", term.renewed_ns.map(time));
            data.set("renewable", term.renewable).set("ttl", left_ns.max(0) / 1_000_000_000);
        }))
    }
}

/// From when until when a lease is good.
struct Term {
    issued_ns: i64,
    expires_ns: Option<i64>,
    renewed_ns: Option<i64>,
    renewable: bool,
}

impl From<&TokenRecord> for Term {
    fn from(token: &TokenRecord) -> Self {
        let TokenRecord { created_ns, expires_ns, renewed_ns, renewable, .. } = *token;
        Self { issued_ns: created_ns, expires_ns, renewed_ns, renewable }
    }
}

impl From<&Lease> for Term {
    fn from(lease: &Lease) -> Self {
        let Lease { issued_ns, expires_ns, renewed_ns, renewable, .. } = *lease;
        Self { issued_ns, expires_ns: Some(expires_ns), renewed_ns, renewable }
    }
}

/// Lists the names of leases, and of folders of such, in a folder.
#[derive(Deserialize, JsonSchema)]
pub struct ListLeases {
    /// The folder: a path, or its beginning.
    #[serde(default)]
    prefix: String,
}

impl Endpoint for ListLeases {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let folder = self.prefix.trim_end_matches('/');
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let view = call.view()?;
        let mut keys = Tokens::leases(&view, &folder)?;
        keys.extend(leases::list(&view, &folder)?);
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Gives a lease more time. Those of tokens are renewed with the tokens.
#[derive(Deserialize, JsonSchema)]
pub struct RenewLease {
    /// The lease.
    #[serde(default)]
    lease_id: String,
    /// The lease, in the path.
    #[serde(default)]
    url_lease_id: String,
    /// How long from now.
    #[serde(default)]
    increment: Ttl,
}

impl Endpoint for RenewLease {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let id = named(&self.lease_id, &self.url_lease_id)?;
        match find(core, call, &id)?.map(|found| found.record.renewable) {
            None => {
                let increment = self.increment.0.filter(|increment| !increment.is_zero());
                core.unsealed()?.renew_lease(&call.view()?, &core.settings, id, increment, call.now)
            }
            Some(false) => Err(Error::invalid("lease is not renewable")),
            Some(true) => Err(Error::invalid("tokens cannot be renewed through this endpoint")),
        }
    }
}

/// Ends a lease, and with it the token and all that it made.
#[derive(Deserialize, JsonSchema)]
pub struct RevokeLease {
    /// The lease.
    #[serde(default)]
    lease_id: String,
    /// The lease, in the path.
    #[serde(default)]
    url_lease_id: String,
    /// Whether to wait for the end; true if absent. It is waited for in any case.
    #[serde(default)]
    sync: Option<bool>,
}

impl Endpoint for RevokeLease {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (id, view) = (named(&self.lease_id, &self.url_lease_id)?, call.view()?);
        match find(core, call, &id)? {
            Some(found) => core.unsealed()?.tokens.revoke(&view, &found)?,
            None => leases::revoke(&view, &id)?,
        }
        Ok(done(self.sync))
    }
}

/// Ends all leases of a path and of those below it.
#[derive(Deserialize, JsonSchema)]
pub struct RevokePrefix {
    /// The path.
    prefix: String,
    /// Whether to wait for the end; true if absent. It is waited for in any case.
    #[serde(default)]
    sync: Option<bool>,
}

impl Endpoint for RevokePrefix {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (tokens, view) = (&core.unsealed()?.tokens, call.view()?);
        if let Some(found) = tokens.by_lease(&view, &self.prefix, call.now)? {
            tokens.revoke(&view, &found)?;
        }
        tokens.revoke_prefix(&view, &self.prefix)?;
        leases::revoke(&view, &self.prefix)?;
        leases::revoke_prefix(&view, &self.prefix)?;
        Ok(done(self.sync))
    }
}

/// Counts leases that could not be ended: none ever.
#[derive(Deserialize, JsonSchema)]
pub struct CountLeases {
    /// Which leases; only `irrevocable` are counted.
    #[serde(default, rename = "type")]
    kind: String,
}

impl Endpoint for CountLeases {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_other_kinds(&self.kind)?;
        Ok(Reply::object(|data| {
            data.set_object("counts", |_| {}).set("lease_count", 0);
        }))
    }
}

/// Lists leases that could not be ended: none ever.
#[derive(Deserialize, JsonSchema)]
pub struct ListIrrevocable {
    /// Which leases; only `irrevocable` are listed.
    #[serde(default, rename = "type")]
    kind: String,
}

impl Endpoint for ListIrrevocable {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_other_kinds(&self.kind)?;
        Ok(Reply::object(|data| {
            data.set("lease_count", 0).set("leases", [(); 0]);
        }))
    }
}

/// Begins to go over all that is kept of tokens and their leases, and deletes what belongs to none.
#[derive(Deserialize, JsonSchema)]
pub struct TidyLeases {}

impl Endpoint for TidyLeases {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        core.unsealed()?.tokens.tidy();
        Ok(Reply { data: Data::Null, ..Reply::default() }.status(202).warn(TIDY_STARTED))
    }
}

fn find(core: &Core, call: &Call<'_>, lease: &str) -> Result<Option<Arc<Caller>>, Error> {
    core.unsealed()?.tokens.by_lease(&call.view()?, lease, call.now)
}

fn named(lease: &str, in_path: &str) -> Result<String, Error> {
    match (lease, in_path) {
        ("", "") => Err(Error::invalid("lease_id must be specified")),
        ("", lease) | (lease, _) => Ok(lease.to_owned()),
    }
}

fn done(sync: Option<bool>) -> Reply {
    if sync == Some(false) { Reply::nothing().status(202) } else { Reply::nothing() }
}

fn refuse_other_kinds(kind: &str) -> Result<(), Error> {
    if kind.eq_ignore_ascii_case("irrevocable") { Ok(()) } else { Err(Error::NotFound) }
}
