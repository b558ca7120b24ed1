//! `sys/leases`, and `sys/renew` and `sys/revoke`, as they were called before: look at leases by their names, and end them.
//!
//! Every token has a lease, named after the path that made it; there are no others.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::tokens::TIDY_STARTED;
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
        let found = find(core, call, &named(&self.lease_id, "")?)?.ok_or(Error::invalid("invalid lease"))?;
        let record = &found.record;
        let time = |ns: i64| Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).unwrap_or_default();
        Ok(Reply::object(|data| {
            data.set("expire_time", record.expires_ns.map(time)).set("id", &self.lease_id);
            data.set("issue_time", time(record.created_ns)).set("last_renewal", record.renewed_ns.map(time));
            data.set("renewable", record.renewable).set("ttl", record.ttl_left(call.now).as_secs());
        }))
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
        let keys = Tokens::leases(&call.view()?, &folder)?;
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
    #[expect(dead_code, reason = "read to be refused if it is no duration")]
    increment: Ttl,
}

impl Endpoint for RenewLease {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let found = find(core, call, &named(&self.lease_id, &self.url_lease_id)?)?;
        match found.map(|found| found.record.renewable) {
            None => Err(Error::invalid("lease not found")),
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
        if let Some(found) = find(core, call, &named(&self.lease_id, &self.url_lease_id)?)? {
            core.unsealed()?.tokens.revoke(&call.view()?, &found)?;
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
