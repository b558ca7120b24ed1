//! What becomes of a login: the token that a method grants, and what the method says when it is renewed.
//!
//! Knows no method; they say who somebody is, and this makes the token of it.

use std::sync::Arc;
use std::time::Duration;

use super::mounts::{AUTH_PREFIX, Mount, MountEntry};
use super::second_factor::Entrant;
use super::{Active, Settings};
use crate::access::identity::Entrance;
use crate::access::lockout::{Locked, Rules};
use crate::access::policies::{DEFAULT_POLICY, ROOT_POLICY, is_reserved};
use crate::access::tokens::{TokenRecord, nanoseconds, new_accessor};
use crate::api::{Alias, Error, Grant, Reply, TokenKind, TokenParams};
use crate::auth::token::{Life, Ttls};
use crate::barrier::{Horizon, View};
use crate::clock::Timestamp;
use crate::engine::{Call, Factors, KnownMount, Logins, Renewal, Renewed};

/// Where the login methods of one request turn to.
pub(super) struct LoginDesk<'a> {
    pub(super) active: &'a Active,
    pub(super) settings: &'a Settings,
    pub(super) horizon: &'a Horizon,
}

impl Logins for LoginDesk<'_> {
    fn log_in(&self, call: &Call<'_>, grant: Grant) -> Result<Reply, Error> {
        let mount = self.mount(call)?;
        let entity_id = match &grant.alias {
            Some(alias) => self.arrive(call, &mount, alias, Some(&grant.groups))?,
            None => String::new(),
        };
        let (path, mount_path) = (call.request.path.clone(), mount.entry.path.clone());
        let entrant = Entrant { path, mount: mount.entry.uuid, mount_path, entity_id, grant };
        self.enter(entrant, &mount, &call.request.mfa, call.now)
    }

    fn bring_factors(&self, call: &Call<'_>, login: &str, factors: &Factors) -> Result<Reply, Error> {
        self.enter_waiting(login, factors, call.now)
    }

    fn refuse_locked(&self, call: &Call<'_>, name: &str) -> Result<(), Error> {
        let mount = self.mount(call)?;
        let Some(rules) = self.lockout_rules(&mount) else { return Ok(()) };
        self.active.lockout.refuse_locked(mount.entry.uuid, name, &rules, call.now).map_err(refusal)
    }

    fn settle_guess(&self, call: &Call<'_>, name: &str, right: bool) -> Result<(), Error> {
        let mount = self.mount(call)?;
        let Some(rules) = self.lockout_rules(&mount) else { return Ok(()) };
        self.active.lockout.settle(mount.entry.uuid, name, right, &rules, call.now).map_err(refusal)
    }

    /// Tokens do not survive their method, and it does not move with them alive: it is found where it made them.
    fn renew(&self, call: &Call<'_>, token: &TokenRecord) -> Result<Renewed, Error> {
        let gone = || Error::invalid("the login method that made this token is gone");
        let (mount, _) = self.active.mounts.find(&token.path).ok_or_else(gone)?;
        let (ttl_default, ttl_max) = mount.entry.tune.ttls(self.settings);
        let (view, request, now) = (mount.scope.view(self.horizon), call.request, call.now);
        let token = mount.backend.renew(&Renewal { view, request, token, now })?;
        Ok(Renewed { token, ttl_default, ttl_max })
    }

    fn entity_of(&self, call: &Call<'_>, alias: &str) -> Result<String, Error> {
        let alias = Alias { name: alias.to_owned(), ..Alias::default() };
        let mount = self.mount(call)?;
        self.arrive(call, &mount, &alias, None)
    }

    fn mounts(&self) -> Vec<KnownMount> {
        let known = |entry: &MountEntry| KnownMount {
            accessor: entry.accessor.clone(),
            path: entry.path.clone(),
            kind: entry.kind.clone(),
            local: entry.local,
        };
        self.active.mounts.all().iter().map(|mount| known(&mount.entry)).collect()
    }
}

impl Active {
    /// Disables a login method. The tokens that it made end with it.
    pub(crate) fn disable_login(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let Some(mount) = self.mounts.at(path) else { return Ok(()) };
        // Most of them before, for a crash in between leaves the method to be disabled again; the latest after.
        self.tokens.revoke_prefix(view, path)?;
        self.disable(view, path)?;
        self.tokens.revoke_prefix(view, path)?;
        self.lockout.forget(mount.entry.uuid);
        Ok(())
    }
}

fn refusal(Locked: Locked) -> Error {
    Error::Forbidden("permission denied".into())
}

