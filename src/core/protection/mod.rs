//! What protects each mount, and the orders to change that. Does not move records itself: `worker` does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Active;
use super::customer_keys::record::id_of;
use super::customer_keys::{CustomerKeys, not_at_hand};
use super::mounts::{Mount, MountEntry, Mounts};
use crate::api::Error;
use crate::barrier::{KeyVersion, Protector, Scope, View};
use crate::clock::{Clock, Timestamp};
use crate::metrics::Counter;

pub mod record;
pub mod status;
mod worker;

use record::{Guard, Migration, Mode, ProtectionRecord, Window};
use status::Status;
use worker::Worker;

/// The protection of all mounts.
pub struct Protections {
    by_mount: RwLock<HashMap<Uuid, Arc<Mutex<Job>>>>,
    worker: Mutex<Worker>,
    stopped: AtomicBool,
    /// Requests that wait for a job.
    asking: AtomicUsize,
    clock: Clock,
    pub(super) done: Done,
}

/// What changes of protection have come to since the barrier was opened.
#[derive(Default)]
pub(super) struct Done {
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) completed: Counter,
    pub(super) cancelled: Counter,
    /// Steps that failed, and are tried again.
    pub(super) failures: Counter,
}

/// The protection of one mount, and what only this process knows of its change.
pub struct Job {
    record: ProtectionRecord,
    pace: worker::Pace,
    /// Why the last step failed.
    trouble: Option<String>,
}

/// A change that an administrator wants.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    pub to: Wanted,
    pub mode: Mode,
    pub window: Window,
    pub rate_max: Option<u64>,
    /// Takes the key although nobody has shown a backup of it.
    pub skip_proof: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    Platform,
    /// A customer's key by its name, of a version or of the latest.
    Customer(String, Option<u32>),
}

/// What an order is about: the path and the name that it gives may come to mean something else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The mount, and what protects it.
    pub mount: Uuid,
    pub from: Guard,
    /// Of the key that is wanted.
    pub fingerprint: Option<String>,
}

impl Protections {
    /// Reads what is stored, and forgets what is left of mounts that are gone.
    pub(super) fn open(view: &View<'_>, mounts: &Mounts, clock: Clock) -> Result<Self, Error> {
        let mut by_mount = HashMap::new();
        let mut change = view.change();
        for name in view.list(PREFIX, "", usize::MAX)? {
            let path = format!("{PREFIX}{name}");
            let mount = Uuid::try_parse(&name).ok().and_then(|uuid| mounts.by_uuid(uuid));
            match (mount, view.get::<ProtectionRecord>(&path)?) {
                (Some(mount), Some(found)) => drop(by_mount.insert(mount.entry.uuid, Job::new(found.value))),
                _ => drop(change.delete(&path)),
            }
        }
        if !change.is_empty() {
            change.commit()?;
        }
        let (by_mount, worker) = (RwLock::new(by_mount), Mutex::default());
        Ok(Self {
            by_mount,
            worker,
            stopped: AtomicBool::new(false),
            asking: AtomicUsize::new(0),
            clock,
            done: Done::default(),
        })
    }

    /// Since when a mount is protected as it is, as far as that is known.
    pub(super) fn since(&self, mount: &Mount) -> Option<Timestamp> {
        let job = self.known(mount.entry.uuid)?;
        let record = &self.hold(&job).record;
        record.migration.as_ref().map_or(record.since, |migration| migration.started)
    }

    /// Forgets a mount that is removed.
    pub(super) fn forget(&self, mount: Uuid) {
        self.by_mount.write().unwrap_or_else(PoisonError::into_inner).remove(&mount);
    }

    /// All mounts whose protection was ever changed.
    fn all(&self) -> Vec<(Uuid, Arc<Mutex<Job>>)> {
        let by_mount = self.by_mount.read().unwrap_or_else(PoisonError::into_inner);
        by_mount.iter().map(|(mount, job)| (*mount, job.clone())).collect()
    }

