//! Settings of a mount.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cert;
use crate::api::{Error, Reply};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint};

/// What an admin set.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    /// Tokens can be renewed without the certificate.
    pub(super) disable_binding: bool,
    /// Aliases get the metadata of the login.
    pub(super) enable_identity_alias_metadata: bool,
    /// Told back.
    ocsp_cache_size: i64,
}

impl Stored for Config {
    const VERSION: u8 = 1;
}

impl Config {
    pub(super) fn read(view: &View<'_>) -> Result<Self, Error> {
        Ok(records::find(view, PATH)?.unwrap_or_default())
    }
}

/// Reads the settings of the mount.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let config = Config::read(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("disable_binding", config.disable_binding);
            data.set("enable_identity_alias_metadata", config.enable_identity_alias_metadata);
            data.set("ocsp_cache_size", config.ocsp_cache_size);
        }))
    }
}

/// Changes settings of the mount. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteConfig {
    /// Whether tokens can be renewed without the certificate.
    disable_binding: Option<bool>,
    /// Whether aliases get the metadata of the login.
    enable_identity_alias_metadata: Option<bool>,
    /// Told back; there is no cache.
    ocsp_cache_size: Option<i64>,
}

impl Endpoint for WriteConfig {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        if self.ocsp_cache_size.is_some_and(|size| !(2..=OCSP_CACHE_SIZE_MAX).contains(&size)) {
            let text = format!("invalid cache size, must be >= 2 and <= {OCSP_CACHE_SIZE_MAX}");
            return Err(Error::invalid(text));
        }
        records::edit(&call.view()?, PATH, |before| {
            let mut config: Config = before.unwrap_or_default();
            config.disable_binding = self.disable_binding.unwrap_or(config.disable_binding);
            config.enable_identity_alias_metadata =
                self.enable_identity_alias_metadata.unwrap_or(config.enable_identity_alias_metadata);
            config.ocsp_cache_size = self.ocsp_cache_size.unwrap_or(config.ocsp_cache_size);
            Ok(config)
        })?;
        Ok(Reply::nothing())
    }
}

const PATH: &str = "config";
const OCSP_CACHE_SIZE_MAX: i64 = 100_000;