impl LoginDesk<'_> {
    /// The entity of who comes to a mount under a name.
    fn arrive(
        &self,
        call: &Call<'_>,
        mount: &Mount,
        alias: &Alias,
        groups: Option<&[String]>,
    ) -> Result<String, Error> {
        let view = self.active.platform.view(self.horizon);
        let at = Entrance { mount_accessor: &mount.entry.accessor, local: mount.entry.local };
        let entity = self.active.tokens.identity.arrive(&view, at, alias, groups, call.now)?;
        if entity.disabled { Err(Error::Denied) } else { Ok(entity.id) }
    }

    fn mount(&self, call: &Call<'_>) -> Result<Arc<Mount>, Error> {
        self.active.mounts.at(call.mount).ok_or_else(|| Error::NoMount(call.request.path.clone()))
    }

    fn lockout_rules(&self, mount: &Mount) -> Option<Rules> {
        mount.entry.tune.lockout_rules(mount.kind, self.settings)
    }

    /// Who disables a method ends the tokens that it made until then, which cannot be those that it makes later.
    fn is_still_there(&self, mount: &Mount) -> bool {
        self.active.mounts.at(&mount.entry.path).is_some_and(|there| there.entry.uuid == mount.entry.uuid)
    }

    /// Makes the token of somebody who has shown all that he has to.
    pub(super) fn admit(&self, entrant: &Entrant, mount: &Mount, now: Timestamp) -> Result<Reply, Error> {
        let view = self.active.platform.view(self.horizon);
        let mut warnings = Vec::new();
        let record = self.record(entrant, mount, now, &mut warnings)?;
        let (token, caller) = self.active.tokens.issue(&view, record)?;
        if !self.is_still_there(mount) {
            self.active.tokens.revoke(&view, &caller)?;
            return Err(Error::NoMount(entrant.path.clone()));
        }
        let reply = Reply::login(caller.login(token, now));
        Ok(Reply { warnings, ..reply })
    }

    fn record(
        &self,
        entrant: &Entrant,
        mount: &Mount,
        now: Timestamp,
        warnings: &mut Vec<String>,
    ) -> Result<TokenRecord, Error> {
        let grant = &entrant.grant;
        let batch = is_batch(grant.token.kind, mount.entry.tune.token_kind);
        let token =
            if batch { TokenParams { period_s: 0, num_uses: 0, ..grant.token.clone() } } else { grant.token.clone() };
        let (default, max) = mount.entry.tune.ttls(self.settings);
        let end = Life::of(&token).end(Ttls { default, max }, now, now, warnings)?;
        let ttl = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        Ok(TokenRecord {
            accessor: new_accessor(),
            policies: token_policies(&token)?,
            path: entrant.path.clone(),
            display_name: display_name(mount, &grant.display_name),
            metadata: Some(grant.metadata.clone()).filter(|metadata| !metadata.is_empty()),
            ttl_s: ttl.as_secs(),
            explicit_ttl_max_s: token.explicit_ttl_max_s,
            period_s: token.period_s,
            renewable: !batch,
            expires_ns: Some(nanoseconds(end)),
            num_uses: token.num_uses,
            batch,
            bound_cidrs: token.bound_cidrs,
            entity_id: entrant.entity_id.clone(),
            recall: grant.recall.clone(),
            ..TokenRecord::root("", "", now)
        })
    }
}

/// A mount that names one type decides; else the role does, if it names one.
fn is_batch(of_role: TokenKind, of_mount: TokenKind) -> bool {
    match of_mount {
        TokenKind::Service => false,
        TokenKind::Batch => true,
        TokenKind::Default | TokenKind::DefaultService => {
            matches!(of_role, TokenKind::Batch | TokenKind::DefaultBatch)
        }
        TokenKind::DefaultBatch => !matches!(of_role, TokenKind::Service | TokenKind::DefaultService),
    }
}

fn display_name(mount: &Mount, name: &str) -> String {
    let path = mount.entry.path.strip_prefix(AUTH_PREFIX).unwrap_or(&mount.entry.path).trim_end_matches('/');
    let path = path.replace('/', "-");
    if name.is_empty() { path } else { format!("{path}-{name}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_decides_about_types_unless_it_leaves_that_to_the_role() {
        use TokenKind::{Batch, Default, DefaultBatch, DefaultService, Service};
        for (of_mount, of_role, expected) in [
            (Default, Default, false),
            (Default, Batch, true),
            (DefaultService, Default, false),
            (DefaultService, Batch, true),
            (DefaultService, Service, false),
            (DefaultBatch, Default, true),
            (DefaultBatch, Service, false),
            (Batch, Service, true),
            (Service, Batch, false),
        ] {
            assert_eq!(is_batch(of_role, of_mount), expected, "{of_mount:?} {of_role:?}");
        }
    }

    /// Regression R26: the root policy came by another name.
    #[test]
    fn no_login_makes_a_root_token() {
        let check = |policies: &[&str], expected: Option<&[&str]>| {
            let policies = policies.iter().map(|policy| (*policy).to_owned()).collect();
            let made = token_policies(&TokenParams { policies, ..TokenParams::default() });
            assert_eq!(
                made.ok().as_deref().map(|made| made.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(),
                expected
            );
        };
        for root in ["root", "ROOT", "Root", "rOOT"] {
            check(&[root], None);
            check(&["a", root], None);
        }
        check(&["response-wrapping"], None);
        check(&["b", "A", "b"], Some(&["a", "b", "default"]));
        check(&["rооt"], Some(&["default", "rооt"])); // of Cyrillic letters: a policy that nobody has written
    }
}
