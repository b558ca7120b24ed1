//! Makes storage unreadable without the right keys, and hands out views of one scope each.
//!
//! A barrier is `Sealed` until the root key opens it; only the `Unsealed` one makes a `Scope`, and only a `View` of a scope
//! reads or writes records. Knows nothing of mounts, tokens or HTTP: a scope is an identifier with a keyring of its own.
//!
//! Layout of the store:
//!
//! | key | value |
//! |---|---|
//! | `core/seal` | what unsealing needs, in the clear: shares, threshold, the root key under the unseal key |
//! | `core/keyring` | the platform keyring, encrypted by the root key |
//! | `keyring/<scope>` | the keyring of one scope, encrypted by the platform keyring |
//! | `platform/<path>` | a record of the platform, encrypted by the platform keyring |
//! | `scope/<scope>/<path>` | a record of one scope, encrypted by that scope's keyring |

use std::sync::{Arc, Mutex, PoisonError, Weak};

use uuid::Uuid;

use crate::crypto::secret::Secret;
pub use crate::storage::Seq;
use crate::storage::{self, Batch, Durable, Store};

mod keyring;
mod migrate;
mod protector;
mod record;
mod root;
mod term;
mod view;

use keyring::Keyring;
pub use keyring::{TermState, Usage};
pub use migrate::{Pass, Portion};
pub use protector::{KeyVersion, Protector, Wrapper};
use term::Limits;
pub use view::{Change, Depth, Found, Horizon, Scope, Stamp, Stored, StoredBytes, Tally, View};

/// The 256-bit key at the top. Whoever holds it and the store reads everything that the platform protects.
pub type RootKey = Secret<[u8; 32]>;

/// What goes wrong below the API. None of it is a caller's mistake, except a conflict, which callers retry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another writer was faster: read again.
    #[error("the record was changed by another request")]
    Conflict,
    /// A record does not open: altered, moved, truncated, or of another key.
    #[error("record {path:?} does not open: {reason}")]
    Damaged { path: String, reason: &'static str },
    /// A customer's key is not there, and without it the scope cannot be read or written.
    #[error("version {version} of the key {name:?} is needed")]
    Locked { name: String, version: u32 },
    /// The given root key is not the one of this store.
    #[error("the root key does not open the keyring of this store")]
    WrongRootKey,
    /// `initialise` on a store that is initialised, or `unseal` on one that is not.
    #[error("{0}")]
    WrongState(&'static str),
    /// The barrier is open, or not all that was opened before is closed yet.
    #[error("requests from before the seal are still being worked on")]
    InUse,
    /// What must come before the commits of a request did not.
    #[error("{0}")]
    Withheld(&'static str),
    #[error(transparent)]
    Storage(storage::Error),
}

impl Error {
    /// A scope cannot be used without this key.
    pub fn locked(key: KeyVersion) -> Self {
        let KeyVersion { name, version } = key;
        Self::Locked { name, version }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Conflict => Self::Conflict,
            other => Self::Storage(other),
        }
    }
}

/// A barrier without its key. All it reads is the seal record.
#[derive(Clone)]
pub struct Sealed {
    store: Arc<dyn Store>,
    limits: Limits,
    /// The keyring of what was opened last. Two of them would each undo the changes of the other.
    opened: Arc<Mutex<Weak<Keyring>>>,
}

impl Sealed {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, limits: Limits::DEFAULT, opened: Arc::default() }
    }

    /// The seal record, `None` before `initialise`. It is not encrypted.
    pub fn seal_record(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store.get(SEAL_KEY.as_bytes())?.value)
    }

    /// Makes the platform keyring under `root` and writes it together with the seal record; durable on return.
    pub fn initialise(&self, root: &RootKey, seal_record: Vec<u8>) -> Result<Unsealed, Error> {
        self.open(|| {
            if self.seal_record()?.is_some() {
                return Err(Error::WrongState("the store is already initialised"));
            }
            let platform = Keyring::create_platform(root, self.store.clone(), self.limits)?;
            let batch = Batch::new().expect_absent(SEAL_KEY).put(SEAL_KEY, seal_record);
            let seq = self.store.commit(platform.create_in(batch)?)?;
            self.store.durable(seq).wait();
            Ok(platform)
        })
    }

    /// Opens the platform keyring with the root key.
    pub fn unseal(&self, root: &RootKey) -> Result<Unsealed, Error> {
        self.open(|| Keyring::open_platform(root, self.store.clone(), self.limits))
    }

    /// The store was made what it was before: whatever is still open counts no more, and must not be used.
    pub fn disown(&self) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
    }

    /// Replaces the seal record by another for the same root key, if it still is what `old` says; durable on return.
    pub fn replace_seal_record(&self, old: &[u8], new: Vec<u8>) -> Result<(), Error> {
        let seq = self.store.commit(Batch::new().expect_value(SEAL_KEY, old).put(SEAL_KEY, new))?;
        self.store.durable(seq).wait();
        Ok(())
    }

    fn open(&self, keyring: impl FnOnce() -> Result<Keyring, Error>) -> Result<Unsealed, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.strong_count() > 0 {
            return Err(Error::InUse);
        }
        let platform = Arc::new(keyring()?);
        *opened = Arc::downgrade(&platform);
        Ok(Unsealed { store: self.store.clone(), platform, tally: Arc::default() })
    }
}

