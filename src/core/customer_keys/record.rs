//! What is stored of a customer's key: its versions, and the sealed copies of those that have one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::Error;
use crate::barrier::{KeyVersion, Stored, StoredBytes};
use crate::clock::Timestamp;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::hex;

/// A customer's key.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct KeyRecord {
    pub versions: BTreeMap<u32, VersionRecord>,
    /// Seconds after which a version is to be followed by another; 0: never.
    pub rotation_period_s: u64,
    /// A drill that is under way.
    pub drill: Option<Drill>,
    /// The latest drills, the oldest first.
    pub drills: Vec<DrillReport>,
}

impl Stored for KeyRecord {
    const VERSION: u8 = 1;
}

/// One version of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct VersionRecord {
    pub created: Timestamp,
    /// In hex, as they are told.
    pub check_value: String,
    pub fingerprint: String,
    pub storage: Storage,
    /// The key, with storage `sealed`, until it is revoked.
    sealed: Option<StoredBytes>,
    /// When a backup of it was shown.
    pub proved: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
    /// When it last wrapped or opened a term.
    pub last_use: Option<Timestamp>,
}

/// Where a key is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In the store, under the platform's keyring.
    #[default]
    Sealed,
    /// In memory only.
    Memory,
}

impl Storage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Memory => "memory",
        }
    }
}

/// A revocation that ends by itself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Drill {
    pub began: Timestamp,
    pub until: Timestamp,
    pub effective_us: u64,
    pub versions: Vec<u32>,
    /// Paths of the mounts that it locked.
    pub mounts: Vec<String>,
}

/// What a drill showed.
#[derive(Clone, Serialize, Deserialize)]
pub struct DrillReport {
    pub began: Timestamp,
    pub ended: Timestamp,
    /// From the call until no request was served any more, and from the end until all were again, in microseconds.
    pub effective_us: u64,
    pub restored_us: u64,
    pub mounts: Vec<MountInDrill>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct MountInDrill {
    pub path: String,
    /// Requests that were refused because of it.
    pub refused: u64,
}

impl KeyRecord {
    pub fn latest(&self) -> Option<(u32, &VersionRecord)> {
        self.versions.last_key_value().map(|(number, version)| (*number, version))
    }

    /// The version with these bytes.
    pub fn version_of(&self, key: &CustomerKey) -> Option<(u32, &VersionRecord)> {
        let fingerprint = hex::encode(&key.fingerprint());
        let found = self.versions.iter().find(|(_, version)| version.fingerprint == fingerprint);
        found.map(|(number, version)| (*number, version))
    }

    /// When the latest version should be followed by another; never without a period.
    pub fn rotation_time(&self) -> Option<Timestamp> {
        let period = Duration::from_secs(self.rotation_period_s);
        let (_, latest) = self.latest().filter(|_| !period.is_zero())?;
        latest.created.checked_add(period).ok()
    }

    /// Why the latest version should be followed by another, if it should.
    pub fn rotation_due(&self, now: Timestamp) -> Option<String> {
        let period = Duration::from_secs(self.rotation_period_s);
        let (number, latest) = self.latest().filter(|_| !period.is_zero())?;
        let age = Duration::try_from(now.duration_since(latest.created)).unwrap_or_default();
        (age >= period).then(|| {
            let (age, period) = (age.as_secs() / SECONDS_PER_DAY, period.as_secs() / SECONDS_PER_DAY);
            format!("version {number} is {age} days old, and the rotation period is {period} days")
        })
    }

    /// Those that a revocation can be about: one, or all that are not revoked. A drill can become one for good.
    pub fn in_force(&self, only: Option<u32>, for_good: bool) -> Vec<u32> {
        let in_drill = |number| self.drill.as_ref().is_some_and(|drill| drill.versions.contains(number));
        let can_be = |number, version: &VersionRecord| version.revoked.is_none() || (for_good && in_drill(number));
        let wanted = self.versions.iter().filter(|(number, _)| only.is_none_or(|only| only == **number));
        wanted.filter(|(number, version)| can_be(number, version)).map(|(number, _)| *number).collect()
    }
}

impl VersionRecord {
    pub fn new(key: &CustomerKey, storage: Storage, now: Timestamp) -> Result<Self, Error> {
        let mut record = Self {
            created: now,
            check_value: hex::encode(&key.check_value().map_err(Error::internal)?),
            fingerprint: hex::encode(&key.fingerprint()),
            storage,
            sealed: None,
            proved: None,
            revoked: None,
            last_use: None,
        };
        record.keep(key);
        Ok(record)
    }

    /// Takes a copy of the key, where it is kept in the store.
    pub fn keep(&mut self, key: &CustomerKey) {
        if self.storage == Storage::Sealed {
            self.sealed = Some(StoredBytes(Zeroizing::new(key.expose().to_vec())));
        }
    }

    /// Revokes it: its copy is gone.
    pub fn erase(&mut self, now: Timestamp) {
        self.sealed = None;
        self.revoked = Some(now);
    }

    /// The copy of the key.
    pub(super) fn copy(&self) -> Result<Option<CustomerKey>, Error> {
        let Some(bytes) = &self.sealed else { return Ok(None) };
        CustomerKey::parse(&bytes.0).map(Some).map_err(Error::internal)
    }
}

/// The same key as terms name it.
pub fn id_of(name: &str, version: u32) -> KeyVersion {
    KeyVersion { name: name.to_owned(), version }
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