    /// The mounts that are to get under one of these versions of a key.
    pub(super) fn bound_for(&self, name: &str, versions: &[u32]) -> Vec<Uuid> {
        let is_one = |guard: &Guard| guard.key().is_some_and(|key| key.name == name && versions.contains(&key.version));
        let is_bound = |job: &Job| job.record.migration.as_ref().is_some_and(|migration| is_one(&migration.to));
        self.all().into_iter().filter(|(_, job)| is_bound(&held(job))).map(|(mount, _)| mount).collect()
    }

    /// Takes a job for a request.
    fn hold<'j>(&self, job: &'j Mutex<Job>) -> MutexGuard<'j, Job> {
        self.asking.fetch_add(1, Ordering::AcqRel);
        let job = held(job);
        self.asking.fetch_sub(1, Ordering::AcqRel);
        job
    }

    /// Lets requests have their jobs. A mutex is not fair: who takes it again at once keeps all others from it.
    fn give_way(&self) {
        while self.asking.load(Ordering::Acquire) > 0 {
            thread::sleep(COURTESY);
        }
    }

    fn known(&self, mount: Uuid) -> Option<Arc<Mutex<Job>>> {
        self.by_mount.read().unwrap_or_else(PoisonError::into_inner).get(&mount).cloned()
    }

    /// The job of a mount; a mount that was never changed is what its newest term says.
    fn job(&self, mount: &Mount) -> Arc<Mutex<Job>> {
        if let Some(job) = self.known(mount.entry.uuid) {
            return job;
        }
        let mut by_mount = self.by_mount.write().unwrap_or_else(PoisonError::into_inner);
        let born = || Job::new(ProtectionRecord::new(guard_of(&mount.scope)));
        by_mount.entry(mount.entry.uuid).or_insert_with(born).clone()
    }
}

impl Job {
    fn new(record: ProtectionRecord) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { record, pace: worker::Pace::default(), trouble: None }))
    }

    /// The change that is under way.
    fn migration(&mut self) -> Result<&mut Migration, Error> {
        self.record.migration.as_mut().ok_or_else(|| Error::invalid("no change of protection is under way"))
    }
}

impl Active {
    /// Adds a mount, protected as new mounts are.
    pub(crate) fn enable(&self, view: &View<'_>, entry: MountEntry) -> Result<(), Error> {
        let guard = CustomerKeys::settings(view)?.default_protector(view)?;
        self.with_protector(view, &guard, |protector| self.mounts.enable(self, view, entry, protector))
    }

    /// Removes the mount at a path, whatever protects it.
    pub(crate) fn disable(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let mount = self.mounts.at(path);
        self.mounts.disable(view, path)?;
        if let Some(mount) = mount {
            self.protections.forget(mount.entry.uuid);
        }
        Ok(())
    }

    /// What an order is about, and the order with the version that it means, if it can be taken now.
    pub(crate) fn examine(&self, view: &View<'_>, path: &str, order: &Order) -> Result<(Order, Subject), Error> {
        let mount = self.protected_mount(path)?;
        let to = self.wanted(view, order)?;
        let job = self.protections.job(&mount);
        let record = &self.protections.hold(&job).record;
        refuse_unfit(record, &mount, &to, order.mode)?;
        let (mount, from) = (mount.entry.uuid, record.settled.clone());
        let Guard::Customer(id) = to else { return Ok((order.clone(), Subject { mount, from, fingerprint: None })) };
        let fingerprint = Some(CustomerKeys::version(view, &id)?.fingerprint);
        let order = Order { to: Wanted::Customer(id.name, Some(id.version)), ..order.clone() };
        Ok((order, Subject { mount, from, fingerprint }))
    }

    /// Refuses an order that was about something else when it was given.
    pub(crate) fn refuse_another(
        &self,
        view: &View<'_>,
        path: &str,
        order: &Order,
        then: &Subject,
    ) -> Result<(), Error> {
        let (_, now) = self.examine(view, path, order)?;
        if now == *then { Ok(()) } else { Err(Error::invalid(ANOTHER_SUBJECT)) }
    }

