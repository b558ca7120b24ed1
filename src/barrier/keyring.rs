//! Numbered data keys of one scope. The newest encrypts, all decrypt: a record names its term.
//!
//! NIST SP 800-38D allows one AES-GCM key 2^32 encryptions with random nonces. A term counts its uses and is replaced long
//! before. The count is written in steps, ahead of the uses, so a crash can only make it too high.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{self, damaged};
use super::view::{Stored, StoredSecret, decode, encode};
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
    terms: RwLock<BTreeMap<u32, Arc<Term>>>,
    /// Held while the stored form changes.
    changing: Mutex<()>,
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
    pub(super) fn create_platform(root: RecordKey, store: Arc<dyn Store>) -> Self {
        Self::with_first_term(PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(root), store)
    }

    pub(super) fn open_platform(root: RecordKey, store: Arc<dyn Store>) -> Result<Self, Error> {
        Self::load(PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(root), store)?
            .ok_or(Error::WrongState("the store is not initialised"))
    }

    pub(super) fn create(path: String, platform: Arc<Self>, store: Arc<dyn Store>) -> Self {
        Self::with_first_term(path, Parent::Platform(platform), store)
    }

    pub(super) fn open(path: String, platform: Arc<Self>, store: Arc<dyn Store>) -> Result<Self, Error> {
        let missing = damaged(&path, "it is missing");
        Self::load(path, Parent::Platform(platform), store)?.ok_or(missing)
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

    fn with_first_term(path: String, parent: Parent, store: Arc<dyn Store>) -> Self {
        let terms = BTreeMap::from([(FIRST_TERM, Arc::new(Term::generate(FIRST_TERM)))]);
        Self { path, parent, store, terms: RwLock::new(terms), changing: Mutex::new(()) }
    }

    /// Adds a new keyring to a batch.
    pub(super) fn create_in(&self, batch: Batch) -> Result<Batch, Error> {
        Ok(batch.expect_absent(self.path.as_str()).put(self.path.as_str(), self.to_record()?))
    }

    fn load(path: String, parent: Parent, store: Arc<dyn Store>) -> Result<Option<Self>, Error> {
        let Some(bytes) = store.get(path.as_bytes())?.value else { return Ok(None) };
        let plaintext = match &parent {
            Parent::Root(key) => {
                let (term, body) = record::split(&path, &bytes)?;
                record::decrypt(key, term, &path, body).map_err(|_| Error::WrongRootKey)?
            }
            Parent::Platform(platform) => platform.decrypt(&path, &bytes)?,
        };
        let stored: StoredKeyring = decode(&path, &plaintext)?;
        let terms = stored.terms.into_iter().map(|term| Term::restore(term, &path)).collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(Some(Self { path, parent, store, terms: RwLock::new(terms), changing: Mutex::new(()) }))
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
            if uses < USES_MAX {
                return Ok(term);
            }
        }
    }

    /// Writes a higher count for the term, or the term that follows it. Commits keep their order: a record is never durable
    /// before the count that covers it.
    fn extend(&self, term: &Term, uses: u64) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if uses >= USES_MAX {
            if self.newest()?.id != term.id {
                return Ok(());
            }
            let next = Arc::new(Term::generate(term.id + 1));
            self.terms.write().unwrap_or_else(PoisonError::into_inner).insert(next.id, next);
        } else if uses > term.uses_reserved.load(Ordering::Acquire) {
            term.uses_reserved.store(uses + USES_STEP, Ordering::Release);
        } else {
            return Ok(());
        }
        self.store.commit(Batch::new().put(self.path.as_str(), self.to_record()?))?;
        Ok(())
    }

    fn newest(&self) -> Result<Arc<Term>, Error> {
        let newest = self.read_terms(|terms| terms.last_key_value().map(|(_, term)| term.clone()));
        newest.ok_or_else(|| damaged(&self.path, "the keyring has no term"))
    }

    fn read_terms<T>(&self, read: impl FnOnce(&BTreeMap<u32, Arc<Term>>) -> T) -> T {
        read(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn to_record(&self) -> Result<Vec<u8>, Error> {
        let terms = self.read_terms(|terms| terms.values().map(|term| term.to_stored()).collect());
        let plaintext = encode(&StoredKeyring { terms });
        match &self.parent {
            Parent::Root(key) => record::encrypt(key, ROOT_TERM, &self.path, &plaintext),
            Parent::Platform(platform) => platform.encrypt(&self.path, &plaintext),
        }
    }
}

impl Term {
    fn generate(id: u32) -> Self {
        Self::new(id, Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key)), USES_STEP, 0)
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
        let key = StoredSecret(Zeroizing::new(self.material.expose().to_vec()));
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
    Platform { key: StoredSecret },
}

/// The root key encrypts nothing but the platform keyring; its records name this term.
const ROOT_TERM: u32 = 0;
const FIRST_TERM: u32 = 1;
/// Uses after which a term is replaced: half of what SP 800-38D allows.
const USES_MAX: u64 = 1 << 31;
/// Uses between two writes of the count.
const USES_STEP: u64 = 1 << 20;
