//! The keys that customers bring: which there are, which are at hand, and whose backup was shown. Does not know what they
//! protect; `revocation` and `lineage` bring the two together.
//!
//! A key of storage `sealed` is at hand whenever the platform is unsealed, one of storage `memory` from its presentation
//! to the end of the process, and neither once it is revoked. The views given to the methods here are views of the
//! platform.
//!
//! Who can read the records of a mount that is `active` under a key:
//!
//! | who has | `sealed`, in force or in a drill | `sealed`, revoked | `memory`, loaded | `memory`, revoked or not loaded |
//! |---|---|---|---|---|
//! | the data directory | nobody | nobody | nobody | nobody |
//! | that and the root key | all | none (1) | none (2) | none (2) |
//! | these, and a copy of the directory from before | all | all | none (2) | none (2) |
//! | these, and the memory of the running server | all | none (1) | all | none (2) |
//! | a token, by its policies | yes | 503 | yes | 503 |
//!
//! (1) No record has the key any more. But a store writes elsewhere than where it read: the bytes of the old record stay in
//! the free space of its log files until they are overwritten, and so does the old keyring of the mount. Revocation of a
//! `sealed` key ends what this server serves; it shreds no old image of a disk.
//!
//! (2) A key of storage `memory` is never written. What the mount held *before* it was activated was written under
//! another key, and copies of that, from backups or from free space, are as readable as they were with that one.
//!
//! Names of records, their sizes and times of change are no secret of any key here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use crate::api::Error;
use crate::barrier::{Found, KeyVersion, View, Wrapper};
use crate::clock::Timestamp;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::random::Random;
use crate::entropy::Entropy;
use crate::metrics::Counter;

mod alarm;
pub mod approvals;
pub mod lineage;
pub mod operation;
pub mod record;
pub mod revocation;
pub mod settings;

use alarm::Alarm;
use record::{KeyRecord, Storage, VersionRecord, id_of};

#[derive(Default)]
pub struct CustomerKeys {
    /// Keys of storage `memory` that were presented.
    presented: RwLock<HashMap<KeyVersion, Arc<CustomerKey>>>,
    nonces: Mutex<HashMap<[u8; NONCE_LEN], Nonce>>,
    /// Held while a key changes. When time ends a drill next; unknown after any other change.
    changing: Mutex<Option<Timestamp>>,
    alarm: Mutex<Alarm>,
    pub(super) events: Events,
}

/// What was done with keys since the barrier was opened.
#[derive(Default)]
pub(super) struct Events {
    pub(super) uploads: Counter,
    pub(super) proofs: Counter,
    /// A key was taken to wrap or to open data keys of a mount.
    pub(super) uses: Counter,
    pub(super) revocations: Counter,
    pub(super) drills: Counter,
    pub(super) restorations: Counter,
    pub(super) deletions: Counter,
}

/// What a backup is to be shown with.
struct Nonce {
    of: KeyVersion,
    until: Timestamp,
}

impl CustomerKeys {
    /// Names of keys, sorted: at most `limit`, those after `after`.
    pub fn names(view: &View<'_>, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        Ok(view.list(KEYS_PREFIX, after, limit)?)
    }

    pub fn find(view: &View<'_>, name: &str) -> Result<Option<Found<KeyRecord>>, Error> {
        Ok(view.get(&path_of(name))?)
    }

    pub fn read(view: &View<'_>, name: &str) -> Result<KeyRecord, Error> {
        let found = Self::find(view, name)?;
        found.map(|found| found.value).ok_or_else(|| Error::Missing(format!("no customer key {name:?}").into()))
    }

    /// One version of a key.
    pub fn version(view: &View<'_>, id: &KeyVersion) -> Result<VersionRecord, Error> {
        let version = Self::read(view, &id.name)?.versions.remove(&id.version);
        version
            .ok_or_else(|| Error::Missing(format!("customer key {:?} has no version {}", id.name, id.version).into()))
    }

