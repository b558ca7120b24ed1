//! Who somebody is, for the client that he logged in to: it shows the access token of that login. Keeps nothing.
//!
//! An access token is a signed text of its own kind (RFC 9068), which is good for nothing else; ID tokens are none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Refusal, assignment, client, fault, refused, scope, settings};
use crate::api::{Error, Reply};
use crate::clock::Timestamp;
use crate::engine::jws::Jws;
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;
use crate::identity::oidc::named_key::{self, NamedKey};

/// What an access token says.
#[derive(Serialize, Deserialize)]
pub(super) struct Access {
    pub(super) iss: String,
    pub(super) aud: String,
    /// The entity.
    pub(super) sub: String,
    pub(super) client_id: String,
    /// Scopes, with spaces between them.
    pub(super) scope: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
}

impl Access {
    pub(super) fn signed(&self, key: &NamedKey) -> Result<String, Error> {
        match serde_json::to_value(self).map_err(Error::internal)? {
            Value::Object(claims) => key.sign(KIND, &claims),
            _ => Err(Error::internal("the claims of an access token are no object")),
        }
    }
}

/// Whom the access tokens of an issuer are for.
pub(super) fn audience(issuer: &str) -> String {
    format!("{issuer}/userinfo")
}

/// Tells a client what its access token lets it know of somebody.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadUserInfo {
    /// Name of the provider.
    name: String,
}

impl Endpoint for ReadUserInfo {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        self.tell(on, call).or_else(|refusal| {
            refused(refusal, None, |code, text| match code {
                "invalid_request" | "invalid_token" => format!("Bearer error={code:?},error_description={text:?}"),
                _ => String::new(),
            })
        })
    }
}

impl ReadUserInfo {
    fn tell(&self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Refusal> {
        let view = call.view()?;
        let denied = |text: &str| fault(403, "access_denied", text);
        let provider = settings::find(&view, &self.name)?;
        let provider = provider.ok_or_else(|| fault(400, "invalid_request", "provider not found"))?;
        let sent = call.request.token.as_ref();
        let sent = sent.ok_or_else(|| invalid("access token must be sent as a Bearer token"))?;
        let token = Jws::parse(sent.expose()).map_err(|_| malformed())?;
        if token.kind() != KIND {
            return Err(malformed());
        }
        // Not true yet: it says which key to ask.
        let access: Access = serde_json::from_slice(token.payload()).map_err(|_| malformed())?;
        let client = client::find_by_id(&view, &access.client_id)?.ok_or_else(|| denied("client not found"))?;
        let key = named_key::find(&view, &client.key)?.ok_or_else(malformed)?;
        if !key.verifying(call.now).any(|key| key.may_have_signed(&token) && token.is_signed_by(key.key())) {
            return Err(malformed());
        }
        access.check(&provider.issuer(&on.oidc, &self.name), call.now)?;
        let person = on.identity().person(&view, &access.sub)?;
        let person = person.ok_or_else(|| denied("identity entity associated with the request not found"))?;
        if !assignment::admit(&view, &client.assignments, &person)? {
            return Err(denied("identity entity not authorized by client assignment"));
        }
        if !provider.admits(&client.id) {
            return Err(denied("client is not authorized to use the provider"));
        }
        let scopes: Vec<String> = access.scope.split(' ').map(str::to_owned).collect();
        let scopes: Vec<String> =
            scopes.into_iter().filter(|scope| provider.scopes_supported.contains(scope)).collect();
        let mut claims = scope::claims(&view, &scopes, &person, call.now)?;
        claims.insert("sub".to_owned(), person.entity.id.into());
        Ok(Reply::of(&claims))
    }
}

impl Access {
    fn check(&self, issuer: &str, now: Timestamp) -> Result<(), Refusal> {
        if self.iss != issuer || self.aud != audience(issuer) {
            return Err(malformed());
        }
        if now.as_second() >= self.exp {
            return Err(invalid("access token is expired"));
        }
        Ok(())
    }
}

fn invalid(text: &str) -> Refusal {
    fault(401, "invalid_token", text)
}

fn malformed() -> Refusal {
    invalid("access token is malformed or invalid")
}

/// What the header of an access token says that it is.
const KIND: &str = "at+jwt";
