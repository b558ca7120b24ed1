//! Logins of Kubernetes' service accounts: a cluster is asked whether a token is one of its own and still good.
//!
//! `review` asks, `account` reads what a token says, `role` and `config` are what an admin sets, and `login` puts them
//! together. Knows no Kubernetes but its token reviews.

use crate::access::tokens::TokenRecord;
use crate::api::{Error, Request, TokenParams};
use crate::barrier::View;
use crate::engine::{Engine, Route, delete, list, read, upsert, write};
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
    fn renew(&self, view: &View<'_>, _: &Request, token: &TokenRecord) -> Result<Option<TokenParams>, Error> {
        let name = token.recall.get("role").map_or("", String::as_str);
        let role = role::find(view, name)?;
        let role = role.ok_or_else(|| Error::bare(format!("role {name} does not exist during renewal")))?;
        Ok(Some(role.token))
    }
}
