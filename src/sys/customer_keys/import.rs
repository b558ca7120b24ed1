//! How a key gets here: as its bytes, in base64, or wrapped for the server's own key.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::credential::Credential;
use crate::api::fields::Base64;
use crate::api::{Error, Params, Reply};
use crate::core::Core;
use crate::core::customer_keys::CustomerKeys;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::key_transport::{self, OAEP_HASH_DEFAULT};
use crate::engine::{Call, Endpoint, wrapping_key};

/// Uploads a key: 32 random bytes, as `openssl rand -out key 32` makes them. Another upload under the same name is the
/// next version; the same key again, where it is kept in memory only and not loaded, is presented.
///
/// The body is the bytes themselves as `application/octet-stream`, or JSON with `key` or `wrapped_key`.
#[derive(Deserialize, JsonSchema)]
pub struct Upload {
    /// Name of the key.
    name: String,
    /// Where it is kept: `sealed`, in the store under the platform's keys; or `memory`, nowhere else, so that its mounts are
    /// locked after a restart until it is presented again.
    #[serde(default)]
    storage: String,
    #[serde(rename = "$material")]
    #[schemars(flatten)]
    material: Material,
}

/// A key on its way.
#[derive(Deserialize, JsonSchema)]
struct Material {
    /// The key in base64.
    key: Option<Credential>,
    /// The key wrapped for `sys/customer-keys/wrapping-key`, in base64: RSA-OAEP of an AES-256 key, and the key wrapped by
    /// that with AES-KWP; or RSA-OAEP of the key itself.
    wrapped_key: Option<Base64>,
    /// The hash of OAEP.
    #[serde(default)]
    hash_function: String,
}

impl Endpoint for Upload {
    type On = Core;
    const TAKES_OCTETS: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let storage = super::storage_of(&self.storage)?;
        let (active, view) = (core.unsealed()?, call.view()?);
        let key = self.material.key(call)?;
        let (number, version) = active.upload_key(&view, &self.name, key, storage, call.now)?;
        Ok(super::told(&active, &self.name, number, &version))
    }
}

/// Puts a revoked key in force again, or presents one that is not loaded: the same bytes as before, as in an upload.
#[derive(Deserialize, JsonSchema)]
pub struct Restore {
    /// Name of the key.
    name: String,
    #[serde(rename = "$material")]
    #[schemars(flatten)]
    material: Material,
}

impl Endpoint for Restore {
    type On = Core;
    const TAKES_OCTETS: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (active, view) = (core.unsealed()?, call.view()?);
        let key = self.material.key(call)?;
        let (number, _) = active.restore(&view, &self.name, &key, call.now)?;
        let version = CustomerKeys::read(&view, &self.name)?.versions.remove(&number).ok_or(Error::NotFound)?;
        Ok(super::told(&active, &self.name, number, &version))
    }
}

impl Material {
    fn key(self, call: &Call<'_>) -> Result<CustomerKey, Error> {
        let refused = |refused: crate::crypto::customer_key::Refused| Error::invalid(refused.to_string());
        match (&call.request.params, self.key, self.wrapped_key) {
            (Params::Octets(bytes, _), None, None) => CustomerKey::parse(bytes).map_err(refused),
            (Params::None | Params::Json(_) | Params::Pairs(_), Some(text), None) => {
                CustomerKey::parse_text(text.expose()).map_err(refused)
            }
            (Params::None | Params::Json(_) | Params::Pairs(_), None, Some(wrapped)) => {
                let wrapped = wrapped.decoded().map_err(|_| Error::invalid("wrapped_key is not base64"))?;
                let name = if self.hash_function.is_empty() { OAEP_HASH_DEFAULT } else { &self.hash_function };
                let hash = key_transport::oaep_hash(name)
                    .ok_or_else(|| Error::invalid(format!("unsupported hash function name: {name}")))?;
                let bytes = key_transport::unwrap_or_decrypt(&wrapping_key::of(&call.view()?)?, hash, &wrapped);
                let bytes =
                    bytes.map_err(|error| Error::invalid(format!("wrapped_key does not open: {error}; {REWRAP}")))?;
                CustomerKey::parse(&bytes).map_err(refused)
            }
            (_, None, None) => Err(Error::invalid(NO_KEY)),
            (..) => Err(Error::invalid(TWO_KEYS)),
        }
    }
}

/// Shows the public key for which a key is wrapped that is to be uploaded.
#[derive(Deserialize, JsonSchema)]
pub struct ReadWrappingKey {}

impl Endpoint for ReadWrappingKey {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let pem = key_transport::public_pem(&wrapping_key::of(&call.view()?)?).map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("public_key", pem);
        }))
    }
}

const NO_KEY: &str = "missing key: send its 32 raw bytes as the body with Content-Type application/octet-stream, or JSON with \
                      \"key\" (base64) or \"wrapped_key\" (base64)";
const TWO_KEYS: &str = "more than one key was sent: use either the body's bytes, \"key\" or \"wrapped_key\"";
const REWRAP: &str = "wrap the key for the public key of sys/customer-keys/wrapping-key (`coffer key wrap`)";
