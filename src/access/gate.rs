//! The gate: who sent this request, and may they do it.
//!
//! The only maker of `Admitted`, without which no handler runs.

use std::sync::Arc;
use std::time::Duration;

use super::acl::Capabilities;
use super::conditions::Conditions;
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

/// Finds the owner of the request's token.
pub fn identify(tokens: &Tokens, view: &View<'_>, request: &Request, now: Timestamp) -> Result<Arc<Caller>, Error> {
    let token = request.token.as_ref().ok_or(Error::Unauthenticated)?;
    tokens.look_up(view, token, now)?.ok_or(Error::Unauthenticated)
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
    let admitted = Admitted { caller: Some(caller.clone()) };
    let acl = caller.acl();
    if acl.is_root() {
        return Ok(admitted);
    }
    let grant = if ask.op.is_of_folders() { acl.grant_to_list(ask.path) } else { acl.grant(ask.path) };
    let grant = grant.filter(|grant| !grant.capabilities.grants_nothing()).ok_or(Error::Denied)?;
    let needed = match ask.op {
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
    let sudo = if access == Access::Sudo { Capabilities::SUDO } else { Capabilities::NONE };
    let met = |conditions: &Conditions| conditions.are_met(ask.op, ask.params, ask.wrap_ttl);
    let admits = grant.capabilities.contain(needed | sudo) && grant.conditions.as_deref().is_none_or(met);
    if admits { Ok(admitted) } else { Err(Error::Denied) }
}

/// Admits anyone to a row that is open to all.
pub fn admit_anyone(access: Access) -> Result<Admitted, Error> {
    match access {
        Access::Open => Ok(Admitted { caller: None }),
        Access::Token | Access::Sudo => Err(Error::Unauthenticated),
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
