//! KV version 1: a secret is the object that was written last.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::secret::{self, Secret};
use super::store::{self, Places, Plain};
use super::text::Text;
use super::{SecretCache, check_path, list};
use crate::api::fields::Ttl;
use crate::api::route::Captures;
use crate::api::{Error, Reply, weak};
use crate::barrier::View;
use crate::engine::{Call, Endpoint, Engine, Route, Upsert, delete, list as lists, read, scan, upsert};

/// One mount of version 1.
pub struct Kv1 {
    mount: Uuid,
    /// The lease of secrets that name none.
    lease_s: u64,
    /// Whether each read is under a lease of its own.
    leased: bool,
    cache: Arc<SecretCache>,
}

#[rustfmt::skip]
const ROUTES: &[Route<Kv1>] = &[
    lists::<ListPlain>              ("{path?..}").slow(),
    scan::<ListPlain>               ("{path?..}").slow(),
    read::<ReadPlain>               ("{path?..}"),
    upsert::<WritePlain>            ("{path?..}"),
    delete::<DeletePlain>           ("{path?..}"),
];

impl Engine for Kv1 {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];
}

impl Kv1 {
    /// The engine of the mount with this identifier. The cache is shared with other mounts, and with those who end this one.
    pub fn new(mount: Uuid, lease_s: u64, leased: bool, cache: Arc<SecretCache>) -> Self {
        Self { mount, lease_s, leased, cache }
    }

    fn find(&self, view: &View<'_>, path: &str) -> Result<Option<Arc<Secret>>, Error> {
        self.cache.find(self.mount, view, path, || store::load(view, path, Places::Plain))
    }

    fn put(&self, view: &View<'_>, path: &str, plain: Option<&Plain>) -> Result<Reply, Error> {
        let outcome = store::put_plain(view, path, plain);
        self.cache.secrets.remove(self.mount, path);
        outcome.map(|()| Reply::nothing())
    }
}

/// Lists the names of the secrets and folders in a folder; scanned, of all secrets below it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListPlain {
    /// The folder; absent, the whole mount.
    path: String,
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most names to list; 0 lists all.
    #[serde(default)]
    limit: i64,
}

/// Reads a secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadPlain {
    /// The secret.
    path: String,
}

/// Writes a secret: all parameters together, in place of what was there.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WritePlain {
    /// The secret.
    path: String,
}

/// Deletes a secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeletePlain {
    /// The secret.
    path: String,
}

impl Endpoint for ListPlain {
    type On = Kv1;

    fn run(self, _: &Kv1, call: &Call<'_>) -> Result<Reply, Error> {
        list::list(call, &self.path, Places::Plain, &self.after, self.limit)
    }
}

impl Endpoint for ReadPlain {
    type On = Kv1;

    fn run(self, kv: &Kv1, call: &Call<'_>) -> Result<Reply, Error> {
        let found = kv.find(&call.view()?, &self.path)?.ok_or(Error::NotFound)?;
        let data = found.latest_data(call.now).ok_or(Error::NotFound)?;
        let reply = Reply::json(secret::copy(data));
        if !kv.leased {
            return Ok(reply.lease(found.lease_s.unwrap_or(kv.lease_s)));
        }
        // No lease is of no time. Only what names its lease is renewed.
        let lease_s = found.lease_s.filter(|lease_s| *lease_s > 0);
        Ok(reply.lease(lease_s.unwrap_or(kv.lease_s)).leased(found.lease_s.is_some()))
    }
}

impl Endpoint for WritePlain {
    type On = Kv1;

    fn run(self, kv: &Kv1, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.is_empty() {
            return Err(Error::invalid("missing path"));
        }
        check_path(&self.path)?;
        let json = weak::object(&call.request.params)?;
        let data = Text::of(&json).map_err(|refused| Error::invalid(refused.to_string()))?;
        if data.as_bytes() == b"{}" {
            return Err(Error::invalid("missing data fields"));
        }
        let plain = Plain { written: call.now, lease_s: lease_s(data.as_bytes()), data };
        kv.put(&call.view()?, &self.path, Some(&plain))
    }
}

impl Upsert for WritePlain {
    fn exists(kv: &Kv1, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(kv.find(view, captures.text("path"))?.is_some())
    }
}

impl Endpoint for DeletePlain {
    type On = Kv1;

    fn run(self, kv: &Kv1, call: &Call<'_>) -> Result<Reply, Error> {
        if check_path(&self.path).is_err() {
            return Ok(Reply::nothing());
        }
        kv.put(&call.view()?, &self.path, None)
    }
}

/// The lease that a secret names: a duration called `ttl`, or else `lease`. Zero is one too, and tells clients to choose
/// for themselves; what is negative is no longer than that.
fn lease_s(data: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Named<'d> {
        #[serde(borrow, default, deserialize_with = "present")]
        ttl: Option<&'d RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        lease: Option<&'d RawValue>,
    }
    let named: Named<'_> = serde_json::from_slice(data).ok()?;
    let text = match named.ttl.or(named.lease)?.get() {
        "null" => "",
        text => text,
    };
    let unquoted = serde_json::from_str::<String>(text).ok();
    let text = unquoted.as_deref().unwrap_or(text);
    let magnitude = Ttl::parse(text.strip_prefix('-').filter(|rest| !rest.is_empty()).unwrap_or(text)).ok()?;
    Some(if text.starts_with('-') { 0 } else { magnitude.as_secs() })
}

/// A member that is there is `Some`, even when it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_can_name_its_lease() {
        let check = |data: &str, expected: Option<u64>| assert_eq!(lease_s(data.as_bytes()), expected, "{data}");
        check(r#"{"a":1}"#, None);
        check(r#"{"ttl":60}"#, Some(60));
        check(r#"{"ttl":"1h"}"#, Some(3_600));
        check(r#"{"lease":"90s"}"#, Some(90));
        check(r#"{"lease":"90s","ttl":"1m"}"#, Some(60));
        check(r#"{"ttl":"nonsense"}"#, None);
        check(r#"{"ttl":{"a":1}}"#, None);
        check(r#"{"ttl":true}"#, None);
        check(r#"{"ttl":1.5}"#, None);
        check(r#"{"ttl":"-"}"#, None);
        check(r#"{"ttl":"nonsense","lease":5}"#, None);
        check(r#"{"ttl":""}"#, Some(0));
        check(r#"{"ttl":-5}"#, Some(0));
        check(r#"{"ttl":"-5m"}"#, Some(0));
        check(r#"{"ttl":0}"#, Some(0));
        check(r#"{"ttl":"0s"}"#, Some(0));
        check(r#"{"ttl":"100ms"}"#, Some(0));
        check(r#"{"ttl":"1500ms"}"#, Some(1));
        check(r#"{"ttl":null}"#, Some(0));
        check(r#"{"ttl":null,"lease":5}"#, Some(0));
    }
}
