//! Keys that two parties agree on (ECDH): each brings its own private key and the other's public one.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Transit;
use super::import::{append, check_takes_versions};
use super::imported::private_pair;
use super::key::Key;
use super::key_type::{Family, KeyType};
use super::material::Material;
use super::policy::Creation;
use crate::api::{Error, Reply};
use crate::crypto::certificates::Certificate;
use crate::crypto::containers::{PublicKey, pem};
use crate::crypto::ecdsa;
use crate::crypto::kdf::hkdf_sha256;
use crate::engine::{Call, Endpoint};

/// Makes a key, or a further version of an imported one, of an elliptic-curve key here and a public key from elsewhere.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeriveKey {
    /// The key to make.
    name: String,
    /// The key whose private half is used.
    #[serde(default)]
    base_key_name: String,
    /// Which version of it; 0 is the latest.
    #[serde(default)]
    base_key_version: i64,
    /// The public key of the other party, in PEM: an SPKI, or a certificate.
    #[serde(default)]
    peer_public_key: String,
    /// `ecdh`, which is the default.
    key_derivation_algorithm: Option<String>,
    /// The type of the key: `aes256-gcm96` (the default) or another that encrypts symmetrically.
    derived_key_type: Option<String>,
}

impl Endpoint for DeriveKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let algorithm = self.key_derivation_algorithm.as_deref().unwrap_or(ECDH);
        if algorithm != ECDH {
            return Err(Error::invalid(format!("key derivation algorithm {algorithm} not supported")));
        }
        if self.peer_public_key.is_empty() {
            return Err(Error::invalid("peer public key not provided"));
        }
        let key_type = derived_type(self.derived_key_type.as_deref().unwrap_or(KeyType::DEFAULT))?;
        let view = call.view()?;
        let base = transit.find(&view, &self.base_key_name)?;
        let base = base.ok_or_else(|| Error::invalid("specified base key not found"))?;
        let key = agreed_key(&base.key, self.base_key_version, &self.peer_public_key, key_type)?;
        if transit.find(&view, &self.name)?.is_none() {
            let pair = private_pair(key_type, &key)?;
            if transit.create_imported(&view, &self.name, &Creation::of(key_type), false, pair, call.now)? {
                return Ok(Reply::nothing());
            }
        }
        let added = transit.update(&view, &self.name, |policy, change| {
            if !policy.imported {
                return Err(Error::invalid("a key that was made here takes no derived versions"));
            }
            check_takes_versions(policy)?;
            append(policy, private_pair(policy.key_type, &key)?, call.now, change)
        })?;
        added.ok_or_else(|| Error::Unavailable("the key was deleted at the same time".into()))?;
        Ok(Reply::nothing())
    }
}

fn derived_type(name: &str) -> Result<KeyType, Error> {
    let known = KeyType::imported(name, None).ok().filter(|key_type| key_type.cipher().is_some());
    known.ok_or_else(|| Error::invalid(format!("unknown key type {name}")))
}

/// `HKDF-SHA-256["", ""](ECDH(base, peer), length of a key of the type)`.
fn agreed_key(base: &Key, version: i64, peer: &str, key_type: KeyType) -> Result<Zeroizing<Vec<u8>>, Error> {
    let base_type = base.policy.key_type;
    let Family::Ecdsa(curve) = base_type.family() else {
        let text = format!("base key type {} does not support key agreement", base_type.name());
        return Err(Error::invalid(text));
    };
    let private = base_private_key(base, version)?;
    let PublicKey::Ecdsa(peer_curve, point) = parse_peer(peer)? else {
        return Err(Error::bare("supplied peer public key is not an ECDSA key"));
    };
    if peer_curve != curve {
        let text = format!("base private key type {} does not match peer public key curve", base_type.name());
        return Err(Error::bare(text));
    }
    let peer = ecdsa::PublicKey::from_point(curve, &point).map_err(|error| unparsable(&error.to_string()))?;
    let secret = private.agree(&peer).map_err(Error::internal)?;
    let len = key_type.cipher().ok_or_else(|| Error::internal("a type without a cipher"))?.key_len();
    let mut key = Zeroizing::new(vec![0; len]);
    hkdf_sha256(&secret, b"", b"", &mut key).map_err(Error::internal)?;
    Ok(key)
}

fn base_private_key(base: &Key, version: i64) -> Result<&ecdsa::PrivateKey, Error> {
    let refuse = |why: &str| Error::bare(format!("requested version of the base key {why}"));
    let latest = i64::from(base.policy.latest_version);
    let number = if version == 0 { latest } else { version };
    if number < 0 {
        return Err(refuse("is negative"));
    }
    if number > latest {
        return Err(refuse("is higher than the latest key version"));
    }
    let version = base.version(number).ok_or_else(|| refuse("is less than the minimum available key version"))?;
    match &version.material {
        Material::Ecdsa(pair) => pair.private.as_ref().ok_or_else(|| refuse("does not contain a private part")),
        _ => Err(Error::internal("an elliptic-curve key of another kind")),
    }
}

