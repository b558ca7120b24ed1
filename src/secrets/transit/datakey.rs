//! Data keys: random keys for a client's own encryption, given out encrypted under a named key.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Transit;
use super::crypt::{DEFAULT_PADDING, decode_aad};
use super::encryption::Extras;
use super::key::{Key, Version};
use super::key_type::Family;
use crate::api::fields::Base64;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::crypto::aead::Draft;
use crate::crypto::random::Random;
use crate::crypto::rsa::Padding;
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
    /// How an RSA key pads: `oaep` (the default) or `pkcs1v15`.
    padding_scheme: Option<String>,
    /// The version to encrypt with; 0 is the latest.
    #[serde(default)]
    key_version: i64,
}

impl Endpoint for MakeDataKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let shown = is_shown(&self.plaintext)?;
        let context = context(self.context)?;
        let loaded = transit.key_to_encrypt_with(&call.view()?, &self.name, call.now)?;
        let padding = padding(&loaded.key, self.padding_scheme.as_deref())?;
        let mut aad = Vec::new();
        check_aad(&loaded.key, &self.associated_data)?;
        decode_aad(&self.associated_data, &mut aad)?;
        let wanted = Wanted {
            shown,
            key_len: data_key_len(self.bits)?,
            context: &context,
            extras: Extras { aad: &aad, padding },
        };
        let version = loaded.key.for_encryption(self.key_version)?;
        let mut result = Object::with_capacity(RESULT_BYTES);
        let warning = wanted.make(version, &mut result)?;
        result.set("key_version", version.number);
        let reply = Reply::json(result.finish());
        Ok(match warning {
            Some(text) => reply.warn(text),
            None => reply,
        })
    }
}

/// Makes several data keys at once and encrypts each.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MakeDataKeys {
    /// `plaintext` gives out the data keys beside their ciphertexts, `wrapped` only the ciphertexts.
    plaintext: String,
    /// The key that encrypts them.
    name: String,
    /// How many, at most 10,000.
    count: Option<i64>,
    /// Bits of each data key: 128, 256 or 512.
    #[serde(default = "default_bits")]
    bits: i64,
    /// What a derived key is derived with, in base64.
    context: Option<Base64>,
    /// The version to encrypt with; 0 is the latest.
    #[serde(default)]
    key_version: i64,
}

impl Endpoint for MakeDataKeys {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let shown = is_shown(&self.plaintext)?;
        let count = self.count.ok_or_else(|| Error::invalid("missing count"))?;
        let count = usize::try_from(count).ok().filter(|count| (1..=DATA_KEYS_MAX).contains(count));
        let count = count.ok_or_else(|| Error::invalid(format!("count must be between 1 and {DATA_KEYS_MAX}")))?;
        let context = context(self.context)?;
        let loaded = transit.key_to_encrypt_with(&call.view()?, &self.name, call.now)?;
        let extras = Extras { aad: &[], padding: DEFAULT_PADDING };
        let wanted = Wanted { shown, key_len: data_key_len(self.bits)?, context: &context, extras };
        let version = loaded.key.for_encryption(self.key_version)?;
        let mut result = Object::with_capacity(count * RESULT_BYTES);
        let mut outcome = Ok(None);
        result.set_list("key_pairs", 0..count, |pair, _| {
            if outcome.is_ok() {
                outcome = wanted.make(version, pair);
            }
        });
        let warning = outcome?;
        result.set("key_version", version.number);
        let reply = Reply::json(result.finish());
        Ok(match warning {
            Some(text) => reply.warn(text),
            None => reply,
        })
    }
}

/// How data keys are to be.
struct Wanted<'a> {
    shown: bool,
    key_len: usize,
    context: &'a [u8],
    extras: Extras<'a>,
}

impl Wanted<'_> {
    /// Makes one data key. Returns what whoever asked for it should know.
    fn make(&self, version: &Version, result: &mut Object) -> Result<Option<&'static str>, Error> {
        let mut data_key = Zeroizing::new(vec![0; self.key_len]);
        Entropy.fill(&mut data_key);
        let mut draft = Draft::with_capacity(data_key.len());
        draft.extend_from_slice(&data_key);
        let working = version.with_context(self.context)?;
        let warning = version.count_encryption()?;
        let ciphertext = working.encrypt(&mut Entropy, self.extras, &mut draft)?;
        result.set_base64("ciphertext", &version.prefix, ciphertext);
        if self.shown {
            result.set_base64("plaintext", "", &data_key);
        }
        Ok(warning)
    }
}

fn is_shown(kind: &str) -> Result<bool, Error> {
    match kind {
        "plaintext" => Ok(true),
        "wrapped" => Ok(false),
        _ => Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    }
}

fn context(parameter: Option<Base64>) -> Result<Zeroizing<Vec<u8>>, Error> {
    Base64::or_empty(parameter).map_err(|_| Error::invalid("failed to base64-decode context"))
}

fn check_aad(key: &Key, aad: &str) -> Result<(), Error> {
    let key_type = key.policy.key_type;
    if aad.is_empty() || !key_type.encrypts() || key_type.cipher().is_some() {
        return Ok(());
    }
    let name = key_type.name();
    Err(Error::invalid(format!("'associated_data' provided for non-AEAD cipher suite {name}")))
}

fn padding(key: &Key, name: Option<&str>) -> Result<Padding, Error> {
    let key_type = key.policy.key_type;
    let refuse = |why: String| Err(Error::invalid(format!("padding_scheme argument invalid: {why}")));
    match (name, key_type.family()) {
        (None, _) | (Some("oaep"), Family::Rsa(_)) => Ok(DEFAULT_PADDING),
        (Some("pkcs1v15"), Family::Rsa(_)) => Ok(Padding::Pkcs1v15),
        (Some(other), Family::Rsa(_)) => refuse(format!("unknown padding scheme: {other}")),
        (Some(_), _) => refuse(format!("unsupported key type {} for padding scheme", key_type.name())),
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

/// Data keys of one request.
const DATA_KEYS_MAX: usize = 10_000;
/// Room for the longest answer of symmetric keys, so that no copy of a data key is left behind.
const RESULT_BYTES: usize = 512;
