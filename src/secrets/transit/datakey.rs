//! Data keys: random keys for a client's own encryption, given out encrypted under a named key.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Transit;
use super::crypt::{decode_aad, write_ciphertext};
use crate::api::fields::Base64;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::crypto::aead::Draft;
use crate::crypto::random::Random;
use crate::engine::{Call, Endpoint};
use crate::entropy::Entropy;

/// Makes a data key and encrypts it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MakeDataKey {
    /// `plaintext` gives out the data key beside its ciphertext, `wrapped` only the ciphertext.
    plaintext: String,
    /// The key that encrypts it.
    name: String,
    /// Bits of the data key: 128, 256 or 512.
    #[serde(default = "default_bits")]
    bits: i64,
    /// What a derived key is derived with, in base64.
    context: Option<Base64>,
    /// What to authenticate besides, in base64.
    #[serde(default)]
    associated_data: String,
    /// The version to encrypt with; 0 is the latest.
    #[serde(default)]
    key_version: i64,
}

impl Endpoint for MakeDataKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let shown = match &*self.plaintext {
            "plaintext" => true,
            "wrapped" => false,
            _ => return Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
        };
        let context = Base64::or_empty(self.context).map_err(|_| Error::invalid("failed to base64-decode context"))?;
        let loaded = transit.encryption_key(&call.view()?, &self.name)?;
        let mut random = Entropy;
        let mut data_key = Zeroizing::new(vec![0; data_key_len(self.bits)?]);
        random.fill(&mut data_key);

        let version = loaded.key.for_encryption(self.key_version)?;
        let working = version.with_context(&context)?;
        let mut aad = Vec::new();
        decode_aad(&self.associated_data, &mut aad)?;
        let mut draft = Draft::with_capacity(data_key.len());
        draft.extend_from_slice(&data_key);
        let mut result = Object::with_capacity(RESULT_BYTES);
        write_ciphertext(&mut result, version, working.encrypt(&mut random, &aad, &mut draft)?);
        if shown {
            result.set_base64("plaintext", "", &data_key);
        }
        Ok(Reply::json(result.finish()))
    }
}

fn data_key_len(bits: i64) -> Result<usize, Error> {
    match bits {
        128 => Ok(16),
        256 => Ok(32),
        512 => Ok(64),
        _ => Err(Error::invalid("invalid bit length")),
    }
}

fn default_bits() -> i64 {
    256
}

/// Room for the longest answer, so that no copy of a data key is left behind.
const RESULT_BYTES: usize = 512;
