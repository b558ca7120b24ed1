//! Who can open a term: the platform alone, or the platform together with a customer's key. Does not know where a
//! customer's key comes from.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use super::record::damaged;
use crate::crypto::kdf::hkdf_sha256;
use crate::crypto::record::{OVERHEAD, RecordKey};
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;

/// What new terms of a scope are protected by. The platform's encryption of the keyring is there in any case.
#[derive(Clone)]
pub enum Protector {
    Platform,
    Customer(Wrapper),
}

/// One version of a customer's key, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyVersion {
    pub name: String,
    pub version: u32,
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.name, self.version)
    }
}

/// A customer's key while it wraps and unwraps terms. Wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Wrapper {
    id: KeyVersion,
    key: Arc<RecordKey>,
}

impl Wrapper {
    /// The AES-256-GCM key that wraps is `HKDF-SHA-256["", "coffer: wrap terms, 1"](key, 32)`: a key that also answers
    /// for check values and proofs encrypts nothing itself.
    pub fn new(id: KeyVersion, key: &[u8; 32]) -> Self {
        let wrapping = Secret::made_by(|wrapping: &mut [u8; 32]| {
            let derived = hkdf_sha256(key, b"", PURPOSE, wrapping);
            debug_assert!(derived.is_ok(), "32 bytes are one block of HKDF");
        });
        Self { id, key: Arc::new(RecordKey::new(wrapping.expose())) }
    }

    pub fn id(&self) -> &KeyVersion {
        &self.id
    }

    /// A term's key, bound to the keyring and the number that it is for.
    pub(super) fn wrap(&self, keyring: &str, term: u32, material: &Secret<[u8; 32]>) -> Result<Vec<u8>, Error> {
        let mut wrapped = Vec::with_capacity(material.expose().len() + OVERHEAD);
        self.key
            .encrypt(&mut Entropy, &self.aad(keyring, term), &mut wrapped, material.expose())
            .map_err(|_| damaged(keyring, "a term is too long to wrap"))?;
        Ok(wrapped)
    }

    /// What `wrap` was given. `None` if it was given to another key, or for another place.
    pub(super) fn unwrap(&self, keyring: &str, term: u32, wrapped: &[u8]) -> Option<Secret<[u8; 32]>> {
        let unwrapped: Zeroizing<Vec<u8>> = self.key.decrypt(&self.aad(keyring, term), wrapped).ok()?;
        let material = unwrapped.as_array::<32>()?;
        Some(Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(material)))
    }

    fn aad(&self, keyring: &str, term: u32) -> Vec<u8> {
        format!("{keyring}\0{term}\0{}", self.id).into_bytes()
    }
}

const PURPOSE: &[u8] = b"coffer: wrap terms, 1";
