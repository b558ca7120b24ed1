//! Scopes: what a client learns of people when it asks for it. Knows nothing of clients.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Refusal, fault, refuse_more, settings};
use crate::access::identity::Person;
use crate::api::route::Captures;
use crate::api::{Error, Reply, base64};
use crate::barrier::{Stored, View};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;
use crate::identity::oidc::{refuse_used, template};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Scope {
    description: String,
    template: String,
}

impl Stored for Scope {
    const VERSION: u8 = 1;
}

pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Scope>, Error> {
    records::find(view, &path(name))
}

/// The claims that all these scopes make about a person.
pub(super) fn claims(
    view: &View<'_>,
    names: &[String],
    person: &Person,
    now: Timestamp,
) -> Result<Map<String, Value>, Refusal> {
    let (mut claims, mut sources) = (Map::new(), BTreeMap::<String, &str>::new());
    for name in names {
        let Some(scope) = find(view, name)? else { continue };
        for (claim, value) in template::claims(&scope.template, person, now) {
            if let Some(other) = sources.insert(claim.clone(), name) {
                let text = format!(
                    "found scopes with conflicting top-level claim: claim {claim:?} in scopes {name:?}, {other:?}"
                );
                return Err(fault(400, "invalid_request", text));
            }
            claims.insert(claim, value);
        }
    }
    Ok(claims)
}

fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Lists the names of the scopes.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListScopes {}

impl Endpoint for ListScopes {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads a scope.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadScope {
    /// Name of the scope.
    name: String,
}

impl Endpoint for ReadScope {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let scope = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::of(&scope))
    }
}

/// Makes or changes a scope. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteScope {
    /// Name of the scope.
    name: String,
    /// A JSON object of claims, plain or in base64, with parameters such as `{{identity.entity.name}}` in place of values.
    template: Option<String>,
    /// What the scope is about, for people.
    description: Option<String>,
}

impl Endpoint for WriteScope {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.name == OPENID {
            return Err(Error::invalid(format!("the {OPENID:?} scope name is reserved")));
        }
        let sent = self.template.map(base64::text_or_itself);
        template::check(sent.as_deref().unwrap_or_default(), call.now)?;
        on.oidc.change(|| {
            if find(&view, &self.name)?.is_none() {
                refuse_more("scopes", view.list(PREFIX, "", super::THINGS_MAX)?.len())?;
            }
            records::edit(&view, &path(&self.name), |scope: Option<Scope>| {
                let Scope { description, template } = scope.unwrap_or_default();
                Ok(Scope {
                    description: self.description.clone().unwrap_or(description),
                    template: sent.clone().unwrap_or(template),
                })
            })?;
            Ok(Reply::nothing())
        })
    }
}

impl Upsert for WriteScope {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes a scope that no provider has.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteScope {
    /// Name of the scope.
    name: String,
}

impl Endpoint for DeleteScope {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let users = settings::all(&view)?.into_iter();
            let users = users.filter(|(_, provider)| provider.scopes_supported.contains(&self.name));
            refuse_used("scope", &self.name, "providers", users.map(|(name, _)| name))?;
            records::delete(&view, &path(&self.name))
        })
    }
}

/// The scope that every request asks for.
pub(super) const OPENID: &str = "openid";
const PREFIX: &str = "identity/oidc/scope/";
