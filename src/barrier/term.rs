//! One data key of a keyring: its material, who can open it, and how often it was used. Knows no records.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Error;
use super::protector::{KeyVersion, Protector, Wrapper};
use super::record::damaged;
use super::view::{Stored, StoredBytes};
use crate::crypto::random::Random;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;

/// How often a term is used, and how often that is written down.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Uses after which a term is replaced.
    pub(super) uses_max: u64,
    /// Uses between two writes of the count.
    pub(super) uses_step: u64,
}

impl Limits {
    /// Half of what SP 800-38D allows.
    pub(super) const DEFAULT: Self = Self { uses_max: 1 << 31, uses_step: 1 << 16 };
}

/// A term that is open.
pub(super) struct Term {
    pub(super) id: u32,
    pub(super) key: RecordKey,
    material: Secret<[u8; 32]>,
    wrapping: Wrapping,
    pub(super) uses: AtomicU64,
    /// Uses up to which the stored count is already right.
    pub(super) uses_reserved: AtomicU64,
    /// When it was made, in nanoseconds since 1970; zero if nobody noted that.
    pub(super) made_ns: AtomicI64,
}

/// What is stored in place of the material.
enum Wrapping {
    /// The material: the encryption of the keyring's own record is the wrapping.
    Platform,
    Customer {
        by: KeyVersion,
        wrapped: Vec<u8>,
    },
}

impl Wrapping {
    fn of(keyring: &str, term: u32, material: &Secret<[u8; 32]>, protector: &Protector) -> Result<Self, Error> {
        Ok(match protector {
            Protector::Platform => Self::Platform,
            Protector::Customer(wrapper) => {
                Self::Customer { by: wrapper.id().clone(), wrapped: wrapper.wrap(keyring, term, material)? }
            }
        })
    }
}

impl Term {
    pub(super) fn generate(keyring: &str, id: u32, protector: &Protector, limits: Limits) -> Result<Self, Error> {
        let material = Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key));
        let wrapping = Wrapping::of(keyring, id, &material, protector)?;
        Ok(Self::new(id, material, wrapping, limits.uses_step.min(limits.uses_max), 0))
    }

    /// A term as it was stored. `None` if it takes a customer's key that is not this one. All reserved uses count as used:
    /// some may have been.
    pub(super) fn restore(
        keyring: &str,
        stored: &StoredTerm,
        wrapper: Option<&Wrapper>,
    ) -> Result<Option<Self>, Error> {
        let (material, wrapping) = match &stored.protector {
            StoredProtector::Platform { key } => {
                let key = key.0.as_array::<32>().ok_or_else(|| damaged(keyring, "a term is not 32 bytes long"))?;
                (Secret::made_by(|material: &mut [u8; 32]| material.copy_from_slice(key)), Wrapping::Platform)
            }
            StoredProtector::Customer { by, wrapped } => {
                let Some(wrapper) = wrapper.filter(|wrapper| wrapper.id() == by) else { return Ok(None) };
                let Some(material) = wrapper.unwrap(keyring, stored.id, &wrapped.0) else { return Ok(None) };
                (material, Wrapping::Customer { by: by.clone(), wrapped: wrapped.0.to_vec() })
            }
        };
        let term = Self::new(stored.id, material, wrapping, stored.uses_reserved, stored.uses_reserved);
        Ok(Some(Self { made_ns: AtomicI64::new(stored.made_ns), ..term }))
    }

    /// The same data key under another protector.
    pub(super) fn rewrapped(&self, keyring: &str, protector: &Protector) -> Result<Self, Error> {
        let material = Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(self.material.expose()));
        let wrapping = Wrapping::of(keyring, self.id, &material, protector)?;
        let uses_reserved = self.uses_reserved.load(Ordering::Acquire);
        let made_ns = AtomicI64::new(self.made_ns.load(Ordering::Acquire));
        Ok(Self { made_ns, ..Self::new(self.id, material, wrapping, uses_reserved, uses_reserved) })
    }

    fn new(id: u32, material: Secret<[u8; 32]>, wrapping: Wrapping, uses_reserved: u64, uses: u64) -> Self {
        let key = RecordKey::new(material.expose());
        let (uses, uses_reserved) = (AtomicU64::new(uses), AtomicU64::new(uses_reserved));
        Self { id, key, material, wrapping, uses, uses_reserved, made_ns: AtomicI64::new(0) }
    }

    /// The customer's key that it takes to open the stored form.
    pub(super) fn wrapped_by(&self) -> Option<&KeyVersion> {
        match &self.wrapping {
            Wrapping::Platform => None,
            Wrapping::Customer { by, .. } => Some(by),
        }
    }

    pub(super) fn to_stored(&self) -> StoredTerm {
        let bytes = |bytes: &[u8]| StoredBytes(Zeroizing::new(bytes.to_vec()));
        let protector = match &self.wrapping {
            Wrapping::Platform => StoredProtector::Platform { key: bytes(self.material.expose()) },
            Wrapping::Customer { by, wrapped } => StoredProtector::Customer { by: by.clone(), wrapped: bytes(wrapped) },
        };
        let uses_reserved = self.uses_reserved.load(Ordering::Acquire);
        StoredTerm { id: self.id, uses_reserved, made_ns: self.made_ns.load(Ordering::Acquire), protector }
    }
}

// === stored form ===

#[derive(Serialize, Deserialize)]
pub(super) struct StoredKeyring {
    pub(super) terms: Vec<StoredTerm>,
}

impl Stored for StoredKeyring {
    const VERSION: u8 = 1;
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredTerm {
    pub(super) id: u32,
    pub(super) uses_reserved: u64,
    #[serde(default)]
    made_ns: i64,
    protector: StoredProtector,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredProtector {
    Platform { key: StoredBytes },
    Customer { by: KeyVersion, wrapped: StoredBytes },
}

impl StoredTerm {
    /// The customer's key that it takes to open it.
    pub(super) fn wrapped_by(&self) -> Option<&KeyVersion> {
        match &self.protector {
            StoredProtector::Platform { .. } => None,
            StoredProtector::Customer { by, .. } => Some(by),
        }
    }
}
