//! `identity/oidc/.well-known`: what whoever verifies tokens wants to know, told to anybody (`OpenID` Connect Discovery
//! 1.0). Knows nothing of tokens.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::named_key::{self, ALGORITHMS, NamedKey};
use super::role;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;

/// Tells who issues the tokens, and where the keys are that verify them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadDiscovery {}

impl Endpoint for ReadDiscovery {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let issuer = on.oidc.issuer(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("issuer", &issuer).set("jwks_uri", format!("{issuer}/.well-known/keys"));
            data.set("response_types_supported", ["id_token"]).set("subject_types_supported", ["public"]);
            data.set("id_token_signing_alg_values_supported", ALGORITHMS);
        }))
    }
}

/// Tells the keys that verify the tokens of roles: those that signed, the one that signs, and the next.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadKeys {}

impl Endpoint for ReadKeys {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = published(&call.view()?)?;
        let jwks: Vec<_> = keys.iter().flat_map(|key| key.jwks(call.now)).collect();
        Ok(Reply::object(|data| {
            data.set("keys", jwks);
        }))
    }
}

/// The keys that roles use.
pub(super) fn published(view: &View<'_>) -> Result<Vec<NamedKey>, Error> {
    let names: BTreeSet<String> = role::all(view)?.into_iter().map(|(_, role)| role.key).collect();
    let found = names.iter().map(|name| named_key::find(view, name)).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}
