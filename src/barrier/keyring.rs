//! Numbered data keys of one scope. The newest encrypts, all decrypt: a record names its term.
//!
//! NIST SP 800-38D allows one AES-GCM key 2^32 encryptions with random nonces. A term counts its uses and is replaced long
//! before. Whatever changes is written first and used then: no record names a term that a crash could take back, and the
//! count, written in steps ahead of the uses, can only be too high.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{self, damaged};
use super::view::{Stored, StoredBytes, decode, encode};
use super::{Error, PLATFORM_KEYRING_KEY};
use crate::crypto::random::Random;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;
use crate::entropy::Entropy;
use crate::storage::{Batch, Store};

pub(super) struct Keyring {
    /// Where the keyring itself is stored.
    path: String,
    parent: Parent,
    store: Arc<dyn Store>,
    limits: Limits,
    terms: RwLock<BTreeMap<u32, Arc<Term>>>,
    /// Held while the stored form changes.
    changing: Mutex<()>,
}

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
    pub(super) const DEFAULT: Self = Self { uses_max: 1 << 31, uses_step: 1 << 20 };
}

/// What encrypts the keyring's own record.
enum Parent {
    Root(RecordKey),
    Platform(Arc<Keyring>),
}

struct Term {
    id: u32,
    key: RecordKey,
    material: Secret<[u8; 32]>,
    uses: AtomicU64,
    /// Uses up to which the stored count is already right.
    uses_reserved: AtomicU64,
}

impl Keyring {
    pub(super) fn create_platform(root: RecordKey, store: Arc<dyn Store>, limits: Limits) -> Self {
        Self::with_first_term(PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(root), store, limits)
    }

    pub(super) fn open_platform(root: RecordKey, store: Arc<dyn Store>, limits: Limits) -> Result<Self, Error> {
        Self::load(PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(root), store, limits)?
            .ok_or(Error::WrongState("the store is not initialised"))
    }

    /// A new keyring below the platform's, with the same limits.
    pub(super) fn create(path: String, platform: Arc<Self>, store: Arc<dyn Store>) -> Self {
        let limits = platform.limits;
        Self::with_first_term(path, Parent::Platform(platform), store, limits)
    }

    pub(super) fn open(path: String, platform: Arc<Self>, store: Arc<dyn Store>) -> Result<Self, Error> {
        let (missing, limits) = (damaged(&path, MISSING), platform.limits);
        Self::load(path, Parent::Platform(platform), store, limits)?.ok_or(missing)
    }

    /// Encrypts a record with the newest term.
    pub(super) fn encrypt(&self, path: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let term = self.term_for_use()?;
        record::encrypt(&term.key, term.id, path, plaintext)
    }

    /// Decrypts a record with the term that it names.
    pub(super) fn decrypt(&self, path: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (id, body) = record::split(path, bytes)?;
        let term = self.read_terms(|terms| terms.get(&id).cloned());
        let term = term.ok_or_else(|| damaged(path, "the keyring has no such term"))?;
        record::decrypt(&term.key, id, path, body)
    }

    fn with_first_term(path: String, parent: Parent, store: Arc<dyn Store>, limits: Limits) -> Self {
        let terms = BTreeMap::from([(FIRST_TERM, Arc::new(Term::generate(FIRST_TERM, limits)))]);
        Self { path, parent, store, limits, terms: RwLock::new(terms), changing: Mutex::new(()) }
    }

    /// Adds a new keyring to a batch.
    pub(super) fn create_in(&self, batch: Batch) -> Result<Batch, Error> {
        Ok(batch.expect_absent(self.path.as_str()).put(self.path.as_str(), self.encrypt_stored(&self.to_stored())?))
    }

    fn load(path: String, parent: Parent, store: Arc<dyn Store>, limits: Limits) -> Result<Option<Self>, Error> {
        let Some(bytes) = store.get(path.as_bytes())?.value else { return Ok(None) };
        let plaintext = match &parent {
            Parent::Root(key) => {
                let (term, body) = record::split(&path, &bytes)?;
                record::decrypt(key, term, &path, body).map_err(|_| Error::WrongRootKey)?
            }
            Parent::Platform(platform) => platform.decrypt(&path, &bytes)?,
        };
        let stored: StoredKeyring = decode(&path, &plaintext)?;
        let terms =
            stored.terms.into_iter().map(|term| Term::restore(term, &path)).collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(Some(Self { path, parent, store, limits, terms: RwLock::new(terms), changing: Mutex::new(()) }))
    }

    /// The newest term, with one more use counted; a new one when the old one has been used enough.
    fn term_for_use(&self) -> Result<Arc<Term>, Error> {
        loop {
            let term = self.newest()?;
            let uses = term.uses.fetch_add(1, Ordering::Relaxed) + 1;
            if uses <= term.uses_reserved.load(Ordering::Acquire) {
                return Ok(term);
            }
            self.extend(&term, uses)?;
        }
    }

