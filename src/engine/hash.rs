//! Hashing what a client sends: an endpoint for every engine that has it. Keeps nothing.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Call, Endpoint};
use crate::api::fields::Base64;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::crypto::hash::Hash;

/// Hashes an input.
#[derive(Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "", rename = "HashInput")]
pub struct HashInput<E> {
    /// The hash function, in the path: beats the one in the body.
    urlalgorithm: String,
    /// The hash function: `sha2-256` (the default), another of SHA-2, or one of SHA-3.
    algorithm: Option<String>,
    /// What to hash, in base64.
    input: Option<Base64>,
    /// `hex` (the default) or `base64`.
    format: Option<String>,
    #[serde(skip)]
    on: PhantomData<fn(&E)>,
}

/// An engine that hashes on request.
pub trait Hashes: 'static {
    /// Without an input the request is refused; if not, nothing is hashed.
    const INPUT_REQUIRED: bool;
}

impl<E: Hashes> Endpoint for HashInput<E> {
    type On = E;

    fn run(self, _: &E, _: &Call<'_>) -> Result<Reply, Error> {
        if E::INPUT_REQUIRED && self.input.is_none() {
            return Err(Error::invalid("input missing"));
        }
        let input = Base64::or_empty(self.input);
        let input = input.map_err(|error| Error::invalid(format!("unable to decode input as base64: {error}")))?;
        let format = self.format.as_deref().unwrap_or("hex");
        if !matches!(format, "hex" | "base64") {
            let text = format!("unsupported encoding format {format}; must be \"hex\" or \"base64\"");
            return Err(Error::invalid(text));
        }
        let algorithm = match &*self.urlalgorithm {
            "" => self.algorithm.as_deref().unwrap_or("sha2-256"),
            algorithm => algorithm,
        };
        // SHA-1 is for signatures and MACs that must stay verifiable, not for new hashes.
        let hash = by_name(algorithm).filter(|hash| *hash != Hash::Sha1);
        let hash = hash.ok_or_else(|| Error::invalid(format!("unsupported algorithm {algorithm}")))?;
        let sum = hash.digest(&input);
        Ok(Reply::object(|data| match format {
            "hex" => write_hex(data, "sum", &sum),
            _ => drop(data.set_base64("sum", "", &sum)),
        }))
    }
}

/// Adds a member with `bytes` in hexadecimal.
pub(super) fn write_hex(data: &mut Object, name: &'static str, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
    data.set(name, text.as_str());
}

/// The hash function of a name. The case matters.
pub fn by_name(name: &str) -> Option<Hash> {
    Some(match name {
        "sha1" => Hash::Sha1,
        "sha2-224" => Hash::Sha2_224,
        "sha2-256" => Hash::Sha2_256,
        "sha2-384" => Hash::Sha2_384,
        "sha2-512" => Hash::Sha2_512,
        "sha3-224" => Hash::Sha3_224,
        "sha3-256" => Hash::Sha3_256,
        "sha3-384" => Hash::Sha3_384,
        "sha3-512" => Hash::Sha3_512,
        _ => return None,
    })
}
