//! Which cluster a mount asks, and how. Does not ask it.

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Kubernetes;
use crate::api::fields::CommaList;
use crate::api::{Error, Reply};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::engine::jws::{Jws, Key};
use crate::engine::{Call, Endpoint};

/// What an admin set.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    host: String,
    ca_pem: String,
    reviewer_jwt: String,
    pem_keys: Vec<String>,
    issuer: String,
    any_issuer: bool,
    no_local_files: bool,
}

impl Stored for Config {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        let keys: usize = self.pem_keys.iter().map(String::len).sum();
        2 * (keys + self.ca_pem.len() + self.reviewer_jwt.len()) + 2_048
    }
}

/// The configuration of the mount, if there is one.
pub(super) fn find(view: &View<'_>) -> Result<Option<Config>, Error> {
    records::find(view, PATH)
}

impl Config {
    /// The URL of the cluster's token reviews.
    pub(super) fn reviews_url(&self) -> String {
        let scheme = if self.host.contains("://") { "" } else { "https://" };
        format!("{scheme}{}{REVIEWS}", self.host.trim_end_matches('/'))
    }

    /// Certificates of the authorities that the cluster's certificate may come from. Inside a cluster its own are at hand.
    pub(super) fn ca_pem(&self) -> String {
        match (self.ca_pem.is_empty(), self.no_local_files) {
            (true, false) => fs::read_to_string(LOCAL_CA).unwrap_or_default(),
            _ => self.ca_pem.clone(),
        }
    }

    /// Whose token is shown to the cluster; `None`: that which is to be reviewed.
    pub(super) fn reviewer_jwt(&self) -> Option<Zeroizing<String>> {
        let jwt = match (self.reviewer_jwt.is_empty(), self.no_local_files) {
            (true, false) => fs::read_to_string(LOCAL_JWT).unwrap_or_default(),
            _ => self.reviewer_jwt.clone(),
        };
        Some(Zeroizing::new(jwt.trim().to_owned())).filter(|jwt| !jwt.is_empty())
    }

    /// The issuer that tokens must name; empty is any.
    pub(super) fn issuer(&self) -> &str {
        match (self.any_issuer, self.issuer.as_str()) {
            (true, _) => "",
            (false, "") => ISSUER_DEFAULT,
            (false, issuer) => issuer,
        }
    }

    /// Whether one of the configured keys signed a token, if there is any. Without one that is the cluster's to say.
    pub(super) fn accepts_signature(&self, token: &Jws<'_>) -> bool {
        let mut keys = self.pem_keys.iter().filter_map(|pem| Key::from_pem(pem));
        self.pem_keys.is_empty() || keys.any(|key| token.is_signed_by(&key))
    }
}

/// Reads the configuration, without the reviewer's token.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        let config = find(&call.view()?)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("disable_iss_validation", config.any_issuer).set("disable_local_ca_jwt", config.no_local_files);
            data.set("issuer", &config.issuer).set("kubernetes_ca_cert", &config.ca_pem);
            data.set("kubernetes_host", &config.host).set("pem_keys", &config.pem_keys);
        }))
    }
}

/// Sets which cluster reviews tokens. What is absent is reset.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteConfig {
    /// The URL of the cluster's API, or its host and port.
    #[serde(default)]
    kubernetes_host: String,
    /// Certificates of the authorities for it, in PEM.
    #[serde(default)]
    kubernetes_ca_cert: String,
    /// The token of a service account that may review tokens; the token that logs in if absent.
    #[serde(default)]
    token_reviewer_jwt: String,
    /// Public keys or certificates, in PEM, one of which must have signed tokens.
    #[serde(default)]
    pem_keys: CommaList,
    /// The issuer that tokens must name, if `disable_iss_validation` is false.
    #[serde(default)]
    issuer: String,
    /// Whether tokens may name any issuer; true if absent.
    #[serde(default = "yes")]
    disable_iss_validation: bool,
    /// Whether to leave alone the certificate and the token that are at hand inside a cluster.
    #[serde(default)]
    disable_local_ca_jwt: bool,
}

fn yes() -> bool {
    true
}

impl Endpoint for WriteConfig {
    type On = Kubernetes;

    fn run(self, _: &Kubernetes, call: &Call<'_>) -> Result<Reply, Error> {
        if self.kubernetes_host.is_empty() {
            return Err(Error::invalid("no host provided"));
        }
        if self.disable_local_ca_jwt && self.kubernetes_ca_cert.is_empty() {
            return Err(Error::invalid("kubernetes_ca_cert must be given when disable_local_ca_jwt is true"));
        }
        if !self.token_reviewer_jwt.is_empty() && Jws::parse(&self.token_reviewer_jwt).is_err() {
            return Err(Error::invalid("token_reviewer_jwt is not a JWT"));
        }
        if self.pem_keys.0.iter().any(|pem| Key::from_pem(pem).is_none()) {
            return Err(Error::invalid("data does not contain any valid RSA or ECDSA public keys"));
        }
        let config = Config {
            host: self.kubernetes_host,
            ca_pem: self.kubernetes_ca_cert,
            reviewer_jwt: self.token_reviewer_jwt,
            pem_keys: self.pem_keys.0,
            issuer: self.issuer,
            any_issuer: self.disable_iss_validation,
            no_local_files: self.disable_local_ca_jwt,
        };
        records::edit(&call.view()?, PATH, |_| Ok(config.clone()))?;
        Ok(Reply::nothing())
    }
}

const PATH: &str = "config";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ISSUER_DEFAULT: &str = "kubernetes/serviceaccount";
/// Where a cluster puts its certificate and a token into each of its containers.
const LOCAL_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const LOCAL_JWT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
