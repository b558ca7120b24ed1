//! The gate: who sent this request, and may they do it.
//!
//! The only maker of `Admitted`, without which no handler runs.

use std::sync::Arc;

use super::acl::Capabilities;
use super::tokens::{Caller, Tokens};
use crate::api::route::Access;
use crate::api::{Error, Op, Request};
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

/// Admits a caller to a path. `exists` tells, for writes that distinguish, whether the object is there.
pub fn admit(
    caller: &Arc<Caller>,
    access: Access,
    op: Op,
    path: &str,
    exists: impl FnOnce() -> Option<Result<bool, Error>>,
) -> Result<Admitted, Error> {
    let admitted = Admitted { caller: Some(caller.clone()) };
    if caller.acl.is_root() {
        return Ok(admitted);
    }
    let granted = caller.acl.capabilities(path);
    let needed = match op {
        Op::Read => Capabilities::READ,
        Op::List => Capabilities::LIST,
        Op::Patch => Capabilities::PATCH,
        Op::Delete => Capabilities::DELETE,
        Op::Write => match exists().transpose()? {
            Some(false) => Capabilities::CREATE,
            Some(true) | None => Capabilities::UPDATE,
        },
    };
    let unslashed = if op == Op::List { path.strip_suffix('/') } else { None };
    let granted = unslashed.map_or(granted, |path| granted | caller.acl.capabilities(path));
    let sudo = if access == Access::Sudo { Capabilities::SUDO } else { Capabilities::NONE };
    if granted.contain(needed | sudo) { Ok(admitted) } else { Err(Error::Denied) }
}

/// Admits anyone to a row that is open to all.
pub fn admit_anyone(access: Access) -> Result<Admitted, Error> {
    match access {
        Access::Open => Ok(Admitted { caller: None }),
        Access::Token | Access::Sudo => Err(Error::Unauthenticated),
    }
}
