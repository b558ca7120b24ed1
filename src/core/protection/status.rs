//! What is true of a mount's protection at this moment, as it is told.

use super::super::Active;
use super::super::mounts::Mount;
use super::record::{Ended, Guard, Migration, Mode, ProtectionRecord, Window};
use super::{Job, Wanted};
use crate::api::Error;
use crate::api::json::Object;
use crate::barrier::KeyVersion;
use crate::clock::Timestamp;

/// The protection of one mount.
pub struct Status {
    pub state: &'static str,
    /// What new records are protected by; what all of them will be, while that changes.
    pub guard: Guard,
    /// What the others are still protected by.
    pub from: Option<Guard>,
    /// The key that is missing.
    pub locked_by: Option<KeyVersion>,
    pub migration: Option<Migration>,
    /// Why the last step of it failed.
    pub trouble: Option<String>,
    pub last: Option<Ended>,
    pub records_total: u64,
    pub now: Timestamp,
}

impl Active {
    /// What protects a mount, and how far a change is.
    pub(crate) fn protection(&self, path: &str, now: Timestamp) -> Result<Status, Error> {
        let mount = self.protected_mount(path)?;
        self.standing(&mount, now).status(&mount, now)
    }

    pub(crate) fn standing(&self, mount: &Mount, now: Timestamp) -> Standing {
        let job = self.protections.job(mount);
        let job = self.protections.hold(&job);
        job.standing(mount, now)
    }
}

impl Job {
    pub(super) fn standing(&self, mount: &Mount, now: Timestamp) -> Standing {
        let (record, trouble) = (self.record.clone(), self.trouble.clone());
        let locked_by = mount.scope.locked_by();
        let state = match (&locked_by, &record.migration) {
            (Some(_), _) => "locked",
            (None, Some(migration)) => state_of(migration, &record.settled, now),
            (None, None) if record.settled == Guard::Platform => "platform",
            (None, None) => "active",
        };
        Standing { state, record, trouble, locked_by }
    }
}

/// The same without a look at the records.
pub(crate) struct Standing {
    pub(crate) state: &'static str,
    pub(crate) record: ProtectionRecord,
    pub(crate) trouble: Option<String>,
    pub(crate) locked_by: Option<KeyVersion>,
}

impl Standing {
    /// The same with how many records there are. Unless a change has counted them they are counted now, which takes long
    /// where there are many; so nobody holds the job meanwhile.
    pub(super) fn status(self, mount: &Mount, now: Timestamp) -> Result<Status, Error> {
        let Self { state, record, trouble, locked_by } = self;
        let moving = record.migration.as_ref().filter(|migration| migration.mode == Mode::Reencrypt);
        let records_total = match moving {
            Some(migration) => migration.progress.records_total.max(migration.progress.records_done),
            None => mount.scope.count()?,
        };
        let (guard, from) = match &record.migration {
            Some(migration) => (migration.to.clone(), Some(migration.from.clone())),
            None => (record.settled.clone(), None),
        };
        let ProtectionRecord { migration, last, .. } = record;
        Ok(Status { state, guard, from, locked_by, migration, trouble, last, records_total, now })
    }
}

fn state_of(migration: &Migration, settled: &Guard, now: Timestamp) -> &'static str {
    match (settled, &migration.to) {
        _ if migration.undoing => "cancelling",
        _ if migration.started.is_none() && !migration.window.is_begun(now) => "scheduled",
        (Guard::Platform, _) => "migrating",
        (Guard::Customer(_), Guard::Customer(_)) => "rotating",
        (Guard::Customer(_), Guard::Platform) => "removing",
    }
}

