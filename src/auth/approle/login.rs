//! Logins with a role ID and a secret ID, and what becomes of their tokens when they are renewed.
//!
//! A login takes the same steps, and its failure says the same, whether the role ID is unknown or the secret ID wrong.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::AppRole;
use super::role::Role;
use super::secret_id::{Place, SecretId, refuse_wider};
use crate::access::cidr;
use crate::access::tokens::TokenRecord;
use crate::api::credential::Credential;
use crate::api::{Alias, Error, Grant, Reply, TokenParams};
use crate::barrier::View;
use crate::engine::{Call, Endpoint};

/// Logs a machine in.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LogIn {
    /// The role ID.
    #[serde(default)]
    role_id: String,
    /// A secret ID of the role, unless the role needs none.
    #[serde(default)]
    secret_id: Credential,
}

/// A role whose machine it is.
struct Proven {
    name: String,
    role: Role,
    /// `None`: the role needs none.
    secret: Option<SecretId>,
}

impl Endpoint for LogIn {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let role_id = self.role_id.trim();
        if role_id.is_empty() {
            return Err(Error::invalid("missing role_id"));
        }
        let proven = call.guess(role_id, || self.prove(on, &call.view()?, call))?;
        call.log_in(proven.ok_or_else(|| Error::invalid("invalid role or secret ID"))?.grant())
    }
}

impl LogIn {
    fn prove(&self, on: &AppRole, view: &View<'_>, call: &Call<'_>) -> Result<Option<Proven>, Error> {
        let (name, role) = Role::by_role_id(on, view, self.role_id.trim())?;
        let remote = call.request.remote;
        if !role.bind_secret_id {
            refuse_elsewhere(remote, &role.secret_id_bound_cidrs, "role")?;
            return Ok(Some(Proven { name, role, secret: None }));
        }
        if self.secret_id.expose().trim().is_empty() {
            return Err(Error::invalid("missing secret_id"));
        }
        let place = Place::of(on, view, &role, self.secret_id.expose())?;
        let secret = place.use_once(view, call.now, |secret| {
            refuse_wider(&role.secret_id_bound_cidrs, &secret.cidr_list)?;
            refuse_elsewhere(remote, &secret.cidr_list, "secret ID")?;
            refuse_elsewhere(remote, &role.secret_id_bound_cidrs, "role")
        })?;
        Ok(secret.map(|secret| Proven { name, role, secret: Some(secret) }))
    }
}

fn refuse_elsewhere(remote: IpAddr, bounds: &[String], whose: &str) -> Result<(), Error> {
    if cidr::admit(bounds, remote) {
        return Ok(());
    }
    let remote = remote.to_string();
    Err(Error::invalid(format!("source address {remote:?} unauthorized by CIDR restrictions on the {whose}")))
}

impl Proven {
    fn grant(self) -> Grant {
        let Self { name, role, secret } = self;
        let (mut metadata, bounds) =
            secret.map_or_else(Default::default, |secret| (secret.metadata, secret.token_bound_cidrs));
        // The role's name stands, whatever else a secret ID tells.
        metadata.insert(ROLE_NAME.to_owned(), name.clone());
        let mut token = role.token;
        if !bounds.is_empty() {
            token.bound_cidrs = bounds;
        }
        Grant {
            alias: Some(Alias { name: role.id, metadata: metadata.clone() }),
            metadata,
            token,
            recall: [(ROLE_NAME.to_owned(), name), (ROLE.to_owned(), role.uuid.to_string())].into(),
            ..Grant::default()
        }
    }
}

/// What a token's role says now. A later role of the same name did not make the token.
pub(super) fn renewed(view: &View<'_>, token: &TokenRecord) -> Result<TokenParams, Error> {
    let recall = |name| token.recall.get(name).map_or("", String::as_str);
    let name = recall(ROLE_NAME);
    let role = Role::find(view, name)?.filter(|role| role.uuid.to_string() == recall(ROLE));
    let role = role.ok_or_else(|| Error::bare(format!("role {name:?} does not exist during renewal")))?;
    Ok(role.token)
}

const ROLE_NAME: &str = "role_name";
const ROLE: &str = "role";
