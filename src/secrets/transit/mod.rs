//! Transit, encryption as a service: named keys that never leave, and what they do with the data of clients.
//!
//! `keys` and `store` keep keys, `key` uses them, `cache` holds those in use; the other files are endpoints. Behaves as
//! Vault's engine of that name, down to the texts of errors. Knows nothing of other mounts.

use std::sync::Arc;

use uuid::Uuid;

use crate::api::Error;
use crate::barrier::{Change, View};
use crate::engine::{Engine, Route, delete, list, read, upsert, write};
use policy::Policy;
use store::Loaded;

mod batch;
mod cache;
mod config;
mod crypt;
mod datakey;
mod hash;
mod items;
mod key;
mod key_type;
mod keys;
mod policy;
mod random;
mod restore;
mod store;

pub use cache::KeyCache;

/// One transit mount.
pub struct Transit {
    mount: Uuid,
    cache: Arc<KeyCache>,
}

#[rustfmt::skip]
const ROUTES: &[Route<Transit>] = &[
    list::<keys::ListKeys>          ("keys"),
    read::<keys::ReadKey>           ("keys/{name}"),
    write::<keys::CreateKey>        ("keys/{name}"),
    delete::<keys::DeleteKey>       ("keys/{name}"),
    write::<keys::ConfigureKey>     ("keys/{name}/config"),
    write::<keys::RotateKey>        ("keys/{name}/rotate"),
    write::<keys::TrimKey>          ("keys/{name}/trim"),
    upsert::<crypt::Encrypt>        ("encrypt/{name}"),
    write::<crypt::Decrypt>         ("decrypt/{name}"),
    write::<crypt::Rewrap>          ("rewrap/{name}"),
    write::<datakey::MakeDataKey>   ("datakey/{plaintext}/{name}"),
    write::<random::MakeRandom>     ("random/{source?}/{urlbytes?..}"),
    write::<hash::HashInput>        ("hash/{urlalgorithm?..}"),
    write::<restore::RestoreKey>    ("restore/{name?..}"),
    read::<config::ReadKeysConfig>  ("config/keys"),
    write::<config::WriteKeysConfig>("config/keys"),
    read::<config::ReadCacheConfig> ("cache-config"),
    write::<config::WriteCacheConfig>("cache-config"),
];

impl Engine for Transit {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];
}

/// A key, unless it is soft-deleted.
fn usable(loaded: Arc<Loaded>) -> Result<Arc<Loaded>, Error> {
    if loaded.key.policy.soft_deleted { Err(Error::invalid(policy::SOFT_DELETED)) } else { Ok(loaded) }
}

impl Transit {
    /// The engine of the mount with this identifier. The cache is shared with other mounts, and with those who end this one.
    pub fn new(mount: Uuid, cache: Arc<KeyCache>) -> Self {
        Self { mount, cache }
    }

    /// The key of this name, `None` if there is none.
    fn find(&self, view: &View<'_>, name: &str) -> Result<Option<Arc<Loaded>>, Error> {
        let found = self.cache.find(self.mount, name, || store::load(view, name))?;
        if let Some(found) = &found {
            view.wait_for(found.seq);
        }
        Ok(found)
    }

    /// A key to encrypt and decrypt with.
    fn encryption_key(&self, view: &View<'_>, name: &str) -> Result<Arc<Loaded>, Error> {
        self.find(view, name)?.ok_or_else(|| Error::invalid(KEY_NOT_FOUND)).and_then(usable)
    }

    /// Changes a key; see [`store::update`].
    fn update<T>(
        &self,
        view: &View<'_>,
        name: &str,
        edit: impl FnMut(&mut Policy, &mut Change<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let outcome = store::update(view, name, edit);
        self.cache.remove(self.mount, name);
        outcome
    }

    /// Deletes a key; see [`store::delete`].
    fn delete(
        &self,
        view: &View<'_>,
        name: &str,
        allow: impl Fn(&Policy) -> Result<(), Error>,
    ) -> Result<Option<()>, Error> {
        let outcome = store::delete(view, name, allow);
        self.cache.remove(self.mount, name);
        outcome
    }
}

const KEY_NOT_FOUND: &str = "encryption key not found";
