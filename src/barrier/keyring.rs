//! Numbered data keys of one scope. The newest encrypts, all decrypt: a record names its term.
//!
//! NIST SP 800-38D allows one AES-GCM key 2^32 encryptions with random nonces. A term counts its uses and is replaced long
//! before. Whatever changes is written first and used then: no record names a term that a crash could take back, and the
//! count, written in steps ahead of the uses, can only be too high.
//!
//! A term that a customer's key wraps is open while that key is there, and locked without it: then it is kept as it is
//! stored, and nothing in memory opens it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::protector::{KeyVersion, Protector, Wrapper};
use super::record::{self, damaged};
use super::root::Root;
use super::term::{Limits, StoredKeyring, StoredTerm, Term};
use super::view::{decode, encode};
use super::{Error, PLATFORM_KEYRING_KEY, RootKey};
use crate::sabotage;
use crate::storage::{Batch, Seq, Store};

pub(super) struct Keyring {
    /// Where the keyring itself is stored.
    path: String,
    parent: Parent,
    store: Arc<dyn Store>,
    limits: Limits,
    terms: RwLock<Terms>,
    /// Whether a term is locked.
    locked: AtomicBool,
    /// Held while the terms change.
    changing: Mutex<()>,
}

/// What encrypts the keyring's own record.
enum Parent {
    Root(RwLock<Root>),
    Platform(Arc<Keyring>),
}

#[derive(Clone)]
struct Terms {
    by_id: BTreeMap<u32, Slot>,
    /// What the next term will be protected by: what protects the newest. `None` while that is locked.
    protector: Option<Protector>,
}

#[derive(Clone)]
enum Slot {
    Open(Arc<Term>),
    Locked(StoredTerm),
}

impl Slot {
    fn wrapped_by(&self) -> Option<&KeyVersion> {
        match self {
            Self::Open(term) => term.wrapped_by(),
            Self::Locked(stored) => stored.wrapped_by(),
        }
    }
}

/// How much the newest term was used.
pub struct Usage {
    pub term: u32,
    /// When it was made, in nanoseconds since 1970; zero if nobody noted that yet.
    pub made_ns: i64,
    /// Records encrypted with it, at most.
    pub uses: u64,
}

/// One term as others may know it.
pub struct TermState {
    pub id: u32,
    /// The customer's key that wraps it; none: the platform alone.
    pub wrapped_by: Option<KeyVersion>,
}

impl Keyring {
    pub(super) fn create_platform(root: &RootKey, store: Arc<dyn Store>, limits: Limits) -> Result<Self, Error> {
        let (path, parent) = (PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(RwLock::new(Root::new(root))));
        Self::with_first_term(path, parent, store, limits, Protector::Platform)
    }

    pub(super) fn open_platform(root: &RootKey, store: Arc<dyn Store>, limits: Limits) -> Result<Self, Error> {
        let (path, parent) = (PLATFORM_KEYRING_KEY.to_owned(), Parent::Root(RwLock::new(Root::new(root))));
        Self::load(path, parent, store, limits, &|_| None)?.ok_or(Error::WrongState("the store is not initialised"))
    }

    /// A new keyring below the platform's, with the same limits.
    pub(super) fn create(
        path: String,
        platform: Arc<Self>,
        store: Arc<dyn Store>,
        protector: Protector,
    ) -> Result<Self, Error> {
        let limits = platform.limits;
        Self::with_first_term(path, Parent::Platform(platform), store, limits, protector)
    }

    /// The keyring of a scope. Terms whose customer's key `keys` does not have are locked.
    pub(super) fn open(
        path: String,
        platform: Arc<Self>,
        store: Arc<dyn Store>,
        keys: Keys<'_>,
    ) -> Result<Self, Error> {
        let (missing, limits) = (damaged(&path, MISSING), platform.limits);
        Self::load(path, Parent::Platform(platform), store, limits, keys)?.ok_or(missing)
    }

    /// Encrypts a record with the newest term, and returns that too: whoever holds it keeps it from being retired.
    pub(super) fn encrypt(&self, path: &str, plaintext: &[u8]) -> Result<(Vec<u8>, Arc<Term>), Error> {
        let term = self.term_for_use()?;
        Ok((record::encrypt(&term.key, term.id, path, plaintext)?, term))
    }

