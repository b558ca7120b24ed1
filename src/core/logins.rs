//! What becomes of a login: the token that a method grants, and what the method says when it is renewed.
//!
//! Knows no method; they say who somebody is, and this makes the token of it.

use std::time::Duration;

use super::mounts::{AUTH_PREFIX, Mount};
use super::{Active, Settings};
use crate::access::policies::{DEFAULT_POLICY, ROOT_POLICY, is_reserved};
use crate::access::tokens::{TokenRecord, nanoseconds, new_accessor};
use crate::api::{Error, Grant, Reply, TokenParams};
use crate::barrier::Horizon;
use crate::clock::Timestamp;
use crate::engine::{Call, Logins};

/// Where the login methods of one request turn to.
pub(super) struct LoginDesk<'a> {
    pub(super) active: &'a Active,
    pub(super) settings: &'a Settings,
    pub(super) horizon: &'a Horizon,
}

impl Logins for LoginDesk<'_> {
    fn log_in(&self, call: &Call<'_>, grant: Grant) -> Result<Reply, Error> {
        let mount = self.active.mounts.at(call.mount).ok_or_else(|| Error::NoMount(call.mount.to_owned()))?;
        let view = self.active.platform.view(self.horizon);
        let record = self.record(call, &mount, grant)?;
        let (token, caller) = self.active.tokens.issue(&view, record)?;
        Ok(Reply::login(caller.login(token, call.now)))
    }

    fn renew(&self, call: &Call<'_>, token: &TokenRecord) -> Result<Option<TokenParams>, Error> {
        let Some((mount, _)) = self.active.mounts.find(&token.path) else { return Ok(None) };
        mount.backend.renew(&mount.scope.view(self.horizon), call.request, token)
    }
}

impl LoginDesk<'_> {
    fn record(&self, call: &Call<'_>, mount: &Mount, grant: Grant) -> Result<TokenRecord, Error> {
        let (default, max) = mount.entry.tune.ttls(self.settings);
        let ttl = granted_ttl(&grant.token, default, max);
        let name = mount.entry.path.strip_prefix(AUTH_PREFIX).unwrap_or(&mount.entry.path).trim_end_matches('/');
        Ok(TokenRecord {
            accessor: new_accessor(),
            policies: token_policies(&grant.token)?,
            path: call.request.path.clone(),
            display_name: format!("{}-{}", name.replace('/', "-"), grant.display_name),
            metadata: Some(grant.metadata).filter(|metadata| !metadata.is_empty()),
            ttl_s: ttl.as_secs(),
            explicit_ttl_max_s: grant.token.explicit_ttl_max_s,
            period_s: grant.token.period_s,
            renewable: true,
            expires_ns: Some(nanoseconds(call.now.checked_add(ttl).unwrap_or(Timestamp::MAX))),
            num_uses: grant.token.num_uses,
            bound_cidrs: grant.token.bound_cidrs,
            recall: grant.recall,
            ..TokenRecord::root("", "", call.now)
        })
    }
}

fn token_policies(token: &TokenParams) -> Result<Vec<String>, Error> {
    let mut policies: Vec<String> = token.policies.iter().map(|policy| policy.to_lowercase()).collect();
    if !token.no_default_policy {
        policies.push(DEFAULT_POLICY.to_owned());
    }
    policies.sort();
    policies.dedup();
    match policies.iter().find(|policy| *policy == ROOT_POLICY || is_reserved(policy)) {
        Some(_) => Err(Error::invalid("auth methods cannot create root tokens")),
        None => Ok(policies),
    }
}

fn granted_ttl(token: &TokenParams, default: Duration, max: Duration) -> Duration {
    let bound = |seconds: u64, by: Duration| if seconds == 0 { by } else { Duration::from_secs(seconds).min(by) };
    let ttl = match (token.period_s, token.ttl_s) {
        (0, 0) => default,
        (0, ttl) => Duration::from_secs(ttl),
        (period, _) => Duration::from_secs(period),
    };
    bound(token.explicit_ttl_max_s, bound(token.ttl_max_s, ttl.min(max)))
}
