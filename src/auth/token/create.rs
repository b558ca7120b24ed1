//! `create`: makes a token whose rights are among its maker's, or those that a role gives.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::life::{self, Life};
use super::role::Role;
use super::{TokenAuth, policies};
use crate::access::acl::Capabilities;
use crate::access::policies::ROOT_POLICY;
use crate::access::tokens::{TokenRecord, nanoseconds, new_accessor};
use crate::access::{Caller, Policies};
use crate::api::fields::{CommaList, TextMap};
use crate::api::{Error, Reply, Token, TokenKind};
use crate::engine::{Call, Endpoint};

/// Makes a token whose rights are among its maker's.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CreateToken {
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: NewToken,
}

/// Makes a token that outlives its maker, with rights among its maker's.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CreateOrphan {
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: NewToken,
}

/// Makes a token as a role says.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CreateWithRole {
    /// The role.
    role_name: String,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: NewToken,
}

/// What is asked for in a new token.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct NewToken {
    /// The token itself; needs sudo.
    id: String,
    /// Policies of the token; the caller's if absent.
    pub(super) policies: Option<CommaList>,
    /// Facts about the token, for the audit trail.
    meta: Option<TextMap>,
    /// The token outlives its maker; needs sudo.
    no_parent: bool,
    /// The token does not have the policy `default`.
    pub(super) no_default_policy: bool,
    /// Whether the token may be renewed; true if absent.
    renewable: Option<bool>,
    /// Life of the token.
    ttl: String,
    /// Older name of `ttl`.
    lease: String,
    /// `service`, or `batch` for a token that the server does not keep.
    #[serde(rename = "type")]
    kind: String,
    /// Bound of the token's life, renewals included.
    explicit_max_ttl: String,
    /// Name for the audit trail.
    display_name: String,
    /// Number of requests that the token is good for; 0 is any number.
    num_uses: i64,
    /// The token can be renewed for ever, by this much; needs sudo.
    period: String,
    /// The name of whose token it is; needs a role that allows it.
    entity_alias: String,
}

impl Endpoint for CreateToken {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        Making::new(on, call, None)?.make(self.token, false)
    }
}

impl Endpoint for CreateOrphan {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        Making::new(on, call, None)?.make(self.token, true)
    }
}

impl Endpoint for CreateWithRole {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let unknown = || Error::invalid(format!("unknown role {}", self.role_name));
        let role = Role::find(&call.view()?, &self.role_name)?.ok_or_else(unknown)?;
        Making::new(on, call, Some((&self.role_name, &role)))?.make(self.token, false)
    }
}

/// Who makes a token, and by what right.
struct Making<'a> {
    on: &'a TokenAuth,
    call: &'a Call<'a>,
    maker: &'a Caller,
    role: Option<(&'a str, &'a Role)>,
    sudo: bool,
    warnings: Vec<String>,
}

impl<'a> Making<'a> {
    fn new(on: &'a TokenAuth, call: &'a Call<'a>, role: Option<(&'a String, &'a Role)>) -> Result<Self, Error> {
        let maker = call.admitted.known_caller()?;
        if maker.record.batch {
            return Err(Error::invalid("batch tokens cannot create more tokens"));
        }
        if maker.record.num_uses > 0 {
            return Err(Error::invalid("restricted use token cannot generate child tokens"));
        }
        let sudo = maker.acl().capabilities(&call.request.path).contain(Capabilities::SUDO);
        let role = role.map(|(name, role)| (name.as_str(), role));
        Ok(Self { on, call, maker, role, sudo, warnings: Vec::new() })
    }

    fn make(mut self, asked: NewToken, orphan: bool) -> Result<Reply, Error> {
        let role = self.role.map(|(_, role)| role);
        let batch = is_batch(&asked, role)?;
        let num_uses =
            u64::try_from(asked.num_uses).map_err(|_| Error::invalid("number of uses cannot be negative"))?;
        let entity_id = self.entity(&asked)?;
        self.refuse_unentitled(&asked)?;
        let policies = policies::granted(&asked, self.maker, role, self.sudo)?;
        let is_root = policies.iter().any(|policy| policy == ROOT_POLICY);
        if is_root && batch {
            return Err(Error::invalid("batch tokens cannot be root tokens"));
        }
        let orphan = role.map_or(orphan || asked.no_parent, |role| role.orphan);
        let mut record = TokenRecord {
            policies,
            batch,
            num_uses: fewer(num_uses, role.map_or(0, |role| role.token.num_uses)),
            parent: (!orphan).then_some(self.maker.id),
            parent_accessor: (!orphan).then(|| self.maker.record.accessor.clone()),
            bound_cidrs: self.bounds(orphan),
            entity_id: entity_id
                .unwrap_or_else(|| if orphan { String::new() } else { self.maker.record.entity_id.clone() }),
            ..self.record(&asked)
        };
        self.give_life(&asked, is_root, &mut record)?;
        self.store(asked, record)
    }

