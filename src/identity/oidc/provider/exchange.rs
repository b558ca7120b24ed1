//! The end of a login: a client exchanges the code for tokens, which say who it was. Keeps nothing.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::client::{Client, Kind};
use super::codes::{Challenge, Grant};
use super::settings::Provider;
use super::{Refusal, assignment, client, fault, refused, scope, settings, userinfo};
use crate::access::identity::Person;
use crate::api::credential::Credential;
use crate::api::{Error, Reply, base64};
use crate::crypto::hash::Hash;
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;
use crate::identity::oidc::named_key::{self, NamedKey};

/// Exchanges a code for an ID token and an access token. The client shows who it is by basic authentication, or by its
/// secret among the parameters.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ExchangeCode {
    /// Name of the provider.
    name: String,
    /// The code.
    #[serde(default)]
    code: String,
    /// `authorization_code`.
    #[serde(default)]
    grant_type: String,
    /// Where the code went.
    #[serde(default)]
    redirect_uri: String,
    /// What the challenge was made of, if there was one.
    #[serde(default)]
    code_verifier: Credential,
    /// Identifier of the client.
    #[serde(default)]
    client_id: String,
    /// Secret of a confidential client.
    #[serde(default)]
    client_secret: Credential,
}

impl Endpoint for ExchangeCode {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        self.exchange(on, call).or_else(|refusal| {
            refused(refusal, None, |code, _| if code == "invalid_client" { "Basic".to_owned() } else { String::new() })
        })
    }
}

impl ExchangeCode {
    fn exchange(&self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Refusal> {
        let view = call.view()?;
        let provider = settings::find(&view, &self.name)?.ok_or_else(|| invalid("provider not found"))?;
        let client = self.proven_client(call)?;
        if !provider.admits(&client.id) {
            return Err(fault(401, "invalid_client", "client is not authorized to use the provider"));
        }
        let key = named_key::find(&view, &client.key)?.ok_or_else(|| Error::internal("the key of a client is gone"))?;
        if !key.admits(&client.id) {
            return Err(fault(401, "invalid_client", "client is not authorized to use the key"));
        }
        if self.grant_type != "authorization_code" {
            return Err(fault(400, "unsupported_grant_type", "unsupported grant_type or parameter is empty value"));
        }
        if self.code.is_empty() {
            return Err(invalid("code parameter is required"));
        }
        let grant = on.oidc.codes.redeem(&self.code, call.now);
        let grant = grant.ok_or_else(|| invalid_grant("authorization grant is invalid or expired"))?;
        self.check(&grant, &client)?;
        let person = on.identity().person(&view, &grant.entity_id)?;
        let person = person.ok_or_else(|| invalid("identity entity associated with the request not found"))?;
        if !assignment::admit(&view, &client.assignments, &person)? {
            return Err(invalid("identity entity not authorized by client assignment"));
        }
        self.check_verifier(grant.challenge.as_ref(), &client)?;
        let scopes = scope::claims(&view, &grant.scopes, &person, call.now)?;
        Ok(self.tokens(on, call, &Parties { provider, client, key, grant, person }, scopes)?)
    }

    fn proven_client(&self, call: &Call<'_>) -> Result<Client, Refusal> {
        let (id, secret) = match &call.request.basic {
            Some(basic) => (&basic.user, basic.password.as_str()),
            None => (&self.client_id, self.client_secret.expose()),
        };
        if id.is_empty() {
            return Err(invalid("client_id parameter is required"));
        }
        let client = client::find_by_id(&call.view()?, id)?.filter(|client| client.is_proven_by(secret));
        client.ok_or_else(|| fault(401, "invalid_client", "client failed to authenticate"))
    }

    fn check(&self, grant: &Grant, client: &Client) -> Result<(), Refusal> {
        if grant.client_id != client.id {
            return Err(invalid_grant("authorization code was not issued to the client"));
        }
        if grant.provider != self.name {
            return Err(invalid_grant("authorization code was not issued by the provider"));
        }
        if self.redirect_uri.is_empty() {
            return Err(invalid("redirect_uri parameter is required"));
        }
        if grant.redirect_uri != self.redirect_uri {
            let text = "redirect_uri does not match the redirect_uri used in the authorization request";
            return Err(invalid_grant(text));
        }
        Ok(())
    }

    fn check_verifier(&self, challenge: Option<&Challenge>, client: &Client) -> Result<(), Refusal> {
        let Some(challenge) = challenge else {
            return match (client.kind, self.code_verifier.expose().is_empty()) {
                (Kind::Public, _) => Err(invalid("PKCE is required for public clients")),
                (Kind::Confidential, false) => Err(invalid("unexpected code_verifier for token exchange")),
                (Kind::Confidential, true) => Ok(()),
            };
        };
        if self.code_verifier.expose().is_empty() {
            return Err(invalid("expected code_verifier for token exchange"));
        }
        let verifier = self.code_verifier.expose();
        let hashed = base64::encode_url(&Hash::Sha2_256.digest(verifier.as_bytes()));
        let made = if challenge.is_hashed { &hashed } else { verifier };
        if made.as_bytes().ct_eq(challenge.text.as_bytes()).into() {
            return Ok(());
        }
        Err(invalid_grant("invalid code_verifier for token exchange"))
    }

    fn tokens(
        &self,
        on: &IdentityEngine,
        call: &Call<'_>,
        parties: &Parties,
        mut claims: Map<String, Value>,
    ) -> Result<Reply, Error> {
        let Parties { provider, client, key, grant, person } = parties;
        let issuer = provider.issuer(&on.oidc, &self.name);
        let now_s = call.now.as_second();
        // What no key verifies any more is no token.
        let life_s = client.access_token_ttl_s.min(key.verification_ttl_s);
        let access = userinfo::Access {
            iss: issuer.clone(),
            aud: userinfo::audience(&issuer),
            sub: person.entity.id.clone(),
            client_id: client.id.clone(),
            scope: grant.scopes.join(" "),
            iat: now_s,
            exp: now_s.saturating_add_unsigned(life_s),
        };
        let access = access.signed(key)?;
        let text = |text: &str| Value::from(text);
        claims.extend([
            ("at_hash".to_owned(), key.half_digest(&access).into()),
            ("aud".to_owned(), text(&client.id)),
            ("c_hash".to_owned(), key.half_digest(&self.code).into()),
            ("exp".to_owned(), now_s.saturating_add_unsigned(client.id_token_ttl_s).into()),
            ("iat".to_owned(), now_s.into()),
            ("iss".to_owned(), issuer.into()),
            ("namespace".to_owned(), text("root")),
            ("sub".to_owned(), text(&person.entity.id)),
        ]);
        if !grant.nonce.is_empty() {
            claims.insert("nonce".to_owned(), text(&grant.nonce));
        }
        if let Some(time_s) = grant.auth_time_s {
            claims.insert("auth_time".to_owned(), time_s.into());
        }
        let id_token = key.sign("", &claims)?;
        Ok(Reply::object(|data| {
            data.set("access_token", access).set("expires_in", life_s).set("id_token", id_token);
            data.set("token_type", "Bearer");
        }))
    }
}

/// Who has to do with one login.
struct Parties {
    provider: Provider,
    client: Client,
    key: NamedKey,
    grant: Grant,
    person: Person,
}

fn invalid(text: &str) -> Refusal {
    fault(400, "invalid_request", text)
}

fn invalid_grant(text: &str) -> Refusal {
    fault(400, "invalid_grant", text)
}
