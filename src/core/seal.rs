//! How the root key is kept: under an unseal key, which people hold in shares.
//!
//! The unseal key encrypts the root key, so that shares can be made anew without touching a record. Today there is one
//! share, the unseal key itself. Knows nothing of what the root key protects.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::api::Error;
use crate::barrier::{RootKey, Stored};
use crate::crypto::random::Random;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;

/// The 256-bit key that the shares make.
pub struct UnsealKey(Secret<[u8; 32]>);

impl UnsealKey {
    pub fn generate() -> Self {
        Self(Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key)))
    }

    /// Reads a share as it was printed.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?);
        let key = bytes.as_array::<32>()?;
        Some(Self(Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(key))))
    }

    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.0.expose()))
    }
}

/// What is stored in the clear, so that the server can be unsealed.
#[derive(Serialize, Deserialize)]
pub(super) struct SealRecord {
    version: u8,
    pub(super) shares: u8,
    pub(super) threshold: u8,
    /// AES-256-GCM[unseal key](root key), base64.
    root_key: String,
}

impl SealRecord {
    /// Puts a root key under an unseal key that is one share.
    pub(super) fn new(root: &RootKey, unseal: &UnsealKey) -> Result<Self, Error> {
        let mut wrapped = Vec::new();
        let cipher = RecordKey::new(unseal.0.expose());
        cipher.encrypt(&mut Entropy, ROOT_KEY_AAD, &mut wrapped, root.expose()).map_err(Error::internal)?;
        Ok(Self { version: VERSION, shares: 1, threshold: 1, root_key: BASE64_STANDARD.encode(wrapped) })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let record: Self = serde_json::from_slice(bytes).map_err(|_| Error::internal("the seal record is damaged"))?;
        match record.version {
            VERSION => Ok(record),
            _ => Err(Error::internal("another version of the server wrote the seal record")),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The root key, if this is the unseal key.
    pub(super) fn root_key(&self, unseal: &UnsealKey) -> Result<RootKey, Error> {
        let wrapped =
            BASE64_STANDARD.decode(&self.root_key).map_err(|_| Error::internal("the seal record is damaged"))?;
        let key = RecordKey::new(unseal.0.expose()).decrypt(ROOT_KEY_AAD, &wrapped);
        let key = key.map_err(|_| Error::invalid(WRONG_UNSEAL_KEY))?;
        let key = key.as_array::<32>().ok_or_else(|| Error::internal("the root key is not 32 bytes long"))?;
        Ok(Secret::made_by(|root: &mut [u8; 32]| root.copy_from_slice(key)))
    }
}

/// Names this server to its clients.
#[derive(Clone, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
    pub id: String,
}

impl Stored for Cluster {
    const VERSION: u8 = 1;
}

const VERSION: u8 = 1;
const ROOT_KEY_AAD: &[u8] = b"coffer root key";
const WRONG_UNSEAL_KEY: &str = "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: \
                                message authentication failed";
