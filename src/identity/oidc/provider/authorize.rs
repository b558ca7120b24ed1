//! The beginning of a login: somebody who has a token of this server gets a code for a client. Does not know what the
//! client does with it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::client::{Client, Kind};
use super::codes::{Challenge, Grant};
use super::{Refusal, assignment, client, fault, refused, scope, settings};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;

/// Lets a client know who the caller is: answers a code that it exchanges for tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Authorize {
    /// Name of the provider.
    name: String,
    /// Identifier of the client.
    #[serde(default)]
    client_id: String,
    /// What the client wants to know: scopes with spaces between them, `openid` among them.
    #[serde(default)]
    scope: String,
    /// Where to go with the code.
    #[serde(default)]
    redirect_uri: String,
    /// `code`.
    #[serde(default)]
    response_type: String,
    /// Told back.
    #[serde(default)]
    state: String,
    /// Told in the ID token.
    #[serde(default)]
    nonce: String,
    /// Seconds that the caller may have been logged in for.
    max_age: Option<i64>,
    /// What the verifier is to be compared with: 43 to 128 characters. Public clients must send one.
    code_challenge: Option<String>,
    /// `S256`, or `plain` by default.
    #[serde(default)]
    code_challenge_method: String,
    /// Not supported.
    request: Option<String>,
    /// Not supported.
    request_uri: Option<String>,
}

impl Endpoint for Authorize {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        match self.grant(on, call) {
            Ok(grant) => {
                let code = on.oidc.codes.issue(grant, call.now)?;
                Ok(Reply::object(|data| {
                    data.set("code", code.as_str()).set("state", &self.state);
                }))
            }
            Err(refusal) => refused(refusal, Some(&self.state), |_, _| String::new()),
        }
    }
}

impl Authorize {
    fn grant(&self, on: &IdentityEngine, call: &Call<'_>) -> Result<Grant, Refusal> {
        let view = call.view()?;
        let invalid = |text: &str| fault(400, "invalid_request", text);
        if self.client_id.is_empty() {
            return Err(fault(400, "invalid_client_id", "client_id parameter is required"));
        }
        let client = client::find_by_id(&view, &self.client_id)?;
        let client = client.ok_or_else(|| fault(400, "invalid_client_id", "client with client_id not found"))?;
        if self.redirect_uri.is_empty() {
            return Err(invalid("redirect_uri parameter is required"));
        }
        if !client.admits_redirect(&self.redirect_uri) {
            return Err(fault(400, "invalid_redirect_uri", "redirect_uri is not allowed for the client"));
        }
        let provider = settings::find(&view, &self.name)?.ok_or_else(|| invalid("provider not found"))?;
        if !provider.admits(&client.id) {
            return Err(fault(400, "unauthorized_client", "client is not authorized to use the provider"));
        }
        if self.request.is_some() {
            return Err(fault(400, "request_not_supported", "request parameter is not supported"));
        }
        if self.request_uri.is_some() {
            return Err(fault(400, "request_uri_not_supported", "request_uri parameter is not supported"));
        }
        let text = format!("scope parameter must contain the {:?} value", scope::OPENID);
        let scopes = provider.scopes(&self.scope).ok_or_else(|| invalid(&text))?;
        match self.response_type.as_str() {
            "code" => {}
            "" => return Err(invalid("response_type parameter is required")),
            _ => return Err(fault(400, "unsupported_response_type", "unsupported response_type value")),
        }
        let entity_id = admitted_entity(on, call, &client)?;
        let (challenge, auth_time_s) = (self.challenge(&client)?, self.auth_time_s(call)?);
        Ok(Grant {
            provider: self.name.clone(),
            client_id: client.id,
            entity_id,
            redirect_uri: self.redirect_uri.clone(),
            nonce: self.nonce.clone(),
            scopes,
            auth_time_s,
            challenge,
        })
    }

    fn challenge(&self, client: &Client) -> Result<Option<Challenge>, Refusal> {
        let invalid = |text: &str| fault(400, "invalid_request", text);
        let Some(text) = &self.code_challenge else {
            let needs_one = client.kind == Kind::Public;
            return if needs_one { Err(invalid("PKCE is required for public clients")) } else { Ok(None) };
        };
        let is_hashed = match self.code_challenge_method.as_str() {
            "S256" => true,
            "" | "plain" => false,
            _ => return Err(invalid("invalid code_challenge_method")),
        };
        if !(43..=128).contains(&text.len()) {
            return Err(invalid("invalid code_challenge"));
        }
        Ok(Some(Challenge { text: text.clone(), is_hashed }))
    }

    /// When the caller logged in, if that matters.
    fn auth_time_s(&self, call: &Call<'_>) -> Result<Option<i64>, Refusal> {
        let Some(age_max_s) = self.max_age else { return Ok(None) };
        if age_max_s < 1 {
            return Err(fault(400, "invalid_request", "max_age must be greater than zero"));
        }
        let created_s = call.admitted.known_caller()?.record.created_ns / 1_000_000_000;
        if call.now.as_second().saturating_sub(created_s) > age_max_s {
            return Err(fault(400, "max_age_violation", "active re-authentication is required by max_age"));
        }
        Ok(Some(created_s))
    }
}

/// The caller's entity, if it is one that the client is for.
fn admitted_entity(on: &IdentityEngine, call: &Call<'_>, client: &Client) -> Result<String, Refusal> {
    let denied = |text: &str| fault(400, "access_denied", text);
    let entity = &call.admitted.known_caller()?.record.entity_id;
    if entity.is_empty() {
        return Err(denied("identity entity must be associated with the request"));
    }
    let view = call.view()?;
    let person = on.identity().person(&view, entity)?;
    let person = person.ok_or_else(|| denied("identity entity associated with the request not found"))?;
    if !assignment::admit(&view, &client.assignments, &person)? {
        return Err(denied("identity entity not authorized by client assignment"));
    }
    Ok(person.entity.id)
}
