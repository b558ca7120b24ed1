//! `auth/token`: tokens about tokens: create, look up, renew and revoke.
//!
//! Knows what a caller may ask for; how tokens are kept is `access::tokens`' business.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Policies;
use crate::access::acl::Capabilities;
use crate::access::policies::{self, DEFAULT_POLICY, ROOT_POLICY, WRAPPING_POLICY};
use crate::access::tokens::{Caller, TokenRecord, Tokens, nanoseconds, new_accessor, new_token};
use crate::api::fields::{CommaList, TextMap, Ttl};
use crate::api::{Error, Login, Reply, Token};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint, Engine, Route, read, write};

/// The token login method, which every server has.
pub struct TokenAuth {
    pub tokens: Arc<Tokens>,
    pub ttls: Ttls,
}

/// The lives of tokens that ask for none, and of those that ask for too long ones.
pub struct Ttls {
    pub default: Duration,
    pub max: Duration,
}

#[rustfmt::skip]
impl Engine for TokenAuth {
    const ROUTES: &'static [&'static [Route<Self>]] = &[&[
        write::<CreateToken> ("create"),
        read::<LookUpSelf>   ("lookup-self"),
        write::<RenewSelf>   ("renew-self"),
        write::<RevokeSelf>  ("revoke-self"),
    ]];
}

/// Makes a token whose rights are among its maker's.
#[derive(Deserialize, JsonSchema)]
pub struct CreateToken {
    /// The token itself; needs sudo.
    #[serde(default)]
    id: String,
    /// Policies of the token; the caller's if absent.
    #[serde(default)]
    policies: Option<CommaList>,
    /// Facts about the token, for the audit trail.
    #[serde(default)]
    meta: Option<TextMap>,
    /// The token outlives its maker; needs sudo.
    #[serde(default)]
    no_parent: bool,
    /// The token does not have the policy `default`.
    #[serde(default)]
    no_default_policy: bool,
    /// Whether the token may be renewed; true if absent.
    #[serde(default)]
    renewable: Option<bool>,
    /// Life of the token.
    #[serde(default)]
    ttl: String,
    /// Older name of `ttl`.
    #[serde(default)]
    lease: String,
    /// `service`; batch tokens are not made yet.
    #[serde(default, rename = "type")]
    kind: String,
    /// Bound of the token's life, renewals included.
    #[serde(default)]
    explicit_max_ttl: String,
    /// Name for the audit trail.
    #[serde(default)]
    display_name: String,
    /// Number of uses; limits are not counted yet, so that only 0 is taken.
    #[serde(default)]
    num_uses: i64,
    /// The token can be renewed for ever, by this much; needs sudo.
    #[serde(default)]
    period: String,
    /// Needs a role, and there are none yet.
    #[serde(default)]
    entity_alias: String,
}

impl Endpoint for CreateToken {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let parent = call.admitted.known_caller()?;
        let sudo = parent.acl().capabilities(&call.request.path).contain(Capabilities::SUDO);
        let life = Life::of(&self)?;
        self.refuse_unsupported()?;
        self.refuse_unentitled(sudo, &life)?;
        let mut warnings = Vec::new();
        let policies = self.policies_under(parent, sudo)?;
        for policy in &policies {
            if Policies::read(&call.view()?, policy)?.is_none() {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let is_root = policies.iter().any(|policy| policy == ROOT_POLICY);
        let ttl = life.granted(is_root, &on.ttls, &mut warnings);
        let record = self.record(parent, policies, &life, ttl, call);
        let token = if self.id.is_empty() { new_token() } else { Token::new(self.id) };
        let caller = on.tokens.create(&call.view()?, &token, record)?;
        let mut reply = Reply::login(caller.login(token, call.now));
        reply.warnings = warnings;
        Ok(reply)
    }
}

impl CreateToken {
    /// What this server would have to promise without keeping it.
    fn refuse_unsupported(&self) -> Result<(), Error> {
        match self.kind.as_str() {
            "" | "default" | "service" => {}
            "batch" => return Err(Error::invalid("batch tokens are not available on this server yet")),
            _ => return Err(Error::invalid("invalid 'token_type' value")),
        }
        if self.num_uses < 0 {
            return Err(Error::invalid("number of uses cannot be negative"));
        }
        if self.num_uses > 0 {
            return Err(Error::invalid("tokens with a limited number of uses are not available on this server yet"));
        }
        if !self.entity_alias.is_empty() {
            return Err(Error::invalid("'entity_alias' is only allowed in combination with token role"));
        }
        Ok(())
    }

