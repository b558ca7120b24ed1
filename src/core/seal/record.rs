//! What is stored in the clear, so that the server can be unsealed: by the key that people hold, or by a seal that does
//! without them. Does not know who asks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::auto::{AutoSeal, Wrapped};
use super::{Split, UnsealKey};
use crate::api::Error;
use crate::barrier::RootKey;
use crate::crypto::kdf::hkdf_sha256;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;

#[derive(Serialize, Deserialize)]
pub(in super::super) struct SealRecord {
    version: u8,
    shares: u8,
    threshold: u8,
    /// AES-256-GCM[unseal key](root key), base64; or what a seal has made of `Held`.
    root_key: String,
    /// The seal that unseals without people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auto: Option<AutoRecord>,
}

#[derive(Serialize, Deserialize)]
struct AutoRecord {
    kind: String,
    key_id: String,
}

/// What a seal holds that unseals without people: the root key, and how those are known who may do what otherwise takes
/// the unseal key. The seal encrypts it as a whole: nobody who can write to the store makes himself one of them.
pub(in super::super) struct Held {
    pub(super) root: RootKey,
    pub(in super::super) recovery: Recovery,
}

/// How the key is known that people hold where it unseals nothing.
pub(in super::super) struct Recovery {
    /// `HKDF-SHA-256["", "coffer: check recovery key, 1"](recovery key, 32)`.
    check: Secret<[u8; 32]>,
    pub(super) split: Split,
}

impl Recovery {
    pub(super) fn of(key: &UnsealKey, split: Split) -> Self {
        let check = Secret::made_by(|check: &mut [u8; 32]| {
            let derived = hkdf_sha256(key.expose(), b"", RECOVERY_PURPOSE, check);
            debug_assert!(derived.is_ok(), "32 bytes are one block of HKDF");
        });
        Self { check, split }
    }

    /// Whether this is the key.
    pub(super) fn is(&self, key: &UnsealKey) -> bool {
        self.check == Self::of(key, self.split).check
    }

    fn copy(&self) -> Self {
        let check = Secret::made_by(|check: &mut [u8; 32]| check.copy_from_slice(self.check.expose()));
        Self { check, split: self.split }
    }
}

impl Held {
    pub(super) fn new(root: &RootKey, recovery: &Recovery) -> Self {
        let root = Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(root.expose()));
        Self { root, recovery: recovery.copy() }
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Split { shares, threshold } = self.recovery.split;
        let parts = [self.root.expose().as_slice(), self.recovery.check.expose(), &[shares, threshold]];
        Zeroizing::new(parts.concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (root, rest) = bytes.split_first_chunk::<32>()?;
        let (check, rest) = rest.split_first_chunk::<32>()?;
        let [shares, threshold] = *rest.as_array::<2>()?;
        let secret = |bytes: &[u8; 32]| Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(bytes));
        let recovery = Recovery { check: secret(check), split: Split { shares, threshold } };
        Some(Self { root: secret(root), recovery })
    }
}

impl SealRecord {
    /// Puts a root key under an unseal key that is split.
    pub(in super::super) fn of_shares(root: &RootKey, unseal: &UnsealKey, split: Split) -> Result<Self, Error> {
        let mut wrapped = Vec::new();
        let cipher = RecordKey::new(unseal.expose());
        cipher.encrypt(&mut Entropy, ROOT_KEY_AAD, &mut wrapped, root.expose()).map_err(Error::internal)?;
        let Split { shares, threshold } = split;
        let root_key = BASE64_STANDARD.encode(wrapped);
        Ok(Self { version: VERSION_SHARES, shares, threshold, root_key, auto: None })
    }

    /// Puts a root key under a seal.
    pub(super) fn of_seal(seal: &AutoSeal, held: &Held) -> Result<Self, Error> {
        let Wrapped { key_id, text: root_key } = seal.wrap(&held.to_bytes())?;
        let Split { shares, threshold } = held.recovery.split;
        let auto = Some(AutoRecord { kind: seal.kind().to_owned(), key_id });
        Ok(Self { version: VERSION_AUTO, shares, threshold, root_key, auto })
    }

    pub(in super::super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let record: Self = serde_json::from_slice(bytes).map_err(|_| damaged())?;
        match (record.version, &record.auto) {
            (VERSION_SHARES, None) | (VERSION_AUTO, Some(_)) => Ok(record),
            (VERSION_SHARES | VERSION_AUTO, _) => Err(damaged()),
            _ => Err(Error::internal("another version of the server wrote the seal record")),
        }
    }

    pub(in super::super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::internal)
    }

    /// How the key is split that people hold.
    pub(in super::super) fn split(&self) -> Split {
        Split { shares: self.shares, threshold: self.threshold }
    }

    /// What it calls the seal: `shamir`, if that is people.
    pub(super) fn kind(&self) -> &str {
        self.auto.as_ref().map_or("shamir", |auto| &auto.kind)
    }

    /// The name of the seal's key; empty, if that is people's.
    pub(super) fn key_id(&self) -> &str {
        self.auto.as_ref().map_or("", |auto| &auto.key_id)
    }

    /// The root key, if this is the unseal key.
    pub(in super::super) fn root_key(&self, unseal: &UnsealKey) -> Result<RootKey, Error> {
        let wrapped = BASE64_STANDARD.decode(&self.root_key).map_err(|_| damaged())?;
        let key = RecordKey::new(unseal.expose()).decrypt(ROOT_KEY_AAD, &wrapped);
        let key = key.map_err(|_| wrong_key())?;
        let key = key.as_array::<32>().ok_or_else(|| Error::internal("the root key is not 32 bytes long"))?;
        Ok(Secret::made_by(|root: &mut [u8; 32]| root.copy_from_slice(key)))
    }

    /// What the seal holds.
    pub(super) fn held(&self, seal: &AutoSeal) -> Result<Held, Error> {
        let wrapped = Wrapped { key_id: self.key_id().to_owned(), text: self.root_key.clone() };
        Held::from_bytes(&seal.unwrap(&wrapped)?).ok_or_else(damaged)
    }
}

fn damaged() -> Error {
    Error::internal("the seal record is damaged")
}

/// What people brought makes another key.
pub(super) fn wrong_key() -> Error {
    Error::invalid(WRONG_UNSEAL_KEY)
}

const VERSION_SHARES: u8 = 1;
const VERSION_AUTO: u8 = 2;
const ROOT_KEY_AAD: &[u8] = b"coffer root key";
const RECOVERY_PURPOSE: &[u8] = b"coffer: check recovery key, 1";
const WRONG_UNSEAL_KEY: &str = "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: \
                                message authentication failed";
