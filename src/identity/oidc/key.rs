//! `identity/oidc/key`: the keys that sign. Knows nothing of tokens.

use schemars::JsonSchema;
use serde::Deserialize;

use super::named_key::{self, DEFAULT, KEYS_MAX};
use super::provider::client;
use super::{refuse_used, role};
use crate::api::fields::{CommaList, Ttl};
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;

/// Lists the names of the keys.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListKeys {}

impl Endpoint for ListKeys {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let names = named_key::names(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("keys", names);
        }))
    }
}

/// Reads the settings of a key.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadKey {
    /// Name of the key.
    name: String,
}

impl Endpoint for ReadKey {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let key = named_key::find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("algorithm", key.algorithm).set("allowed_client_ids", key.allowed_client_ids);
            data.set("rotation_period", key.rotation_period_s).set("verification_ttl", key.verification_ttl_s);
        }))
    }
}

/// Makes or changes a key. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteKey {
    /// Name of the key.
    name: String,
    /// How long a key signs until another one does: at least a minute, a day by default.
    #[serde(default)]
    rotation_period: Ttl,
    /// How long the tokens of a key are verified after it was rotated; a day by default.
    #[serde(default)]
    verification_ttl: Ttl,
    /// `RS256` (the default), `RS384`, `RS512`, `ES256`, `ES384`, `ES512` or `EdDSA`. Another one than before makes new keys.
    algorithm: Option<String>,
    /// Identifiers of the clients whose tokens it may sign: none by default; `*` is all.
    allowed_client_ids: Option<CommaList>,
}

impl Endpoint for WriteKey {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let found = named_key::find(&view, &self.name)?;
            if found.is_none() && named_key::names(&view)?.len() > KEYS_MAX {
                return Err(Error::invalid(format!("there can be at most {KEYS_MAX} keys")));
            }
            let mut key = found.unwrap_or_default();
            if let Some(period) = self.rotation_period.0 {
                key.rotation_period_s = period.as_secs();
            }
            if let Some(ttl) = self.verification_ttl.0 {
                key.verification_ttl_s = ttl.as_secs();
            }
            if let Some(algorithm) = &self.algorithm {
                key.algorithm.clone_from(algorithm);
            }
            if let Some(ids) = &self.allowed_client_ids {
                key.allowed_client_ids.clone_from(&ids.0);
            }
            key.check()?;
            self.refuse_short(&view, key.verification_ttl_s)?;
            key.settle(call.now)?;
            named_key::write(&view, &self.name, &key)?;
            Ok(Reply::nothing())
        })
    }
}

impl WriteKey {
    /// Refuses to verify tokens for less long than some of them are good.
    fn refuse_short(&self, view: &View<'_>, ttl_s: u64) -> Result<(), Error> {
        let refused = |users: &str| {
            Err(Error::invalid(format!(
                "unable to update key {:?} because it is currently referenced by one or more {users} greater than {ttl_s} \
                 seconds",
                self.name
            )))
        };
        if role::all(view)?.iter().any(|(_, role)| role.key == self.name && role.ttl_s > ttl_s) {
            return refused("roles with a token ttl");
        }
        if client::all(view)?.iter().any(|(_, client)| client.key == self.name && client.id_token_ttl_s > ttl_s) {
            return refused("clients with an id_token_ttl");
        }
        Ok(())
    }
}

impl Upsert for WriteKey {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(named_key::find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes a key that no role uses. Nobody can verify its tokens any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteKey {
    /// Name of the key.
    name: String,
}

impl Endpoint for DeleteKey {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.name == DEFAULT {
            return Err(Error::invalid(format!("deletion of key {DEFAULT:?} not allowed")));
        }
        on.oidc.change(|| {
            let roles = role::all(&view)?.into_iter().filter(|(_, role)| role.key == self.name);
            refuse_used("key", &self.name, "roles", roles.map(|(name, _)| name))?;
            let clients = client::all(&view)?.into_iter().filter(|(_, client)| client.key == self.name);
            refuse_used("key", &self.name, "clients", clients.map(|(name, _)| name))?;
            records::delete(&view, &named_key::path(&self.name))
        })
    }
}

/// Lets the next key sign from now on.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RotateKey {
    /// Name of the key.
    name: String,
    /// How long the tokens of the old key are verified; as the key's settings have it by default.
    #[serde(default)]
    verification_ttl: Ttl,
}

impl Endpoint for RotateKey {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let found = named_key::find(&view, &self.name)?;
            let mut key = found.ok_or_else(|| Error::invalid(format!("no named key found at {:?}", self.name)))?;
            let ttl_s = self.verification_ttl.0.map_or(key.verification_ttl_s, |ttl| ttl.as_secs());
            key.rotate(ttl_s, call.now)?;
            named_key::write(&view, &self.name, &key)?;
            Ok(Reply::nothing())
        })
    }
}
