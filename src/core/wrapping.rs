//! Response wrapping: an answer stays here, in the cubbyhole of a token that is made for it and that gets it once.
//!
//! Knows nothing of what an answer says, nor of who may ask for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Active;
use crate::access::Caller;
use crate::access::policies::WRAPPING_POLICY;
use crate::access::tokens::{TokenRecord, nanoseconds, new_token};
use crate::api::json::{Json, Object};
use crate::api::{Data, Error, Reply, RequestId, WrapInfo};
use crate::barrier::{Change, View};
use crate::clock::Timestamp;
use crate::engine::Call;
use crate::secrets::cubbyhole;

/// For how long to keep an answer, and where it comes from.
pub(crate) struct Order<'a> {
    pub(crate) ttl: Duration,
    pub(crate) path: &'a str,
    pub(crate) mount_type: &'a str,
    pub(crate) request: RequestId,
    pub(crate) now: Timestamp,
}

impl<'a> Order<'a> {
    pub(crate) fn of(call: &Call<'a>, mount_type: &'a str, ttl: Duration) -> Self {
        Self { ttl, path: &call.request.path, mount_type, request: call.request.id, now: call.now }
    }
}

impl Active {
    /// Keeps an answer and tells a token for it. What has no body, and what is about such a token already, stays as it is.
    pub(crate) fn wrap(&self, view: &View<'_>, reply: Reply, order: &Order<'_>) -> Result<Reply, Error> {
        let is_told_as_it_is = matches!(reply.data, Data::Whole(_) | Data::Text { .. } | Data::Stream { .. });
        if reply.is_silent() || reply.wrap_info.is_some() || is_told_as_it_is {
            return Ok(reply);
        }
        let parcel = parcel(&reply, order)?;
        let mut change = view.change();
        let mut wrap_info = self.add(view, &mut change, parcel, order)?;
        change.commit()?;
        wrap_info.wrapped_accessor = reply.login.map(|login| login.accessor);
        Ok(Reply::wrapped(wrap_info))
    }

    /// The answer that is kept for a token, which ends. `None` if it has ended, which only one can bring about.
    pub(crate) fn unwrap(&self, view: &View<'_>, caller: &Caller, request: RequestId) -> Result<Option<Reply>, Error> {
        let Some(Json(parcel)) = cubbyhole::kept(view, &parcel_path(caller)?)? else { return Ok(None) };
        let Some(()) = self.tokens.spend(view, caller, |_| Ok(()))? else { return Ok(None) };
        let parcel: Parcel = serde_json::from_slice(&parcel).map_err(Error::internal)?;
        let whole = readdressed(&Zeroizing::new(parcel.response), request)?;
        Ok(Some(Reply { data: Data::Whole(whole), status: parcel.status, ..Reply::default() }))
    }

    /// Keeps the same answer for another token in place of this one, which ends. `None` if it has ended.
    pub(crate) fn rewrap(&self, view: &View<'_>, caller: &Caller, order: &Order<'_>) -> Result<Option<Reply>, Error> {
        let Some(parcel) = cubbyhole::kept(view, &parcel_path(caller)?)? else { return Ok(None) };
        let wrap_info = self.tokens.spend(view, caller, |change| self.add(view, change, parcel, order))?;
        Ok(wrap_info.map(Reply::wrapped))
    }

    /// Ends a token whose owner has read what is kept for it.
    pub(super) fn spend_read(&self, view: &View<'_>, caller: &Caller, reply: Reply) -> Result<Reply, Error> {
        self.tokens.spend(view, caller, |_| Ok(()))?.ok_or(Error::Unauthenticated)?;
        Ok(reply.warn(DEPRECATED))
    }

    /// Makes a token, and what is kept for it, part of a change.
    fn add(
        &self,
        view: &View<'_>,
        change: &mut Change<'_>,
        parcel: Json,
        order: &Order<'_>,
    ) -> Result<WrapInfo, Error> {
        let token = new_token();
        let expires = order.now.checked_add(order.ttl).unwrap_or(Timestamp::MAX);
        let record = TokenRecord {
            policies: vec![WRAPPING_POLICY.to_owned()],
            ttl_s: order.ttl.as_secs(),
            explicit_ttl_max_s: order.ttl.as_secs(),
            expires_ns: Some(nanoseconds(expires)),
            num_uses: 1,
            ..TokenRecord::root(order.path, "", order.now)
        };
        let caller = self.tokens.add(view, change, &token, record)?;
        caller.begin_cubbyhole(change)?;
        cubbyhole::keep(change, &parcel_path(&caller)?, parcel)?;
        Ok(WrapInfo {
            token,
            accessor: caller.record.accessor.clone(),
            ttl: order.ttl,
            creation_time: order.now.to_string(),
            creation_path: order.path.to_owned(),
            wrapped_accessor: None,
        })
    }
}

fn parcel_path(caller: &Caller) -> Result<String, Error> {
    Ok(caller.cubbyhole()? + "response")
}

