//! Signatures: how clients choose among their kinds, and how each is made and checked.

use zeroize::Zeroizing;

use super::items::Item;
use super::key::Version;
use super::key_type::{Family, KeyType};
use super::mac;
use super::material::Material;
use crate::api::Error;
use crate::api::base64;
use crate::crypto::ecdsa::{self, DerError};
use crate::crypto::ed25519::{self, Variant};
use crate::crypto::hash::Hash;
use crate::crypto::rsa::{self, SaltLength};
use crate::engine::hash;

/// What a client says of a signature.
pub(super) struct Scheme {
    /// `None`: the input is signed as it is.
    pub hash: Option<Hash>,
    /// The input is a digest already.
    pub prehashed: bool,
    pub rsa: RsaScheme,
    pub salt: SaltLength,
    pub marshaling: Marshaling,
}

/// How RSA pads. A name that nobody knows matters only to RSA keys.
pub(super) enum RsaScheme {
    Pss,
    Pkcs1v15,
    Unknown(String),
}

/// How a signature is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marshaling {
    /// ECDSA in DER, all in base64.
    Asn1,
    /// ECDSA as r ‖ s, all in base64url without padding (RFC 7515).
    Jws,
}

/// The parameters of a signature, or of an HMAC to verify, as they came.
pub(super) struct Choices<'a> {
    /// The hash function in the path, which comes first; empty if there is none.
    pub url_hash: &'a str,
    pub hash: Option<&'a str>,
    pub old_hash: Option<&'a str>,
    pub prehashed: bool,
    pub signature_algorithm: &'a str,
    pub marshaling: Option<&'a str>,
    pub salt_length: Option<&'a str>,
}

impl Choices<'_> {
    /// The name of the hash function of a signature. The parameter has a default, and so its predecessor only counts
    /// when it is there and empty.
    fn hash(&self) -> &str {
        match (self.url_hash, self.hash, self.old_hash) {
            ("", None, _) | ("", Some(""), None) => DEFAULT_HASH,
            ("", Some(""), Some(old)) => old,
            ("", Some(name), _) | (name, _, _) => name,
        }
    }

    /// The hash function of an HMAC.
    pub(super) fn hmac_hash(&self) -> Result<Hash, Error> {
        let named = [Some(self.url_hash), self.hash, self.old_hash].into_iter().flatten().find(|name| !name.is_empty());
        mac::of_hmac(named.unwrap_or(DEFAULT_HASH))
    }

    /// Understands the parameters, in Vault's order.
    pub(super) fn scheme(&self) -> Result<Scheme, Error> {
        let hash = match self.hash() {
            "none" => None,
            name => {
                Some(hash::by_name(name).ok_or_else(|| Error::invalid(format!("invalid hash algorithm {name:?}")))?)
            }
        };
        let marshaling = match self.marshaling.unwrap_or("asn1") {
            "asn1" => Marshaling::Asn1,
            "jws" => Marshaling::Jws,
            other => return Err(Error::invalid(format!("invalid marshaling type {other:?}"))),
        };
        let rsa = match self.signature_algorithm {
            "" | "pss" => RsaScheme::Pss,
            "pkcs1v15" => RsaScheme::Pkcs1v15,
            other => RsaScheme::Unknown(other.to_owned()),
        };
        let salt = salt_length(self.salt_length.unwrap_or("auto"))?;
        Ok(Scheme { hash, prehashed: self.prehashed, rsa, salt, marshaling })
    }
}

impl Scheme {
    /// Signing without a hash is for digests of unknown kind, with the one scheme that does not mind.
    pub(super) fn check_hashless(&self) -> Result<(), Error> {
        match (self.hash, self.prehashed, &self.rsa) {
            (Some(_), _, _) | (None, true, RsaScheme::Pkcs1v15) => Ok(()),
            (None, _, _) => {
                Err(Error::invalid("hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15"))
            }
        }
    }

    /// What is signed: a digest for the types that sign digests.
    fn digested(&self, key_type: KeyType, input: &[u8]) -> Option<Vec<u8>> {
        self.hash.filter(|_| key_type.hashes_first() && !self.prehashed).map(|hash| hash.digest(input))
    }

