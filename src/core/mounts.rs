//! The mount table: which engine answers below which path.
//!
//! Kept in memory for look-up and as one record a mount under `mount/<uuid>` on the platform. A mount has a scope, and so
//! a keyring, of its own from birth. Knows nothing of what engines do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::engines::Engines;
use super::{Active, Settings, new_uuid};
use crate::access::Tokens;
use crate::api::Error;
use crate::auth::token::{self, TokenAuth};
use crate::barrier::{Horizon, Scope, Stored, Unsealed, View};
use crate::crypto::random::Random;
use crate::engine::{Backend, Engine, Rows, Served};
use crate::entropy::Entropy;

/// One engine in its place.
pub struct Mount {
    pub entry: MountEntry,
    pub kind: &'static str,
    pub scope: Scope,
    pub backend: Box<dyn Backend>,
}

/// What is stored of a mount.
#[derive(Clone, Serialize, Deserialize)]
pub struct MountEntry {
    /// Ends in `/`.
    pub path: String,
    pub uuid: Uuid,
    pub accessor: String,
    pub kind: String,
    pub tune: Tune,
    pub local: bool,
    pub seal_wrap: bool,
    pub external_entropy_access: bool,
}

impl Stored for MountEntry {
    const VERSION: u8 = 1;
}

/// What an operator may change while the mount is in use.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Tune {
    pub description: String,
    /// Zero: the system's.
    pub default_lease_ttl_s: u64,
    /// Zero: the system's.
    pub max_lease_ttl_s: u64,
    pub force_no_cache: bool,
    pub listing_visibility: String,
    pub options: Option<BTreeMap<String, String>>,
    pub audit_non_hmac_request_keys: Vec<String>,
    pub audit_non_hmac_response_keys: Vec<String>,
    pub passthrough_request_headers: Vec<String>,
    pub allowed_response_headers: Vec<String>,
}

/// All mounts.
pub struct Mounts {
    by_path: RwLock<BTreeMap<String, Arc<Mount>>>,
    engines: Engines,
    /// Held while the table changes.
    changing: Mutex<()>,
}

impl Mounts {
    /// Opens every mount that the store knows.
    pub(super) fn open(
        barrier: &Unsealed,
        platform: &Scope,
        tokens: &Arc<Tokens>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let horizon = Horizon::default();
        let view = platform.view(&horizon);
        let mounts = Self { by_path: RwLock::default(), engines: Engines::new(settings), changing: Mutex::new(()) };
        let token_auth = Arc::new(token_mount(platform.clone(), tokens.clone(), settings));
        let mut by_path = BTreeMap::from([(TOKEN_PATH.to_owned(), token_auth)]);
        for uuid in view.list(MOUNT_PREFIX, "", usize::MAX)? {
            let Some(found) = view.get::<MountEntry>(&format!("{MOUNT_PREFIX}{uuid}"))? else { continue };
            let scope = barrier.open_scope(found.value.uuid)?;
            by_path.insert(found.value.path.clone(), Arc::new(mounts.mount(found.value, scope)?));
        }
        *mounts.by_path.write().unwrap_or_else(PoisonError::into_inner) = by_path;
        Ok(mounts)
    }