    fn refuse_unentitled(&self, sudo: bool, life: &Life) -> Result<(), Error> {
        let for_sudo = [
            (self.no_parent, "create orphan token"),
            (!self.id.is_empty(), "specify token id"),
            (life.period.is_some(), "create periodic token"),
        ];
        if let Some((_, what)) = for_sudo.iter().find(|(asked, _)| *asked && !sudo) {
            return Err(Error::invalid(format!("root or sudo privileges required to {what}")));
        }
        if self.id.contains('.') {
            return Err(Error::invalid("custom token ID cannot have a '.' in the value"));
        }
        Ok(())
    }

    /// The new token's policies: sorted, each once, none beyond the parent's unless it has sudo.
    fn policies_under(&self, parent: &Caller, sudo: bool) -> Result<Vec<String>, Error> {
        let parents = &parent.record.policies;
        let asked = self.policies.as_ref().map(|list| &list.0).filter(|list| !list.is_empty());
        let mut policies: Vec<String> = asked.unwrap_or(parents).iter().map(|policy| policy.to_lowercase()).collect();
        if asked.is_some()
            && !sudo
            && !policies.iter().all(|policy| policy == DEFAULT_POLICY || parents.contains(policy))
        {
            return Err(Error::invalid("child policies must be subset of parent"));
        }
        if policies.iter().any(|policy| policy == WRAPPING_POLICY) {
            return Err(Error::invalid(format!("cannot assign policy {WRAPPING_POLICY:?}")));
        }
        if policies.iter().any(|policy| policy == ROOT_POLICY) {
            if !parent.acl().is_root() {
                return Err(Error::invalid("root tokens may not be created without parent token being root"));
            }
            return Ok(vec![ROOT_POLICY.to_owned()]);
        }
        if let Some(policy) = policies.iter().find(|policy| policies::is_reserved(policy)) {
            return Err(Error::invalid(format!("cannot assign policy {policy:?}")));
        }
        if !self.no_default_policy {
            policies.push(DEFAULT_POLICY.to_owned());
        } else if asked.is_none() {
            policies.retain(|policy| policy != DEFAULT_POLICY);
        }
        policies.sort();
        policies.dedup();
        Ok(policies)
    }

    fn record(
        &self,
        parent: &Caller,
        policies: Vec<String>,
        life: &Life,
        ttl: Option<Duration>,
        call: &Call<'_>,
    ) -> TokenRecord {
        let display_name = match self.display_name.as_str() {
            "" => "token".to_owned(),
            name => format!("token-{name}"),
        };
        let seconds = |duration: Option<Duration>| duration.map_or(0, |duration| duration.as_secs());
        TokenRecord {
            accessor: new_accessor(),
            policies,
            path: call.request.path.clone(),
            display_name,
            metadata: self.meta.clone().map(|meta| meta.0).filter(|meta| !meta.is_empty()),
            created_ns: nanoseconds(call.now),
            ttl_s: seconds(ttl),
            explicit_ttl_max_s: seconds(life.explicit_max),
            period_s: seconds(life.period),
            renewable: ttl.is_some() && self.renewable.unwrap_or(true),
            expires_ns: ttl.map(|ttl| nanoseconds(later(call.now, ttl))),
            renewed_ns: None,
            parent: (!self.no_parent).then_some(parent.id),
            parent_accessor: (!self.no_parent).then(|| parent.record.accessor.clone()),
            ..TokenRecord::root("", "", call.now)
        }
    }
}

/// How long a token is asked to live.
struct Life {
    ttl: Option<Duration>,
    explicit_max: Option<Duration>,
    period: Option<Duration>,
}

impl Life {
    fn of(request: &CreateToken) -> Result<Self, Error> {
        let read = |text: &str| match Ttl::parse(text) {
            Ok(ttl) => Ok(Some(ttl).filter(|ttl| !ttl.is_zero())),
            Err(text) => Err(Error::invalid(text)),
        };
        let ttl = read(&request.ttl)?.or(read(&request.lease)?);
        Ok(Self { ttl, explicit_max: read(&request.explicit_max_ttl)?, period: read(&request.period)? })
    }

