//! The users of a mount: made, read, listed, changed and deleted. Knows nothing of logins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Userpass;
use super::password::HashedPassword;
use crate::api::credential::Credential;
use crate::api::fields::CommaList;
use crate::api::route::Captures;
use crate::api::{Error, Reply, TokenKind, TokenParams};
use crate::auth::older::{Older, OlderFields};
use crate::auth::params::{TokenFields, describe};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert};

/// What is kept of a user.
#[derive(Serialize, Deserialize)]
pub(super) struct User {
    pub(super) password: HashedPassword,
    pub(super) token: TokenParams,
    older: Older,
}

impl Stored for User {
    const VERSION: u8 = 1;
}

impl User {
    pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Self>, Error> {
        records::find(view, &record_path(name))
    }
}

/// Lists the names of all users.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListUsers {}

impl Endpoint for ListUsers {
    type On = Userpass;

    fn run(self, _: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Describes a user, without the password.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadUser {
    /// Name of the user; case does not matter.
    username: String,
}

impl Endpoint for ReadUser {
    type On = Userpass;

    fn run(self, _: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        let user = User::find(&call.view()?, &self.username)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            describe(data, &user.token);
            user.older.describe(data, &user.token);
        }))
    }
}

/// Makes a user, or changes what is sent of one.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteUser {
    /// Name of the user; case does not matter.
    username: String,
    #[serde(rename = "$secret")]
    #[schemars(flatten)]
    secret: NewPassword,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteUser {
    type On = Userpass;

    fn run(self, on: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        let password = self.secret.hashed(on)?;
        records::edit(&call.view()?, &record_path(&self.username), |user: Option<User>| {
            let (known, mut token, mut older) =
                user.map_or_else(Default::default, |user| (Some(user.password), user.token, user.older));
            let password = password.clone().or(known).ok_or_else(|| Error::invalid(NO_PASSWORD))?;
            self.older.clone().apply(&mut token, &mut older)?;
            self.token.clone().apply(&mut token)?;
            refuse_two_types(token.kind)?;
            Ok(User { password, token, older })
        })?;
        Ok(Reply::nothing())
    }
}

impl Upsert for WriteUser {
    fn exists(_: &Userpass, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(User::find(view, captures.text("username"))?.is_some())
    }
}

/// A password to be, in one of two forms.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct NewPassword {
    /// The password.
    password: Option<Credential>,
    /// A bcrypt hash of the password, in its place.
    password_hash: Option<Credential>,
}

impl NewPassword {
    fn hashed(&self, on: &Userpass) -> Result<Option<HashedPassword>, Error> {
        match (&self.password, &self.password_hash) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Error::invalid("\"password\" and \"password_hash\" cannot be set together")),
            (Some(password), None) if password.expose().is_empty() => Err(Error::invalid(NO_PASSWORD)),
            (Some(password), None) => on.passwords.hash(password).map(Some),
            (None, Some(hash)) => HashedPassword::import(hash.expose()).map(Some),
        }
    }
}

/// Gives a user another password.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SetPassword {
    /// Name of the user; case does not matter.
    username: String,
    #[serde(rename = "$secret")]
    #[schemars(flatten)]
    secret: NewPassword,
}

impl Endpoint for SetPassword {
    type On = Userpass;

    fn run(self, on: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        let password = self.secret.hashed(on)?.ok_or_else(|| Error::invalid(NO_PASSWORD))?;
        records::edit(&call.view()?, &record_path(&self.username), |user: Option<User>| {
            Ok(User { password: password.clone(), ..user.ok_or_else(nobody)? })
        })?;
        Ok(Reply::nothing())
    }
}

/// Gives a user other policies.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SetPolicies {
    /// Name of the user; case does not matter.
    username: String,
    /// Policies of the user's tokens.
    #[serde(default)]
    token_policies: Option<CommaList>,
    /// Older name of `token_policies`.
    #[serde(default)]
    policies: Option<CommaList>,
}

impl Endpoint for SetPolicies {
    type On = Userpass;

    fn run(self, _: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        records::edit(&call.view()?, &record_path(&self.username), |user: Option<User>| {
            let mut user = user.ok_or_else(nobody)?;
            OlderFields { policies: self.policies.clone(), ..OlderFields::default() }
                .apply(&mut user.token, &mut user.older)?;
            TokenFields { token_policies: self.token_policies.clone(), ..TokenFields::default() }
                .apply(&mut user.token)?;
            Ok(user)
        })?;
        Ok(Reply::nothing())
    }
}

/// Deletes a user. Tokens that he has live on until they would have to be renewed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteUser {
    /// Name of the user; case does not matter.
    username: String,
}

impl Endpoint for DeleteUser {
    type On = Userpass;

    fn run(self, _: &Userpass, call: &Call<'_>) -> Result<Reply, Error> {
        records::delete(&call.view()?, &record_path(&self.username))
    }
}

/// A user's tokens are all of one type.
fn refuse_two_types(kind: TokenKind) -> Result<(), Error> {
    match kind {
        TokenKind::DefaultService | TokenKind::DefaultBatch => {
            Err(Error::invalid(format!("invalid 'token_type' value {:?}", kind.name())))
        }
        TokenKind::Default | TokenKind::Service | TokenKind::Batch => Ok(()),
    }
}

fn nobody() -> Error {
    Error::bare("username does not exist")
}

/// Where the record of a user is, however the name is written.
fn record_path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

const PREFIX: &str = "user/";
const NO_PASSWORD: &str = "missing password";
