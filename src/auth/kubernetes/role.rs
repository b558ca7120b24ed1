//! Which service accounts may log in as what. Knows no token.

use std::slice;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kubernetes;
use super::account::Account;
use crate::api::fields::CommaList;
use crate::api::route::Captures;
use crate::api::{Error, Reply, TokenParams};
use crate::auth::older::{Older, OlderFields};
use crate::auth::params::{self, TokenFields};
use crate::auth::{glob, records};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert};

/// A role as it is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) token: TokenParams,
    older: Older,
    /// Patterns.
    names: Vec<String>,
    /// Patterns.
    namespaces: Vec<String>,
    /// Any if empty.
    audience: String,
    alias: AliasSource,
}

/// What becomes the name of an alias.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AliasSource {
    /// The account's identifier, which an account made later under the same name does not get.
    #[default]
    ServiceaccountUid,
    ServiceaccountName,
}

impl AliasSource {
    const ALL: [(Self, &str); 2] =
        [(Self::ServiceaccountUid, "serviceaccount_uid"), (Self::ServiceaccountName, "serviceaccount_name")];

    fn of(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|(_, own)| *own == name).map(|(source, _)| source);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            Error::invalid(format!("invalid alias_name_source {name:?}, must be one of: {names}"))
        })
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(source, _)| *source == self).map_or("", |(_, name)| name)
    }
}

impl Stored for Role {
    const VERSION: u8 = 1;
}

impl Role {
    /// Checks that an account is one of those that may log in.
    pub(super) fn check(&self, account: &Account) -> Result<(), Error> {
        if !glob::fits_any(&self.names, &account.name) {
            return Err(Error::Forbidden("service account name not authorized".into()));
        }
        if !glob::fits_any(&self.namespaces, &account.namespace) {
            return Err(Error::Forbidden("namespace not authorized".into()));
        }
        Ok(())
    }

    /// Whom a token must be for; any if empty.
    pub(super) fn audiences(&self) -> &[String] {
        if self.audience.trim().is_empty() { &[] } else { slice::from_ref(&self.audience) }
    }

    /// The name of an account's alias.
    pub(super) fn alias_of(&self, account: &Account) -> String {
        match self.alias {
            AliasSource::ServiceaccountUid => account.uid.clone(),
            AliasSource::ServiceaccountName => format!("{}/{}", account.namespace, account.name),
        }
    }
}

/// The role of this name; capitals do not count.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Role>, Error> {
    records::find(view, &path(name))
}

fn path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

/// Lists the names of the roles.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListRoles {}

impl Endpoint for ListRoles {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRole {
    /// The role.
    name: String,
}

impl Endpoint for ReadRole {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        let role = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("alias_name_source", role.alias.name());
            if !role.audience.is_empty() {
                data.set("audience", &role.audience);
            }
            data.set("bound_service_account_names", &role.names);
            data.set("bound_service_account_namespaces", &role.namespaces);
            params::describe(data, &role.token);
            role.older.describe(data, &role.token);
        }))
    }
}

/// Deletes a role. Tokens that it gave cannot be renewed any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteRole {
    /// The role.
    name: String,
}

impl Endpoint for DeleteRole {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        records::delete(&call.view()?, &path(&self.name))
    }
}

/// Makes or changes a role. What is absent stays as it is.
#[derive(Clone, Deserialize, JsonSchema)]
pub(super) struct WriteRole {
    /// The role.
    name: String,
    /// Names of service accounts that may log in; `*` stands for any text.
    bound_service_account_names: Option<CommaList>,
    /// Namespaces whose service accounts may log in; `*` stands for any text.
    bound_service_account_namespaces: Option<CommaList>,
    /// Whom tokens must be for.
    audience: Option<String>,
    /// What becomes the name of the alias: `serviceaccount_uid`, or `serviceaccount_name` with its namespace.
    #[serde(default)]
    alias_name_source: String,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteRole {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        records::edit(&call.view()?, &path(&self.name), |before| {
            let mut role = before.unwrap_or_default();
            self.clone().apply(&mut role)?;
            Ok(role)
        })?;
        Ok(Reply::nothing())
    }
}

impl WriteRole {
    /// Puts what was sent into the place of what there was.
    fn apply(self, role: &mut Role) -> Result<(), Error> {
        self.older.apply(&mut role.token, &mut role.older)?;
        self.token.apply(&mut role.token)?;
        for (name, sent, own) in [
            ("bound_service_account_names", self.bound_service_account_names, &mut role.names),
            ("bound_service_account_namespaces", self.bound_service_account_namespaces, &mut role.namespaces),
        ] {
            if let Some(CommaList(patterns)) = sent {
                *own = patterns;
            }
            if own.is_empty() {
                return Err(Error::invalid(format!("{name:?} can not be empty")));
            }
            if own.len() > 1 && own.iter().any(|pattern| pattern == "*") {
                return Err(Error::invalid("can not mix \"*\" with values"));
            }
        }
        if let Some(audience) = self.audience {
            role.audience = audience;
        }
        if !self.alias_name_source.is_empty() {
            role.alias = AliasSource::of(&self.alias_name_source)?;
        }
        Ok(())
    }
}

impl Upsert for WriteRole {
    fn exists(_: &Kubernetes, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

const PREFIX: &str = "role/";
