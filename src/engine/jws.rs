//! Signed tokens in their compact form (RFC 7515) and the algorithms that sign and verify them (RFC 7518). Does not know
//! what the claims say.
//!
//! A key is of one kind and verifies the algorithms of that kind only: what a token says of itself never chooses how a key
//! is used. MACs and `none` are no algorithms here.

use serde::Deserialize;

use crate::api::base64;
use crate::crypto::certificates::Certificate;
use crate::crypto::containers::{self, pem};
use crate::crypto::ecdsa::{self, Curve, Signature};
use crate::crypto::ed25519::{self, Variant};
use crate::crypto::hash::Hash;
use crate::crypto::rsa::{self, SaltLength, Scheme};

mod jwk;
mod signer;

pub use jwk::{Jwk, NamedKey, parse_set};
pub use signer::{Signer, generate};

/// A token as it came: nothing in it is true before a key has verified it.
pub struct Jws<'t> {
    header: Header,
    /// What is signed: header and payload, in base64.
    signed: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    typ: String,
    /// Names of extensions that must be understood. None is.
    crit: Option<serde_json::Value>,
}

/// A public key that verifies tokens.
pub enum Key {
    Rsa(rsa::PublicKey),
    Ecdsa(ecdsa::PublicKey),
    Ed25519(ed25519::PublicKey),
}

/// An algorithm of RFC 7518 that this server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Curve, Hash),
    EdDsa,
}

/// All algorithms, by name.
#[rustfmt::skip]
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("RS256", Algorithm::RsaPkcs1(Hash::Sha2_256)),
    ("RS384", Algorithm::RsaPkcs1(Hash::Sha2_384)),
    ("RS512", Algorithm::RsaPkcs1(Hash::Sha2_512)),
    ("ES256", Algorithm::Ecdsa(Curve::P256, Hash::Sha2_256)),
    ("ES384", Algorithm::Ecdsa(Curve::P384, Hash::Sha2_384)),
    ("ES512", Algorithm::Ecdsa(Curve::P521, Hash::Sha2_512)),
    ("PS256", Algorithm::RsaPss(Hash::Sha2_256)),
    ("PS384", Algorithm::RsaPss(Hash::Sha2_384)),
    ("PS512", Algorithm::RsaPss(Hash::Sha2_512)),
    ("EdDSA", Algorithm::EdDsa),
];

impl Algorithm {
    pub fn of(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(own, _)| *own == name).map(|(_, algorithm)| *algorithm)
    }

    pub fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

impl<'t> Jws<'t> {
    /// Takes a token apart; the error says where that fails.
    pub fn parse(token: &'t str) -> Result<Self, &'static str> {
        if token.len() > TOKEN_LEN_MAX {
            return Err("the token is too long");
        }
        let parts =
            token.rsplit_once('.').and_then(|(signed, signature)| Some((signed, signed.split_once('.')?, signature)));
        let Some((signed, (header, payload), signature)) = parts else {
            return Err("compact JWS format must have three parts");
        };
        let header = base64::decode_url(header).ok_or("the header of the token is not base64")?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| "the header of the token is malformed")?;
        let payload = base64::decode_url(payload).ok_or("the payload of the token is not base64")?;
        let signature = base64::decode_url(signature).ok_or("the signature of the token is not base64")?;
        if header.crit.is_some() {
            return Err("the token demands an unsupported extension (crit)");
        }
        Ok(Self { header, signed, payload, signature })
    }

    /// The name of the algorithm that it says it is signed with.
    pub fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// The name of the key that it says it is signed with; empty if it names none.
    pub fn key_id(&self) -> &str {
        &self.header.kid
    }

    /// What kind of token it says it is; empty if it says nothing.
    pub fn kind(&self) -> &str {
        &self.header.typ
    }

    /// What it claims, in JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether this key signed it, by an algorithm that is the key's.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        let Some(algorithm) = Algorithm::of(&self.header.alg) else { return false };
        let (message, signature) = (self.signed.as_bytes(), self.signature.as_slice());
        match (algorithm, key) {
            (Algorithm::RsaPkcs1(hash), Key::Rsa(key)) => {
                key.verify(Scheme::Pkcs1v15(Some(hash)), &hash.digest(message), signature).unwrap_or(false)
            }
            (Algorithm::RsaPss(hash), Key::Rsa(key)) => {
                let scheme = Scheme::Pss { hash, salt: SaltLength::Hash };
                key.verify(scheme, &hash.digest(message), signature).unwrap_or(false)
            }
            (Algorithm::Ecdsa(curve, hash), Key::Ecdsa(key)) => {
                key.curve() == curve
                    && signature.len() == 2 * curve.field_len()
                    && key.verify(&hash.digest(message), &Signature::from_fixed(signature))
            }
            (Algorithm::EdDsa, Key::Ed25519(key)) => key.verify(Variant::Pure, message, signature),
            (_, Key::Rsa(_) | Key::Ecdsa(_) | Key::Ed25519(_)) => false,
        }
    }
}

impl Key {
    /// The key in the first block of a PEM text: a public key, or a certificate.
    pub fn from_pem(text: &str) -> Option<Self> {
        let (block, _) = pem::decode(text)?;
        let public = match containers::PublicKey::from_spki(&block.contents) {
            Ok(public) => public,
            Err(_) => Certificate::from_der(block.contents).ok()?.public_key().ok()?,
        };
        Self::of(public)
    }

    /// The key, if it is one that signs tokens.
    pub fn of(public: containers::PublicKey) -> Option<Self> {
        match public {
            containers::PublicKey::Rsa(pkcs1) => rsa::PublicKey::from_pkcs1(&pkcs1).ok().map(Self::Rsa),
            containers::PublicKey::Ecdsa(curve, point) => {
                ecdsa::PublicKey::from_point(curve, &point).ok().map(Self::Ecdsa)
            }
            containers::PublicKey::Ed25519(bytes) => ed25519::PublicKey::from_bytes(&bytes).ok().map(Self::Ed25519),
            containers::PublicKey::MlDsa(..) => None,
        }
    }
}

/// Bytes of a token. Those with hundreds of groups have some thousand.
const TOKEN_LEN_MAX: usize = 64 << 10;
