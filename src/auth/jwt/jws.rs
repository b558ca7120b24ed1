//! Signed tokens of others in their compact form (RFC 7515), and the public keys that verify them (RFC 7517, RFC 7518).
//! Does not know what the claims say.
//!
//! A key is of one kind and verifies the algorithms of that kind only: what a token says of itself never chooses how a key
//! is used. MACs and `none` are no algorithms here.

use serde::Deserialize;

use crate::api::base64;
use crate::crypto::certificates::Certificate;
use crate::crypto::containers::pkcs1::RsaPublic;
use crate::crypto::containers::{self, pem};
use crate::crypto::ecdsa::{self, Curve, Signature};
use crate::crypto::ed25519::{self, Variant};
use crate::crypto::hash::Hash;
use crate::crypto::rsa::{self, SaltLength, Scheme};

/// A token as it came: nothing in it is true before a key has verified it.
pub(in crate::auth) struct Jws<'t> {
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
    /// Names of extensions that must be understood. None is.
    crit: Option<serde_json::Value>,
}

/// A public key that verifies tokens.
pub(in crate::auth) enum Key {
    Rsa(rsa::PublicKey),
    Ecdsa(ecdsa::PublicKey),
    Ed25519(ed25519::PublicKey),
}

/// An algorithm of RFC 7518 that this server verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Curve, Hash),
    EdDsa,
}

/// Their names.
#[rustfmt::skip]
pub(in crate::auth) const ALGORITHMS: &[&str] =
    &["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RsaPkcs1(Hash::Sha2_256),
            "RS384" => Self::RsaPkcs1(Hash::Sha2_384),
            "RS512" => Self::RsaPkcs1(Hash::Sha2_512),
            "PS256" => Self::RsaPss(Hash::Sha2_256),
            "PS384" => Self::RsaPss(Hash::Sha2_384),
            "PS512" => Self::RsaPss(Hash::Sha2_512),
            "ES256" => Self::Ecdsa(Curve::P256, Hash::Sha2_256),
            "ES384" => Self::Ecdsa(Curve::P384, Hash::Sha2_384),
            "ES512" => Self::Ecdsa(Curve::P521, Hash::Sha2_512),
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

impl<'t> Jws<'t> {
    /// Takes a token apart; the error says where that fails.
    pub(in crate::auth) fn parse(token: &'t str) -> Result<Self, &'static str> {
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
    pub(in crate::auth) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// The name of the key that it says it is signed with; empty if it names none.
    pub(in crate::auth) fn key_id(&self) -> &str {
        &self.header.kid
    }

    /// What it claims, in JSON.
    pub(in crate::auth) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether this key signed it, by an algorithm that is the key's.
    pub(in crate::auth) fn is_signed_by(&self, key: &Key) -> bool {
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
    pub(in crate::auth) fn from_pem(text: &str) -> Option<Self> {
        let (block, _) = pem::decode(text)?;
        let public = match containers::PublicKey::from_spki(&block.contents) {
            Ok(public) => public,
            Err(_) => Certificate::from_der(block.contents).ok()?.public_key().ok()?,
        };
        Self::of(public)
    }

    fn of(public: containers::PublicKey) -> Option<Self> {
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

// === key sets ===

/// A key of a set, with what the set says of it.
pub(super) struct NamedKey {
    id: String,
    /// The only algorithm that it is for; any of its kind if empty.
    algorithm: String,
    key: Key,
}

impl NamedKey {
    /// Whether it is a key that the token could mean.
    pub(super) fn may_have_signed(&self, token: &Jws<'_>) -> bool {
        let named = token.key_id().is_empty() || token.key_id() == self.id;
        named && (self.algorithm.is_empty() || self.algorithm == token.algorithm())
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}

/// The keys of a set that sign tokens, as far as this server knows their kind.
pub(super) fn parse_set(json: &[u8]) -> Result<Vec<NamedKey>, &'static str> {
    let set: Set = serde_json::from_slice(json).map_err(|_| "the answer is no JSON Web Key set")?;
    Ok(set.keys.into_iter().take(KEYS_MAX).filter_map(|key| named_key(&serde_json::from_value(key).ok()?)).collect())
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: String,
    alg: String,
    n: String,
    e: String,
    crv: String,
    x: String,
    y: String,
}

fn named_key(jwk: &Jwk) -> Option<NamedKey> {
    if !matches!(jwk.purpose.as_str(), "" | "sig") {
        return None;
    }
    let public = match (jwk.kty.as_str(), jwk.crv.as_str()) {
        ("RSA", _) => {
            let (n, e) = (base64::decode_url(&jwk.n)?, base64::decode_url(&jwk.e)?);
            containers::PublicKey::Rsa(RsaPublic { n: &n, e: &e }.to_der().ok()?)
        }
        ("EC", "P-256") => point(Curve::P256, jwk)?,
        ("EC", "P-384") => point(Curve::P384, jwk)?,
        ("EC", "P-521") => point(Curve::P521, jwk)?,
        ("OKP", "Ed25519") => containers::PublicKey::Ed25519(base64::decode_url(&jwk.x)?.try_into().ok()?),
        _ => return None,
    };
    Some(NamedKey { id: jwk.kid.clone(), algorithm: jwk.alg.clone(), key: Key::of(public)? })
}

fn point(curve: Curve, jwk: &Jwk) -> Option<containers::PublicKey> {
    let (x, y) = (base64::decode_url(&jwk.x)?, base64::decode_url(&jwk.y)?);
    let len = curve.field_len();
    (x.len() == len && y.len() == len)
        .then(|| containers::PublicKey::Ecdsa(curve, [[UNCOMPRESSED].as_slice(), &x, &y].concat()))
}

const UNCOMPRESSED: u8 = 4;
/// Bytes of a token. Those with hundreds of groups have some thousand.
const TOKEN_LEN_MAX: usize = 64 << 10;
/// Keys of one set: a token that names none is tried with each.
const KEYS_MAX: usize = 100;
