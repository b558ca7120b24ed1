//! `auth/token`: tokens about tokens: create, look up, renew and revoke, and roles that say how to create them.
//!
//! Knows what a caller may ask for; how tokens are kept is `access::tokens`' business.

mod create;
mod life;
mod look_up;
mod policies;
mod renew;
mod revoke;
mod role;
mod tidy;

use std::sync::Arc;

pub use self::life::{Life, Ttls, exceeded, go_duration};
use self::role::Role;
use crate::access::Tokens;
use crate::api::{Error, TokenParams};
use crate::engine::{Engine, Renewal, Route, delete, list, read, upsert, write};

/// The token login method, which every server has.
pub struct TokenAuth {
    pub tokens: Arc<Tokens>,
    pub ttls: Ttls,
}

#[rustfmt::skip]
const ROUTES: &[Route<TokenAuth>] = &[
    write::<create::CreateToken>     ("create"),
    write::<create::CreateOrphan>    ("create-orphan"),
    write::<create::CreateWithRole>  ("create/{role_name}"),
    read::<look_up::LookUp>          ("lookup"),
    write::<look_up::LookUp>         ("lookup"),
    read::<look_up::LookUpSelf>      ("lookup-self"),
    write::<look_up::LookUpSelf>     ("lookup-self"),
    write::<look_up::LookUpAccessor> ("lookup-accessor"),
    list::<look_up::ListAccessors>   ("accessors").sudo(),
    write::<renew::RenewToken>       ("renew"),
    write::<renew::RenewSelf>        ("renew-self"),
    write::<renew::RenewAccessor>    ("renew-accessor"),
    write::<revoke::RevokeToken>     ("revoke"),
    write::<revoke::RevokeSelf>      ("revoke-self"),
    write::<revoke::RevokeOrphan>    ("revoke-orphan"),
    write::<revoke::RevokeAccessor>  ("revoke-accessor"),
    list::<role::ListRoles>          ("roles"),
    read::<role::ReadRole>           ("roles/{role_name}"),
    upsert::<role::WriteRole>        ("roles/{role_name}"),
    delete::<role::DeleteRole>       ("roles/{role_name}"),
    write::<tidy::Tidy>              ("tidy"),
];

impl Engine for TokenAuth {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    /// What the role says now of a token that was made with it.
    fn renew(&self, Renewal { view, token, .. }: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        if token.role.is_empty() {
            return Ok(None);
        }
        let gone = || Error::invalid(format!("original token role {:?} could not be found, not renewing", token.role));
        let role = Role::find(view, &token.role)?.ok_or_else(gone)?;
        Ok(Some(TokenParams { ttl_s: token.ttl_s, ..role.token }))
    }
}