    /// Orders a change of protection, and tells what is true with it, whatever others order next. What is there already is
    /// no change; another order for the same goal gives the one that is under way another window and rate.
    pub(crate) fn protect(
        self: &Arc<Self>,
        view: &View<'_>,
        path: &str,
        order: &Order,
        now: Timestamp,
    ) -> Result<Status, Error> {
        let mount = self.protected_mount(path)?;
        let to = self.wanted(view, order)?;
        let job = self.protections.job(&mount);
        let mut job = self.protections.hold(&job);
        refuse_unfit(&job.record, &mount, &to, order.mode)?;
        if let Some(under_way) = &mut job.record.migration {
            (under_way.window, under_way.rate_max) = (order.window, order.rate_max);
        } else if job.record.settled != to {
            let (window, rate_max) = (order.window, order.rate_max);
            let mut migration =
                Migration { window, rate_max, ..Migration::new(job.record.settled.clone(), to, order.mode, now) };
            if order.mode == Mode::Reencrypt {
                migration.progress.records_total = mount.scope.count()?;
            }
            let (to, mode) = (&migration.to, order.mode.name());
            let skip_proof = order.skip_proof;
            tracing::warn!(mount = mount.entry.path, %to, mode, skip_proof, "a change of protection was ordered");
            job.record.migration = Some(migration);
            job.pace = worker::Pace::default();
        }
        write(view, &mount, &job.record)?;
        let standing = job.standing(&mount, now);
        drop(job);
        self.drive();
        standing.status(&mount, now)
    }

    /// Stops a change until `resume`.
    pub(crate) fn pause(&self, view: &View<'_>, path: &str, now: Timestamp) -> Result<Status, Error> {
        self.set_paused(view, path, true, now)
    }

    pub(crate) fn resume(self: &Arc<Self>, view: &View<'_>, path: &str, now: Timestamp) -> Result<Status, Error> {
        let status = self.set_paused(view, path, false, now)?;
        self.drive();
        Ok(status)
    }

    /// Goes back to what the mount was protected by before.
    pub(crate) fn cancel(self: &Arc<Self>, view: &View<'_>, path: &str, now: Timestamp) -> Result<Status, Error> {
        let mount = self.protected_mount(path)?;
        let job = self.protections.job(&mount);
        let mut job = self.protections.hold(&job);
        let settled = job.record.settled.clone();
        let migration = job.migration()?;
        if migration.undoing {
            return Err(Error::invalid("this change is being cancelled already"));
        }
        let untouched = mount.scope.terms().iter().all(|term| term.wrapped_by.as_ref() == settled.key());
        if untouched {
            job.record.migration = None;
        } else {
            mount.refuse_locked()?;
            let undo = Migration::new(migration.to.clone(), settled, Mode::Reencrypt, now);
            let Migration { rate_max, progress, .. } = *migration;
            *migration = Migration { undoing: true, rate_max, progress, ..undo };
        }
        tracing::warn!(mount = mount.entry.path, "a change of protection was cancelled");
        write(view, &mount, &job.record)?;
        let standing = job.standing(&mount, now);
        drop(job);
        self.drive();
        standing.status(&mount, now)
    }

    /// Makes the protector that a guard names, and holds off revocations while `act` uses it.
    pub(super) fn with_protector<T>(
        &self,
        view: &View<'_>,
        guard: &Guard,
        act: impl FnOnce(Protector) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Guard::Customer(key) = guard else { return act(Protector::Platform) };
        self.customer_keys.with_wrapper(view, key, |wrapper| act(Protector::Customer(wrapper)))
    }

    fn set_paused(&self, view: &View<'_>, path: &str, paused: bool, now: Timestamp) -> Result<Status, Error> {
        let mount = self.protected_mount(path)?;
        let job = self.protections.job(&mount);
        let mut job = self.protections.hold(&job);
        job.migration()?.paused = paused;
        write(view, &mount, &job.record)?;
        let standing = job.standing(&mount, now);
        drop(job);
        standing.status(&mount, now)
    }