    fn rsa(&self) -> Result<rsa::Scheme, Error> {
        match (&self.rsa, self.hash) {
            (RsaScheme::Unknown(name), _) => Err(Error::bare(format!("unsupported rsa signature algorithm {name}"))),
            (RsaScheme::Pkcs1v15, hash) => Ok(rsa::Scheme::Pkcs1v15(hash)),
            (RsaScheme::Pss, Some(hash)) => Ok(rsa::Scheme::Pss { hash, salt: self.salt }),
            (RsaScheme::Pss, None) => Err(Error::internal("PSS without a hash")),
        }
    }

    /// What Vault says of what RSA refuses.
    fn rsa_refusal(&self, error: rsa::Error) -> String {
        match (error, &self.rsa, self.salt) {
            (rsa::Error::SaltLength, _, SaltLength::Bytes(len)) => format!("requested salt length {len} is invalid"),
            (rsa::Error::DigestLength, RsaScheme::Pss, _) => "crypto/rsa: input must be hashed with given hash".into(),
            (rsa::Error::DigestLength, _, _) => "crypto/rsa: input must be hashed message".into(),
            (rsa::Error::TooLong, _, _) => "crypto/rsa: message too long for RSA key size".into(),
            (other, _, _) => other.to_string(),
        }
    }

    /// Ed25519 proper, unless a client asks for one of its variants (RFC 8032 section 5.1) in full.
    fn ed25519<'c>(&self, context: &'c [u8]) -> Result<Variant<'c>, Error> {
        if context.len() > ED25519_CONTEXT_MAX {
            return Err(Error::invalid("signature_context must not be longer than 255 bytes"));
        }
        match (self.prehashed, self.hash, context) {
            (true, Some(Hash::Sha2_512), context) => Ok(Variant::Prehashed(context)),
            (_, _, []) => Ok(Variant::Pure),
            (false, _, context) => Ok(Variant::Context(context)),
            (true, _, _) => Err(Error::invalid("prehashed ed25519 signatures need hash_algorithm sha2-512")),
        }
    }

    fn decode(&self, text: &str) -> Result<Vec<u8>, Error> {
        let decoded = match self.marshaling {
            Marshaling::Asn1 => base64::decode(text).map(|bytes| bytes.to_vec()).ok(),
            Marshaling::Jws => base64::decode_url(text),
        };
        decoded.ok_or_else(|| Error::invalid("invalid base64 signature value"))
    }
}

/// `auto`, `hash` or a number, of which 0 and -1 mean the same as the words.
fn salt_length(text: &str) -> Result<SaltLength, Error> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(SaltLength::Auto);
    }
    if text.eq_ignore_ascii_case("hash") {
        return Ok(SaltLength::Hash);
    }
    let number: i64 =
        text.parse().map_err(|_| Error::invalid(format!("salt length neither 'auto', 'hash', nor an int: {text}")))?;
    match number {
        -1 => Ok(SaltLength::Hash),
        0 => Ok(SaltLength::Auto),
        1.. => usize::try_from(number).map(SaltLength::Bytes).map_err(Error::internal),
        _ => Err(Error::invalid(format!("salt length is invalid: {number}"))),
    }
}

/// What an item holds, decoded.
pub(super) struct Inputs {
    input: Zeroizing<Vec<u8>>,
    context: Zeroizing<Vec<u8>>,
    signature_context: Zeroizing<Vec<u8>>,
}

impl Inputs {
    pub(super) fn of(item: &Item<'_>) -> Result<Self, Error> {
        let input = base64::decode(item.text.as_deref().unwrap_or_default());
        let input = input.map_err(|error| Error::invalid(format!("unable to decode input as base64: {error}")))?;
        let context = base64::decode(&item.context);
        let context = context.map_err(|_| Error::invalid("failed to base64-decode context"))?;
        let signature_context = base64::decode(item.more().map_or("", |more| &more.signature_context));
        let signature_context =
            signature_context.map_err(|_| Error::invalid("failed to base64-decode signature_context"))?;
        Ok(Self { input, context, signature_context })
    }

    pub(super) fn message(&self) -> Message<'_> {
        Message { input: &self.input, context: &self.context, signature_context: &self.signature_context }
    }
}

/// One thing to sign, or to verify.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub input: &'a [u8],
    /// What a derived key is derived with.
    pub context: &'a [u8],
    /// The context of Ed25519 signatures.
    pub signature_context: &'a [u8],
}

/// A signature, not written yet.
pub(super) struct Signed {
    pub signature: Vec<u8>,
    /// Of a derived key, whose public key only who knows the context can get.
    pub public_key: Option<[u8; 32]>,
}

