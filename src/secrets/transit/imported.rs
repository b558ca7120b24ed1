//! What is inside of keys that clients bring along, and whether it fits their type. Does not know how they came, nor what
//! becomes of them.

use std::fmt::Display;

use zeroize::Zeroizing;

use super::key_type::{Family, KeyType, curve_name};
use super::policy::{HMAC_KEY_SIZE_MAX, HMAC_KEY_SIZE_MIN};
use super::version::KeyPair;
use crate::api::Error;
use crate::crypto::containers::pkcs1::{RsaPrivate, RsaPublic};
use crate::crypto::containers::{PrivateKey, PublicKey};
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::{ml_dsa, rsa};

/// The pair of a private key: PKCS#8 of the types that have public keys, and the key itself of others.
pub(super) fn private_pair(key_type: KeyType, key: &Zeroizing<Vec<u8>>) -> Result<KeyPair, Error> {
    let fits = match key_type.family() {
        Family::Cipher(algorithm) => key.len() == algorithm.key_len(),
        Family::Cmac(len) => key.len() == len,
        Family::Hmac => {
            u32::try_from(key.len()).is_ok_and(|len| (HMAC_KEY_SIZE_MIN..=HMAC_KEY_SIZE_MAX).contains(&len))
        }
        Family::Ed25519 | Family::Ecdsa(_) | Family::Rsa(_) | Family::MlDsa(_) => {
            return asymmetric_pair(key_type, &parse_private(key)?);
        }
    };
    if fits {
        return Ok(KeyPair::symmetric(key.clone()));
    }
    Err(Error::bare(format!("invalid key size {} bytes for key type {}", key.len(), key_type.name())))
}

/// Reads PKCS#8.
pub(super) fn parse_private(pkcs8: &[u8]) -> Result<PrivateKey, Error> {
    PrivateKey::from_pkcs8(pkcs8).map_err(no_private_key)
}

/// The pair of a private key that was read, if it is one of the type.
pub(super) fn asymmetric_pair(key_type: KeyType, key: &PrivateKey) -> Result<KeyPair, Error> {
    match (key_type.family(), key) {
        (Family::Rsa(bits), PrivateKey::Rsa(pkcs1)) => {
            check_modulus(bits, RsaPrivate::from_der(pkcs1).map_err(no_private_key)?.n)?;
            KeyPair::rsa(&rsa::PrivateKey::from_pkcs1(pkcs1).map_err(no_private_key)?)
        }
        (Family::Ecdsa(curve), PrivateKey::Ecdsa(found, scalar)) => {
            check_curve(curve, *found)?;
            KeyPair::ecdsa(&ecdsa::PrivateKey::from_scalar(curve, scalar).map_err(no_private_key)?)
        }
        (Family::Ed25519, PrivateKey::Ed25519(seed)) => Ok(KeyPair::ed25519(seed)),
        (Family::MlDsa(set), PrivateKey::MlDsa(found, seed)) if set == *found => KeyPair::ml_dsa(set, seed),
        (_, PrivateKey::Rsa(_)) => Err(unexpected(key_type, "*rsa.PrivateKey")),
        (_, PrivateKey::Ecdsa(..)) => Err(unexpected(key_type, "*ecdsa.PrivateKey")),
        (_, PrivateKey::Ed25519(_)) => Err(unexpected(key_type, "ed25519.PrivateKey")),
        (_, PrivateKey::MlDsa(..)) => Err(unexpected(key_type, "*mldsa.PrivateKey")),
    }
}

/// The public half alone, out of its SPKI in PEM.
pub(super) fn public_pair(key_type: KeyType, pem: &str) -> Result<KeyPair, Error> {
    let key = PublicKey::from_pem(pem).map_err(no_public_key)?;
    let bytes = match (key_type.family(), key) {
        (Family::Rsa(bits), PublicKey::Rsa(pkcs1)) => {
            check_modulus(bits, RsaPublic::from_der(&pkcs1).map_err(no_public_key)?.n)?;
            rsa::PublicKey::from_pkcs1(&pkcs1).map_err(no_public_key)?;
            pkcs1
        }
        (Family::Ecdsa(curve), PublicKey::Ecdsa(found, point)) => {
            check_curve(curve, found)?;
            ecdsa::PublicKey::from_point(curve, &point).map_err(no_public_key)?;
            point
        }
        (Family::Ed25519, PublicKey::Ed25519(key)) => key.to_vec(),
        (Family::MlDsa(set), PublicKey::MlDsa(found, key)) if set == found => {
            ml_dsa::PublicKey::from_bytes(set, &key).map_err(no_public_key)?;
            key
        }
        (_, PublicKey::Rsa(_)) => return Err(unexpected(key_type, "*rsa.PublicKey")),
        (_, PublicKey::Ecdsa(..)) => return Err(unexpected(key_type, "*ecdsa.PublicKey")),
        (_, PublicKey::Ed25519(_)) => return Err(unexpected(key_type, "ed25519.PublicKey")),
        (_, PublicKey::MlDsa(..)) => return Err(unexpected(key_type, "*mldsa.PublicKey")),
    };
    Ok(KeyPair::public_only(bytes))
}