    /// The mount at a path, if its protection is its own.
    fn protected_mount(&self, path: &str) -> Result<Arc<Mount>, Error> {
        let path = format!("{}/", path.trim_matches('/'));
        let mount = self.mounts.at(&path).ok_or_else(|| Error::invalid(format!("no matching mount at {path:?}")))?;
        if Mounts::has_own_scope(&mount) {
            return Ok(mount);
        }
        Err(Error::invalid(format!("{path:?} is a part of the platform, whose protection cannot be changed")))
    }

    /// What an order names, if it can be taken now.
    fn wanted(&self, view: &View<'_>, order: &Order) -> Result<Guard, Error> {
        let Wanted::Customer(name, version) = &order.to else { return Ok(Guard::Platform) };
        let record = CustomerKeys::read(view, name)?;
        let latest = record.latest().map_or(0, |(latest, _)| latest);
        let id = id_of(name, version.unwrap_or(latest));
        let version = CustomerKeys::version(view, &id)?;
        if self.customer_keys.at_hand(view, &id)?.is_none() {
            return Err(not_at_hand(&id));
        }
        if version.proved.is_none() && !order.skip_proof {
            return Err(unproved(&id));
        }
        Ok(Guard::Customer(id))
    }
}

fn write(view: &View<'_>, mount: &Mount, record: &ProtectionRecord) -> Result<(), Error> {
    let mut change = view.change();
    change.put(&path_of(mount), record)?;
    change.commit()?;
    Ok(())
}

/// Refuses an order that does not fit what is there, or what is under way.
fn refuse_unfit(record: &ProtectionRecord, mount: &Mount, to: &Guard, mode: Mode) -> Result<(), Error> {
    match &record.migration {
        Some(under_way) if under_way.to != *to => Err(Error::invalid(UNDER_WAY)),
        None if record.settled != *to => {
            refuse_weak(&record.settled, to, mode)?;
            mount.refuse_locked()
        }
        Some(_) | None => Ok(()),
    }
}

fn refuse_weak(from: &Guard, to: &Guard, mode: Mode) -> Result<(), Error> {
    match (mode, from, to) {
        (Mode::Rewrap, Guard::Platform, _) | (Mode::Rewrap, _, Guard::Platform) => Err(Error::invalid(ONLY_ROTATION)),
        (Mode::Rewrap, Guard::Customer(_), Guard::Customer(_)) | (Mode::Reencrypt, ..) => Ok(()),
    }
}

fn unproved(id: &KeyVersion) -> Error {
    let KeyVersion { name, version } = id;
    Error::invalid(format!(
        "nobody has shown a backup of version {version} of customer key {name:?}: without one, losing the key loses the \
         mount. POST sys/customer-keys/{name}/proof gives a nonce; answer it with the base64 of HMAC-SHA-256 under the \
         backed-up key (`coffer key prove`), or send \"skip_proof\": true"
    ))
}

/// What protects a scope that is not being changed.
fn guard_of(scope: &Scope) -> Guard {
    let newest = scope.terms().pop().and_then(|term| term.wrapped_by);
    newest.map_or(Guard::Platform, Guard::Customer)
}

fn held(job: &Mutex<Job>) -> MutexGuard<'_, Job> {
    job.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path_of(mount: &Mount) -> String {
    record_path(mount.entry.uuid)
}

/// Where the protection of a mount is stored.
pub(super) fn record_path(mount: Uuid) -> String {
    format!("{PREFIX}{mount}")
}

const PREFIX: &str = "protection/";
const COURTESY: Duration = Duration::from_micros(50);
const UNDER_WAY: &str = "another change of protection is under way for this mount: wait for its end, or cancel it";
const ANOTHER_SUBJECT: &str =
    "the mount, what protects it, or the key is not what it was when this was asked for: ask again";
const ONLY_ROTATION: &str = "mode \"rewrap\" leaves the data keys as they are, so it is only for rotation from one customer \
                             key to another: use \"reencrypt\" here";