    /// Takes a new version of a key, the first included; or a version that is known, if it has only to be presented again.
    /// The caller holds `changing`.
    fn upload(
        &self,
        view: &View<'_>,
        name: &str,
        key: CustomerKey,
        storage: Storage,
        now: Timestamp,
    ) -> Result<(u32, VersionRecord), Error> {
        let found = Self::find(view, name)?;
        if let Some(owner) = owner_of(view, &key)? {
            let version = Self::version(view, &owner)?;
            if owner.name == name && version.revoked.is_none() && self.at_hand(view, &owner)?.is_none() {
                self.present(owner.clone(), key);
                return Ok((owner.version, version));
            }
            return Err(already_used(name, &owner, &version));
        }
        if found.is_none() && view.list(KEYS_PREFIX, "", KEYS_MAX)?.len() >= KEYS_MAX {
            return Err(Error::invalid(format!("there are {KEYS_MAX} customer keys already, which is the limit")));
        }
        let mut change = view.change();
        let mut record = if let Some(Found { value, stamp, .. }) = found {
            change.expect(&path_of(name), &stamp);
            value
        } else {
            change.expect_absent(&path_of(name));
            KeyRecord::default()
        };
        if record.versions.len() >= VERSIONS_MAX {
            let text = format!("{name:?} has {VERSIONS_MAX} versions, which is the limit: delete old ones first");
            return Err(Error::invalid(text));
        }
        let number = record.latest().map_or(1, |(latest, _)| latest + 1);
        let version = VersionRecord::new(&key, storage, now)?;
        record.versions.insert(number, version.clone());
        change.put(&path_of(name), &record)?;
        change.commit()?;
        if storage == Storage::Memory {
            self.present(id_of(name, number), key);
        }
        Ok((number, version))
    }

    /// The key, if it is at hand.
    pub fn at_hand(&self, view: &View<'_>, id: &KeyVersion) -> Result<Option<Arc<CustomerKey>>, Error> {
        let Some(found) = Self::find(view, &id.name)? else { return Ok(None) };
        let version = found.value.versions.get(&id.version).filter(|version| version.revoked.is_none());
        let Some(version) = version else { return Ok(None) };
        match version.storage {
            Storage::Sealed => Ok(version.copy()?.map(Arc::new)),
            Storage::Memory => Ok(self.presented.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()),
        }
    }

    /// As `at_hand`, ready to wrap terms.
    pub fn wrapper(&self, view: &View<'_>, id: &KeyVersion) -> Result<Option<Wrapper>, Error> {
        let Some(key) = self.at_hand(view, id)? else { return Ok(None) };
        self.events.uses.add(1);
        Ok(Some(Wrapper::new(id.clone(), key.expose())))
    }

    /// Lets `act` use a key, and holds off revocations meanwhile.
    pub fn with_wrapper<T>(
        &self,
        view: &View<'_>,
        id: &KeyVersion,
        act: impl FnOnce(Wrapper) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _changing = self.change();
        act(self.wrapper(view, id)?.ok_or_else(|| not_at_hand(id))?)
    }

    /// Notes that a key wraps or has opened terms.
    pub fn note_use(&self, view: &View<'_>, id: &KeyVersion, now: Timestamp) -> Result<(), Error> {
        let _changing = self.change();
        edit(view, &id.name, |record| {
            if let Some(version) = record.versions.get_mut(&id.version) {
                version.last_use = Some(now);
            }
            Ok(())
        })
    }

    /// Sets after how many seconds a version is to be followed by another; 0: never.
    pub fn set_rotation_period(&self, view: &View<'_>, name: &str, seconds: u64) -> Result<(), Error> {
        let _changing = self.change();
        edit(view, name, |record| {
            record.rotation_period_s = seconds;
            Ok(())
        })
    }

    // === proof of backup ===

    /// A nonce that the backup of a key is shown with.
    pub fn nonce(&self, view: &View<'_>, id: KeyVersion, now: Timestamp) -> Result<[u8; NONCE_LEN], Error> {
        Self::version(view, &id)?;
        let mut bytes = [0; NONCE_LEN];
        Entropy.fill(&mut bytes);
        let until = now.checked_add(NONCE_LIFE).map_err(Error::internal)?;
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.retain(|_, nonce| nonce.until > now);
        if nonces.len() >= NONCES_MAX {
            return Err(Error::Unavailable("too many proofs of backup are under way; try again later".into()));
        }
        nonces.insert(bytes, Nonce { of: id, until });
        Ok(bytes)
    }