    /// Writes a higher count for the term, or the term that follows it, unless another thread has done so. Commits keep
    /// their order: a record is never durable before the count that covers it, or the term that opens it.
    fn extend(&self, term: &Term, uses: u64) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if uses <= term.uses_reserved.load(Ordering::Acquire) || self.newest()?.id != term.id {
            return Ok(());
        }
        let mut stored = self.to_stored();
        let Limits { uses_max, uses_step } = self.limits;
        if uses > uses_max {
            let next = Arc::new(Term::generate(term.id + 1, self.limits));
            stored.terms.push(next.to_stored());
            self.rewrite(&stored)?;
            self.terms.write().unwrap_or_else(PoisonError::into_inner).insert(next.id, next);
        } else {
            let reserved = (uses + uses_step).min(uses_max);
            stored
                .terms
                .iter_mut()
                .filter(|stored| stored.id == term.id)
                .for_each(|stored| stored.uses_reserved = reserved);
            self.rewrite(&stored)?;
            term.uses_reserved.store(reserved, Ordering::Release);
        }
        Ok(())
    }

    /// Replaces the stored form. A keyring that was deleted stays deleted, whoever still holds it.
    fn rewrite(&self, stored: &StoredKeyring) -> Result<(), Error> {
        let path = self.path.as_str();
        let old = self.store.get(path.as_bytes())?.value.ok_or_else(|| damaged(path, MISSING))?;
        let batch = Batch::new().expect_value(path, old).put(path, self.encrypt_stored(stored)?);
        self.store.commit(batch)?;
        Ok(())
    }

    fn newest(&self) -> Result<Arc<Term>, Error> {
        let newest = self.read_terms(|terms| terms.last_key_value().map(|(_, term)| term.clone()));
        newest.ok_or_else(|| damaged(&self.path, "the keyring has no term"))
    }

    fn read_terms<T>(&self, read: impl FnOnce(&BTreeMap<u32, Arc<Term>>) -> T) -> T {
        read(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn to_stored(&self) -> StoredKeyring {
        StoredKeyring { terms: self.read_terms(|terms| terms.values().map(|term| term.to_stored()).collect()) }
    }

    fn encrypt_stored(&self, stored: &StoredKeyring) -> Result<Vec<u8>, Error> {
        let plaintext = encode(stored);
        match &self.parent {
            Parent::Root(key) => record::encrypt(key, ROOT_TERM, &self.path, &plaintext),
            Parent::Platform(platform) => platform.encrypt(&self.path, &plaintext),
        }
    }
}

impl Term {
    fn generate(id: u32, limits: Limits) -> Self {
        let material = Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key));
        Self::new(id, material, limits.uses_step.min(limits.uses_max), 0)
    }

    /// A term as it was stored. All reserved uses count as used: some may have been.
    fn restore(stored: StoredTerm, path: &str) -> Result<(u32, Arc<Self>), Error> {
        let Protector::Platform { key } = stored.protector;
        let key = key.0.as_array::<32>().ok_or_else(|| damaged(path, "a term is not 32 bytes long"))?;
        let material = Secret::made_by(|material: &mut [u8; 32]| material.copy_from_slice(key));
        let term = Self::new(stored.id, material, stored.uses_reserved, stored.uses_reserved);
        Ok((stored.id, Arc::new(term)))
    }

    fn new(id: u32, material: Secret<[u8; 32]>, uses_reserved: u64, uses: u64) -> Self {
        let key = RecordKey::new(material.expose());
        Self { id, key, material, uses: AtomicU64::new(uses), uses_reserved: AtomicU64::new(uses_reserved) }
    }

    fn to_stored(&self) -> StoredTerm {
        let key = StoredBytes(Zeroizing::new(self.material.expose().to_vec()));
        let uses_reserved = self.uses_reserved.load(Ordering::Acquire);
        StoredTerm { id: self.id, uses_reserved, protector: Protector::Platform { key } }
    }
}

// === stored form ===

#[derive(Serialize, Deserialize)]
struct StoredKeyring {
    terms: Vec<StoredTerm>,
}

impl Stored for StoredKeyring {
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct StoredTerm {
    id: u32,
    uses_reserved: u64,
    protector: Protector,
}

/// Who wraps a term. A customer's key will be the second variant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Protector {
    /// The encryption of the keyring's own record is the wrapping.
    Platform { key: StoredBytes },
}

/// The root key encrypts nothing but the platform keyring; its records name this term.
const ROOT_TERM: u32 = 0;
const FIRST_TERM: u32 = 1;
const MISSING: &str = "it is missing";
