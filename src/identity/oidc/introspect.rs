//! `identity/oidc/introspect`: whether a token is one of this server's, and still good. Makes none.

use schemars::JsonSchema;
use serde::Deserialize;

use super::well_known;
use crate::access::Identity;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::jws::Jws;
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;

/// Says whether a token was made here, has not ended, and is of an entity that is still there.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Introspect {
    /// The token.
    #[serde(default)]
    token: String,
    /// For whom it must be, if that matters.
    #[serde(default)]
    client_id: String,
}

/// What a token of this server says.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: i64,
    iat: i64,
}

impl Endpoint for Introspect {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let issuer = on.oidc.issuer(&view)?;
        let fault = self.fault(&view, &issuer, call.now)?;
        Ok(Reply::object(|data| {
            data.set("active", fault.is_none());
            if let Some(fault) = fault {
                data.set("error", fault);
            }
        }))
    }
}

impl Introspect {
    /// What is wrong with the token, if anything is.
    fn fault(&self, view: &View<'_>, issuer: &str, now: Timestamp) -> Result<Option<String>, Error> {
        let token = match Jws::parse(&self.token) {
            Ok(token) => token,
            Err(error) => return Ok(Some(format!("error parsing token: {error}"))),
        };
        let keys = well_known::published(view)?;
        let mut keys = keys.iter().flat_map(|key| key.verifying(now));
        if !keys.any(|key| key.may_have_signed(&token) && token.is_signed_by(key.key())) {
            return Ok(Some("unable to validate the token signature".to_owned()));
        }
        let claims: Claims = serde_json::from_slice(token.payload()).map_err(Error::internal)?;
        if let Some(fault) = claims.fault(issuer, &self.client_id, now) {
            return Ok(Some(format!("error validating claims: go-jose/go-jose/jwt: validation failed, {fault}")));
        }
        Ok(match Identity::read(view).entity(&claims.sub)? {
            None => Some("entity was not found".to_owned()),
            Some(entity) if entity.disabled => Some("entity is disabled".to_owned()),
            Some(_) => None,
        })
    }
}

impl Claims {
    fn fault(&self, issuer: &str, client_id: &str, now: Timestamp) -> Option<&'static str> {
        let now_s = now.as_second();
        if self.iss != issuer {
            Some("invalid issuer claim (iss)")
        } else if !client_id.is_empty() && self.aud != client_id {
            Some("invalid audience claim (aud)")
        } else if now_s.saturating_sub(LEEWAY_S) > self.exp {
            Some("token is expired (exp)")
        } else if now_s.saturating_add(LEEWAY_S) < self.iat {
            Some("token issued in the future (iat)")
        } else {
            None
        }
    }
}

/// By how much clocks may differ.
const LEEWAY_S: i64 = 60;