    /// Takes the proof that a backup exists, made with a nonce from here. Returns whose it is.
    pub fn prove(
        &self,
        view: &View<'_>,
        name: &str,
        nonce: &[u8],
        proof: &[u8],
        now: Timestamp,
    ) -> Result<KeyVersion, Error> {
        let _changing = self.change();
        let known = {
            let nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            nonces.get(nonce).filter(|known| known.of.name == name && known.until > now).map(|known| known.of.clone())
        };
        let id = known.ok_or_else(|| Error::invalid(UNKNOWN_NONCE))?;
        let key = self.at_hand(view, &id)?.ok_or_else(|| not_at_hand(&id))?;
        if !key.proves(nonce, proof) {
            return Err(Error::invalid(WRONG_PROOF));
        }
        edit(view, name, |record| {
            if let Some(version) = record.versions.get_mut(&id.version) {
                version.proved = Some(now);
            }
            Ok(())
        })?;
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).remove(nonce);
        self.events.proofs.add(1);
        Ok(id)
    }

    // === for the other parts ===

    fn change(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self, id: KeyVersion, key: CustomerKey) {
        self.presented.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(key));
    }

    /// Wipes what was presented of a key, as soon as nobody works with it.
    fn withdraw(&self, id: &KeyVersion) {
        self.presented.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Why a version of a key cannot be used now.
pub fn not_at_hand(id: &KeyVersion) -> Error {
    let KeyVersion { name, version } = id;
    Error::invalid(format!(
        "version {version} of customer key {name:?} is revoked or not loaded: present it with \
         POST sys/customer-keys/{name}/restore first"
    ))
}

/// Changes the record of a key. The caller holds `changing`.
fn edit<T>(view: &View<'_>, name: &str, edit: impl FnOnce(&mut KeyRecord) -> Result<T, Error>) -> Result<T, Error> {
    let path = path_of(name);
    let missing = || Error::Missing(format!("no customer key {name:?}").into());
    let Found { value: mut record, stamp, .. } = view.get::<KeyRecord>(&path)?.ok_or_else(missing)?;
    let outcome = edit(&mut record)?;
    let mut change = view.change();
    if record.versions.is_empty() {
        change.delete(&path);
    } else {
        change.put(&path, &record)?;
    }
    change.expect(&path, &stamp);
    change.commit()?;
    Ok(outcome)
}

/// Whose key this is already.
fn owner_of(view: &View<'_>, key: &CustomerKey) -> Result<Option<KeyVersion>, Error> {
    for name in view.list(KEYS_PREFIX, "", KEYS_MAX)? {
        let Some(found) = view.get::<KeyRecord>(&path_of(&name))? else { continue };
        if let Some((version, _)) = found.value.version_of(key) {
            return Ok(Some(id_of(&name, version)));
        }
    }
    Ok(None)
}

fn already_used(name: &str, owner: &KeyVersion, version: &VersionRecord) -> Error {
    let KeyVersion { name: other, version: number } = owner;
    Error::invalid(match (other == name, version.revoked) {
        (true, None) => format!(
            "this key is version {number} of {name:?} already: a new version is a new key, made with \
             `openssl rand -out key 32`"
        ),
        (true, Some(_)) => format!(
            "this key is version {number} of {name:?}, which is revoked: give it back with \
             POST sys/customer-keys/{name}/restore, or upload another key"
        ),
        (false, _) => format!(
            "this key is already used as version {number} of customer key {other:?}: a key has one name, so that \
             revoking it ends all that it protects; make another with `openssl rand -out key 32`"
        ),
    })
}

fn path_of(name: &str) -> String {
    format!("{KEYS_PREFIX}{name}")
}

const KEYS_PREFIX: &str = "customer-key/";
/// Keys, and versions of each.
const KEYS_MAX: usize = 10_000;
const VERSIONS_MAX: usize = 1_000;
/// Proofs of backup that may be under way, and for how long one may be.
const NONCES_MAX: usize = 1_000;
const NONCE_LIFE: Duration = Duration::from_mins(15);
const NONCE_LEN: usize = 32;
const UNKNOWN_NONCE: &str =
    "the nonce is unknown, was used, or is older than 15 minutes: ask for another with an empty body";
const WRONG_PROOF: &str = "the proof was not made with this key and nonce: it is the base64 of HMAC-SHA-256 with the 32 raw \
                           bytes of the backup as the key, over the bytes that the nonce's base64 stands for; if it was, \
                           the backup is of another key (compare check values)";