    /// The mount that serves a path, and what is left of the path below it. Mounts do not nest, so there is one at most.
    pub fn find<'p>(&self, path: &'p str) -> Option<(Arc<Mount>, &'p str)> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        for (slash, _) in path.match_indices('/') {
            let (prefix, rest) = path.split_at(slash + 1);
            if let Some(mount) = by_path.get(prefix) {
                return Some((mount.clone(), rest));
            }
        }
        by_path.get(&format!("{path}/")).map(|mount| (mount.clone(), ""))
    }

    /// The mount at exactly this path.
    pub fn at(&self, path: &str) -> Option<Arc<Mount>> {
        self.by_path.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// All mounts of secrets engines, by path. What begins with `auth/` is a login method.
    pub fn secrets(&self) -> Vec<Arc<Mount>> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        by_path.values().filter(|mount| !mount.entry.path.starts_with(AUTH_PREFIX)).cloned().collect()
    }

    /// All mounts of login methods.
    pub fn logins(&self) -> Vec<Arc<Mount>> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        by_path.values().filter(|mount| mount.entry.path.starts_with(AUTH_PREFIX)).cloned().collect()
    }

    /// Adds a mount.
    pub(crate) fn enable(&self, active: &Active, view: &View<'_>, entry: MountEntry) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_conflict(&entry.path)?;
        let mut change = view.change();
        change.put(&record_path(entry.uuid), &entry)?;
        let scope = active.barrier.create_scope(entry.uuid, &mut change)?;
        let mount = Arc::new(self.mount(entry, scope)?);
        change.commit()?;
        self.by_path.write().unwrap_or_else(PoisonError::into_inner).insert(mount.entry.path.clone(), mount);
        Ok(())
    }

    /// Changes what may be changed of a mount.
    pub fn tune(
        &self,
        view: &View<'_>,
        path: &str,
        change_tune: impl FnOnce(&mut Tune) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.at(path).ok_or(Error::NotFound)?;
        let record = record_path(old.entry.uuid);
        let found = view.get::<MountEntry>(&record)?.ok_or(Error::NotFound)?;
        let mut entry = found.value;
        change_tune(&mut entry.tune)?;
        let mut change = view.change();
        change.put(&record, &entry)?.expect(&record, &found.stamp);
        change.commit()?;
        let mount = Arc::new(self.mount(entry, old.scope.clone())?);
        self.by_path.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), mount);
        Ok(())
    }

    /// Removes a mount. With its keyring gone, none of its records opens again; `tick` deletes them by and by.
    pub fn disable(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mount) = self.at(path) else { return Ok(()) };
        let uuid = mount.entry.uuid;
        let mut change = view.change();
        change.delete(&record_path(uuid)).put(&removed_path(uuid), &Removed { uuid })?;
        Unsealed::delete_scope(uuid, &mut change)?;
        change.commit()?;
        self.by_path.write().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.engines.forget(uuid);
        Ok(())
    }

    /// Deletes records of mounts that were removed, in small commits.
    pub(super) fn purge_removed(active: &Active) -> Result<(), Error> {
        let horizon = Horizon::default();
        let view = active.platform.view(&horizon);
        for name in view.list(REMOVED_PREFIX, "", usize::MAX)? {
            let path = format!("{REMOVED_PREFIX}{name}");
            let Some(found) = view.get::<Removed>(&path)? else { continue };
            while active.barrier.purge(found.value.uuid, PURGE_BATCH)? {}
            let mut change = view.change();
            change.delete(&path);
            change.commit()?;
        }
        Ok(())
    }

    fn mount(&self, entry: MountEntry, scope: Scope) -> Result<Mount, Error> {
        let opened = self.engines.open(&entry.kind, entry.uuid);
        let (kind, backend) = opened.ok_or_else(|| unknown_kind(&entry.kind))?;
        Ok(Mount { entry, kind, scope, backend })
    }

    /// No mount may be inside another.
    fn refuse_conflict(&self, path: &str) -> Result<(), Error> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        let below = |other: &&String| path.starts_with(other.as_str()) || other.starts_with(path);
        match by_path.keys().find(below) {
            Some(other) => Err(Error::invalid(format!("path is already in use at {other}"))),
            None => Ok(()),
        }
    }
}

impl MountEntry {
    pub fn new(path: String, kind: String, tune: Tune) -> Self {
        let accessor = new_accessor(&kind);
        let (local, seal_wrap, external_entropy_access) = (false, false, false);
        Self { path, uuid: new_uuid(), accessor, kind, tune, local, seal_wrap, external_entropy_access }
    }
}

/// The caller asked for an engine that there is not.
pub fn unknown_kind(kind: &str) -> Error {
    Error::invalid(format!("plugin not found in the catalog: {kind}"))
}

/// The token login method is always there, and its records are the platform's.
fn token_mount(platform: Scope, tokens: Arc<Tokens>, settings: &Settings) -> Mount {
    let mut entry = MountEntry::new(TOKEN_PATH.to_owned(), "token".to_owned(), Tune::default());
    "token based credentials".clone_into(&mut entry.tune.description);
    let engine =
        TokenAuth { tokens, ttls: token::Ttls { default: settings.default_lease_ttl, max: settings.max_lease_ttl } };
    let served = Served { rows: Arc::new(Rows::new(TokenAuth::ROUTES)), engine: Arc::new(engine) };
    Mount { entry, kind: "token", scope: platform, backend: Box::new(served) }
}

fn record_path(uuid: Uuid) -> String {
    format!("{MOUNT_PREFIX}{uuid}")
}

fn removed_path(uuid: Uuid) -> String {
    format!("{REMOVED_PREFIX}{uuid}")
}

fn new_accessor(kind: &str) -> String {
    let mut bytes = [0; 4];
    Entropy.fill(&mut bytes);
    bytes.iter().fold(format!("{kind}_"), |mut accessor, byte| {
        let _ = write!(accessor, "{byte:02x}");
        accessor
    })
}

/// A mount whose records are still to be deleted.
#[derive(Serialize, Deserialize)]
struct Removed {
    uuid: Uuid,
}

impl Stored for Removed {
    const VERSION: u8 = 1;
}

pub const AUTH_PREFIX: &str = "auth/";
const TOKEN_PATH: &str = "auth/token/";
const MOUNT_PREFIX: &str = "mount/";
const REMOVED_PREFIX: &str = "removed-mount/";
/// Records deleted in one commit.
const PURGE_BATCH: usize = 1_000;

#[cfg(test)]
mod tests;
