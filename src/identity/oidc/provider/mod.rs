//! `identity/oidc/provider`: people log in to other applications by way of this server (`OpenID` Connect Core 1.0, the
//! authorization code flow with PKCE).
//!
//! A client is such an application, an assignment says who may use it, a scope what it learns of them, and a provider
//! which clients it serves. Knows nothing of browsers.

use crate::api::{Error, Reply};
use crate::engine::{Route, delete, list, read, upsert, write};
use crate::identity::IdentityEngine;

mod assignment;
mod authorize;
pub(super) mod client;
mod codes;
mod discovery;
mod exchange;
mod scope;
mod settings;
mod userinfo;

pub(super) use codes::Codes;

#[rustfmt::skip]
pub(in crate::identity) const ROUTES: &[Route<IdentityEngine>] = &[
    list::<assignment::ListAssignments>     ("oidc/assignment"),
    read::<assignment::ReadAssignment>      ("oidc/assignment/{name}"),
    upsert::<assignment::WriteAssignment>   ("oidc/assignment/{name}"),
    delete::<assignment::DeleteAssignment>  ("oidc/assignment/{name}"),
    list::<client::ListClients>             ("oidc/client"),
    read::<client::ReadClient>              ("oidc/client/{name}"),
    upsert::<client::WriteClient>           ("oidc/client/{name}").slow(),
    delete::<client::DeleteClient>          ("oidc/client/{name}"),
    list::<scope::ListScopes>               ("oidc/scope"),
    read::<scope::ReadScope>                ("oidc/scope/{name}"),
    upsert::<scope::WriteScope>             ("oidc/scope/{name}"),
    delete::<scope::DeleteScope>            ("oidc/scope/{name}"),
    list::<settings::ListProviders>         ("oidc/provider"),
    read::<settings::ReadProvider>          ("oidc/provider/{name}"),
    upsert::<settings::WriteProvider>       ("oidc/provider/{name}"),
    delete::<settings::DeleteProvider>      ("oidc/provider/{name}"),
    read::<discovery::ReadDiscovery>        ("oidc/provider/{name}/.well-known/openid-configuration").open().bare(),
    read::<discovery::ReadKeys>             ("oidc/provider/{name}/.well-known/keys").open().slow().bare(),
    read::<authorize::Authorize>            ("oidc/provider/{name}/authorize").bare(),
    write::<authorize::Authorize>           ("oidc/provider/{name}/authorize").bare(),
    write::<exchange::ExchangeCode>         ("oidc/provider/{name}/token").open().slow().bare(),
    read::<userinfo::ReadUserInfo>          ("oidc/provider/{name}/userinfo").open().slow().bare(),
    write::<userinfo::ReadUserInfo>         ("oidc/provider/{name}/userinfo").open().slow().bare(),
];

/// Why a request of a flow is refused.
enum Refusal {
    /// As OAuth tells it (RFC 6749 section 5.2): a status, a word for programs and a text for people.
    Fault(u16, &'static str, String),
    Error(Error),
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

fn fault(status: u16, code: &'static str, text: impl Into<String>) -> Refusal {
    Refusal::Fault(status, code, text.into())
}

/// The answer to a refused request; `challenge` is the scheme by which clients show who they are, where one is asked for.
fn refused(refusal: Refusal, state: Option<&str>, challenge: fn(&str, &str) -> String) -> Result<Reply, Error> {
    let (status, code, text) = match refusal {
        Refusal::Fault(status, code, text) => (status, code, text),
        Refusal::Error(error) => return Err(error),
    };
    let reply = Reply::object(|data| {
        data.set("error", code).set("error_description", &text);
        if let Some(state) = state {
            data.set("state", state);
        }
    });
    let challenge = challenge(code, &text);
    let reply = reply.status(status);
    Ok(if challenge.is_empty() { reply } else { reply.challenge(challenge) })
}

/// Without what stands in the list before.
fn without_doubles(list: Vec<String>) -> Vec<String> {
    list.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

/// Things of one noun.
const THINGS_MAX: usize = 1_000;

fn refuse_more(noun: &str, known: usize) -> Result<(), Error> {
    if known < THINGS_MAX { Ok(()) } else { Err(Error::invalid(format!("there can be at most {THINGS_MAX} {noun}"))) }
}
