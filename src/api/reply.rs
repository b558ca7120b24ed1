//! What a handler answers: data, warnings, a login; never a status line or a header.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;

use super::json::{Json, Object};
use super::request::Token;

/// The answer to one request. Its shape on the wire is the row's business.
#[derive(Default)]
pub struct Reply {
    pub data: Data,
    /// A status other than the usual one: failing batches and `sys/health` have one.
    pub status: Option<u16>,
    pub warnings: Vec<String>,
    /// How the client may show who it is, with a status that says that it has not (RFC 9110 section 11.6.1).
    pub challenge: Option<String>,
    /// For how long the data are said to be good; 0: nothing is said.
    pub lease_duration_s: u64,
    /// Boxed as well: the lease under which they are given, with `lease_duration_s`.
    pub lease: Option<Box<Lease>>,
    /// Boxed, for few answers have one.
    pub login: Option<Box<Login>>,
    /// Boxed as well: the token behind which the answer proper is kept.
    pub wrap_info: Option<Box<WrapInfo>>,
}

/// The `data` of an answer.
#[derive(Default)]
pub enum Data {
    /// Nothing to say: 204.
    #[default]
    Nothing,
    /// An answer whose `data` is null.
    Null,
    Json(Json),
    /// A whole answer in its envelope, told as it is.
    Whole(Json),
    /// A text that is no JSON, in place of an answer in an envelope.
    Text {
        media_type: &'static str,
        text: String,
    },
    /// As `Text`, told while it comes.
    Stream {
        media_type: &'static str,
        lines: Box<dyn Lines>,
    },
}

/// A text that comes line by line, until there is no more of it or nobody wants it.
pub trait Lines: Send + Sync {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>>;
}

/// The lease of an answer. A handler leaves the name empty: the core makes the lease, and names it.
#[derive(Default)]
pub struct Lease {
    pub id: String,
    pub renewable: bool,
}

/// A token that was made or renewed, the `auth` of an answer.
pub struct Login {
    pub token: Token,
    pub accessor: String,
    /// The token's own policies.
    pub policies: Vec<String>,
    /// Those of the entity whose token it is, and of its groups.
    pub identity_policies: Vec<String>,
    /// Whose it is; empty if it is nobody's.
    pub entity_id: String,
    pub batch: bool,
    pub metadata: Option<BTreeMap<String, String>>,
    pub ttl: Duration,
    pub renewable: bool,
    pub orphan: bool,
    pub num_uses: u64,
    /// A second factor is asked for before there is a token: what may satisfy it.
    pub mfa_requirement: Option<Json>,
}

/// A token made for one answer, the `wrap_info` of what is told in its place.
pub struct WrapInfo {
    pub token: Token,
    pub accessor: String,
    pub ttl: Duration,
    /// As RFC 3339 has it.
    pub creation_time: String,
    /// The path that was asked for the answer.
    pub creation_path: String,
    /// The accessor of the token that the answer tells, if it tells one.
    pub wrapped_accessor: Option<String>,
}

impl Reply {
    pub fn nothing() -> Self {
        Self::default()
    }

    /// An answer whose data is `value`.
    pub fn of(value: &impl Serialize) -> Self {
        Self::json(Json::of(value))
    }

    /// An answer whose data is the object that `fill` writes.
    pub fn object(fill: impl FnOnce(&mut Object)) -> Self {
        let mut object = Object::default();
        fill(&mut object);
        Self::json(object.finish())
    }

    pub fn json(json: Json) -> Self {
        Self { data: Data::Json(json), ..Self::default() }
    }

    pub fn text(media_type: &'static str, text: impl Into<String>) -> Self {
        Self { data: Data::Text { media_type, text: text.into() }, ..Self::default() }
    }

    pub fn login(login: Login) -> Self {
        Self { data: Data::Null, login: Some(Box::new(login)), ..Self::default() }
    }

    pub fn wrapped(wrap_info: WrapInfo) -> Self {
        Self { wrap_info: Some(Box::new(wrap_info)), ..Self::default() }
    }

