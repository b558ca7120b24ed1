//! Signing: one input, or a batch.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transit;
use super::batch::{Failures, Work};
use super::items::{Batch, Item, More, Shape, Text};
use super::key::Key;
use super::policy::SOFT_DELETED;
use super::signing::{Choices, Inputs, Marshaling, Scheme};
use super::uses::Use;
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::engine::{Call, Endpoint};

/// Signs an input, or a batch of them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Sign {
    /// The key.
    name: String,
    /// The hash function, in the path: beats the one in the body.
    urlalgorithm: String,
    /// What to sign, in base64. May be empty.
    #[serde(default)]
    input: String,
    /// What a derived key is derived with, in base64.
    #[serde(default)]
    context: String,
    /// The context of an Ed25519 signature (RFC 8032 section 5.1), in base64.
    #[serde(default)]
    signature_context: String,
    /// The version to sign with, for all of a batch; 0 is the latest.
    #[serde(default)]
    key_version: i64,
    /// The hash function: `sha2-256` (the default), another of SHA-2, one of SHA-3, `sha1`, or `none`.
    hash_algorithm: Option<String>,
    /// The hash function, if `hash_algorithm` is empty.
    algorithm: Option<String>,
    /// Whether the input is a digest already.
    #[serde(default)]
    prehashed: bool,
    /// How an RSA key pads: `pss` (the default) or `pkcs1v15`.
    #[serde(default)]
    signature_algorithm: String,
    /// How the signature is written: `asn1` (the default) or `jws`.
    marshaling_algorithm: Option<String>,
    /// Bytes of the salt of PSS, or `hash`, or `auto` (the default) for as many as there is room for.
    salt_length: Option<String>,
    /// Objects with the members `input`, `context`, `signature_context` and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
}

impl Endpoint for Sign {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let scheme = self.choices().scheme()?;
        let loaded = transit.find(&call.view()?, &self.name)?;
        let loaded = loaded.ok_or_else(|| Error::invalid("signing key not found"))?;
        let key = &loaded.key;
        if key.policy.soft_deleted {
            return Err(Error::bare(SOFT_DELETED));
        }
        if !key.policy.key_type.signs() {
            let name = key.policy.key_type.name();
            return Err(Error::invalid(format!("key type {name} does not support signing")));
        }
        scheme.check_hashless()?;
        let order = Order { key, scheme: &scheme, key_version: self.key_version };
        if let Some(items) = self.batch_input.items(&Shape::SIGN)? {
            let blank = |result: &mut Object| {
                result.set("key_version", 0);
            };
            let work = Work { items: &items, failures: Failures::KeepAll, room: items.len() * RESULT_BYTES, blank };
            return work.run(|_, item, result| {
                item.text.as_ref().ok_or_else(|| Error::invalid("missing input"))?;
                order.sign(item, "publickey", result)
            });
        }
        let more = More { signature_context: Text::from(&*self.signature_context), ..More::default() };
        let item = Item { context: Text::from(&*self.context), ..Item::single(Some(Text::from(&*self.input)), more) };
        let mut result = Object::with_capacity(RESULT_BYTES);
        order.sign(&item, "public_key", &mut result)?;
        Ok(Reply::json(result.finish()))
    }
}

impl Sign {
    fn choices(&self) -> Choices<'_> {
        Choices {
            url_hash: &self.urlalgorithm,
            hash: self.hash_algorithm.as_deref(),
            old_hash: self.algorithm.as_deref(),
            prehashed: self.prehashed,
            signature_algorithm: &self.signature_algorithm,
            marshaling: self.marshaling_algorithm.as_deref(),
            salt_length: self.salt_length.as_deref(),
        }
    }
}

/// How all items are to be signed.
struct Order<'a> {
    key: &'a Key,
    scheme: &'a Scheme,
    key_version: i64,
}

impl Order<'_> {
    fn sign(&self, item: &Item<'_>, public_key_member: &'static str, result: &mut Object) -> Result<(), Error> {
        let inputs = Inputs::of(item)?;
        let version = self.key.for_signing(self.key_version)?;
        version.uses.count(Use::Sign);
        let signed = version.sign(self.key.policy.key_type, self.scheme, inputs.message())?;
        match self.scheme.marshaling {
            Marshaling::Asn1 => result.set_base64("signature", &version.prefix, &signed.signature),
            Marshaling::Jws => {
                result.set("signature", format!("{}{}", version.prefix, base64::encode_url(&signed.signature)))
            }
        };
        result.set("key_version", version.number);
        if let Some(public_key) = signed.public_key {
            result.set_base64(public_key_member, "", &public_key);
        }
        Ok(())
    }
}

/// Bytes of one result, unless an RSA or ML-DSA signature needs more.
const RESULT_BYTES: usize = 512;
