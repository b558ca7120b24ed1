//! The mount table: which engine answers below which path.
//!
//! Kept in memory for look-up and as one record a mount under `mount/<uuid>` on the platform. A mount has a scope, and so
//! a keyring, of its own from birth. Knows nothing of what engines do.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::engines::Engines;
use super::fixed::{self, Fixed};
use super::tables::Tables;
use super::{Active, Settings, new_uuid, protection};
use crate::access::Tokens;
use crate::access::lockout::Rules;
use crate::api::{Error, TokenKind};
use crate::barrier::{self, Horizon, KeyVersion, Protector, Scope, Stored, Unsealed, View, Wrapper};
use crate::crypto::hex;
use crate::crypto::random::Random;
use crate::engine::Backend;
use crate::entropy::Entropy;
use crate::metrics::Counter;

/// One engine in its place.
pub struct Mount {
    pub entry: MountEntry,
    pub kind: &'static str,
    pub scope: Scope,
    pub backend: Box<dyn Backend>,
    /// What belongs to the mount under whatever path and with whatever settings; held by everyone who may still write for it.
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Requests that were refused because the mount was locked: since somebody took the count, and ever.
    refused: AtomicU64,
    refused_ever: Counter,
}

impl Mount {
    /// The key that is missing, if the mount is locked. Counts the refusal that follows.
    pub(super) fn refuse_locked(&self) -> Result<(), Error> {
        let Some(key) = self.scope.locked_by() else { return Ok(()) };
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.shared.refused_ever.add(1);
        Err(Error::from(barrier::Error::locked(key)))
    }

    /// How many requests were refused since the mount was opened.
    pub(super) fn refused(&self) -> u64 {
        self.shared.refused_ever.read()
    }

    /// How many requests were refused since the last call.
    pub(super) fn take_refused(&self) -> u64 {
        self.shared.refused.swap(0, Ordering::Relaxed)
    }
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
    /// Of login methods: which type their tokens are.
    #[serde(default)]
    pub token_kind: TokenKind,
    /// Of login methods: when they lock names out.
    #[serde(default)]
    pub user_lockout: Option<UserLockout>,
}

/// What is tuned of lockouts. Zero: as usual.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct UserLockout {
    pub threshold: u64,
    pub duration_s: u64,
    pub counter_reset_s: u64,
    pub disable: bool,
}

/// A mount that went from one path to another.
#[derive(Clone)]
pub struct Move {
    pub id: Uuid,
    pub from: String,
    pub to: String,
}

/// All mounts.
pub struct Mounts {
    by_path: RwLock<BTreeMap<String, Arc<Mount>>>,
    engines: Engines,
    fixed: Fixed,
    /// Held while the table changes.
    changing: Mutex<()>,
    /// Users of mounts that were removed, by the identifier of the mount.
    leaving: Mutex<HashMap<Uuid, Weak<Shared>>>,
    /// The latest moves, the oldest first.
    moves: Mutex<VecDeque<Move>>,
}

