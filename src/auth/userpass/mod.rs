//! `auth/userpass`: people with a name and a password. Behaves as Vault's method of that name, down to the texts of errors.
//!
//! Knows nothing of lockouts and tokens: the core keeps count of the one and makes the other.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::cidr;
use crate::api::{Alias, Error, Grant, Reply, TokenParams};
use crate::engine::{Call, Endpoint, Engine, Renewal, Route, delete, list, read, upsert, write};

use super::params::same_policies;
use crate::api::credential::Credential;
use users::User;

mod password;
mod users;

pub use password::Passwords;

/// One mount.
pub struct Userpass {
    passwords: Arc<Passwords>,
}

impl Userpass {
    pub fn new(passwords: Arc<Passwords>) -> Self {
        Self { passwords }
    }
}

#[rustfmt::skip]
const ROUTES: &[Route<Userpass>] = &[
    list::<users::ListUsers>          ("users"),
    read::<users::ReadUser>           ("users/{username}"),
    upsert::<users::WriteUser>        ("users/{username}").slow(),
    delete::<users::DeleteUser>       ("users/{username}"),
    write::<users::SetPassword>       ("users/{username}/password").slow(),
    write::<users::SetPolicies>       ("users/{username}/policies"),
    write::<LogIn>                    ("login/{username}").open().slow(),
];

impl Engine for Userpass {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    /// A token lives on while its user has the policies that it was made with.
    fn renew(&self, Renewal { view, token, .. }: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        let name = token.recall.get(USERNAME).map_or("", String::as_str);
        let user =
            User::find(view, name)?.ok_or_else(|| Error::invalid("the user does not exist any more, not renewing"))?;
        if !same_policies(&user.token.policies, &token.policies) {
            return Err(Error::bare("policies have changed, not renewing"));
        }
        Ok(Some(user.token))
    }
}

/// Logs a user in.
#[derive(Deserialize, JsonSchema)]
pub struct LogIn {
    /// Name of the user; case does not matter.
    username: String,
    /// The user's password.
    #[serde(default)]
    password: Credential,
}

impl Endpoint for LogIn {
    type On = Userpass;

    fn run(self, on: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.username.to_lowercase();
        let view = call.view()?;
        let user = call.guess(&name, || {
            let user = User::find(&view, &name)?;
            let right = on.passwords.is_right(&self.password, user.as_ref().map(|user| &user.password))?;
            Ok(user.filter(|_| right))
        })?;
        let User { token, .. } = user.ok_or_else(|| Error::invalid("invalid username or password"))?;
        if !cidr::admit(&token.bound_cidrs, call.request.remote) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let facts = [(USERNAME.to_owned(), name.clone())];
        call.log_in(Grant {
            alias: Some(Alias { name: name.clone(), ..Alias::default() }),
            display_name: name,
            metadata: facts.clone().into(),
            token,
            recall: facts.into(),
            ..Grant::default()
        })
    }
}

const USERNAME: &str = "username";
