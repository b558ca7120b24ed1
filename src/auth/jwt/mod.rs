//! Logins with tokens that others sign: JWTs, verified by keys that are configured or fetched (types `jwt` and `oidc`).
//!
//! `claims` says whether a token claims what a role demands, `keys` gets the keys, `role` and `config` are what an admin
//! sets, and `login` puts them together. Knows no provider in particular.

use crate::api::{Error, TokenParams};
use crate::engine::{Engine, Renewal, Route, delete, list, read, upsert, write};
use crate::outbound::Outbound;
use keys::KeySource;

pub(in crate::auth) mod claims;
mod config;
mod keys;
mod login;
mod redirect;
mod role;

/// One mount.
pub struct Jwt {
    keys: KeySource,
}

#[rustfmt::skip]
const ROUTES: &[Route<Jwt>] = &[
    read::<config::ReadConfig>      ("config"),
    write::<config::WriteConfig>    ("config").slow(),
    list::<role::ListRoles>         ("role"),
    read::<role::ReadRole>          ("role/{name}"),
    upsert::<role::WriteRole>       ("role/{name}"),
    delete::<role::DeleteRole>      ("role/{name}"),
    write::<login::LogIn>           ("login").open().slow(),
    write::<redirect::AskForUrl>    ("oidc/auth_url").open(),
    read::<redirect::ComeBack>      ("oidc/callback").open(),
    write::<redirect::ComeBack>     ("oidc/callback").open(),
];

impl Jwt {
    /// The calls of this mount count among those of all.
    pub fn new(outbound: Outbound) -> Self {
        Self { keys: KeySource::new(outbound) }
    }
}

impl Engine for Jwt {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    /// The role must still be there, and says how long the token lives from now on.
    fn renew(&self, renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        let name = renewal.token.recall.get("role").map_or("", String::as_str);
        let role = role::find(&renewal.view, name)?;
        let role = role.ok_or_else(|| Error::invalid(format!("role {name} does not exist during renewal")))?;
        Ok(Some(role.token))
    }
}
