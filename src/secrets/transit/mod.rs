//! Transit, encryption as a service: named keys that never leave, and what they do with the data of clients.
//!
//! A key is a `policy` and its `version`s, which `store` keeps. `key` decides which version does what; `material` is the
//! expanded key of a version, and `encryption`, `derivation` and `signing` use it. `cache` holds keys in use. The other files
//! are endpoints. Behaves as Vault's engine of that name, down to the texts of errors. Knows nothing of other mounts.

use std::sync::Arc;

use uuid::Uuid;

use crate::api::Error;
use crate::barrier::{Change, View};
use crate::clock::Timestamp;
use crate::engine::{Engine, Route, delete, hash, list, random, read, upsert, write};
use policy::Policy;
use store::Loaded;

mod backup;
mod batch;
mod cache;
mod certificate;
mod config;
mod crypt;
mod datakey;
mod derivation;
mod derive_key;
mod encryption;
mod export;
mod import;
mod imported;
mod items;
mod key;
mod key_type;
mod keys;
mod mac;
mod material;
mod policy;
mod rotation;
mod show;
mod sign;
mod signing;
mod soft_delete;
mod store;
mod uses;
mod verify;
mod version;
mod wrapping;

pub use cache::KeyCache;

/// One transit mount.
pub struct Transit {
    mount: Uuid,
    cache: Arc<KeyCache>,
    rotations: rotation::LastCheck,
}

#[rustfmt::skip]
const ROUTES: &[Route<Transit>] = &[
    list::<keys::ListKeys>          ("keys"),
    read::<show::ReadKey>           ("keys/{name}"),
    write::<keys::CreateKey>        ("keys/{name}").slow(),
    delete::<keys::DeleteKey>       ("keys/{name}"),
    write::<keys::ConfigureKey>     ("keys/{name}/config"),
    write::<keys::RotateKey>        ("keys/{name}/rotate").slow(),
    write::<keys::TrimKey>          ("keys/{name}/trim"),
    write::<import::ImportKey>      ("keys/{name}/import").slow(),
    write::<import::ImportKeyVersion>("keys/{name}/import_version").slow(),
    write::<certificate::SignRequest>("keys/{name}/csr"),
    write::<certificate::SetCertificate>("keys/{name}/set-certificate"),
    delete::<soft_delete::SoftDeleteKey>("keys/{name}/soft-delete"),
    write::<soft_delete::RestoreSoftDeletedKey>("keys/{name}/soft-delete-restore"),
    upsert::<crypt::Encrypt>        ("encrypt/{name}"),
    write::<crypt::Decrypt>         ("decrypt/{name}"),
    write::<crypt::Rewrap>          ("rewrap/{name}"),
    write::<datakey::MakeDataKey>   ("datakey/{plaintext}/{name}"),
    write::<datakey::MakeDataKeys>  ("datakeys/{plaintext}/{name}"),
    write::<sign::Sign>             ("sign/{name}/{urlalgorithm?..}"),
    write::<verify::Verify>         ("verify/{name}/{urlalgorithm?..}"),
    write::<mac::MakeHmac>          ("hmac/{name}/{urlalgorithm?..}"),
    write::<mac::MakeCmac>          ("cmac/{name}/{url_mac_length?..}"),
    write::<random::MakeRandom<Transit>>    ("random/{source?}/{urlbytes?..}"),
    write::<hash::HashInput<Transit>>       ("hash/{urlalgorithm?..}"),
    read::<wrapping::ReadWrappingKey>("wrapping_key").slow(),
    read::<export::ExportKey>       ("export/{type}/{name}/{version?..}"),
    read::<export::ExportWrappedKey>("byok-export/{destination}/{source}/{version?..}"),
    write::<derive_key::DeriveKey>  ("derive-key/{name}"),
    read::<backup::BackUpKey>       ("backup/{name}"),
    write::<backup::RestoreKey>     ("restore/{name?..}"),
    read::<config::ReadKeysConfig>  ("config/keys"),
    write::<config::WriteKeysConfig>("config/keys"),
    read::<config::ReadCacheConfig> ("cache-config"),
    write::<config::WriteCacheConfig>("cache-config"),
];

impl hash::Hashes for Transit {
    const INPUT_REQUIRED: bool = true;
}

impl Engine for Transit {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        self.rotate_due(view, now)
    }
}

/// A key, unless it is soft-deleted.
fn usable(loaded: Arc<Loaded>) -> Result<Arc<Loaded>, Error> {
    if loaded.key.policy.soft_deleted { Err(Error::invalid(policy::SOFT_DELETED)) } else { Ok(loaded) }
}

impl Transit {
    /// The engine of the mount with this identifier. The cache is shared with other mounts, and with those who end this one.
    pub fn new(mount: Uuid, cache: Arc<KeyCache>) -> Self {
        Self { mount, cache, rotations: rotation::LastCheck::default() }
    }

    /// The key of this name, `None` if there is none.
    fn find(&self, view: &View<'_>, name: &str) -> Result<Option<Arc<Loaded>>, Error> {
        let found = self.cache.find(self.mount, name, || store::load(view, name))?;
        if let Some(found) = &found {
            view.wait_for(found.seq);
        }
        Ok(found)
    }

    /// As `encryption_key`, to encrypt with: one that has encrypted as often as is safe gets a new version, if it is one
    /// that does so by itself.
    fn key_to_encrypt_with(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<Arc<Loaded>, Error> {
        let loaded = self.encryption_key(view, name)?;
        if loaded.key.policy.auto_rotate_period_s == 0 || !loaded.key.latest()?.is_exhausted() {
            return Ok(loaded);
        }
        self.rotate(view, name, now)?;
        self.encryption_key(view, name)
    }

    /// A key to decrypt with, or to make a MAC.
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
