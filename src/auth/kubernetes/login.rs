//! The login: a service account's token for one of this server's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Kubernetes;
use super::account::Account;
use super::config::{self, Config};
use super::review::{Refusal, review};
use super::role::{self, Role};
use crate::access::cidr;
use crate::api::{Alias, Error, Grant, Reply};
use crate::auth::jwt::claims::{Claims, Expected};
use crate::engine::jws::Jws;
use crate::engine::{Call, Endpoint};
use crate::outbound;

/// Logs in with the token of a service account.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LogIn {
    /// The role.
    #[serde(default)]
    role: String,
    /// The token.
    #[serde(default)]
    jwt: String,
}

impl Endpoint for LogIn {
    type On = Kubernetes;

    fn run(self, on: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        for (name, value) in [("role", &self.role), ("jwt", &self.jwt)] {
            if value.is_empty() {
                return Err(Error::invalid(format!("missing {name}")));
            }
        }
        let role = role::find(&view, &self.role)?;
        let role = role.ok_or_else(|| Error::invalid(format!("invalid role name {:?}", self.role)))?;
        if !cidr::admit(&role.token.bound_cidrs, call.request.remote) {
            return Err(Error::Denied);
        }
        let config = config::find(&view)?.ok_or_else(|| Error::bare("could not load backend configuration"))?;
        let claims = read(&config, &role, &self.jwt, call)?;
        let account = Account::of(&claims).map_err(Error::bare)?;
        role.check(&account)?;
        confirm(on, &config, &role, &self.jwt, &claims, &account)?;
        call.log_in(role.grant(self.role, &account, Account::secret_of(&claims)))
    }
}

/// What the token claims. Nothing of it is true before the cluster has confirmed it.
fn read(config: &Config, role: &Role, token: &str, call: &Call<'_>) -> Result<Claims, Error> {
    let denied = |cause: &str| {
        tracing::debug!(cause, "a service account's token is refused");
        Error::Denied
    };
    let token = Jws::parse(token).map_err(denied)?;
    if !ALGORITHMS.contains(&token.algorithm()) || !config.accepts_signature(&token) {
        return Err(denied("it is not signed as it should be"));
    }
    let claims = Claims::parse(token.payload()).map_err(|cause| denied(&cause))?;
    let expected =
        Expected { issuer: config.issuer(), audiences: role.audiences(), timeless: true, ..Expected::default() };
    claims.check(&expected, call.now).map_err(|text| Error::Forbidden(text.into()))?;
    Ok(claims)
}

/// Asks the cluster whether the token is the account's that it names.
fn confirm(
    on: &Kubernetes,
    config: &Config,
    role: &Role,
    token: &str,
    claims: &Claims,
    account: &Account,
) -> Result<(), Error> {
    let audiences = match role.audiences() {
        [] => claims.audiences().map_err(|text| Error::Forbidden(text.into()))?,
        own => own.iter().map(String::as_str).collect(),
    };
    match review(&on.outbound, config, token, &audiences) {
        Ok(confirmed) if confirmed == *account => Ok(()),
        Ok(_) => {
            tracing::debug!("a service account's token is refused: the cluster says it is another's");
            Err(Error::Denied)
        }
        Err(Refusal::Call(busy @ outbound::Error::Busy)) => Err(Error::Unavailable(busy.to_string().into())),
        Err(refusal) => {
            tracing::debug!(%refusal, "a service account's token is refused");
            Err(Error::Denied)
        }
    }
}

impl Role {
    fn grant(&self, name: String, account: &Account, secret: String) -> Grant {
        let account_metadata = [
            ("service_account_name", account.name.clone()),
            ("service_account_namespace", account.namespace.clone()),
            ("service_account_secret_name", secret),
            ("service_account_uid", account.uid.clone()),
        ];
        let account_metadata = account_metadata.map(|(name, value)| (name.to_owned(), value));
        let mut metadata = BTreeMap::from(account_metadata);
        let alias = Alias { name: self.alias_of(account), metadata: metadata.clone() };
        metadata.insert("role".to_owned(), name.clone());
        Grant {
            alias: Some(alias),
            display_name: format!("{}-{}", account.namespace, account.name),
            metadata,
            groups: Vec::new(),
            token: self.token.clone(),
            recall: [("role".to_owned(), name)].into(),
        }
    }
}

/// What clusters sign with.
const ALGORITHMS: &[&str] = &["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];
