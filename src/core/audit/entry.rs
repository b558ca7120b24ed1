//! Vault's entries of a request and of its answer, as one device shows them. Knows nothing of where they are written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::headers::Headers;
use super::mask::Mask;
use super::senders::Sender;
use crate::access::Caller;
use crate::api::json::{Json, Object};
use crate::api::route::Row;
use crate::api::{Data, Error, Login, Op, Params, Reply, Request, RequestId, WrapInfo};
use crate::clock::Timestamp;
use crate::core::SYS_PATH;
use crate::core::mounts::{AUTH_PREFIX, Mount};

/// One request as the core sees it.
pub(in crate::core) struct Event<'a> {
    pub request: &'a Request,
    /// What it leads to, if it leads anywhere.
    pub row: Option<&'static Row>,
    pub mount: Option<Arc<Mount>>,
    pub caller: Option<Arc<Caller>>,
    /// A write makes what was not there.
    pub creates: bool,
    /// Why it is not even begun.
    pub refusal: Option<String>,
    pub now: Timestamp,
}

impl Event<'_> {
    /// Whether all that it can change are records. Who writes to `sys/` may change the server itself.
    pub(super) fn changes_only_records(&self) -> bool {
        let Request { op, path, help, .. } = self.request;
        *help || matches!(op, Op::Read | Op::List | Op::Scan) || !path.starts_with(SYS_PATH)
    }

    fn operation(&self) -> &'static str {
        match self.request.op {
            _ if self.request.help => "help",
            Op::Write if self.creates => "create",
            Op::Write => "update",
            op => op.name(),
        }
    }
}

/// The entry of a request. What the entry of its answer repeats stands in it once.
pub(super) struct Opening {
    entry: Json,
    /// The members that both entries have.
    shared: Range<usize>,
    /// Those of them that tell of the mount.
    mount: Range<usize>,
}

impl Opening {
    pub(super) fn of(event: &Event<'_>, mask: &Mask, sender: &Sender, headers: &Headers) -> Self {
        let mut entry = begin(ENTRY_BYTES, event.now, "request");
        let start = entry.written().len() + COMMA;
        entry.set_json("auth", &sender.auth.0);
        let mut mount = 0..0;
        entry.set_object("request", |request| mount = describe_request(request, event, mask, sender, headers));
        let shared = start..entry.written().len();
        Self { entry: end(entry, event.refusal.as_deref()), shared, mount }
    }

    pub(super) fn entry(&self) -> &Json {
        &self.entry
    }

    /// The entry of the answer.
    pub(super) fn answered(
        &self,
        event: &Event<'_>,
        mask: &Mask,
        outcome: &Result<Reply, Error>,
        now: Timestamp,
    ) -> Json {
        let Json(opening) = &self.entry;
        let mut entry = begin(opening.len() + RESPONSE_BYTES, now, "response");
        let members = |range: &Range<usize>| opening.get(range.clone()).unwrap_or_default();
        entry.set_members(members(&self.shared));
        entry.set_object("response", |response| {
            response.set_members(members(&self.mount));
            match outcome {
                Ok(reply) => describe_reply(response, event, mask, reply),
                Err(error) => describe_mistake(response, mask, error),
            }
        });
        end(entry, outcome.as_ref().err().and_then(told).as_deref())
    }
}

fn begin(bytes: usize, time: Timestamp, kind: &'static str) -> Object {
    let mut entry = Object::with_capacity(bytes);
    entry.set_plain("time", time).set_text("type", kind);
    entry
}

/// What `error` says of a failure: as it is answered, but what was wrong with a request may quote it, and is hidden with its
/// answer. That there is nothing is no error.
pub(in crate::core) fn told(error: &Error) -> Option<Cow<'static, str>> {
    match error {
        Error::NotFound => None,
        Error::Invalid(_) => Some(Cow::Borrowed("invalid request")),
        Error::Denied | Error::UnsupportedPath | Error::UnsupportedOperation | Error::Bare(_) => {
            Some(Cow::Owned(format!("1 error occurred:\n\t* {error}\n\n")))
        }
        other => Some(Cow::Owned(other.to_string())),
    }
}

fn describe_mistake(response: &mut Object, mask: &Mask, error: &Error) {
    if let Error::Invalid(text) = error {
        response.set_object("data", |data| {
            data.set_text("error", &mask.show(text));
        });
    }
}

fn end(mut entry: Object, error: Option<&str>) -> Json {
    if let Some(error) = error {
        entry.set("error", error);
    }
    entry.finish()
}

/// What there is to say of an answer for which there is little room.
#[derive(Clone, Copy)]
pub(super) struct Short {
    id: RequestId,
    operation: &'static str,
    failed: bool,
}

impl Short {
    pub(super) fn of(event: &Event<'_>, outcome: &Result<Reply, Error>) -> Self {
        Self { id: event.request.id, operation: event.operation(), failed: outcome.is_err() }
    }

    pub(super) fn entry(self, now: Timestamp) -> Json {
        let mut entry = begin(RESPONSE_BYTES, now, "response");
        entry.set_object("request", |request| {
            request.set_plain("id", self.id.0).set("operation", self.operation);
        });
        entry.set("omitted", "there was no room for more").set("failed", self.failed);
        entry.finish()
    }
}

