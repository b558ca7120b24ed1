//! Verifying signatures, HMACs and CMACs: one, or a batch.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::batch::{Failures, Work, no_result};
use super::items::{Batch, Item, More, Shape, Text};
use super::mac;
use super::signing::{Choices, Inputs, Scheme};
use super::store::Loaded;
use super::uses::Use;
use super::{Transit, usable};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::crypto::hash::Hash;
use crate::engine::{Call, Endpoint};

/// Verifies a signature, an HMAC or a CMAC, or a batch of one kind of them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Verify {
    /// The key.
    name: String,
    /// The hash function, in the path: beats the one in the body.
    urlalgorithm: String,
    /// What was signed or authenticated, in base64. May be empty.
    #[serde(default)]
    input: String,
    /// The signature, as it was given out.
    signature: Option<String>,
    /// The HMAC, as it was given out.
    hmac: Option<String>,
    /// The CMAC, as it was given out.
    cmac: Option<String>,
    /// Bytes of the CMAC; 0 is all 16.
    #[serde(default)]
    mac_length: i64,
    /// What a derived key is derived with, in base64.
    #[serde(default)]
    context: String,
    /// The context of an Ed25519 signature (RFC 8032 section 5.1), in base64.
    #[serde(default)]
    signature_context: String,
    /// The hash function: `sha2-256` (the default), another of SHA-2, one of SHA-3, `sha1`, or `none`.
    hash_algorithm: Option<String>,
    /// The hash function: of HMACs if `hash_algorithm` is absent, of signatures if it is empty.
    algorithm: Option<String>,
    /// Whether the input is a digest already.
    #[serde(default)]
    prehashed: bool,
    /// How an RSA key padded: `pss` (the default) or `pkcs1v15`.
    #[serde(default)]
    signature_algorithm: String,
    /// How the signature is written: `asn1` (the default) or `jws`.
    marshaling_algorithm: Option<String>,
    /// Bytes of the salt of PSS, or `hash`, or `auto` (the default) for any number.
    salt_length: Option<String>,
    /// Objects with the members `input`, `signature`, `hmac` or `cmac`, `mac_length`, `context`, `signature_context` and
    /// `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
}

impl Endpoint for Verify {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let items = self.batch_input.items(&Shape::VERIFY)?;
        let single = self.single();
        let kind = match &items {
            Some(items) => Kind::of_all(items)?,
            None => Kind::of(&single).ok_or_else(|| Error::invalid(NO_PROOF))?,
        };
        let verifier = self.verifier(transit, call, kind)?;
        let Some(items) = items else {
            let valid = verifier.verify(&single)?;
            return Ok(Reply::object(|data| {
                data.set("valid", valid);
            }));
        };
        let blank = if kind == Kind::Signature { invalid } else { no_result };
        let work = Work { items: &items, failures: Failures::KeepAll, room: 0, blank };
        work.run(|_, item, result| {
            item.text.as_ref().ok_or_else(|| Error::invalid("missing input"))?;
            result.set("valid", verifier.verify(item)?);
            Ok::<_, Error>(())
        })
    }
}

impl Verify {
    /// The only item of a request without a batch.
    fn single(&self) -> Item<'_> {
        let more = More {
            signature: self.signature.as_deref().map(Text::from),
            hmac: self.hmac.as_deref().map(Text::from),
            cmac: self.cmac.as_deref().map(Text::from),
            mac_length: self.mac_length,
            signature_context: Text::from(&*self.signature_context),
            ..More::default()
        };
        Item { context: Text::from(&*self.context), ..Item::single(Some(Text::from(&*self.input)), more) }
    }

    fn verifier(&self, transit: &Transit, call: &Call<'_>, kind: Kind) -> Result<Verifier, Error> {
        let view = call.view()?;
        let choices = self.choices();
        let (loaded, proof) = match kind {
            Kind::Signature => {
                let scheme = choices.scheme()?;
                let loaded = transit.find(&view, &self.name)?;
                let loaded = loaded.ok_or_else(|| Error::invalid("signature verification key not found"))?;
                let loaded = usable(loaded)?;
                let key_type = loaded.key.policy.key_type;
                if !key_type.signs() {
                    let name = key_type.name();
                    return Err(Error::invalid(format!("key type {name} does not support verification")));
                }
                scheme.check_hashless()?;
                (loaded, Proof::Signature(scheme))
            }
            Kind::Hmac => {
                let loaded = transit.encryption_key(&view, &self.name)?;
                (loaded, Proof::Hmac(choices.hmac_hash()?))
            }
            Kind::Cmac => (mac::cmac_key(transit, &view, &self.name)?, Proof::Cmac),
        };
        Ok(Verifier { loaded, proof })
    }

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

/// What is verified. A signature comes before an HMAC if an item has both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Signature,
    Hmac,
    Cmac,
}

impl Kind {
    fn of(item: &Item<'_>) -> Option<Self> {
        let more = item.more()?;
        let given = [(&more.signature, Self::Signature), (&more.hmac, Self::Hmac), (&more.cmac, Self::Cmac)];
        given.into_iter().find(|(proof, _)| proof.is_some()).map(|(_, kind)| kind)
    }

    /// The one kind of a batch.
    fn of_all(items: &[Item<'_>]) -> Result<Self, Error> {
        let mut kinds = items.iter().map(Self::of);
        let Some(kind) = kinds.clone().flatten().next() else {
            return Err(Error::invalid("no batch_input elements have 'signature' or 'hmac'"));
        };
        if kinds.clone().flatten().any(|other| other != kind) {
            return Err(Error::invalid("elements of batch_input must all provide 'signature' or all provide 'hmac'"));
        }
        if kinds.any(|kind| kind.is_none()) {
            return Err(Error::invalid(format!("some elements of batch_input are missing '{}'", kind.member())));
        }
        Ok(kind)
    }

    const fn member(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Hmac => "hmac",
            Self::Cmac => "cmac",
        }
    }
}

/// What verifies all items.
struct Verifier {
    loaded: Arc<Loaded>,
    proof: Proof,
}

enum Proof {
    Signature(Scheme),
    Hmac(Hash),
    Cmac,
}

impl Verifier {
    fn verify(&self, item: &Item<'_>) -> Result<bool, Error> {
        let key = &self.loaded.key;
        let input = item.text.as_deref().unwrap_or_default();
        let more = item.more();
        match &self.proof {
            Proof::Signature(scheme) => {
                let inputs = Inputs::of(item)?;
                let (version, payload) =
                    key.for_verification(more.and_then(|more| more.signature.as_deref()).unwrap_or_default())?;
                version.uses.count(Use::Verify);
                version.verify(key.policy.key_type, scheme, inputs.message(), payload)
            }
            Proof::Hmac(hash) => {
                mac::verify_hmac(key, *hash, input, more.and_then(|more| more.hmac.as_deref()).unwrap_or_default())
            }
            Proof::Cmac => {
                let length = more.map_or(0, |more| more.mac_length);
                mac::verify_cmac(key, length, input, more.and_then(|more| more.cmac.as_deref()).unwrap_or_default())
            }
        }
    }
}

/// What a signature that could not be verified is called.
fn invalid(result: &mut Object) {
    result.set("valid", false);
}

const NO_PROOF: &str = "neither a 'signature' nor an 'hmac' were given to verify";