    /// Decrypts a record with the term that it names; `None` if there is no such term.
    pub(super) fn decrypt(&self, path: &str, bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let (id, body) = record::split(path, bytes)?;
        let term = self.read_terms(|terms| match terms.by_id.get(&id) {
            Some(Slot::Open(term)) => Ok(Some(term.clone())),
            Some(Slot::Locked(stored)) => Err(locked(stored)),
            None => Ok(None),
        })?;
        term.map(|term| record::decrypt(&term.key, id, path, body)).transpose()
    }

    fn with_first_term(
        path: String,
        parent: Parent,
        store: Arc<dyn Store>,
        limits: Limits,
        protector: Protector,
    ) -> Result<Self, Error> {
        let first = Slot::Open(Arc::new(Term::generate(&path, FIRST_TERM, &protector, limits)?));
        let terms = Terms { by_id: BTreeMap::from([(FIRST_TERM, first)]), protector: Some(protector) };
        Ok(Self::new(path, parent, store, limits, terms))
    }

    fn new(path: String, parent: Parent, store: Arc<dyn Store>, limits: Limits, terms: Terms) -> Self {
        let locked = AtomicBool::new(terms.locked_by().is_some());
        Self { path, parent, store, limits, terms: RwLock::new(terms), locked, changing: Mutex::new(()) }
    }

    /// Adds a new keyring to a batch.
    pub(super) fn create_in(&self, batch: Batch) -> Result<Batch, Error> {
        let stored = self.read_terms(Terms::to_stored);
        Ok(batch.expect_absent(self.path.as_str()).put(self.path.as_str(), self.encrypt_stored(&stored)?))
    }

    fn load(
        path: String,
        parent: Parent,
        store: Arc<dyn Store>,
        limits: Limits,
        keys: Keys<'_>,
    ) -> Result<Option<Self>, Error> {
        let Some(bytes) = store.get(path.as_bytes())?.value else { return Ok(None) };
        let plaintext = match &parent {
            Parent::Root(root) => root.read().unwrap_or_else(PoisonError::into_inner).decrypt(&path, &bytes)?,
            Parent::Platform(platform) => {
                platform.decrypt(&path, &bytes)?.ok_or_else(|| damaged(&path, NO_SUCH_TERM))?
            }
        };
        let stored: StoredKeyring = decode(&path, &plaintext)?;
        let locked = stored.terms.into_iter().map(|stored| (stored.id, Slot::Locked(stored))).collect();
        let mut terms = Terms { by_id: locked, protector: None };
        terms.open(&path, keys)?;
        Ok(Some(Self::new(path, parent, store, limits, terms)))
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
        let Limits { uses_max, uses_step } = self.limits;
        if uses > uses_max {
            return self.replace(|terms| terms.add(&self.path, None, self.limits).map(drop));
        }
        let mut stored = self.read_terms(Terms::to_stored);
        let reserved = (uses + uses_step).min(uses_max);
        stored
            .terms
            .iter_mut()
            .filter(|stored| stored.id == term.id)
            .for_each(|stored| stored.uses_reserved = reserved);
        self.rewrite(&stored)?;
        term.uses_reserved.store(reserved, Ordering::Release);
        Ok(())
    }

    // === what protects the terms ===

    /// The customer's key that is missing, if one is.
    pub(super) fn locked_by(&self) -> Option<KeyVersion> {
        if !self.locked.load(Ordering::SeqCst) {
            return None;
        }
        self.read_terms(|terms| terms.locked_by().cloned())
    }

    /// All terms, the oldest first.
    pub(super) fn states(&self) -> Vec<TermState> {
        let state = |(id, slot): (&u32, &Slot)| TermState { id: *id, wrapped_by: slot.wrapped_by().cloned() };
        self.read_terms(|terms| terms.by_id.iter().map(state).collect())
    }