fn parse_peer(text: &str) -> Result<PublicKey, Error> {
    let (block, _) = pem::decode(text).ok_or_else(|| unparsable("data does not contain any valid public keys"))?;
    PublicKey::from_spki(&block.contents)
        .or_else(|error| Certificate::from_der(block.contents).map_err(|_| error)?.public_key())
        .map_err(|error| unparsable(&error.to_string()))
}

fn unparsable(why: &str) -> Error {
    Error::bare(format!("failed to parse supplied peer public key PEM: {why} "))
}

const ECDH: &str = "ecdh";

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::super::policy::tests::policy;
    use super::super::version::{KeyPair, KeyVersion};
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::ecdsa::{Curve, PrivateKey};
    use crate::entropy::Entropy;

    /// RFC 5903, section 8.1: the private keys of both sides. Their secret was put through HKDF elsewhere.
    const INITIATOR: [u8; 32] = *b"\xc8\x8f\x01\xf5\x10\xd9\xac\x3f\x70\xa2\x92\xda\xa2\x31\x6d\xe5\x44\xe9\xaa\xb8\xaf\xe8\x40\x49\xc6\x2a\x9c\x57\x86\x2d\x14\x33";
    const RESPONDER: [u8; 32] = *b"\xc6\xef\x9c\x5d\x78\xae\x01\x2a\x01\x11\x64\xac\xb3\x97\xce\x20\x88\x68\x5d\x8f\x06\xbf\x9b\xe0\xb2\x83\xab\x46\x47\x6b\xee\x53";
    const DERIVED: [u8; 32] = *b"\x3b\xf5\x11\xee\xba\xdf\x44\xc1\xf7\xb0\x28\x2a\x12\x62\xfe\x4d\xdd\x9d\xa2\x3b\xb1\x55\x5c\xfd\xa5\x91\xac\x46\xb0\x88\xc4\x41";

    /// The key of a scalar on P-256, in two versions that are the same, and its public half in PEM.
    fn base(scalar: &[u8]) -> (Key, String) {
        let policy = Policy { latest_version: 3, min_decryption_version: 2, ..policy(KeyType::EcdsaP256) };
        let pair = || KeyPair::ecdsa(&PrivateKey::from_scalar(Curve::P256, scalar).unwrap()).unwrap();
        let version = KeyVersion::of(pair(), &policy, Timestamp::UNIX_EPOCH, &mut Entropy);
        let pem = version.public_key(KeyType::EcdsaP256).unwrap().to_pem().unwrap();
        (Key::new(policy, [&version, &version]).unwrap(), pem)
    }

    #[test]
    fn both_sides_agree_on_the_known_key() {
        let ((initiator, from_initiator), (responder, from_responder)) = (base(&INITIATOR), base(&RESPONDER));
        for (key_type, len) in [(KeyType::Aes256Gcm96, 32), (KeyType::Aes128Gcm96, 16)] {
            let expected = &DERIVED[..len];
            assert_eq!(*agreed_key(&initiator, 0, &from_responder, key_type).unwrap(), expected);
            assert_eq!(*agreed_key(&responder, 2, &from_initiator, key_type).unwrap(), expected);
        }
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        let (base, own) = base(&INITIATOR);
        let check = |version: i64, peer: &str, expected: &str| {
            let refused = agreed_key(&base, version, peer, KeyType::Aes256Gcm96).unwrap_err();
            assert!(matches!(&refused, Error::Bare(text) if text == expected), "{refused}, not {expected}");
        };
        check(-1, &own, "requested version of the base key is negative");
        check(4, &own, "requested version of the base key is higher than the latest key version");
        check(1, &own, "requested version of the base key is less than the minimum available key version");
        let unparsable = "failed to parse supplied peer public key PEM: data does not contain any valid public keys ";
        check(0, "hello", unparsable);
        let pem = |key: PublicKey| key.to_pem().unwrap();
        check(0, &pem(PublicKey::Ed25519([9; 32])), "supplied peer public key is not an ECDSA key");
        let longer = PrivateKey::generate(Curve::P384).unwrap().public_key().point().to_vec();
        let mismatch = "base private key type ecdsa-p256 does not match peer public key curve";
        check(0, &pem(PublicKey::Ecdsa(Curve::P384, longer)), mismatch);
        let nowhere = "failed to parse supplied peer public key PEM: not a key of this curve ";
        check(0, &pem(PublicKey::Ecdsa(Curve::P256, [&[4], [1; 64].as_slice()].concat())), nowhere);
    }

    #[test]
    fn derived_keys_are_symmetric() {
        assert_eq!(derived_type("XChaCha20-Poly1305").unwrap(), KeyType::XChaCha20Poly1305);
        for name in ["", "hmac", "rsa-2048", "ml-dsa", "aes256"] {
            assert_eq!(derived_type(name).unwrap_err().to_string(), format!("unknown key type {name}"));
        }
    }
}