    fn refuse_unentitled(&self, asked: &NewToken) -> Result<(), Error> {
        let for_sudo = [
            (asked.no_parent && self.role.is_none(), "create orphan token"),
            (!asked.id.is_empty(), "specify token id"),
            (life::read(&asked.period)?.is_some(), "create periodic token"),
        ];
        if let Some((_, what)) = for_sudo.iter().find(|(asked, _)| *asked && !self.sudo) {
            return Err(Error::invalid(format!("root or sudo privileges required to {what}")));
        }
        if asked.id.starts_with("s.") {
            return Err(Error::invalid("custom token ID cannot have the 's.' prefix"));
        }
        if asked.id.contains('.') {
            return Err(Error::invalid("custom token ID cannot have a '.' in the value"));
        }
        Ok(())
    }

    /// The entity that the token is asked to belong to.
    fn entity(&self, asked: &NewToken) -> Result<Option<String>, Error> {
        if asked.entity_alias.is_empty() {
            return Ok(None);
        }
        let Some((_, role)) = self.role else {
            return Err(Error::invalid("'entity_alias' is only allowed in combination with token role"));
        };
        let alias = asked.entity_alias.to_lowercase();
        if !policies::matches_any(role.entity_aliases.as_deref().unwrap_or_default(), &alias) {
            return Err(Error::invalid("invalid 'entity_alias' value"));
        }
        self.call.entity_of(&asked.entity_alias).map(Some)
    }

    /// The networks that the token is bound to: the role's, or else those of a maker whose token it stays.
    fn bounds(&self, orphan: bool) -> Vec<String> {
        match self.role {
            Some((_, role)) => role.token.bound_cidrs.clone(),
            None if orphan => Vec::new(),
            None => self.maker.record.bound_cidrs.clone(),
        }
    }

    /// What needs no decision.
    fn record(&self, asked: &NewToken) -> TokenRecord {
        let path = self.call.request.path.trim_end_matches('/');
        let suffix = self.role.map(|(_, role)| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty());
        TokenRecord {
            accessor: new_accessor(),
            path: suffix.map_or_else(|| path.to_owned(), |suffix| format!("{path}/{suffix}")),
            display_name: display_name(&asked.display_name),
            metadata: asked.meta.clone().map(|meta| meta.0).filter(|meta| !meta.is_empty()),
            created_ns: nanoseconds(self.call.now),
            role: self.role.map(|(name, _)| name.to_owned()).unwrap_or_default(),
            ..TokenRecord::default()
        }
    }

    /// Sets how long the token lives.
    fn give_life(&mut self, asked: &NewToken, is_root: bool, record: &mut TokenRecord) -> Result<(), Error> {
        let mut life = Life {
            ttl: life::read(&asked.ttl)?.or(life::read(&asked.lease)?),
            period: life::read(&asked.period)?,
            ttl_max: None,
            explicit_max: life::read(&asked.explicit_max_ttl)?,
        };
        if let Some((_, role)) = self.role.filter(|_| !record.batch) {
            let by_role = Life::of(&role.token);
            life.explicit_max = self.lesser("Explicit max TTL", life.explicit_max, by_role.explicit_max);
            life.period = self.lesser("Period", life.period, by_role.period);
        }
        let now = self.call.now;
        let wish = if is_root { life.ttl.or(life.explicit_max) } else { life.ttl };
        let lives_for_ever = is_root && wish.is_none() && life.period.is_none();
        if lives_for_ever {
            if self.maker.record.expires_ns.is_some() {
                return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
            }
            record.bound_cidrs.clear();
            return Ok(());
        }
        let end = Life { ttl: wish, ..life }.end(self.on.ttls, now, now, &mut self.warnings)?;
        let seconds = |duration: Option<Duration>| duration.map_or(0, |duration| duration.as_secs());
        record.ttl_s = u64::try_from(end.duration_since(now).as_secs()).unwrap_or_default();
        record.explicit_ttl_max_s = seconds(life.explicit_max);
        record.period_s = seconds(life.period);
        record.expires_ns = Some(nanoseconds(end));
        let renewable = asked.renewable.unwrap_or(true) && self.role.is_none_or(|(_, role)| role.renewable);
        record.renewable = renewable && !record.batch;
        Ok(())
    }