/// A barrier that is open: the only maker of scopes.
pub struct Unsealed {
    store: Arc<dyn Store>,
    platform: Arc<Keyring>,
    tally: Arc<Tally>,
}

impl Unsealed {
    /// What was done with records since the barrier was opened.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Bytes that the store occupies on disk; 0 for one in memory.
    pub fn size_on_disk(&self) -> Result<u64, Error> {
        Ok(self.store.size_on_disk()?)
    }

    /// The scope of the server's own records: mounts, tokens, policies.
    pub fn platform(&self) -> Scope {
        Scope::new(PLATFORM_PREFIX.to_owned(), self.platform.clone(), self.store.clone(), self.tally.clone())
    }

    /// Adds a new scope to a change, its keyring included, protected from birth. It exists when the change is committed.
    pub fn create_scope(&self, id: Uuid, protector: Protector, change: &mut Change<'_>) -> Result<Scope, Error> {
        let keyring = Keyring::create(keyring_key(id), self.platform.clone(), self.store.clone(), protector)?;
        change.extend(|batch| keyring.create_in(batch))?;
        Ok(self.scope(id, keyring))
    }

    /// Opens a scope that exists. It is locked if it takes a customer's key that `keys` does not have.
    pub fn open_scope(&self, id: Uuid, keys: &dyn Fn(&KeyVersion) -> Option<Wrapper>) -> Result<Scope, Error> {
        let keyring = Keyring::open(keyring_key(id), self.platform.clone(), self.store.clone(), keys)?;
        Ok(self.scope(id, keyring))
    }

    /// Adds the end of a scope to a change: with its keyring gone none of its records opens again.
    pub fn delete_scope(id: Uuid, change: &mut Change<'_>) -> Result<(), Error> {
        change.extend(|batch| Ok(batch.delete(keyring_key(id))))
    }

    /// Removes up to `limit` records of a scope whose keyring is gone. Returns whether there may be more.
    pub fn purge(&self, id: Uuid, limit: usize) -> Result<bool, Error> {
        let listing = self.store.list(scope_prefix(id).as_bytes(), None, limit)?;
        let more = listing.keys.len() == limit;
        self.store.commit(listing.keys.into_iter().fold(Batch::new(), Batch::delete))?;
        Ok(more)
    }

    /// Whether this is the root key.
    pub fn is_under(&self, root: &RootKey) -> bool {
        self.platform.is_under(root)
    }

    /// Replaces the root key together with the seal record, if that still is what `old` says, and makes a change in the same
    /// commit; durable on return. The keys below stay what they are.
    pub fn rekey(&self, root: &RootKey, old: &[u8], seal_record: Vec<u8>, mut with: Change<'_>) -> Result<(), Error> {
        let batch = with.take_batch().expect_value(SEAL_KEY, old).put(SEAL_KEY, seal_record);
        let seq = self.platform.rekey(root, batch)?;
        self.store.durable(seq).wait();
        Ok(())
    }

    /// Encrypts the platform's records with a new term from now on; durable on return.
    pub fn rotate(&self, now_ns: i64) -> Result<u32, Error> {
        let term = self.platform.rotate(now_ns)?;
        self.store.durable(self.store.get(PLATFORM_KEYRING_KEY.as_bytes())?.seq).wait();
        Ok(term)
    }

    /// Notes that the newest term was made at this time, if nobody noted a time yet.
    pub fn date_term(&self, now_ns: i64) -> Result<(), Error> {
        self.platform.date(now_ns)
    }

    /// How much the newest term was used.
    pub fn usage(&self) -> Result<Usage, Error> {
        self.platform.usage()
    }

    /// Resolves when everything up to `seq` survives a power cut.
    pub fn durable(&self, seq: Seq) -> Durable {
        self.store.durable(seq)
    }

    fn scope(&self, id: Uuid, keyring: Keyring) -> Scope {
        Scope::new(scope_prefix(id), Arc::new(keyring), self.store.clone(), self.tally.clone())
    }
}

fn keyring_key(id: Uuid) -> String {
    format!("keyring/{id}")
}

fn scope_prefix(id: Uuid) -> String {
    format!("scope/{id}/")
}

const SEAL_KEY: &str = "core/seal";
const PLATFORM_KEYRING_KEY: &str = "core/keyring";
const PLATFORM_PREFIX: &str = "platform/";

#[cfg(test)]
mod tests;