/// Returns where it tells of the mount.
fn describe_request(
    object: &mut Object,
    event: &Event<'_>,
    mask: &Mask,
    sender: &Sender,
    headers: &Headers,
) -> Range<usize> {
    let Event { request, row, mount, .. } = event;
    object.set_plain("id", request.id.0).set_text("operation", event.operation()).set_text("path", &request.path);
    object.set_plain("remote_address", request.remote);
    if request.remote_port > 0 {
        object.set("remote_port", request.remote_port);
    }
    object.set_object("namespace", |namespace| {
        namespace.set_text("id", "root");
    });
    object.set_members(sender.token.members());
    let mount_members = mount.as_ref().map_or(0..0, |mount| {
        let start = object.written().len() + COMMA;
        describe_mount(object, mount);
        start..object.written().len()
    });
    if let Some(ttl) = request.wrap_ttl {
        object.set("wrap_ttl", ttl.as_secs());
    }
    if !request.headers.is_empty() {
        object.set_object("headers", |object| describe_headers(object, request, mask, headers));
    }
    let clear = mount.as_ref().map_or(&[][..], |mount| &mount.entry.tune.audit_non_hmac_request_keys);
    describe_data(object, &request.params, row.is_some_and(|row| row.takes_octets), mask, clear);
    mount_members
}

fn describe_headers(object: &mut Object, request: &Request, mask: &Mask, headers: &Headers) {
    for (name, values) in &request.headers {
        let hides = headers.get(name).copied().unwrap_or(true);
        let show = |value: &String| if hides { mask.show(value).into_owned() } else { value.clone() };
        object.set_entry(name, values.iter().map(show).collect::<Vec<_>>());
    }
}

/// The parameters beside the path. Bytes are not shown in any way: nobody can say that they are no key.
fn describe_data(object: &mut Object, params: &Params, takes_octets: bool, mask: &Mask, clear: &[String]) {
    match params {
        Params::None => object,
        Params::Octets(bytes, query) if takes_octets => object.set_object("data", |data| {
            data.set("octets", bytes.len());
            describe_pairs(data, query, mask, clear);
        }),
        Params::Json(text) | Params::Octets(text, _) => {
            object.set_if("data", |to| mask.write_json(to, text, clear, false))
        }
        Params::Pairs(pairs) => object.set_object("data", |data| describe_pairs(data, pairs, mask, clear)),
    };
}

fn describe_pairs(data: &mut Object, pairs: &[(String, String)], mask: &Mask, clear: &[String]) {
    let mut by_name: BTreeMap<&String, Vec<_>> = BTreeMap::new();
    for (name, value) in pairs {
        let shown = if clear.contains(name) { value.into() } else { mask.show(value) };
        by_name.entry(name).or_default().push(shown);
    }
    for (name, values) in by_name {
        match values.as_slice() {
            [value] => data.set_entry(name, value),
            values => data.set_entry(name, values),
        };
    }
}

fn describe_mount(object: &mut Object, mount: &Mount) {
    let class = if mount.entry.path.starts_with(AUTH_PREFIX) { "auth" } else { "secret" };
    object.set_text("mount_accessor", &mount.entry.accessor).set_text("mount_class", class);
    object.set_text("mount_point", &mount.entry.path).set_text("mount_type", mount.kind);
}

fn describe_reply(response: &mut Object, event: &Event<'_>, mask: &Mask, reply: &Reply) {
    let clear = event.mount.as_ref().map_or(&[][..], |mount| &mount.entry.tune.audit_non_hmac_response_keys);
    if let Data::Json(Json(text)) | Data::Whole(Json(text)) = &reply.data {
        response.set_if("data", |to| mask.write_json(to, text, clear, event.request.op.is_of_folders()));
    }
    if let Some(login) = &reply.login {
        response.set_object("auth", |auth| describe_login(auth, mask, login));
    }
    if let Some(lease) = &reply.lease {
        response.set_object("secret", |secret| {
            secret.set("lease_id", &lease.id);
        });
    }
    if let Some(info) = &reply.wrap_info {
        response.set_object("wrap_info", |object| describe_wrapping(object, mask, info));
    }
    set_unless_empty(response, "warnings", &reply.warnings);
}

fn describe_login(auth: &mut Object, mask: &Mask, login: &Login) {
    auth.set_text("accessor", &mask.show_accessor(&login.accessor));
    auth.set_text("client_token", &mask.show(login.token.expose()));
    auth.set("policies", [&login.policies[..], &login.identity_policies].concat());
    auth.set("token_policies", &login.policies);
    set_unless_empty(auth, "identity_policies", &login.identity_policies);
    if !login.entity_id.is_empty() {
        auth.set("entity_id", &login.entity_id);
    }
    if login.metadata.is_some() {
        auth.set("metadata", &login.metadata);
    }
    set_unless_zero(auth, "num_uses", login.num_uses);
    set_unless_zero(auth, "token_ttl", login.ttl.as_secs());
    auth.set_text("token_type", token_type(login.batch));
}

fn describe_wrapping(object: &mut Object, mask: &Mask, info: &WrapInfo) {
    object.set("accessor", mask.show_accessor(&info.accessor)).set("creation_path", &info.creation_path);
    object.set("creation_time", &info.creation_time).set("token", mask.show(info.token.expose()));
    object.set("ttl", info.ttl.as_secs());
    if let Some(accessor) = &info.wrapped_accessor {
        object.set("wrapped_accessor", mask.show_accessor(accessor));
    }
}

pub(super) fn set_unless_empty(object: &mut Object, name: &'static str, list: &[String]) {
    if !list.is_empty() {
        object.set(name, list);
    }
}

pub(super) fn set_unless_zero(object: &mut Object, name: &'static str, number: u64) {
    if number > 0 {
        object.set(name, number);
    }
}

pub(super) fn token_type(batch: bool) -> &'static str {
    if batch { "batch" } else { "service" }
}

/// What stands between two members.
const COMMA: usize = 1;
/// About as many bytes as the entry of a request has, and those that its answer adds.
const ENTRY_BYTES: usize = 1280;
const RESPONSE_BYTES: usize = 512;
