//! `identity/oidc/role`: what the tokens of a role say, for whom they are, and which key signs them. Makes no tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{named_key, template};
use crate::access::tokens::random_word;
use crate::api::fields::Ttl;
use crate::api::route::Captures;
use crate::api::{Error, Reply, base64};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;

#[derive(Serialize, Deserialize)]
pub(super) struct Role {
    /// Name of the key that signs.
    pub(super) key: String,
    pub(super) template: String,
    /// For whom the tokens are.
    pub(super) client_id: String,
    pub(super) ttl_s: u64,
}

impl Stored for Role {
    const VERSION: u8 = 1;
}

impl Default for Role {
    fn default() -> Self {
        let (key, template, client_id) = Default::default();
        Self { key, template, client_id, ttl_s: TTL_S_USUAL }
    }
}

pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Role>, Error> {
    records::find(view, &path(name))
}

/// All roles by their names.
pub(super) fn all(view: &View<'_>) -> Result<Vec<(String, Role)>, Error> {
    let names = view.list(PREFIX, "", ROLES_MAX)?;
    let found = names.into_iter().map(|name| Ok(find(view, &name)?.map(|role| (name, role))));
    Ok(found.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Lists the names of the roles.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListRoles {}

impl Endpoint for ListRoles {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRole {
    /// Name of the role.
    name: String,
}

impl Endpoint for ReadRole {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let role = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("client_id", role.client_id).set("key", role.key);
            data.set("template", role.template).set("ttl", role.ttl_s);
        }))
    }
}

/// Makes or changes a role. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteRole {
    /// Name of the role.
    name: String,
    /// Name of the key that signs the tokens.
    key: Option<String>,
    /// A JSON object of claims, plain or in base64, with parameters such as `{{identity.entity.name}}` in place of values.
    template: Option<String>,
    /// For whom the tokens are: their claim `aud`. A random one by default.
    client_id: Option<String>,
    /// How long the tokens are good; a day by default, and no longer than the key's tokens are verified.
    #[serde(default)]
    ttl: Ttl,
}

impl Endpoint for WriteRole {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let found = find(&view, &self.name)?;
            if found.is_none() && view.list(PREFIX, "", ROLES_MAX)?.len() == ROLES_MAX {
                return Err(Error::invalid(format!("there can be at most {ROLES_MAX} roles")));
            }
            let role = self.edited(found.unwrap_or_default(), call)?;
            let mut change = view.change();
            let key = named_key::find(&view, &role.key)?;
            let mut key = key.ok_or_else(|| Error::invalid(format!("cannot find key {:?}", role.key)))?;
            if role.ttl_s > key.verification_ttl_s {
                let text = "a role's token ttl cannot be longer than the verification_ttl of the key it references";
                return Err(Error::invalid(text));
            }
            if key.is_blank() {
                key.settle(call.now)?;
                named_key::put(&mut change, &role.key, &key)?;
            }
            change.put(&path(&self.name), &role)?;
            change.commit()?;
            Ok(Reply::nothing())
        })
    }
}

impl WriteRole {
    fn edited(&self, mut role: Role, call: &Call<'_>) -> Result<Role, Error> {
        if let Some(key) = &self.key {
            role.key.clone_from(key);
        }
        if role.key.is_empty() {
            return Err(Error::invalid("the key parameter is required"));
        }
        if let Some(template) = &self.template {
            role.template = base64::text_or_itself(template.clone());
            template::check(&role.template, call.now)?;
        }
        if let Some(ttl) = self.ttl.0 {
            role.ttl_s = ttl.as_secs();
        }
        if let Some(client_id) = &self.client_id {
            role.client_id.clone_from(client_id);
        }
        if role.client_id.is_empty() {
            role.client_id = random_word(CLIENT_ID_LEN).to_string();
        }
        Ok(role)
    }
}

impl Upsert for WriteRole {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes a role. Its tokens stay good until they end.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteRole {
    /// Name of the role.
    name: String,
}

impl Endpoint for DeleteRole {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| records::delete(&view, &path(&self.name)))
    }
}

const PREFIX: &str = "identity/oidc/role/";
const TTL_S_USUAL: u64 = 86_400;
/// Whoever asks for the keys has all of them read.
const ROLES_MAX: usize = 1_000;
const CLIENT_ID_LEN: usize = 26;
