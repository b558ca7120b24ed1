//! `identity/oidc/token`: a token that says who the caller is. Keeps nothing of it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{named_key, role, template};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};
use crate::identity::IdentityEngine;

/// Makes a token of a role for the caller's own entity.
#[derive(Deserialize, JsonSchema)]
pub(super) struct GenerateToken {
    /// Name of the role.
    name: String,
}

impl Endpoint for GenerateToken {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let (view, name) = (call.view()?, &self.name);
        let role = role::find(&view, name)?.ok_or_else(|| Error::invalid(format!("role {name:?} not found")))?;
        let key = named_key::find(&view, &role.key)?;
        let key = key.ok_or_else(|| Error::invalid(format!("key {:?} not found", role.key)))?;
        if !key.admits(&role.client_id) {
            return Err(Error::invalid(format!(
                "the key {:?} does not list the client ID of the role {name:?} as an allowed client ID",
                role.key
            )));
        }
        let entity = &call.admitted.known_caller()?.record.entity_id;
        if entity.is_empty() {
            return Err(Error::invalid("no entity associated with the request's token"));
        }
        let person = on.identity().person(&view, entity)?;
        let person = person.ok_or_else(|| Error::bare(format!("error loading entity ID {entity:?}")))?;
        let mut claims = template::claims(&role.template, &person, call.now);
        let now_s = call.now.as_second();
        // A key that was changed at the same time may be verified for less long.
        let ttl_s = i64::try_from(role.ttl_s.min(key.verification_ttl_s)).unwrap_or(i64::MAX);
        claims.extend([
            ("aud".to_owned(), Value::from(role.client_id.as_str())),
            ("exp".to_owned(), now_s.saturating_add(ttl_s).into()),
            ("iat".to_owned(), now_s.into()),
            ("iss".to_owned(), on.oidc.issuer(&view)?.into()),
            ("namespace".to_owned(), "root".into()),
            ("sub".to_owned(), person.entity.id.into()),
        ]);
        let token = key.sign("", &claims)?;
        Ok(Reply::object(|data| {
            data.set("client_id", role.client_id).set("token", token).set("ttl", role.ttl_s);
        }))
    }
}