impl Version {
    pub(super) fn sign(&self, key_type: KeyType, scheme: &Scheme, message: Message<'_>) -> Result<Signed, Error> {
        check_signature_context(key_type, message)?;
        let digest = scheme.digested(key_type, message.input);
        let input = digest.as_deref().unwrap_or(message.input);
        let mut public_key = None;
        let signature = match &self.material {
            Material::Ecdsa(pair) => {
                let private = private(pair.private.as_ref())?;
                let signature = match scheme.marshaling {
                    Marshaling::Asn1 => private.sign_der(input),
                    Marshaling::Jws => private.sign(input).map(|signature| signature.to_fixed(pair.public.curve())),
                };
                signature.map_err(Error::internal)?
            }
            Material::Rsa(pair) => {
                let private = private(pair.private.as_ref())?;
                private.sign(scheme.rsa()?, input).map_err(|error| Error::bare(scheme.rsa_refusal(error)))?
            }
            Material::Ed25519(pair) => sign_ed25519(private(pair.private.as_ref())?, scheme, message)?,
            Material::Ed25519Base(_) => {
                let derived = self.material.ed25519_of(message.context)?;
                public_key = Some(derived.public_key());
                sign_ed25519(&derived, scheme, message)?
            }
            Material::MlDsa(pair) => private(pair.private.as_ref())?.sign(input).map_err(Error::internal)?,
            Material::Cipher(_) | Material::Base(_) | Material::Cmac(_) | Material::Hmac => {
                return Err(Error::internal("a key that cannot sign was asked to"));
            }
        };
        Ok(Signed { signature, public_key })
    }

    /// Whether `payload`, a signature without its prefix, is one of the message.
    pub(super) fn verify(
        &self,
        key_type: KeyType,
        scheme: &Scheme,
        message: Message<'_>,
        payload: &str,
    ) -> Result<bool, Error> {
        check_signature_context(key_type, message)?;
        let signature = scheme.decode(payload)?;
        let digest = scheme.digested(key_type, message.input);
        let input = digest.as_deref().unwrap_or(message.input);
        match &self.material {
            Material::Ecdsa(pair) => match scheme.marshaling {
                Marshaling::Asn1 => pair.public.verify_der(input, &signature).map_err(der_refusal),
                Marshaling::Jws => Ok(pair.public.verify(input, &ecdsa::Signature::from_fixed(&signature))),
            },
            Material::Rsa(pair) => {
                let valid = pair.public.verify(scheme.rsa()?, input, &signature);
                valid.map_err(|error| Error::invalid(scheme.rsa_refusal(error)))
            }
            Material::Ed25519(pair) => {
                Ok(pair.public.verify(scheme.ed25519(message.signature_context)?, message.input, &signature))
            }
            Material::Ed25519Base(_) => {
                let derived = self.material.ed25519_of(message.context)?;
                let public = ed25519::PublicKey::from_bytes(&derived.public_key()).map_err(Error::internal)?;
                Ok(public.verify(scheme.ed25519(message.signature_context)?, message.input, &signature))
            }
            Material::MlDsa(pair) => Ok(pair.public.verify(input, &signature)),
            Material::Cipher(_) | Material::Base(_) | Material::Cmac(_) | Material::Hmac => {
                Err(Error::internal("a key that cannot verify was asked to"))
            }
        }
    }
}

fn check_signature_context(key_type: KeyType, message: Message<'_>) -> Result<(), Error> {
    if message.signature_context.is_empty() || key_type.family() == Family::Ed25519 {
        return Ok(());
    }
    Err(Error::invalid(format!("signature_context is not supported for key type {}", key_type.name())))
}

fn sign_ed25519(key: &ed25519::PrivateKey, scheme: &Scheme, message: Message<'_>) -> Result<Vec<u8>, Error> {
    let signature = key.sign(scheme.ed25519(message.signature_context)?, message.input);
    Ok(signature.map_err(|error| Error::bare(error.to_string()))?.to_vec())
}

fn private<K>(key: Option<&K>) -> Result<&K, Error> {
    key.ok_or_else(|| Error::bare("requested version for signing does not contain a private part"))
}

fn der_refusal(error: DerError) -> Error {
    Error::invalid(match error {
        DerError::Invalid => "supplied signature is invalid",
        DerError::ExtraData => "supplied signature contains extra data",
    })
}

/// Bytes of the context of an Ed25519 signature (RFC 8032 section 5.1).
const ED25519_CONTEXT_MAX: usize = 255;
const DEFAULT_HASH: &str = "sha2-256";
