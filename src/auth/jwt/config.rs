//! Whose tokens a mount takes: the keys, or where they are, and the issuer. Does not know what the tokens are good for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Jwt;
use crate::api::fields::{CommaList, JsonMap};
use crate::api::{Error, Reply};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::engine::jws::{Algorithm, Key};
use crate::engine::{Call, Endpoint};
use crate::outbound;

/// What an admin set.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are Vault's parameters")]
pub(super) struct Config {
    pub(super) jwt_validation_pubkeys: Vec<String>,
    pub(super) jwks_url: String,
    pub(super) jwks_ca_pem: String,
    pub(super) oidc_discovery_url: String,
    pub(super) oidc_discovery_ca_pem: String,
    pub(super) oidc_client_id: String,
    pub(super) oidc_client_secret: String,
    pub(super) oidc_response_mode: String,
    pub(super) oidc_response_types: Vec<String>,
    pub(super) bound_issuer: String,
    pub(super) default_role: String,
    /// All of them if empty.
    pub(super) jwt_supported_algs: Vec<String>,
    pub(super) namespace_in_state: bool,
    pub(super) provider_config: Map<String, Value>,
}

impl Stored for Config {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        let keys: usize = self.jwt_validation_pubkeys.iter().map(String::len).sum();
        2 * (keys + self.jwks_ca_pem.len() + self.oidc_discovery_ca_pem.len() + self.oidc_client_secret.len()) + 4_096
    }
}

/// The configuration of the mount, if there is one.
pub(super) fn find(view: &View<'_>) -> Result<Option<Config>, Error> {
    records::find(view, PATH)
}

/// Reads the configuration, without the client's secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = Jwt;

    fn run(self, _: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        let config = find(&call.view()?)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("bound_issuer", &config.bound_issuer).set("default_role", &config.default_role);
            data.set("jwks_ca_pem", &config.jwks_ca_pem).set("jwks_url", &config.jwks_url);
            data.set("jwt_supported_algs", &config.jwt_supported_algs);
            data.set("jwt_validation_pubkeys", &config.jwt_validation_pubkeys);
            data.set("namespace_in_state", config.namespace_in_state);
            data.set("oidc_client_id", &config.oidc_client_id);
            data.set("oidc_discovery_ca_pem", &config.oidc_discovery_ca_pem);
            data.set("oidc_discovery_url", &config.oidc_discovery_url);
            data.set("oidc_response_mode", &config.oidc_response_mode);
            data.set("oidc_response_types", &config.oidc_response_types);
            data.set("provider_config", &config.provider_config);
        }))
    }
}

/// Sets whose tokens are taken. Exactly one of `jwt_validation_pubkeys`, `jwks_url` and `oidc_discovery_url` says where the
/// keys are. What is absent is reset.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
pub(super) struct WriteConfig {
    /// Public keys or certificates, in PEM.
    jwt_validation_pubkeys: CommaList,
    /// Where a JSON Web Key set is.
    jwks_url: String,
    /// Certificates of the authorities for `jwks_url`, in PEM; the system's if absent.
    jwks_ca_pem: String,
    /// The issuer, whose discovery document says where its keys are.
    oidc_discovery_url: String,
    /// Certificates of the authorities for `oidc_discovery_url`, in PEM; the system's if absent.
    oidc_discovery_ca_pem: String,
    /// The client that the provider knows this server as.
    oidc_client_id: String,
    /// The secret of that client.
    oidc_client_secret: String,
    /// `query` or `form_post`.
    oidc_response_mode: String,
    /// `code` and `id_token`.
    oidc_response_types: CommaList,
    /// The issuer that tokens must name; any if absent.
    bound_issuer: String,
    /// The role of logins that name none.
    default_role: String,
    /// The algorithms that tokens may be signed with; all that are known if absent.
    jwt_supported_algs: CommaList,
    /// Told back; there are no namespaces.
    namespace_in_state: Option<bool>,
    /// Settings of single providers; there are none.
    provider_config: JsonMap,
}

impl Endpoint for WriteConfig {
    type On = Jwt;

    fn run(self, on: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let namespace_in_state = self.namespace_in_state;
        let config = self.checked()?;
        on.keys.check(&config, call.now)?;
        records::edit(&view, PATH, |before: Option<Config>| {
            let before = before.is_none_or(|before| before.namespace_in_state);
            Ok(Config { namespace_in_state: namespace_in_state.unwrap_or(before), ..config.clone() })
        })?;
        Ok(Reply::nothing())
    }
}

impl WriteConfig {
    fn checked(self) -> Result<Config, Error> {
        let refuse = |text: &'static str| Err(Error::invalid(text));
        let config = Config {
            jwt_validation_pubkeys: self.jwt_validation_pubkeys.0,
            jwks_url: self.jwks_url,
            jwks_ca_pem: self.jwks_ca_pem,
            oidc_discovery_url: self.oidc_discovery_url,
            oidc_discovery_ca_pem: self.oidc_discovery_ca_pem,
            oidc_client_id: self.oidc_client_id,
            oidc_client_secret: self.oidc_client_secret,
            oidc_response_mode: self.oidc_response_mode,
            oidc_response_types: self.oidc_response_types.0,
            bound_issuer: self.bound_issuer,
            default_role: self.default_role.to_lowercase(),
            jwt_supported_algs: self.jwt_supported_algs.0,
            namespace_in_state: true,
            provider_config: self.provider_config.0,
        };
        let sources = [
            !config.oidc_discovery_url.is_empty(),
            !config.jwt_validation_pubkeys.is_empty(),
            !config.jwks_url.is_empty(),
        ];
        if sources.into_iter().filter(|named| *named).count() != 1 {
            return refuse("exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set");
        }
        if config.oidc_client_id.is_empty() != config.oidc_client_secret.is_empty() {
            return refuse("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC");
        }
        if !config.oidc_client_id.is_empty() && config.oidc_discovery_url.is_empty() {
            return refuse("'oidc_discovery_url' must be set for OIDC");
        }
        if !config.jwks_ca_pem.is_empty() && outbound::check_certificates(&config.jwks_ca_pem).is_err() {
            return refuse("error checking jwks_ca_pem");
        }
        if config.jwt_validation_pubkeys.iter().any(|pem| Key::from_pem(pem).is_none()) {
            return refuse("error parsing public key: data does not contain any valid public keys");
        }
        config.check_choices()?;
        Ok(config)
    }
}

impl Config {
    fn check_choices(&self) -> Result<(), Error> {
        if let Some(unknown) = self.jwt_supported_algs.iter().find(|name| Algorithm::of(name).is_none()) {
            return Err(Error::invalid(format!("Invalid supported algorithm: {unknown}")));
        }
        let types = &self.oidc_response_types;
        if types.iter().any(|name| !matches!(name.as_str(), "code" | "id_token")) {
            let types = types.join(" ");
            return Err(Error::invalid(format!("invalid response_types [{types}]. 'code' and 'id_token' are allowed")));
        }
        match self.oidc_response_mode.as_str() {
            "" | "query" if types.iter().any(|name| name == "id_token") => {
                return Err(Error::invalid("query response_mode may not be used with an id_token response_type"));
            }
            "" | "query" | "form_post" => {}
            mode => return Err(Error::invalid(format!("invalid response_mode: {mode:?}"))),
        }
        match self.provider_config.get("provider") {
            Some(provider) => Err(Error::invalid(format!("invalid provider_config: unsupported provider {provider}"))),
            None if self.provider_config.is_empty() => Ok(()),
            None => Err(Error::invalid("invalid provider_config: 'provider' field not found in provider_config")),
        }
    }
}

const PATH: &str = "config";
