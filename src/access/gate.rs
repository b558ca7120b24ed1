//! The gate: who sent this request, and may they do it.
//!
//! The only maker of `Admitted`, without which no handler runs.

use std::sync::Arc;
use std::time::Duration;

use super::acl::{Acl, Capabilities};
use super::cidr;
use super::conditions::Unmet;
use super::explain::{self, Question};
use super::policy::Grant;
use super::tokens::{Caller, Tokens};
use crate::api::route::Access;
use crate::api::{Error, Op, Params, Request};
use crate::barrier::View;
use crate::clock::Timestamp;

/// Proof that the sender of a request may do what it asks.
pub struct Admitted {
    caller: Option<Arc<Caller>>,
}

impl Admitted {
    /// Who it is; nobody in particular where no token is needed.
    pub fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.as_ref()
    }

    /// As `caller`, where a row needs a token.
    pub fn known_caller(&self) -> Result<&Arc<Caller>, Error> {
        self.caller.as_ref().ok_or(Error::Unauthenticated)
    }
}

/// Finds the owner of the request's token. One that may not be used from where the request comes is as good as none, and so
/// is one whose entity was deleted or disabled.
pub fn identify(tokens: &Tokens, view: &View<'_>, request: &Request, now: Timestamp) -> Result<Arc<Caller>, Error> {
    let token = request.token.as_ref().ok_or(Error::Unauthenticated)?;
    let caller = tokens.look_up(view, token, now)?;
    let is_good =
        |caller: &Arc<Caller>| !caller.is_suspended() && cidr::admit(&caller.record.bound_cidrs, request.remote);
    caller.filter(is_good).ok_or(Error::Unauthenticated)
}

/// What somebody asks for.
pub struct Ask<'a> {
    pub op: Op,
    pub path: &'a str,
    pub params: &'a Params,
    pub wrap_ttl: Option<Duration>,
}

impl<'a> From<&'a Request> for Ask<'a> {
    fn from(request: &'a Request) -> Self {
        Self { op: request.op, path: &request.path, params: &request.params, wrap_ttl: request.wrap_ttl }
    }
}

/// Admits a caller to what he asks for. `exists` tells, for writes that distinguish, whether the object is there.
pub fn admit(
    caller: &Arc<Caller>,
    access: Access,
    ask: &Ask<'_>,
    exists: impl FnOnce() -> Option<Result<bool, Error>>,
) -> Result<Admitted, Error> {
    match judge(caller.acl(), ask, || needed(ask.op, access, exists))? {
        Verdict::Root | Verdict::Granted(_) => Ok(Admitted { caller: Some(caller.clone()) }),
        Verdict::NoRule | Verdict::Denied(_) | Verdict::Lacks(..) | Verdict::Unmet(..) => Err(Error::Denied),
    }
}

