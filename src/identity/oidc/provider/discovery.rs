//! What clients of a provider want to know before they begin (`OpenID` Connect Discovery 1.0). Knows no flow.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{client, scope, settings};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;
use crate::identity::oidc::named_key::{self, ALGORITHMS};

/// Tells what a provider is called, where its endpoints are, and what they can do.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadDiscovery {
    /// Name of the provider.
    name: String,
}

impl Endpoint for ReadDiscovery {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let provider = settings::find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        let issuer = provider.issuer(&on.oidc, &self.name);
        let at = |path: &str| format!("{issuer}/{path}");
        let mut scopes = provider.scopes_supported.clone();
        scopes.push(scope::OPENID.to_owned());
        Ok(Reply::object(|data| {
            data.set("issuer", &issuer).set("jwks_uri", at(".well-known/keys"));
            data.set("authorization_endpoint", at("authorize").replacen("/v1/", "/ui/vault/", 1));
            data.set("token_endpoint", at("token")).set("userinfo_endpoint", at("userinfo"));
            data.set("request_parameter_supported", false).set("request_uri_parameter_supported", false);
            data.set("id_token_signing_alg_values_supported", ALGORITHMS).set("response_types_supported", ["code"]);
            data.set("scopes_supported", scopes).set("claims_supported", Vec::<&str>::new());
            data.set("subject_types_supported", ["public"]).set("grant_types_supported", ["authorization_code"]);
            let methods = ["none", "client_secret_basic", "client_secret_post"];
            data.set("token_endpoint_auth_methods_supported", methods);
            data.set("code_challenge_methods_supported", ["plain", "S256"]);
        }))
    }
}

/// Tells the keys that verify the ID tokens of a provider's clients.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadKeys {
    /// Name of the provider.
    name: String,
}

impl Endpoint for ReadKeys {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let provider = settings::find(&view, &self.name)?.ok_or(Error::NotFound)?;
        let clients = client::all(&view)?.into_iter().map(|(_, client)| client);
        let names: BTreeSet<String> =
            clients.filter(|client| provider.admits(&client.id)).map(|client| client.key).collect();
        let keys = names.iter().map(|name| named_key::find(&view, name)).collect::<Result<Vec<_>, _>>()?;
        let jwks: Vec<_> = keys.iter().flatten().flat_map(|key| key.jwks(call.now)).collect();
        Ok(Reply::object(|data| {
            data.set("keys", jwks);
        }))
    }
}