    /// Whether it has no body on the wire.
    pub fn is_silent(&self) -> bool {
        let empty = matches!(self.data, Data::Nothing) && self.warnings.is_empty();
        empty && self.login.is_none() && self.wrap_info.is_none() || self.status == Some(NO_CONTENT)
    }

    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    pub fn lease(mut self, lease_duration_s: u64) -> Self {
        self.lease_duration_s = lease_duration_s;
        self
    }

    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// Says that the data are given under a lease, of the duration that it names, which ends with the caller's token.
    pub fn leased(mut self, renewable: bool) -> Self {
        self.lease = Some(Box::new(Lease { id: String::new(), renewable }));
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl Login {
    /// The `auth` of an answer.
    pub fn json(&self) -> Json {
        let mut auth = Object::with_capacity(self.json_bytes_max());
        auth.set("client_token", self.token.expose());
        auth.set("accessor", &self.accessor);
        // There is no token yet where a second factor is asked for.
        let is_made = !self.token.expose().is_empty();
        let policies = self.policies.iter().chain(&self.identity_policies).collect::<BTreeSet<_>>();
        auth.set("policies", is_made.then_some(policies)).set("token_policies", is_made.then_some(&self.policies));
        if !self.identity_policies.is_empty() {
            auth.set("identity_policies", &self.identity_policies);
        }
        auth.set("metadata", &self.metadata);
        auth.set("lease_duration", self.ttl.as_secs());
        auth.set("renewable", self.renewable);
        auth.set("entity_id", &self.entity_id);
        let kind = if self.batch { "batch" } else { "service" };
        auth.set("token_type", if is_made { kind } else { "" });
        auth.set("orphan", self.orphan);
        match &self.mfa_requirement {
            Some(Json(requirement)) => auth.set_json("mfa_requirement", requirement),
            None => auth.set("mfa_requirement", ()),
        };
        auth.set("num_uses", self.num_uses);
        auth.finish()
    }

    /// Room for a text whose every byte is escaped: a buffer that had to grow would leave the token behind.
    fn json_bytes_max(&self) -> usize {
        let policies = self.policies.iter().chain(&self.identity_policies);
        let policies = policies.map(|policy| 2 * policy.len() + 1).sum::<usize>();
        let metadata = self.metadata.iter().flatten().map(|(name, value)| name.len() + value.len() + 1).sum::<usize>();
        let mfa = self.mfa_requirement.as_ref().map_or(0, |Json(requirement)| requirement.len());
        let ids = self.token.expose().len() + self.accessor.len() + self.entity_id.len();
        512 + mfa + 6 * (ids + policies + metadata)
    }
}

impl WrapInfo {
    pub fn json(&self) -> Json {
        let mut info = Object::with_capacity(512 + 6 * self.creation_path.len());
        info.set("token", self.token.expose()).set("accessor", &self.accessor).set("ttl", self.ttl.as_secs());
        info.set("creation_time", &self.creation_time).set("creation_path", &self.creation_path);
        if let Some(accessor) = &self.wrapped_accessor {
            info.set("wrapped_accessor", accessor);
        }
        info.finish()
    }
}

const NO_CONTENT: u16 = 204;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_login_fits_into_its_buffer() {
        let login = Login {
            token: Token::new("\u{1}".repeat(100)),
            accessor: "\u{1}".repeat(100),
            policies: vec!["\u{1}".repeat(100), "<".repeat(100)],
            identity_policies: vec!["\u{2}".repeat(100)],
            entity_id: "\u{1}".repeat(100),
            batch: false,
            metadata: Some([("\u{1}".repeat(100), "\u{2028}".repeat(100))].into()),
            ttl: Duration::MAX,
            renewable: false,
            orphan: false,
            num_uses: u64::MAX,
            mfa_requirement: Some(Json(b"{}".repeat(500).into())),
        };
        assert!(login.json().0.len() <= login.json_bytes_max());
    }

    #[test]
    fn what_says_nothing_is_silent() {
        let wrap_info = WrapInfo {
            token: Token::new("hvs.t"),
            accessor: "a".to_owned(),
            ttl: Duration::from_mins(1),
            creation_time: "2026-11-22T00:00:00Z".to_owned(),
            creation_path: "secret/<a>".to_owned(),
            wrapped_accessor: None,
        };
        let told = r#"{"token":"hvs.t","accessor":"a","ttl":60,"creation_time":"2026-11-22T00:00:00Z","creation_path":"secret/\u003ca\u003e"}"#;
        assert_eq!(String::from_utf8_lossy(&wrap_info.json().0), told);
        for (reply, silent) in [
            (Reply::nothing(), true),
            (Reply::nothing().status(202), true),
            (Reply::object(|_| {}).status(NO_CONTENT), true),
            (Reply::object(|_| {}), false),
            (Reply { data: Data::Null, ..Reply::default() }, false),
            (Reply::nothing().warn("w"), false),
            (Reply::wrapped(wrap_info), false),
        ] {
            assert_eq!(reply.is_silent(), silent, "{:?} {:?}", reply.status, reply.warnings);
        }
    }
}