/// The modulus must fill as many bytes as its type says.
fn check_modulus(bits: u32, modulus: &[u8]) -> Result<(), Error> {
    let (expected, found) = (usize::try_from(bits / 8).map_err(Error::internal)?, modulus.len());
    if expected == found {
        return Ok(());
    }
    Err(Error::bare(format!("invalid key size: expected {expected} bytes, got {found} bytes")))
}

fn check_curve(expected: Curve, found: Curve) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::bare(format!("invalid curve: expected {}, got {}", curve_name(expected), curve_name(found))))
}

/// Keys of other types are called as Go calls them.
fn unexpected(key_type: KeyType, found: &str) -> Error {
    Error::bare(format!("invalid key type: expected {}, got {found}", key_type.exact_name()))
}

fn no_private_key(error: impl Display) -> Error {
    Error::bare(format!("error parsing asymmetric key: {error}"))
}

fn no_public_key(error: impl Display) -> Error {
    Error::bare(format!("error parsing public key: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::policy;
    use super::super::version::KeyVersion;
    use super::*;
    use crate::clock::Timestamp;
    use crate::entropy::Entropy;

    fn version(key_type: KeyType) -> KeyVersion {
        KeyVersion::generate(&policy(key_type), Timestamp::UNIX_EPOCH, &mut Entropy).unwrap()
    }

    fn public_pem(key_type: KeyType) -> String {
        version(key_type).public_key(key_type).unwrap().to_pem().unwrap()
    }

    fn pkcs8(key_type: KeyType) -> Zeroizing<Vec<u8>> {
        let version = version(key_type);
        let public = version.public_key(key_type).unwrap();
        version.private_key(key_type).unwrap().unwrap().to_pkcs8(&public).unwrap()
    }

    #[test]
    fn what_does_not_fit_the_type_is_refused_in_vaults_words() {
        let check = |key_type: KeyType, key: &[u8], expected: &str| {
            let refused = private_pair(key_type, &Zeroizing::new(key.to_vec())).err().unwrap();
            assert!(matches!(&refused, Error::Bare(text) if text == expected), "{refused}, not {expected}");
        };
        check(KeyType::Aes256Gcm96, &[0; 31], "invalid key size 31 bytes for key type aes256-gcm96");
        check(KeyType::Aes192Cmac, &[0; 16], "invalid key size 16 bytes for key type aes192-cmac");
        check(KeyType::Hmac, &[0; 31], "invalid key size 31 bytes for key type hmac");
        check(KeyType::Hmac, &[0; 513], "invalid key size 513 bytes for key type hmac");
        let (ec, rsa, ed25519) = (pkcs8(KeyType::EcdsaP256), pkcs8(KeyType::Rsa2048), pkcs8(KeyType::Ed25519));
        check(KeyType::EcdsaP521, &ec, "invalid curve: expected P-521, got P-256");
        check(KeyType::Rsa4096, &rsa, "invalid key size: expected 512 bytes, got 256 bytes");
        check(KeyType::Ed25519, &rsa, "invalid key type: expected ed25519, got *rsa.PrivateKey");
        check(KeyType::Rsa2048, &ec, "invalid key type: expected rsa-2048, got *ecdsa.PrivateKey");
        check(KeyType::EcdsaP256, &ed25519, "invalid key type: expected ecdsa-p256, got ed25519.PrivateKey");
        let ml_dsa = pkcs8(KeyType::MlDsa44);
        check(KeyType::MlDsa65, &ml_dsa, "invalid key type: expected ml-dsa-65, got *mldsa.PrivateKey");
        check(KeyType::EcdsaP256, &[0; 32], "error parsing asymmetric key: asn1: structure error");
    }

    #[test]
    fn public_halves_are_checked_too() {
        let check = |key_type: KeyType, pem: &str, expected: &str| {
            let refused = public_pair(key_type, pem).err().unwrap();
            assert!(matches!(&refused, Error::Bare(text) if text == expected), "{refused}, not {expected}");
        };
        let (ec, rsa) = (public_pem(KeyType::EcdsaP384), public_pem(KeyType::Rsa2048));
        check(KeyType::EcdsaP256, &ec, "invalid curve: expected P-256, got P-384");
        check(KeyType::Rsa3072, &rsa, "invalid key size: expected 384 bytes, got 256 bytes");
        check(KeyType::Rsa2048, &ec, "invalid key type: expected rsa-2048, got *ecdsa.PublicKey");
        check(KeyType::Ed25519, &rsa, "invalid key type: expected ed25519, got *rsa.PublicKey");
        check(KeyType::Ed25519, "", "error parsing public key: not in PEM format");

        let nowhere = PublicKey::Ecdsa(Curve::P256, [&[4], [1; 64].as_slice()].concat()).to_pem().unwrap();
        check(KeyType::EcdsaP256, &nowhere, "error parsing public key: not a key of this curve");
        for key_type in KeyType::ALL.into_iter().filter(|key_type| key_type.has_public_key()) {
            let pair = public_pair(key_type, &public_pem(key_type)).unwrap();
            assert!(pair.key.is_empty() && !pair.public_key.is_empty(), "{key_type:?}");
        }
    }
}
