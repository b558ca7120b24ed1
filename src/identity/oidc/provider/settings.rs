//! The settings of providers: which clients each serves, what it tells them, and what it is called. Knows no flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{refuse_more, scope, without_doubles};
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;
use crate::identity::listing::{page, tell};
use crate::identity::oidc::config::{EXPLICIT, check_origin};
use crate::identity::oidc::{Oidc, named_key};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Provider {
    /// The origin that its URLs begin with; this server's if it is empty.
    issuer: String,
    pub(super) allowed_client_ids: Vec<String>,
    pub(super) scopes_supported: Vec<String>,
}

impl Stored for Provider {
    const VERSION: u8 = 1;
}

impl Provider {
    /// Who its tokens say that issued them.
    pub(super) fn issuer(&self, oidc: &Oidc, name: &str) -> String {
        format!("{}/provider/{name}", oidc.below(&self.issuer))
    }

    pub(super) fn admits(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|id| id == "*" || id == client_id)
    }

    /// Those of the scopes asked for that it has. `None`: the one that must be among them is not.
    pub(super) fn scopes(&self, asked: &str) -> Option<Vec<String>> {
        let asked: Vec<String> = asked.split(' ').map(str::to_owned).collect();
        let known = |name: &String| self.scopes_supported.contains(name);
        asked
            .iter()
            .any(|name| name == scope::OPENID)
            .then(|| without_doubles(asked).into_iter().filter(known).collect())
    }
}

/// The provider of a name. That called `default` is always there.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Provider>, Error> {
    let found = records::find(view, &path(name))?;
    let default = || Provider { allowed_client_ids: vec!["*".to_owned()], ..Provider::default() };
    Ok(found.or_else(|| (name == DEFAULT).then(default)))
}

/// All providers by their names.
pub(super) fn all(view: &View<'_>) -> Result<Vec<(String, Provider)>, Error> {
    let names = named_key::names_with(view, PREFIX, super::THINGS_MAX, DEFAULT)?;
    let found = names.into_iter().map(|name| Ok(find(view, &name)?.map(|provider| (name, provider))));
    Ok(found.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn describe(data: &mut Object, oidc: &Oidc, name: &str, provider: &Provider) {
    data.set("allowed_client_ids", &provider.allowed_client_ids).set("issuer", provider.issuer(oidc, name));
    data.set("scopes_supported", &provider.scopes_supported);
}

/// Lists the providers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListProviders {
    /// Only those that serve this client.
    #[serde(default)]
    allowed_client_id: String,
}

impl Endpoint for ListProviders {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let mut all = all(&call.view()?)?;
        all.retain(|(_, provider)| self.allowed_client_id.is_empty() || provider.admits(&self.allowed_client_id));
        tell(
            &all,
            page("", 0),
            |(name, _)| name,
            |(name, _)| name,
            |data, (name, provider)| describe(data, &on.oidc, name, provider),
        )
    }
}

/// Reads the settings of a provider.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadProvider {
    /// Name of the provider.
    name: String,
}

impl Endpoint for ReadProvider {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let provider = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| describe(data, &on.oidc, &self.name, &provider)))
    }
}

/// Makes or changes a provider. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteProvider {
    /// Name of the provider.
    name: String,
    /// Scheme, host and port of a URL at which clients reach this server. Empty: the server's own.
    issuer: Option<String>,
    /// Identifiers of the clients that it serves; `*` is all.
    allowed_client_ids: Option<CommaList>,
    /// Names of the scopes that clients may ask for, besides `openid`.
    scopes_supported: Option<CommaList>,
}

impl Endpoint for WriteProvider {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let found = find(&view, &self.name)?;
            if found.is_none() {
                refuse_more("providers", view.list(PREFIX, "", super::THINGS_MAX)?.len())?;
            }
            let mut provider = found.unwrap_or_default();
            if let Some(issuer) = self.issuer {
                provider.issuer = issuer;
            }
            if let Some(ids) = self.allowed_client_ids {
                provider.allowed_client_ids = without_doubles(ids.0);
            }
            if let Some(names) = self.scopes_supported {
                provider.scopes_supported = without_doubles(names.0);
            }
            check_origin(&provider.issuer)?;
            for name in &provider.scopes_supported {
                if scope::find(&view, name)?.is_none() {
                    return Err(Error::invalid(format!("scope {name:?} does not exist")));
                }
            }
            let mut change = view.change();
            change.put(&path(&self.name), &provider)?;
            change.commit()?;
            let reply = Reply::nothing();
            Ok(if provider.issuer.is_empty() { reply } else { reply.warn(EXPLICIT) })
        })
    }
}

impl Upsert for WriteProvider {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes a provider.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteProvider {
    /// Name of the provider.
    name: String,
}

impl Endpoint for DeleteProvider {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.name == DEFAULT {
            return Err(Error::invalid(format!("deletion of OIDC provider {DEFAULT:?} not allowed")));
        }
        on.oidc.change(|| records::delete(&view, &path(&self.name)))
    }
}

/// The provider that is there without having been made.
const DEFAULT: &str = "default";
const PREFIX: &str = "identity/oidc/provider/";