    /// The lesser of two durations. That both are there is worth a warning.
    fn lesser(&mut self, what: &str, asked: Option<Duration>, by_role: Option<Duration>) -> Option<Duration> {
        let (Some(one), Some(other)) = (asked, by_role) else { return asked.or(by_role) };
        let lesser = one.min(other);
        let seconds = lesser.as_secs();
        self.warnings.push(format!(
            "{what} specified both during creation call and in role; using the lesser value of {seconds} seconds"
        ));
        Some(lesser)
    }

    fn store(mut self, asked: NewToken, record: TokenRecord) -> Result<Reply, Error> {
        let view = self.call.view()?;
        let (token, caller) = if asked.id.is_empty() {
            self.on.tokens.issue(&view, record)?
        } else {
            self.warnings.push(CUSTOM_ID.to_owned());
            let token = Token::new(asked.id);
            let caller = self.on.tokens.create(&view, &token, record)?;
            (token, caller)
        };
        for policy in &caller.record.policies {
            if Policies::read(&view, policy)?.is_none() {
                self.warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let mut reply = Reply::login(caller.login(token, self.call.now));
        reply.warnings = self.warnings;
        Ok(reply)
    }
}

/// Whether a batch token is asked for, by the request or by the role. Some wishes do not go with it.
fn is_batch(asked: &NewToken, role: Option<&Role>) -> Result<bool, Error> {
    let kind = match role.map(|role| role.token.kind) {
        Some(TokenKind::Service) => "service",
        Some(TokenKind::Batch) => "batch",
        Some(TokenKind::DefaultBatch) if asked.kind.is_empty() => "batch",
        Some(TokenKind::Default | TokenKind::DefaultService | TokenKind::DefaultBatch) | None => &asked.kind,
    };
    match kind {
        "" | "default" | "service" => return Ok(false),
        "batch" => {}
        _ => return Err(Error::invalid("invalid 'token_type' value")),
    }
    let unfit = [
        (life::read(&asked.explicit_max_ttl)?.is_some(), "explicit_max_ttl"),
        (asked.num_uses != 0, "num_uses"),
        (life::read(&asked.period)?.is_some(), "period"),
        (!asked.id.is_empty(), "id"),
    ];
    match unfit.iter().find(|(asked, _)| *asked) {
        Some((_, name)) => Err(Error::invalid(format!("batch tokens cannot have {name:?} set"))),
        None => Ok(true),
    }
}

/// The lesser of two numbers of which zero is the greatest.
fn fewer(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, uses) | (uses, 0) => uses,
        (one, other) => one.min(other),
    }
}

/// A name behind `token-`, with a hyphen for all that is neither letter nor digit.
fn display_name(name: &str) -> String {
    if name.is_empty() {
        return "token".to_owned();
    }
    let clean = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' });
    let name = format!("token-{}", clean.collect::<String>());
    name.strip_suffix('-').unwrap_or(&name).to_owned()
}

/// Clients know this text. What is kept of a custom token is as good a hash as that of any other.
const CUSTOM_ID: &str = "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure \
                         SHA2-256 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure \
                         lookups.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_harmless() {
        let check = |name: &str, expected: &str| assert_eq!(display_name(name), expected);
        check("", "token");
        check("plain", "token-plain");
        check("my app/v1 \u{fc}!", "token-my-app-v1--");
        check("-", "token-");
    }

    #[test]
    fn no_limit_is_the_greatest() {
        for (one, other, expected) in [(0, 0, 0), (0, 5, 5), (5, 0, 5), (5, 7, 5), (7, 5, 5)] {
            assert_eq!(fewer(one, other), expected);
        }
    }
}
