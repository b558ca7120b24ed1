//! What is stored in the clear, so that the server can be unsealed. Does not know who brings the key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::{Split, UnsealKey};
use crate::api::Error;
use crate::barrier::RootKey;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;

#[derive(Serialize, Deserialize)]
pub(in super::super) struct SealRecord {
    version: u8,
    shares: u8,
    threshold: u8,
    /// AES-256-GCM[unseal key](root key), base64.
    root_key: String,
}

impl SealRecord {
    /// Puts a root key under an unseal key that is split.
    pub(in super::super) fn new(root: &RootKey, unseal: &UnsealKey, split: Split) -> Result<Self, Error> {
        let mut wrapped = Vec::new();
        let cipher = RecordKey::new(unseal.expose());
        cipher.encrypt(&mut Entropy, ROOT_KEY_AAD, &mut wrapped, root.expose()).map_err(Error::internal)?;
        let Split { shares, threshold } = split;
        Ok(Self { version: VERSION, shares, threshold, root_key: BASE64_STANDARD.encode(wrapped) })
    }

    pub(in super::super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let record: Self = serde_json::from_slice(bytes).map_err(|_| Error::internal("the seal record is damaged"))?;
        match record.version {
            VERSION => Ok(record),
            _ => Err(Error::internal("another version of the server wrote the seal record")),
        }
    }

    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// How the key is split.
    pub(in super::super) fn split(&self) -> Split {
        Split { shares: self.shares, threshold: self.threshold }
    }

    /// The root key, if this is the unseal key.
    pub(in super::super) fn root_key(&self, unseal: &UnsealKey) -> Result<RootKey, Error> {
        let wrapped =
            BASE64_STANDARD.decode(&self.root_key).map_err(|_| Error::internal("the seal record is damaged"))?;
        let key = RecordKey::new(unseal.expose()).decrypt(ROOT_KEY_AAD, &wrapped);
        let key = key.map_err(|_| Error::invalid(WRONG_UNSEAL_KEY))?;
        let key = key.as_array::<32>().ok_or_else(|| Error::internal("the root key is not 32 bytes long"))?;
        Ok(Secret::made_by(|root: &mut [u8; 32]| root.copy_from_slice(key)))
    }
}

const VERSION: u8 = 1;
const ROOT_KEY_AAD: &[u8] = b"coffer root key";
const WRONG_UNSEAL_KEY: &str = "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: \
                                message authentication failed";
