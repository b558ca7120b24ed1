//! Public keys as JSON (RFC 7517), one by one and in sets. Does not know where a set comes from, or who asks for one.

use serde::{Deserialize, Serialize};

use super::{Jws, Key};
use crate::api::base64;
use crate::crypto::containers;
use crate::crypto::containers::pkcs1::RsaPublic;
use crate::crypto::ecdsa::Curve;

/// A key of a set, with what the set says of it.
pub struct NamedKey {
    id: String,
    /// The only algorithm that it is for; any of its kind if empty.
    algorithm: String,
    key: Key,
}

impl NamedKey {
    /// `None` if it is no key that signs tokens.
    pub fn new(id: &str, algorithm: &str, public: containers::PublicKey) -> Option<Self> {
        Some(Self { id: id.to_owned(), algorithm: algorithm.to_owned(), key: Key::of(public)? })
    }

    /// Whether it is a key that the token could mean.
    pub fn may_have_signed(&self, token: &Jws<'_>) -> bool {
        let named = token.key_id().is_empty() || token.key_id() == self.id;
        named && (self.algorithm.is_empty() || self.algorithm == token.algorithm())
    }

    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// The keys of a set that sign tokens, as far as this server knows their kind.
pub fn parse_set(json: &[u8]) -> Result<Vec<NamedKey>, &'static str> {
    let set: Set = serde_json::from_slice(json).map_err(|_| "the answer is no JSON Web Key set")?;
    Ok(set.keys.into_iter().take(KEYS_MAX).filter_map(|key| named_key(&serde_json::from_value(key).ok()?)).collect())
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// A public key as a set tells it.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwk {
    #[serde(rename = "use")]
    purpose: String,
    kty: String,
    kid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    crv: String,
    alg: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    x: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    y: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    n: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    e: String,
}

impl Jwk {
    /// A key that signs tokens by one algorithm; `None` if it is none that does.
    pub fn new(id: &str, algorithm: &str, public: &containers::PublicKey) -> Option<Self> {
        let (id, alg) = (id.to_owned(), algorithm.to_owned());
        let jwk = |kty: &str| Self { purpose: "sig".to_owned(), kty: kty.to_owned(), kid: id, alg, ..Self::default() };
        Some(match public {
            containers::PublicKey::Rsa(pkcs1) => {
                let RsaPublic { n, e } = RsaPublic::from_der(pkcs1).ok()?;
                Self { n: base64::encode_url(n), e: base64::encode_url(e), ..jwk("RSA") }
            }
            containers::PublicKey::Ecdsa(curve, point) => {
                let (x, y) = point.get(1..)?.split_at_checked(curve.field_len())?;
                let crv = curve_name(*curve).to_owned();
                Self { crv, x: base64::encode_url(x), y: base64::encode_url(y), ..jwk("EC") }
            }
            containers::PublicKey::Ed25519(bytes) => {
                Self { crv: ED25519.to_owned(), x: base64::encode_url(bytes), ..jwk("OKP") }
            }
            containers::PublicKey::MlDsa(..) => return None,
        })
    }
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
        ("EC", name) => {
            point([Curve::P256, Curve::P384, Curve::P521].into_iter().find(|curve| curve_name(*curve) == name)?, jwk)?
        }
        ("OKP", ED25519) => containers::PublicKey::Ed25519(base64::decode_url(&jwk.x)?.try_into().ok()?),
        _ => return None,
    };
    NamedKey::new(&jwk.kid, &jwk.alg, public)
}

/// As RFC 7518 section 6.2.1.1 calls it.
fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
    }
}

fn point(curve: Curve, jwk: &Jwk) -> Option<containers::PublicKey> {
    let (x, y) = (base64::decode_url(&jwk.x)?, base64::decode_url(&jwk.y)?);
    let len = curve.field_len();
    (x.len() == len && y.len() == len)
        .then(|| containers::PublicKey::Ecdsa(curve, [[UNCOMPRESSED].as_slice(), &x, &y].concat()))
}

const UNCOMPRESSED: u8 = 4;
const ED25519: &str = "Ed25519";
/// Keys of one set: a token that names none is tried with each.
const KEYS_MAX: usize = 100;