impl Mounts {
    /// Opens every mount that the store knows.
    pub(super) fn open(
        barrier: &Unsealed,
        platform: &Scope,
        tokens: &Arc<Tokens>,
        tables: &Arc<Tables>,
        settings: &Settings,
        keys: &dyn Fn(&KeyVersion) -> Option<Wrapper>,
    ) -> Result<Self, Error> {
        let horizon = Horizon::default();
        let view = platform.view(&horizon);
        let fixed = Fixed::new(tables.clone(), tokens.clone(), settings);
        let (by_path, changing, leaving, moves) = Default::default();
        let mounts = Self { by_path, engines: Engines::new(tables.clone(), settings), fixed, changing, leaving, moves };
        let mut by_path = BTreeMap::new();
        for entry in Fixed::entries(&view)? {
            by_path.insert(entry.path.clone(), Arc::new(mounts.mount(entry, platform.clone(), Arc::default())?));
        }
        for uuid in view.list(MOUNT_PREFIX, "", usize::MAX)? {
            let Some(found) = view.get::<MountEntry>(&format!("{MOUNT_PREFIX}{uuid}"))? else { continue };
            let scope = barrier.open_scope(found.value.uuid, keys)?;
            by_path.insert(found.value.path.clone(), Arc::new(mounts.mount(found.value, scope, Arc::default())?));
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

    /// The mount with an identifier.
    pub(super) fn by_uuid(&self, uuid: Uuid) -> Option<Arc<Mount>> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        by_path.values().find(|mount| mount.entry.uuid == uuid).cloned()
    }

    /// All mounts, by path.
    pub fn all(&self) -> Vec<Arc<Mount>> {
        self.by_path.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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

    /// Adds a mount, protected from birth.
    pub(crate) fn enable(
        &self,
        active: &Active,
        view: &View<'_>,
        entry: MountEntry,
        protector: Protector,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_conflict(&entry.path)?;
        let mut change = view.change();
        change.put(&record_path(&entry), &entry)?;
        let scope = active.barrier.create_scope(entry.uuid, protector, &mut change)?;
        let mount = Arc::new(self.mount(entry, scope, Arc::default())?);
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
        self.replace(view, &old, |entry| change_tune(&mut entry.tune))
    }

    /// Moves a mount to another path, in one commit: what it keeps stays where it is, and every request finds it at one of
    /// the two. Returns what `moved` knows the move by.
    pub fn remount(&self, view: &View<'_>, from: &str, to: &str) -> Result<Uuid, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.at(from).ok_or_else(|| Error::invalid(format!("no matching mount at {from:?}")))?;
        if let Some(other) = self.conflict(to) {
            return Err(Error::invalid(format!("path already in use at {other:?}")));
        }
        self.replace(view, &old, |entry| {
            to.clone_into(&mut entry.path);
            Ok(())
        })?;
        let done = Move { id: new_uuid(), from: from.to_owned(), to: to.to_owned() };
        let id = done.id;
        let mut moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        if moves.len() == MOVES_MAX {
            moves.pop_front();
        }
        moves.push_back(done);
        Ok(id)
    }

    /// A move of some time ago; the latest are remembered until the server ends.
    pub fn moved(&self, id: &str) -> Option<Move> {
        let id = Uuid::try_parse(id).ok()?;
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        moves.iter().find(|moved| moved.id == id).cloned()
    }

    /// Puts a changed mount into the place of an old one.
    fn replace(
        &self,
        view: &View<'_>,
        old: &Mount,
        change_entry: impl FnOnce(&mut MountEntry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let record = record_path(&old.entry);
        let found = view.get::<MountEntry>(&record)?.ok_or(Error::NotFound)?;
        let mut entry = found.value;
        change_entry(&mut entry)?;
        let mut change = view.change();
        change.put(&record, &entry)?.expect(&record, &found.stamp);
        let mount = Arc::new(self.mount(entry, old.scope.clone(), old.shared.clone())?);
        change.commit()?;
        let mut by_path = self.by_path.write().unwrap_or_else(PoisonError::into_inner);
        by_path.remove(&old.entry.path);
        by_path.insert(mount.entry.path.clone(), mount);
        Ok(())
    }

    /// Wipes what is in memory of a mount that was locked. Requests from now on are others than those that may still run:
    /// when what is returned is gone, those have ended.
    pub(super) fn renew(&self, mount: &Mount) -> Result<Weak<Mount>, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = self.mount(mount.entry.clone(), mount.scope.clone(), mount.shared.clone())?;
        let mut by_path = self.by_path.write().unwrap_or_else(PoisonError::into_inner);
        let before = match by_path.get_mut(&mount.entry.path) {
            Some(current) if current.entry.uuid == mount.entry.uuid => {
                Arc::downgrade(&std::mem::replace(current, Arc::new(fresh)))
            }
            Some(_) | None => Weak::new(),
        };
        drop(by_path);
        self.engines.forget(mount.entry.uuid);
        Ok(before)
    }

    /// Whether a mount has a scope of its own: those that every server has are parts of the platform.
    pub fn has_own_scope(mount: &Mount) -> bool {
        fixed::record_of(&mount.entry.path).is_none()
    }

    /// Removes a mount. With its keyring gone, none of its records opens again; `tick` deletes them by and by.
    pub fn disable(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mount) = self.at(path) else { return Ok(()) };
        let uuid = mount.entry.uuid;
        let mut change = view.change();
        change.delete(&record_path(&mount.entry)).put(&removed_path(uuid), &Removed { uuid })?;
        change.delete(&protection::record_path(uuid));
        Unsealed::delete_scope(uuid, &mut change)?;
        // Before `tick` can know of the removal.
        let users = Arc::downgrade(&mount.shared);
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).insert(uuid, users);
        change.commit()?;
        self.by_path.write().unwrap_or_else(PoisonError::into_inner).remove(path);
        self.engines.forget(uuid);
        Ok(())
    }

    /// Deletes records of mounts that were removed, in small commits, and not all at once: others are waiting for their
    /// regular work. A mount that a request still uses waits, for what is written late must not stay behind.
    pub(super) fn purge_removed(active: &Active) -> Result<(), Error> {
        let horizon = Horizon::default();
        let view = active.platform.view(&horizon);
        let mut more_batches = 1..PURGE_BATCHES_PER_TICK;
        for name in view.list(REMOVED_PREFIX, "", usize::MAX)? {
            let path = format!("{REMOVED_PREFIX}{name}");
            let Some(found) = view.get::<Removed>(&path)? else { continue };
            let uuid = found.value.uuid;
            if active.mounts.is_used(uuid) {
                continue;
            }
            while active.barrier.purge(uuid, PURGE_BATCH)? {
                if more_batches.next().is_none() {
                    return Ok(());
                }
            }
            let mut change = view.change();
            change.delete(&path);
            change.commit()?;
            active.mounts.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(&uuid);
        }
        Ok(())
    }