impl Status {
    /// Writes it as the members of an answer.
    pub fn tell(&self, data: &mut Object) {
        let progress = match (&self.migration, &self.last) {
            (Some(migration), _) => Some(migration.progress),
            (None, last) => last.as_ref().map(|last| last.progress),
        };
        let done = match &self.migration {
            Some(migration) => migration.progress.records_done,
            None => self.records_total,
        };
        let progress = progress.unwrap_or_default();
        let rate = progress.records_done.saturating_mul(1_000) / progress.worked_ms.max(1);
        let left = self.records_total.saturating_sub(done);
        data.set("state", self.state);
        tell_guard(data, &self.guard);
        data.set("records_total", self.records_total).set("records_done", done).set("bytes_done", progress.bytes_done);
        data.set("rate", rate).set("eta_seconds", self.eta_seconds(left, rate));
        let started = self.migration.as_ref().map_or(self.last.as_ref().map(|last| last.started), |own| own.started);
        let finished = self.last.as_ref().filter(|_| self.migration.is_none()).map(|last| last.finished);
        data.set("started", started).set("finished", finished);
        let window = self.migration.as_ref().map(|migration| migration.window).filter(Window::is_given);
        match window {
            None => drop(data.set("window", None::<()>)),
            Some(Window { start, end }) => drop(data.set_object("window", |data| {
                data.set("start", start).set("end", end);
            })),
        }
        self.tell_more(data, left);
    }

    /// What is not asked for by the contract, but true.
    fn tell_more(&self, data: &mut Object, left: u64) {
        let migration = self.migration.as_ref();
        data.set("paused", migration.is_some_and(|migration| migration.paused));
        data.set("waiting", self.waiting());
        data.set(
            "mode",
            migration.map(|migration| migration.mode).or(self.last.as_ref().map(|last| last.mode)).map(Mode::name),
        );
        data.set("rate_limit", migration.and_then(|migration| migration.rate_max));
        data.set("last_cancelled", self.last.as_ref().is_some_and(|last| last.cancelled));
        data.set("locked_by", self.locked_by.as_ref().map(ToString::to_string));
        data.set_list("records_by_key", self.holders(left).into_iter(), |data, (guard, records)| {
            tell_guard(data, guard);
            data.set("records", records);
        });
    }

    /// Which records hang on what, as far as the change has come.
    fn holders(&self, left: u64) -> Vec<(&Guard, u64)> {
        let moved = (&self.guard, self.records_total - left);
        [Some(moved), self.from.as_ref().map(|from| (from, left))].into_iter().flatten().collect()
    }

    /// Why nothing happens, if so.
    fn waiting(&self) -> Option<&str> {
        let migration = self.migration.as_ref()?;
        match (&self.locked_by, migration) {
            (Some(_), _) => Some("for the key that the mount is locked without"),
            (None, migration) if migration.paused => Some("for resume"),
            (None, migration) if !migration.window.is_begun(self.now) => Some("for the maintenance window to begin"),
            (None, migration) if !migration.window.is_open(self.now) => {
                Some("for another maintenance window: this one is over")
            }
            (None, _) => self.trouble.as_deref(),
        }
    }

    fn eta_seconds(&self, left: u64, rate: u64) -> Option<u64> {
        let limit = self.migration.as_ref()?.rate_max.unwrap_or(u64::MAX);
        (rate > 0).then(|| left.div_ceil(rate.min(limit)))
    }
}

fn tell_guard(data: &mut Object, guard: &Guard) {
    let key = guard.key();
    data.set("protector", if key.is_some() { "customer" } else { "platform" });
    data.set("customer_key", key.map(|key| &key.name)).set("version", key.map(|key| key.version));
}

impl Wanted {
    /// Reads what a request names.
    pub fn parse(protector: &str, key: &str, version: Option<u32>) -> Result<Self, Error> {
        match (protector, key) {
            ("platform", "") => Ok(Self::Platform),
            ("platform", _) => Err(Error::invalid("protector \"platform\" takes no customer_key")),
            ("customer", "") => Err(Error::invalid("missing customer_key: the name under which the key was uploaded")),
            ("customer", key) => Ok(Self::Customer(key.to_owned(), version)),
            ("", _) => Err(Error::invalid("missing protector: \"customer\" or \"platform\"")),
            (other, _) => Err(Error::invalid(format!("unknown protector {other:?}: \"customer\" or \"platform\""))),
        }
    }
}
