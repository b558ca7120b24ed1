//! KV, a store of secrets. Version 2 keeps versions of each, version 1 only what was written last.
//!
//! The data of a secret are `text`, which `tree` can change; an `entry` is all else that is known of it. `store` keeps both,
//! `secret` is what is in memory. The other files are endpoints, `plain` those of version 1. Behaves as Vault's engine of
//! that name, down to the texts of errors. Knows nothing of other mounts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::{Engine, Route, delete, list, patch, read, scan, upsert, write};
use crate::secrets::cache::Cache;
use config::Settings;
use entry::Entry;
use secret::Secret;
use store::{Places, Versions};

mod config;
mod custom_metadata;
mod data;
mod entry;
mod invalid;
mod list;
mod many;
mod metadata;
mod plain;
mod secret;
mod store;
mod subkeys;
mod text;
mod tree;
mod versions;

pub use plain::Kv1;

/// Secrets and settings in memory, of all mounts.
pub struct SecretCache {
    secrets: Cache<Secret>,
    settings: Cache<Settings>,
}

/// One mount of version 2.
pub struct Kv2 {
    mount: Uuid,
    cache: Arc<SecretCache>,
    /// Whether the mount is known to be of version 2 for all who write.
    marked: AtomicBool,
    /// Whether all secrets of version 1 are converted.
    converted: AtomicBool,
}

#[rustfmt::skip]
const ROUTES: &[Route<Kv2>] = &[
    read::<config::ReadConfig>      ("config"),
    write::<config::WriteConfig>    ("config"),
    write::<many::ReadMany>         ("data").slow(),
    read::<invalid::Invalid>        ("data"),
    list::<invalid::Invalid>        ("data"),
    patch::<invalid::Invalid>       ("data"),
    delete::<invalid::Invalid>      ("data"),
    list::<invalid::Invalid>        ("data/{path..}"),
    read::<data::ReadSecret>        ("data/{path..}"),
    upsert::<data::WriteSecret>     ("data/{path..}"),
    patch::<data::PatchSecret>      ("data/{path..}"),
    delete::<data::DeleteLatest>    ("data/{path..}"),
    write::<versions::DeleteVersions>("delete/{path..}"),
    write::<versions::UndeleteVersions>("undelete/{path..}"),
    write::<versions::DestroyVersions>("destroy/{path..}"),
    read::<subkeys::ReadSubkeys>    ("subkeys/{path..}"),
    list::<list::ListSecrets>       ("metadata/{path?..}").slow(),
    scan::<list::ListSecrets>       ("metadata/{path?..}").slow(),
    read::<metadata::ReadMetadata>  ("metadata/{path?..}"),
    upsert::<metadata::WriteMetadata>("metadata/{path?..}"),
    patch::<metadata::PatchMetadata>("metadata/{path?..}"),
    delete::<metadata::DeleteMetadata>("metadata/{path?..}"),
    list::<list::ListDetailed>      ("detailed-metadata/{path?..}").slow(),
    scan::<list::ListDetailed>      ("detailed-metadata/{path?..}").slow(),
    read::<invalid::Invalid>        ("{path?..}"),
    list::<invalid::Invalid>        ("{path?..}"),
    write::<invalid::Invalid>       ("{path?..}"),
    patch::<invalid::Invalid>       ("{path?..}"),
    delete::<invalid::Invalid>      ("{path?..}"),
];

impl Engine for Kv2 {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    /// Converts some of what is still kept as by version 1.
    fn tick(&self, view: &View<'_>, _: Timestamp) -> Result<(), Error> {
        if self.converted.load(Ordering::Acquire) {
            return Ok(());
        }
        self.mark(view)?;
        let mut left = CONVERTED_PER_TICK;
        while left > 0 {
            let paths = store::unconverted(view, left)?;
            if paths.is_empty() {
                self.converted.store(true, Ordering::Release);
                break;
            }
            for path in &paths {
                self.change(view, path, |_, _| Ok(()))?;
            }
            left -= paths.len();
        }
        Ok(())
    }
}

impl SecretCache {
    /// A cache that holds secrets of about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { secrets: Cache::new(bytes_max), settings: Cache::new(SETTINGS_BYTES_MAX) }
    }

    /// Drops all that is known of a mount, and wipes the secrets that no request is using.
    pub fn forget(&self, mount: Uuid) {
        self.secrets.forget(mount);
        self.settings.forget(mount);
    }

    /// The secret at a path, `None` if there is none.
    fn find(
        &self,
        mount: Uuid,
        view: &View<'_>,
        path: &str,
        load: impl FnOnce() -> Result<Option<Secret>, Error>,
    ) -> Result<Option<Arc<Secret>>, Error> {
        let found = self.secrets.find(mount, path, load)?;
        if let Some(found) = &found {
            view.wait_for(found.seq);
        }
        Ok(found)
    }
}

impl Kv2 {
    /// The engine of the mount with this identifier. The cache is shared with other mounts, and with those who end this one.
    pub fn new(mount: Uuid, cache: Arc<SecretCache>) -> Self {
        Self { mount, cache, marked: AtomicBool::new(false), converted: AtomicBool::new(false) }
    }

    /// The secret at a path, `None` if there is none.
    fn find(&self, view: &View<'_>, path: &str) -> Result<Option<Arc<Secret>>, Error> {
        self.cache.find(self.mount, view, path, || store::load(view, path, self.places()))
    }

    /// Lets `look` see the secret at a path, and what is kept of it. It is called again when it returns `None`, because the
    /// secret was another by then.
    fn look<T>(
        &self,
        view: &View<'_>,
        path: &str,
        mut look: impl FnMut(Option<&Secret>) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        store::persist(|| {
            let seen = look(self.find(view, path)?.as_deref())?;
            if seen.is_none() {
                // Whoever changed it may not have dropped it yet.
                self.cache.secrets.remove(self.mount, path);
            }
            Ok(seen)
        })
    }

    /// Changes a secret; see [`store::change`].
    fn change<T>(
        &self,
        view: &View<'_>,
        path: &str,
        edit: impl FnMut(&mut Option<Entry>, &mut Versions<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.mark(view)?;
        let outcome = store::change(view, path, self.places(), edit);
        self.cache.secrets.remove(self.mount, path);
        outcome
    }

    /// From here on nobody writes to this mount as to one of version 1.
    fn mark(&self, view: &View<'_>) -> Result<(), Error> {
        if !self.marked.load(Ordering::Acquire) {
            store::mark_upgraded(view)?;
            self.marked.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn places(&self) -> Places {
        if self.converted.load(Ordering::Acquire) { Places::Entries } else { Places::Both }
    }
}

/// A path that a record can be kept under.
fn check_path(path: &str) -> Result<(), Error> {
    if path.len() <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("the path is longer than {PATH_BYTES_MAX} bytes")))
}

/// Memory for the settings of some thousands of mounts.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the path of a secret: what a key of the store has room for.
const PATH_BYTES_MAX: usize = 4_000;
/// Secrets that are converted before others have their turn.
const CONVERTED_PER_TICK: usize = 5_000;
