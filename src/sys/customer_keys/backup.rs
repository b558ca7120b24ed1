//! The proof that a backup of a key exists, and the key with which the server signs what it states.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::Base64;
use crate::api::{Error, Reply};
use crate::core::customer_keys::CustomerKeys;
use crate::core::customer_keys::record::id_of;
use crate::core::{Core, receipts};
use crate::crypto::containers::PublicKey;
use crate::engine::{Call, Endpoint};
use crate::sys::customer_keys::given;

/// Asks for a nonce, or brings the proof that is made with it: HMAC-SHA-256 of the nonce, with the backed-up key.
#[derive(Deserialize, JsonSchema)]
pub struct Prove {
    /// Name of the key.
    name: String,
    /// The version that a nonce is asked for; the latest, if it is absent or 0.
    #[serde(default)]
    version: u32,
    /// The nonce, as it was told.
    nonce: Option<Base64>,
    /// The proof, in base64.
    proof: Option<Base64>,
}

impl Endpoint for Prove {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (active, view) = (core.unsealed()?, call.view()?);
        match (self.nonce, self.proof) {
            (None, None) => {
                let record = CustomerKeys::read(&view, &self.name)?;
                let latest = record.latest().map_or(0, |(latest, _)| latest);
                let id = id_of(&self.name, given(self.version).unwrap_or(latest));
                let nonce = active.customer_keys.nonce(&view, id.clone(), call.now)?;
                Ok(Reply::object(|data| {
                    data.set("name", &id.name).set("version", id.version);
                    data.set("nonce", BASE64_STANDARD.encode(nonce));
                }))
            }
            (Some(nonce), Some(proof)) => {
                let (nonce, proof) = (decoded("nonce", nonce)?, decoded("proof", proof)?);
                let id = active.customer_keys.prove(&view, &self.name, &nonce, &proof, call.now)?;
                tracing::info!(key = %id, "a backup of a customer key was shown");
                Ok(Reply::object(|data| {
                    data.set("name", &id.name).set("version", id.version).set("proof_time", call.now);
                }))
            }
            (Some(_), None) => Err(Error::invalid("missing proof: the base64 of HMAC-SHA-256 of the nonce")),
            (None, Some(_)) => Err(Error::invalid("missing nonce: ask for one with an empty body")),
        }
    }
}

fn decoded(name: &str, text: Base64) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    text.decoded().map_err(|error| Error::invalid(format!("{name} is not base64: {error}")))
}

/// Shows the public half of the key that signs receipts: Ed25519, over the text of a receipt.
#[derive(Deserialize, JsonSchema)]
pub struct ReadSigningKey {}

impl Endpoint for ReadSigningKey {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let key = receipts::public_key(&call.view()?)?;
        let pem = PublicKey::Ed25519(key).to_pem().map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("algorithm", "ed25519").set("public_key", BASE64_STANDARD.encode(key)).set("pem", pem);
        }))
    }
}