/// What policies say to an ask.
pub enum Verdict<'a> {
    /// They allow everything.
    Root,
    Granted(&'a Grant),
    /// None of their rules is for the path.
    NoRule,
    /// The rule for the path denies everything, or has no capability.
    Denied(&'a Grant),
    /// The rule for the path grants other things than these.
    Lacks(&'a Grant, Capabilities),
    /// The rule grants this, though not to such a request.
    Unmet(&'a Grant, Unmet),
}

/// Judges an ask. `needed` is not called where it does not matter what is needed.
pub fn judge<'a>(
    acl: &'a Acl,
    ask: &Ask<'_>,
    needed: impl FnOnce() -> Result<Capabilities, Error>,
) -> Result<Verdict<'a>, Error> {
    if acl.is_root() {
        return Ok(Verdict::Root);
    }
    let grant = if ask.op.is_of_folders() { acl.grant_to_list(ask.path) } else { acl.grant(ask.path) };
    let Some(grant) = grant else { return Ok(Verdict::NoRule) };
    if grant.capabilities.grants_nothing() {
        return Ok(Verdict::Denied(grant));
    }
    let needed = needed()?;
    if !grant.capabilities.contain(needed) {
        return Ok(Verdict::Lacks(grant, needed));
    }
    let unmet = grant.conditions.as_deref().and_then(|conditions| conditions.unmet(ask.op, ask.params, ask.wrap_ttl));
    Ok(unmet.map_or(Verdict::Granted(grant), |unmet| Verdict::Unmet(grant, unmet)))
}

/// The capabilities that an operation needs.
pub fn needed(
    op: Op,
    access: Access,
    exists: impl FnOnce() -> Option<Result<bool, Error>>,
) -> Result<Capabilities, Error> {
    let needed = match op {
        Op::Read => Capabilities::READ,
        Op::List => Capabilities::LIST,
        Op::Scan => Capabilities::SCAN,
        Op::Patch => Capabilities::PATCH,
        Op::Delete => Capabilities::DELETE,
        Op::Write => match exists().transpose()? {
            Some(false) => Capabilities::CREATE,
            Some(true) | None => Capabilities::UPDATE,
        },
    };
    Ok(if access == Access::Sudo { needed | Capabilities::SUDO } else { needed })
}

/// What somebody hears who is refused: nothing but that, unless an operator wants him to hear why. Nothing is told of what
/// there is on the path, and of policies only what his own say.
pub fn refusal(tokens: &Tokens, view: &View<'_>, caller: &Caller, access: Access, ask: Ask<'_>) -> Error {
    let needed = match ask.op {
        // Which of the two it is depends on what is there.
        Op::Write => Ok(Capabilities::CREATE | Capabilities::UPDATE),
        _ => needed(ask.op, Access::Token, || None),
    };
    let sudo = if access == Access::Sudo { Capabilities::SUDO } else { Capabilities::NONE };
    let told = || {
        if !explain::is_offered(view)? {
            return Ok(Error::Denied);
        }
        let explanation = explain::explain(&tokens.rules_of(view, caller)?, &Question { ask, needed: needed? | sudo })?;
        Ok(Error::DeniedBecause(explanation.text()))
    };
    told().unwrap_or_else(|error: Error| error)
}

/// Admits anyone to a row that is open to all.
pub fn admit_anyone(access: Access) -> Result<Admitted, Error> {
    match access {
        Access::Open => Ok(Admitted { caller: None }),
        Access::Token | Access::Sudo | Access::Shares => Err(Error::Unauthenticated),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::access::tokens::TokenRecord;
    use crate::api::{Params, Token};
    use crate::barrier::{Horizon, Scope, Sealed};
    use crate::crypto::secret::Secret;
    use crate::storage::Memory;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn platform() -> Scope {
        Sealed::new(Arc::new(Memory::new())).initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform()
    }

    fn ask(op: Op, path: &str) -> Ask<'_> {
        Ask { op, path, params: &Params::None, wrap_ttl: None }
    }

    /// Someone with this policy, whose token is its name.
    fn caller(tokens: &Tokens, view: &View<'_>, policy: &str) -> Arc<Caller> {
        let policies = vec![policy.to_owned()];
        let record = TokenRecord { policies, ..TokenRecord::root("auth/token/create", "token", NOW) };
        tokens.create(view, &Token::new(policy), record).unwrap()
    }

    /// Whether a caller with a policy is admitted. `there` tells whether the object exists, `None` that nobody asks.
    fn check(policy: &str, access: Access, op: Op, path: &str, there: Option<bool>, expected: bool) {
        let (platform, horizon) = (platform(), Horizon::default());
        let view = platform.view(&horizon);
        let caller = caller(&Tokens::open(&view).unwrap(), &view, policy);
        match admit(&caller, access, &ask(op, path), || there.map(Ok)) {
            Ok(admitted) => {
                assert!(expected && admitted.known_caller().unwrap().id == caller.id, "{policy} {op:?} {path}");
            }
            Err(error) => assert!(!expected && matches!(error, Error::Denied), "{policy} {op:?} {path}: {error:?}"),
        }
    }

    #[test]
    fn the_operation_decides_which_capability_is_needed() {
        for op in Op::ALL {
            check("root", Access::Token, op, "any/path", None, true);
            check("root", Access::Sudo, op, "any/path", None, true);
            check("default", Access::Token, op, "any/path", None, false);
            check("default", Access::Sudo, op, "cubbyhole/a", None, false);
            check("unknown", Access::Token, op, "cubbyhole/a", None, false);
            check("default", Access::Token, op, "cubbyhole/a", None, !matches!(op, Op::Patch | Op::Scan));
            check("default", Access::Token, op, "auth/token/lookup-self", None, op == Op::Read);
            check("default", Access::Token, op, "auth/token/renew-self", None, op == Op::Write);
        }
        check("default", Access::Token, Op::List, "cubbyhole/", None, true);
        check("default", Access::Token, Op::List, "cubbyhole", None, false);
    }

    #[test]
    fn a_write_that_makes_something_needs_create() {
        check("default", Access::Token, Op::Write, "sys/renew", Some(true), true);
        check("default", Access::Token, Op::Write, "sys/renew", Some(false), false);
        check("default", Access::Token, Op::Write, "sys/renew", None, true);
        check("default", Access::Token, Op::Write, "cubbyhole/a", Some(true), true);
        check("default", Access::Token, Op::Write, "cubbyhole/a", Some(false), true);
        check("root", Access::Token, Op::Write, "transit/encrypt/k", Some(false), true);
    }

    #[test]
    fn existence_is_asked_only_where_it_matters() {
        let (platform, horizon) = (platform(), Horizon::default());
        let view = platform.view(&horizon);
        let tokens = Tokens::open(&view).unwrap();
        let (root, default) = (caller(&tokens, &view, "root"), caller(&tokens, &view, "default"));
        let never = || panic!("nobody needs to know");
        assert!(admit(&root, Access::Sudo, &ask(Op::Write, "any/path"), never).is_ok());
        assert!(admit(&default, Access::Token, &ask(Op::Read, "cubbyhole/a"), never).is_ok());
        let failing = || Some(Err(Error::Unavailable("later".into())));
        assert!(matches!(
            admit(&default, Access::Token, &ask(Op::Write, "cubbyhole/a"), failing),
            Err(Error::Unavailable(_))
        ));
    }

    #[test]
    fn only_open_rows_admit_anyone() {
        let admitted = admit_anyone(Access::Open).unwrap();
        assert!(admitted.caller().is_none());
        assert!(matches!(admitted.known_caller(), Err(Error::Unauthenticated)));
        assert!(matches!(admit_anyone(Access::Token), Err(Error::Unauthenticated)));
        assert!(matches!(admit_anyone(Access::Sudo), Err(Error::Unauthenticated)));
    }

    #[test]
    fn a_request_is_as_good_as_its_token() {
        let (platform, horizon) = (platform(), Horizon::default());
        let view = platform.view(&horizon);
        let tokens = Tokens::open(&view).unwrap();
        let known = caller(&tokens, &view, "default");
        let check = |token: Option<&str>, expected: bool| {
            let request = Request { token: token.map(Token::new), ..Request::new(Op::Read, "cubbyhole/a") };
            match identify(&tokens, &view, &request, NOW) {
                Ok(caller) => assert!(expected && caller.id == known.id, "{token:?}"),
                Err(error) => assert!(!expected && matches!(error, Error::Unauthenticated), "{token:?}: {error:?}"),
            }
        };
        check(Some("default"), true);
        check(Some("Default"), false);
        check(Some(""), false);
        check(None, false);
        tokens.revoke(&view, &known).unwrap();
        check(Some("default"), false);
    }
}