    /// What the token gets; `None` is for ever. A wish beyond the bounds is cut, with a warning.
    fn granted(&self, is_root: bool, ttls: &Ttls, warnings: &mut Vec<String>) -> Option<Duration> {
        if let Some(period) = self.period {
            return Some(self.explicit_max.map_or(period, |max| period.min(max)));
        }
        if is_root && self.ttl.is_none() && self.explicit_max.is_none() {
            return None;
        }
        let max = self.explicit_max.map_or(ttls.max, |explicit| explicit.min(ttls.max));
        if let Some(asked) = self.ttl.filter(|asked| *asked > max) {
            let (asked, max) = (go_duration(asked), go_duration(max));
            warnings.push(format!(
                "TTL of {asked:?} exceeded the effective max_ttl of {max:?}; TTL value is capped accordingly"
            ));
        }
        Some(self.ttl.unwrap_or(ttls.default).min(max))
    }
}

/// Describes the caller's own token.
#[derive(Deserialize, JsonSchema)]
pub struct LookUpSelf {}

impl Endpoint for LookUpSelf {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let record = &call.admitted.known_caller()?.record;
        let time = |ns: i64| Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).unwrap_or_default();
        let token = call.request.token.as_ref().ok_or(Error::Unauthenticated)?;
        Ok(Reply::object(|data| {
            data.set("accessor", &record.accessor).set("creation_time", record.created_ns.div_euclid(NS_PER_S));
            data.set("creation_ttl", record.ttl_s).set("display_name", &record.display_name).set("entity_id", "");
            data.set("expire_time", record.expires_ns.map(time)).set("explicit_max_ttl", record.explicit_ttl_max_s);
            data.set("id", token.expose()).set("issue_time", time(record.created_ns));
            if let Some(renewed) = record.renewed_ns {
                data.set("last_renewal", time(renewed)).set("last_renewal_time", renewed.div_euclid(NS_PER_S));
            }
            data.set("meta", &record.metadata).set("num_uses", 0).set("orphan", record.parent.is_none());
            data.set("path", &record.path);
            if record.period_s > 0 {
                data.set("period", record.period_s);
            }
            data.set("policies", &record.policies).set("renewable", record.renewable);
            data.set("ttl", record.ttl_left(call.now).as_secs()).set("type", "service");
        }))
    }
}

/// Gives the caller's own token more time.
#[derive(Deserialize, JsonSchema)]
pub struct RenewSelf {
    /// How long from now; the token's first TTL if absent.
    #[serde(default)]
    increment: Ttl,
}

impl Endpoint for RenewSelf {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let caller = call.admitted.known_caller()?;
        let record = &caller.record;
        if !record.renewable {
            return Err(Error::invalid("lease is not renewable"));
        }
        let expires = self.expiry(record, on, call.now);
        on.tokens.renew(&call.view()?, caller, expires, call.now)?;
        let token = Token::new(call.request.token.as_ref().ok_or(Error::Unauthenticated)?.expose());
        let ttl = Duration::try_from(expires.duration_since(call.now)).unwrap_or_default();
        Ok(Reply::login(Login { ttl, ..caller.login(token, call.now) }))
    }
}

impl RenewSelf {
    /// The asked increment, or the period, within what the token may live at all.
    fn expiry(&self, record: &TokenRecord, on: &TokenAuth, now: Timestamp) -> Timestamp {
        let created = Timestamp::from_nanosecond(record.created_ns.into()).unwrap_or(now);
        let asked = self.increment.0.filter(|ttl| !ttl.is_zero()).unwrap_or(Duration::from_secs(record.ttl_s));
        let asked = if record.period_s > 0 { Duration::from_secs(record.period_s) } else { asked };
        let max = match (record.explicit_ttl_max_s, record.period_s) {
            (0, 0) => later(created, on.ttls.max),
            (0, _) => Timestamp::MAX,
            (explicit, _) => later(created, Duration::from_secs(explicit)),
        };
        later(now, asked).min(max)
    }
}

/// Ends the caller's own token, and all that were made with it.
#[derive(Deserialize, JsonSchema)]
pub struct RevokeSelf {}

impl Endpoint for RevokeSelf {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        on.tokens.revoke(&call.view()?, call.admitted.known_caller()?)?;
        Ok(Reply::nothing())
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A duration in Go's notation, in whole seconds and without units that are zero.
pub fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String =
        units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

const NS_PER_S: i64 = 1_000_000_000;