/// What is kept: the text of the whole answer, and its status if that is not 200.
#[derive(Deserialize)]
struct Parcel {
    response: String,
    status: Option<u16>,
}

fn parcel(reply: &Reply, order: &Order<'_>) -> Result<Json, Error> {
    let Json(text) = whole(reply, order);
    // Buffers that had to grow would leave the secret behind: every quote and backslash gets one more.
    let mut parcel = Object::with_capacity(64 + 2 * text.len());
    parcel.set("response", String::from_utf8_lossy(&text));
    if let Some(status) = reply.status {
        parcel.set("status", status);
    }
    let Json(parcel) = parcel.finish();
    if parcel.len() > PARCEL_BYTES_MAX {
        return Err(Error::invalid("the answer is too long to be wrapped"));
    }
    Ok(Json(parcel))
}

/// An answer as its sender would have got it.
fn whole(reply: &Reply, order: &Order<'_>) -> Json {
    const NULL: &[u8] = b"null";
    let auth = reply.login.as_ref().map(|login| login.json().0);
    let auth = auth.as_ref().map_or(NULL, AsRef::as_ref);
    let data = match &reply.data {
        Data::Json(Json(text)) | Data::Whole(Json(text)) => text.as_ref(),
        Data::Nothing | Data::Null | Data::Text { .. } | Data::Stream { .. } => NULL,
    };
    let warnings = Json::of(&Some(&reply.warnings).filter(|warnings| !warnings.is_empty())).0;
    let mut whole = Object::with_capacity(512 + data.len() + auth.len() + warnings.len());
    let lease = reply.lease.as_deref();
    whole.set("request_id", order.request.0);
    whole.set("lease_id", lease.map_or("", |lease| &lease.id));
    whole.set("renewable", lease.is_some_and(|lease| lease.renewable));
    whole.set("lease_duration", reply.lease_duration_s).set_json("data", data).set_json("wrap_info", NULL);
    whole.set_json("warnings", &warnings).set_json("auth", auth).set("mount_type", order.mount_type);
    whole.finish()
}

/// A kept answer as that to another request.
fn readdressed(text: &str, request: RequestId) -> Result<Json, Error> {
    let members: BTreeMap<&str, &RawValue> = serde_json::from_str(text).map_err(Error::internal)?;
    let mut whole = Object::with_capacity(64 + text.len());
    whole.set("request_id", request.0);
    for (name, value) in members.into_iter().filter(|(name, _)| *name != "request_id") {
        whole.set_entry(name, value);
    }
    Ok(whole.finish())
}

/// Bytes that are kept for one token: in base64 they fit into one record.
const PARCEL_BYTES_MAX: usize = 24 << 20;
const DEPRECATED: &str = "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap \
                          responses, as it provides additional security checks and other benefits.";

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::api::{Login, Token};

    fn order(request: u128) -> Order<'static> {
        let (path, mount_type) = ("secret/a", "kv");
        let request = RequestId(Uuid::from_u128(request));
        Order { ttl: Duration::from_mins(1), path, mount_type, request, now: Timestamp::UNIX_EPOCH }
    }

    /// What comes out when a reply was kept, as the answer to request 2.
    fn check(reply: &Reply, data: &str, warnings: &str, auth_is_null: bool) {
        let Json(text) = parcel(reply, &order(1)).unwrap();
        assert!(text.capacity() < 2 * text.len() + 4096);
        let parcel: Parcel = serde_json::from_slice(&text).unwrap();
        assert_eq!(parcel.status, reply.status);
        let Json(out) = readdressed(&parcel.response, order(2).request).unwrap();
        let out: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&out).unwrap();
        let text = |name: &str| out[name].get();
        assert_eq!((text("data"), text("warnings"), text("mount_type")), (data, warnings, r#""kv""#));
        assert_eq!(text("request_id"), r#""00000000-0000-0000-0000-000000000002""#);
        assert_eq!((text("lease_duration"), text("wrap_info")), ("7", "null"));
        assert_eq!(text("auth") == "null", auth_is_null);
        assert_eq!(out.len(), 9);
    }

    #[test]
    fn what_is_kept_comes_out_as_it_was() {
        let awkward = "{\"a\":\"\\\\ \\\" < \u{2028} \\n\",\n\t\"big\":123456789012345678901234567890.10}";
        let json = |text: &str| Reply::json(Json(text.as_bytes().to_vec().into())).lease(7);
        check(&json(awkward), awkward, "null", true);
        check(&json("{}").status(400).warn("<w>"), "{}", r#"["\u003cw\u003e"]"#, true);
        check(&Reply { data: Data::Null, ..Reply::default() }.lease(7), "null", "null", true);
        let login = Login {
            token: Token::new("hvs.inner"),
            accessor: "a".to_owned(),
            policies: Vec::new(),
            identity_policies: Vec::new(),
            entity_id: String::new(),
            batch: false,
            metadata: None,
            ttl: Duration::from_mins(1),
            renewable: true,
            orphan: false,
            num_uses: 0,
            mfa_requirement: None,
        };
        check(&Reply::login(login).lease(7), "null", "null", false);
    }
}