    fn is_used(&self, removed: Uuid) -> bool {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.get(&removed).is_some_and(|users| users.strong_count() > 0)
    }

    fn mount(&self, entry: MountEntry, scope: Scope, shared: Arc<Shared>) -> Result<Mount, Error> {
        let (kind, backend) = self.fixed.open(&entry).map_or_else(|| self.engines.open(&entry), Ok)?;
        Ok(Mount { entry, kind, scope, backend, shared })
    }

    fn refuse_conflict(&self, path: &str) -> Result<(), Error> {
        match self.conflict(path) {
            Some(other) => {
                let other = other.strip_prefix(AUTH_PREFIX).unwrap_or(&other);
                Err(Error::invalid(format!("path is already in use at {other}")))
            }
            None => Ok(()),
        }
    }

    /// The mount that a path lies in, or that lies below it: no mount may be inside another.
    fn conflict(&self, path: &str) -> Option<String> {
        let by_path = self.by_path.read().unwrap_or_else(PoisonError::into_inner);
        let nested = |other: &&String| path.starts_with(other.as_str()) || other.starts_with(path);
        by_path.keys().find(nested).cloned()
    }
}

impl MountEntry {
    pub fn new(path: String, kind: String, tune: Tune) -> Self {
        let prefix = if path.starts_with(AUTH_PREFIX) { AUTH_ACCESSOR_PREFIX } else { "" };
        let accessor = new_accessor(&format!("{prefix}{kind}"));
        let (local, seal_wrap, external_entropy_access) = (false, false, false);
        Self { path, uuid: new_uuid(), accessor, kind, tune, local, seal_wrap, external_entropy_access }
    }
}

/// The caller asked for an engine that there is not.
pub fn unknown_kind(kind: &str) -> Error {
    Error::invalid(format!("plugin not found in the catalog: {kind}"))
}

impl Tune {
    /// The TTL that is usual, and the longest: the mount's own, or the system's. The longest bounds the other.
    pub fn ttls(&self, system: &Settings) -> (Duration, Duration) {
        let own = |seconds: u64, system: Duration| if seconds == 0 { system } else { Duration::from_secs(seconds) };
        let default = own(self.default_lease_ttl_s, system.default_lease_ttl);
        (default, own(self.max_lease_ttl_s, system.max_lease_ttl))
    }

    /// When names are locked out of a mount of this type; `None`: never.
    pub fn lockout_rules(&self, kind: &str, system: &Settings) -> Option<Rules> {
        let own = self.user_lockout.unwrap_or_default();
        let of_kind = system.user_lockout.get(kind).or_else(|| system.user_lockout.get("all")).copied();
        let layers = [own, of_kind.unwrap_or_default()];
        if system.user_lockout_disabled || layers.iter().any(|layer| layer.disable) {
            return None;
        }
        let first = |of: fn(&UserLockout) -> u64| layers.iter().map(of).find(|value| *value != 0);
        let usual = Rules::default();
        Some(Rules {
            threshold: first(|layer| layer.threshold).unwrap_or(usual.threshold),
            duration: first(|layer| layer.duration_s).map_or(usual.duration, Duration::from_secs),
            counter_reset: first(|layer| layer.counter_reset_s).map_or(usual.counter_reset, Duration::from_secs),
        })
    }
}

fn record_path(entry: &MountEntry) -> String {
    fixed::record_of(&entry.path).unwrap_or_else(|| format!("{MOUNT_PREFIX}{}", entry.uuid))
}

fn removed_path(uuid: Uuid) -> String {
    format!("{REMOVED_PREFIX}{uuid}")
}

fn new_accessor(kind: &str) -> String {
    let mut bytes = [0; 4];
    Entropy.fill(&mut bytes);
    format!("{kind}_{}", hex::encode(&bytes))
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
const AUTH_ACCESSOR_PREFIX: &str = "auth_";
const MOUNT_PREFIX: &str = "mount/";
const REMOVED_PREFIX: &str = "removed-mount/";
/// Moves that are remembered.
const MOVES_MAX: usize = 1_000;
/// Records deleted in one commit.
const PURGE_BATCH: usize = 1_000;
/// Such commits, full ones, in one go.
const PURGE_BATCHES_PER_TICK: usize = 16;

#[cfg(test)]
mod tests;
