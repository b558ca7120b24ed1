//! Private keys that sign tokens. Does not know where they are kept, or what they sign.

use serde::Serialize;
use zeroize::Zeroizing;

use super::Algorithm;
use crate::api::{Error, base64};
use crate::crypto::containers;
use crate::crypto::ed25519::Variant;
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::crypto::rsa::{SaltLength, Scheme};
use crate::crypto::{ecdsa, ed25519, rsa};

/// A private key, with the one algorithm that it signs by.
pub struct Signer {
    algorithm: Algorithm,
    key: Private,
}

enum Private {
    Rsa(Hash, Scheme, rsa::PrivateKey),
    Ecdsa(Hash, ecdsa::PrivateKey),
    Ed25519(ed25519::PrivateKey),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    typ: &'a str,
}

/// A new key for an algorithm, and its public half. One of RSA takes tenths of a second.
pub fn generate(
    algorithm: Algorithm,
    random: &mut impl Random,
) -> Result<(containers::PrivateKey, containers::PublicKey), Error> {
    Ok(match algorithm {
        Algorithm::RsaPkcs1(_) | Algorithm::RsaPss(_) => {
            let key = rsa::PrivateKey::generate(RSA_BITS).map_err(Error::internal)?;
            let public = key.public_key().and_then(|public| public.to_pkcs1()).map_err(Error::internal)?;
            let private = key.to_pkcs1().map_err(Error::internal)?;
            (containers::PrivateKey::Rsa(private), containers::PublicKey::Rsa(public))
        }
        Algorithm::Ecdsa(curve, _) => {
            let key = ecdsa::PrivateKey::generate(curve).map_err(Error::internal)?;
            let public = containers::PublicKey::Ecdsa(curve, key.public_key().point().to_vec());
            (containers::PrivateKey::Ecdsa(curve, key.scalar().map_err(Error::internal)?), public)
        }
        Algorithm::EdDsa => {
            let mut seed = Zeroizing::new([0; 32]);
            random.fill(seed.as_mut());
            let public = ed25519::PrivateKey::from_seed(&seed).public_key();
            (containers::PrivateKey::Ed25519(seed), containers::PublicKey::Ed25519(public))
        }
    })
}

impl Signer {
    /// The key must be of the algorithm's kind.
    pub fn new(algorithm: Algorithm, key: &containers::PrivateKey) -> Result<Self, Error> {
        let key = match (algorithm, key) {
            (Algorithm::RsaPkcs1(hash), containers::PrivateKey::Rsa(pkcs1)) => {
                let key = rsa::PrivateKey::from_pkcs1(pkcs1).map_err(Error::internal)?;
                Private::Rsa(hash, Scheme::Pkcs1v15(Some(hash)), key)
            }
            (Algorithm::RsaPss(hash), containers::PrivateKey::Rsa(pkcs1)) => {
                let key = rsa::PrivateKey::from_pkcs1(pkcs1).map_err(Error::internal)?;
                Private::Rsa(hash, Scheme::Pss { hash, salt: SaltLength::Hash }, key)
            }
            (Algorithm::Ecdsa(curve, hash), containers::PrivateKey::Ecdsa(own, scalar)) if curve == *own => {
                Private::Ecdsa(hash, ecdsa::PrivateKey::from_scalar(curve, scalar).map_err(Error::internal)?)
            }
            (Algorithm::EdDsa, containers::PrivateKey::Ed25519(seed)) => {
                Private::Ed25519(ed25519::PrivateKey::from_seed(seed))
            }
            _ => return Err(Error::internal("a key is of another kind than its algorithm")),
        };
        Ok(Self { algorithm, key })
    }

    /// The token that says this payload, signed by the key that it calls `key_id`. An empty kind is not told.
    pub fn sign(&self, key_id: &str, kind: &str, payload: &[u8]) -> Result<String, Error> {
        let header = Header { alg: self.algorithm.name(), kid: key_id, typ: kind };
        let header = serde_json::to_vec(&header).map_err(Error::internal)?;
        let signed = format!("{}.{}", base64::encode_url(&header), base64::encode_url(payload));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64::encode_url(&signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.key {
            Private::Rsa(hash, scheme, key) => key.sign(*scheme, &hash.digest(message)).map_err(Error::internal),
            Private::Ecdsa(hash, key) => {
                let signature = key.sign(&hash.digest(message)).map_err(Error::internal)?;
                Ok(signature.to_fixed(key.public_key().curve()))
            }
            Private::Ed25519(key) => Ok(key.sign(Variant::Pure, message).map_err(Error::internal)?.to_vec()),
        }
    }
}

const RSA_BITS: u32 = 2048;