    /// Makes the newest term one under this protector. Returns its number.
    pub(super) fn protect(&self, protector: &Protector) -> Result<u32, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(|terms| terms.add(&self.path, Some(protector.clone()), self.limits))
    }

    /// Puts all terms under this protector: the data keys stay what they are.
    pub(super) fn rewrap(&self, protector: &Protector) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(|terms| {
            for slot in terms.by_id.values_mut() {
                *slot = match slot {
                    Slot::Open(term) => Slot::Open(Arc::new(term.rewrapped(&self.path, protector)?)),
                    Slot::Locked(stored) => return Err(locked(stored)),
                };
            }
            terms.protector = Some(protector.clone());
            Ok(())
        })
    }

    /// Whether nobody still writes with one of these terms. Once so, it stays so, for only the newest is given out.
    pub(super) fn is_idle(&self, ids: &BTreeSet<u32>) -> bool {
        self.read_terms(|terms| {
            ids.iter().all(|id| match terms.by_id.get(id) {
                Some(Slot::Open(term)) => Arc::strong_count(term) == 1,
                Some(Slot::Locked(_)) | None => true,
            })
        })
    }

    /// Removes terms that no record names any more. The newest stays, whatever is asked.
    pub(super) fn retire(&self, ids: &BTreeSet<u32>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(|terms| {
            let newest = terms.by_id.last_key_value().map(|(id, _)| *id);
            terms.by_id.retain(|id, _| Some(*id) == newest || !ids.contains(id));
            Ok(())
        })
    }

    /// Wipes what a customer's key has opened. Returns how many terms that was.
    pub(super) fn lock(&self, key: &KeyVersion) -> usize {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut terms = self.terms.write().unwrap_or_else(PoisonError::into_inner);
        let mut wiped = 0;
        for slot in terms.by_id.values_mut().filter(|slot| slot.wrapped_by() == Some(key)) {
            if let Slot::Open(term) = slot {
                *slot = Slot::Locked(term.to_stored());
                wiped += 1;
            }
        }
        if terms.protector.as_ref().is_some_and(|protector| protector.key() == Some(key)) {
            terms.protector = None;
        }
        self.locked.store(terms.locked_by().is_some(), Ordering::SeqCst);
        wiped
    }

    /// Opens what a customer's key wraps.
    pub(super) fn unlock(&self, wrapper: &Wrapper) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut terms = self.terms.write().unwrap_or_else(PoisonError::into_inner);
        terms.open(&self.path, &|key| Some(wrapper.clone()).filter(|wrapper| wrapper.id() == key))?;
        self.locked.store(terms.locked_by().is_some(), Ordering::SeqCst);
        Ok(())
    }

    // === the newest term ===

    /// Adds a term, made at this time, with which everything is encrypted from now on. Returns its number.
    pub(super) fn rotate(&self, now_ns: i64) -> Result<u32, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(|terms| {
            let id = terms.add(&self.path, None, self.limits)?;
            terms.date_newest(now_ns);
            Ok(id)
        })
    }

    /// Notes that the newest term was made at this time, if nobody noted a time yet.
    pub(super) fn date(&self, now_ns: i64) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.newest()?.made_ns.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        self.replace(|terms| {
            terms.date_newest(now_ns);
            Ok(())
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, Error> {
        let term = self.newest()?;
        let made_ns = term.made_ns.load(Ordering::Acquire);
        Ok(Usage { term: term.id, made_ns, uses: term.uses.load(Ordering::Relaxed) })
    }

    // === the root key ===

    /// Whether this root key is the one above.
    pub(super) fn is_under(&self, root: &RootKey) -> bool {
        match &self.parent {
            Parent::Root(own) => own.read().unwrap_or_else(PoisonError::into_inner).is(root),
            Parent::Platform(_) => false,
        }
    }

    /// Puts the keyring under another root key: `batch` and the new encryption become one commit.
    pub(super) fn rekey(&self, root: &RootKey, batch: Batch) -> Result<Seq, Error> {
        let Parent::Root(own) = &self.parent else { return Err(Error::WrongState("only the platform has a root key")) };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Root::new(root);
        let record = new.encrypt(&self.path, &encode(&self.read_terms(Terms::to_stored)))?;
        let old = self.stored()?;
        let seq = self.store.commit(batch.expect_value(self.path.as_str(), old).put(self.path.as_str(), record))?;
        *own.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(seq)
    }

    // === changes ===

    /// Changes the terms: first where they are stored, then here. The caller holds `changing`.
    fn replace<T>(&self, edit: impl FnOnce(&mut Terms) -> Result<T, Error>) -> Result<T, Error> {
        let mut terms = self.read_terms(Terms::clone);
        let outcome = edit(&mut terms)?;
        if !sabotage::asked("forget-terms") {
            self.rewrite(&terms.to_stored())?;
        }
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = terms;
        Ok(outcome)
    }

    /// Replaces the stored form. A keyring that was deleted stays deleted, whoever still holds it.
    fn rewrite(&self, stored: &StoredKeyring) -> Result<(), Error> {
        let path = self.path.as_str();
        let batch = Batch::new().expect_value(path, self.stored()?).put(path, self.encrypt_stored(stored)?);
        self.store.commit(batch)?;
        Ok(())
    }

    fn stored(&self) -> Result<Vec<u8>, Error> {
        self.store.get(self.path.as_bytes())?.value.ok_or_else(|| damaged(&self.path, MISSING))
    }

    fn newest(&self) -> Result<Arc<Term>, Error> {
        self.read_terms(|terms| match terms.by_id.last_key_value() {
            Some((_, Slot::Open(term))) => Ok(term.clone()),
            Some((_, Slot::Locked(stored))) => Err(locked(stored)),
            None => Err(damaged(&self.path, "the keyring has no term")),
        })
    }

    fn read_terms<T>(&self, read: impl FnOnce(&Terms) -> T) -> T {
        read(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn encrypt_stored(&self, stored: &StoredKeyring) -> Result<Vec<u8>, Error> {
        let plaintext = encode(stored);
        match &self.parent {
            Parent::Root(root) => root.read().unwrap_or_else(PoisonError::into_inner).encrypt(&self.path, &plaintext),
            Parent::Platform(platform) => Ok(platform.encrypt(&self.path, &plaintext)?.0),
        }
    }
}

impl Terms {
    /// Adds a term, under another protector if one is given.
    fn add(&mut self, keyring: &str, protector: Option<Protector>, limits: Limits) -> Result<u32, Error> {
        if let Some(protector) = protector {
            self.protector = Some(protector);
        }
        let Some(protector) = &self.protector else {
            return Err(self
                .locked_by()
                .map_or_else(|| damaged(keyring, NO_PROTECTOR), |key| Error::locked(key.clone())));
        };
        let id = self.by_id.last_key_value().map_or(FIRST_TERM, |(newest, _)| newest + 1);
        let term = Term::generate(keyring, id, protector, limits)?;
        self.by_id.insert(id, Slot::Open(Arc::new(term)));
        Ok(id)
    }

    /// Opens what is locked and `keys` has the keys of.
    fn open(&mut self, keyring: &str, keys: Keys<'_>) -> Result<(), Error> {
        for slot in self.by_id.values_mut() {
            let Slot::Locked(stored) = slot else { continue };
            let wrapper = stored.wrapped_by().and_then(keys);
            if let Some(term) = Term::restore(keyring, stored, wrapper.as_ref())? {
                *slot = Slot::Open(Arc::new(term));
            }
        }
        if let (None, Some((_, Slot::Open(newest)))) = (&self.protector, self.by_id.last_key_value()) {
            self.protector = match newest.wrapped_by() {
                None => Some(Protector::Platform),
                Some(key) => keys(key).map(Protector::Customer),
            };
        }
        Ok(())
    }

    fn date_newest(&self, now_ns: i64) {
        if let Some((_, Slot::Open(term))) = self.by_id.last_key_value() {
            term.made_ns.store(now_ns, Ordering::Release);
        }
    }

    fn locked_by(&self) -> Option<&KeyVersion> {
        self.by_id.values().find_map(|slot| match slot {
            Slot::Open(_) => None,
            Slot::Locked(stored) => stored.wrapped_by(),
        })
    }

    fn to_stored(&self) -> StoredKeyring {
        let stored = |slot: &Slot| match slot {
            Slot::Open(term) => term.to_stored(),
            Slot::Locked(stored) => stored.clone(),
        };
        StoredKeyring { terms: self.by_id.values().map(stored).collect() }
    }
}

/// Where a customer's keys come from.
pub(super) type Keys<'k> = &'k dyn Fn(&KeyVersion) -> Option<Wrapper>;

fn locked(stored: &StoredTerm) -> Error {
    stored.wrapped_by().map_or(Error::WrongState("a term is locked"), |key| Error::locked(key.clone()))
}

const FIRST_TERM: u32 = 1;
const MISSING: &str = "it is missing";
pub(super) const NO_SUCH_TERM: &str = "the keyring has no such term";
const NO_PROTECTOR: &str = "the keyring has no protector";
