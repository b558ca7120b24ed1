//! Logins of Kubernetes' service accounts: a cluster is asked whether a token is one of its own and still good.
//!
//! `review` asks, `account` reads what a token says, `role` and `config` are what an admin sets, and `login` puts them
//! together. Knows no Kubernetes but its token reviews.

use crate::api::{Error, TokenParams};
use crate::engine::{Engine, Renewal, Route, delete, list, read, upsert, write};
use crate::outbound::Outbound;

mod account;
mod config;
mod login;
mod review;
mod role;

/// One mount.
pub struct Kubernetes {
    outbound: Outbound,
}

#[rustfmt::skip]
const ROUTES: &[Route<Kubernetes>] = &[
    read::<config::ReadConfig>      ("config"),
    write::<config::WriteConfig>    ("config"),
    list::<role::ListRoles>         ("role"),
    read::<role::ReadRole>          ("role/{name}"),
    upsert::<role::WriteRole>       ("role/{name}"),
    delete::<role::DeleteRole>      ("role/{name}"),
    write::<login::LogIn>           ("login").open().slow(),
];

impl Kubernetes {
    /// The calls of this mount count among those of all.
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound }
    }
}

impl Engine for Kubernetes {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    /// The role must still be there, and says how long the token lives from now on.
    fn renew(&self, renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        let name = renewal.token.recall.get("role").map_or("", String::as_str);
        let role = role::find(&renewal.view, name)?;
        let role = role.ok_or_else(|| Error::invalid(format!("role {name} does not exist during renewal")))?;
        Ok(Some(role.token))
    }
}
