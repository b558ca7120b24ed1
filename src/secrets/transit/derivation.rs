//! Keys of which every context has one of its own: how the key of a context comes from the key of a version.

use zeroize::Zeroizing;

use super::encryption::Working;
use super::policy::{Kdf, Policy};
use crate::api::Error;
use crate::crypto::aead::{Algorithm, Cipher};
use crate::crypto::kdf;
use crate::crypto::mac::HmacSha256;
use crate::crypto::secret::Secret;

/// A symmetric key that encrypts nothing itself.
pub(super) struct Base {
    pub algorithm: Algorithm,
    pub key: Secret<[u8]>,
    pub kdf: Kdf,
    pub convergence: Convergence,
}

/// Where the nonce comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Convergence {
    /// Random.
    Off,
    /// The client: keys of 2016. Not served, as only a nonce that fits its plaintext is safe and nobody can check that.
    V1,
    /// A MAC of the plaintext under the context.
    V2,
    /// A MAC of the plaintext under a key that is derived beside the one for encryption.
    V3,
}

impl Convergence {
    /// A version says it itself, or else its policy does.
    pub(super) fn of(policy: &Policy, version: i32, kdf: Kdf) -> Result<Self, Error> {
        match (policy.convergent, if version == 0 { policy.convergent_version } else { version }, kdf) {
            (false, _, _) => Ok(Self::Off),
            (true, 0 | 1, _) => Ok(Self::V1),
            (true, 2, _) => Ok(Self::V2),
            (true, 3, Kdf::Hkdf) => Ok(Self::V3),
            (true, _, _) => Err(Error::internal("a convergent key is of an unknown version")),
        }
    }
}

impl Base {
    /// `HKDF-SHA-256[salt = "", info = context](key, 64)`: the key of the context, and behind it the key for its nonces.
    pub(super) fn derive(&self, context: &[u8]) -> Result<Working<'static>, Error> {
        if context.is_empty() {
            return Err(Error::invalid(MISSING_CONTEXT));
        }
        let key = self.key.expose();
        let mut derived = Zeroizing::new([0; DERIVED_LEN]);
        match self.kdf {
            Kdf::Hkdf => kdf::hkdf_sha256(key, &[], context, derived.as_mut()).map_err(Error::internal)?,
            Kdf::Counter => derived[..32].copy_from_slice(kdf::counter_hmac_sha256(key, context).as_ref()),
        }
        let (key, beyond) = derived.split_at(self.algorithm.key_len());
        let nonce_key = match self.convergence {
            Convergence::Off => None,
            Convergence::V1 => return Err(Error::invalid(CONVERGENT_V1)),
            Convergence::V2 => Some(HmacSha256::new(context)),
            Convergence::V3 => Some(HmacSha256::new(&beyond[..NONCE_KEY_LEN])),
        };
        Ok(Working::Derived { cipher: Cipher::new(self.algorithm, key).map_err(Error::internal)?, nonce_key })
    }
}

/// `HKDF-SHA-256[salt = "", info = context](seed ‖ public key, 32)`: the Ed25519 seed of a context.
pub(super) fn ed25519_seed(key: &[u8], context: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    if context.is_empty() {
        return Err(Error::bare(format!("error deriving key: {MISSING_CONTEXT}")));
    }
    let mut seed = Zeroizing::new([0; 32]);
    kdf::hkdf_sha256(key, &[], context, seed.as_mut()).map_err(Error::internal)?;
    Ok(seed)
}

pub(super) const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, \
                                          which means additional, per-request information must be included in order to \
                                          perform operations with the key";
pub(super) const CONVERGENT_V1: &str = "refusing to support decryption with old convergent encryption key: version 1";

/// Bytes of the key under which version 3 of convergent encryption makes nonces.
const NONCE_KEY_LEN: usize = 32;
/// Bytes that a context has of its own: the longest key, and the key for nonces.
const DERIVED_LEN: usize = 32 + NONCE_KEY_LEN;
