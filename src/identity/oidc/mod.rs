//! `identity/oidc`: identity tokens. Whoever trusts the keys of this server learns from one who a caller is.
//!
//! A named key signs the tokens of roles; `named_key` says how its keys follow each other. Knows nothing of who reads the
//! tokens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::IdentityEngine;
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::{Route, delete, list, read, upsert, write};

mod config;
mod introspect;
mod key;
mod named_key;
pub(super) mod provider;
mod role;
mod template;
mod token;
mod well_known;

#[rustfmt::skip]
pub(super) const ROUTES: &[Route<IdentityEngine>] = &[
    read::<config::ReadConfig>          ("oidc/config"),
    write::<config::WriteConfig>        ("oidc/config"),
    list::<key::ListKeys>               ("oidc/key"),
    read::<key::ReadKey>                ("oidc/key/{name}"),
    upsert::<key::WriteKey>             ("oidc/key/{name}").slow(),
    delete::<key::DeleteKey>            ("oidc/key/{name}"),
    write::<key::RotateKey>             ("oidc/key/{name}/rotate").slow(),
    list::<role::ListRoles>             ("oidc/role"),
    read::<role::ReadRole>              ("oidc/role/{name}"),
    upsert::<role::WriteRole>           ("oidc/role/{name}").slow(),
    delete::<role::DeleteRole>          ("oidc/role/{name}"),
    read::<token::GenerateToken>        ("oidc/token/{name}").slow(),
    write::<introspect::Introspect>     ("oidc/introspect").slow().bare(),
    read::<well_known::ReadDiscovery>   ("oidc/.well-known/openid-configuration").open().bare(),
    read::<well_known::ReadKeys>        ("oidc/.well-known/keys").open().slow().bare(),
];

/// What is the same for all requests.
pub struct Oidc {
    /// The URL of this server; empty if it is not known.
    api_addr: String,
    /// When a named key is to be looked at next, in seconds since 1970; `None`: at once. Held while keys and roles change, which speak of each
    /// other.
    due_s: Mutex<Option<i64>>,
    codes: provider::Codes,
}

/// Refuses to delete what others name.
fn refuse_used(noun: &str, name: &str, users: &str, used_by: impl Iterator<Item = String>) -> Result<(), Error> {
    let names = used_by.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        return Ok(());
    }
    let text = format!("unable to delete {noun} {name:?} because it is currently referenced by these {users}: {names}");
    Err(Error::invalid(text))
}

impl Oidc {
    pub fn new(api_addr: String) -> Self {
        Self { api_addr, due_s: Mutex::default(), codes: provider::Codes::default() }
    }

    /// Lets `work` change keys and roles, while nobody else does.
    fn change<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let mut due_s = self.due_s();
        *due_s = None;
        work()
    }

    /// Rotates the keys whose time has come, and forgets those that expired.
    pub(super) fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        let mut due_s = self.due_s();
        if due_s.is_none_or(|due_s| now.as_second() >= due_s) {
            *due_s = Some(named_key::tend(view, now)?);
        }
        Ok(())
    }

    fn due_s(&self) -> MutexGuard<'_, Option<i64>> {
        self.due_s.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
