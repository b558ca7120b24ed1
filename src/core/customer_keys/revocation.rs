//! Takes customers' keys out of force, for good or for a drill, and brings them back.
//!
//! A revocation is a fence first: every mount that needs the key refuses requests, what the key had opened and what
//! engines had cached is wiped, and requests that were already running are waited for. Then it is made durable; the copy
//! of a sealed key is erased with that.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::super::Active;
use super::super::mounts::Mount;
use super::super::receipts::{self, Receipt, Statement};
use super::lineage::paths;
use super::record::{Drill, DrillReport, KeyRecord, MountInDrill, Storage, VersionRecord, id_of};
use super::{CustomerKeys, Events, edit};
use crate::api::Error;
use crate::barrier::View;
use crate::clock::{Stopwatch, Timestamp};
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::hex;

/// What is revoked, and for how long.
pub struct Order<'o> {
    pub name: &'o str,
    /// One version; or all.
    pub version: Option<u32>,
    /// For a drill: after this long the key is in force again.
    pub drill: Option<Duration>,
}

/// What a revocation did.
pub struct Outcome {
    pub versions: Vec<u32>,
    /// Paths of the mounts that are locked now.
    pub mounts: Vec<String>,
    /// From the call until no request was served with the key any more and nothing of it was left in caches, in
    /// microseconds.
    pub effective_us: u64,
    /// Data keys that were wiped.
    pub terms_wiped: usize,
    /// Mounts that still had requests from before, when waiting for them was given up.
    pub mounts_busy: usize,
    /// When the drill ends.
    pub until: Option<Timestamp>,
    pub receipt: Receipt,
}

/// What is signed of a revocation.
#[derive(Serialize)]
struct Revoked<'s> {
    check_values: Vec<&'s str>,
    mounts: &'s [String],
    effective_us: u64,
    sealed_copies_erased: bool,
    drill_until: Option<Timestamp>,
}

impl Active {
    /// Which versions a revocation is about, and the paths of the mounts that it would lock.
    pub(crate) fn would_revoke(&self, view: &View<'_>, order: &Order<'_>) -> Result<(Vec<u32>, Vec<String>), Error> {
        let versions = in_force(&CustomerKeys::read(view, order.name)?, order)?;
        let mounts = paths(&self.mounts_under(order.name, &versions));
        Ok((versions, mounts))
    }

    /// Takes a key out of force. From its return on no request is served with it.
    pub(crate) fn revoke(&self, view: &View<'_>, order: &Order<'_>, now: Timestamp) -> Result<Outcome, Error> {
        let mut drills_due = self.customer_keys.change();
        let record = CustomerKeys::read(view, order.name)?;
        let versions = in_force(&record, order)?;
        let mounts = self.mounts_under(order.name, &versions);
        let began = Stopwatch::start();
        let (mut terms_wiped, mut before) = (0, Vec::new());
        for mount in &mounts {
            terms_wiped += versions.iter().map(|version| mount.scope.lock(&id_of(order.name, *version))).sum::<usize>();
            before.push(self.mounts.renew(mount)?);
        }
        if order.drill.is_none() {
            for version in &versions {
                self.customer_keys.withdraw(&id_of(order.name, *version));
            }
        }
        let effective_us = microseconds(began.elapsed());
        let mounts: Vec<String> = mounts.into_iter().map(|mount| mount.entry.path.clone()).collect();
        let mounts_busy = wait_for(&before);
        let until = order.drill.map(|life| now.checked_add(life)).transpose().map_err(Error::internal)?;
        edit(view, order.name, |record| {
            let drill = until.map(|until| {
                let (versions, mounts) = (versions.clone(), mounts.clone());
                Drill { began: now, until, effective_us, versions, mounts }
            });
            revoke_in(record, &versions, drill, now);
            Ok(())
        })?;
        *drills_due = None;
        let Events { revocations, drills, .. } = &self.customer_keys.events;
        let counter = if until.is_some() { drills } else { revocations };
        counter.add(1);
        let statement = Statement {
            what: "customer key revoked",
            cluster: &self.cluster.id,
            customer_key: order.name,
            versions: &versions,
            details: Revoked {
                check_values: check_values(&record, &versions),
                mounts: &mounts,
                effective_us,
                sealed_copies_erased: until.is_none(),
                drill_until: until,
            },
            time: now,
        };
        let receipt = receipts::sign(view, &statement)?;
        tracing::warn!(
            key = order.name,
            ?versions,
            ?mounts,
            effective_us,
            drill = until.is_some(),
            "a customer key was revoked"
        );
        Ok(Outcome { versions, mounts, effective_us, terms_wiped, mounts_busy, until, receipt })
    }

    /// See [`CustomerKeys::upload`]. A key that was only to be presented again opens its mounts.
    pub(crate) fn upload_key(
        self: &Arc<Self>,
        view: &View<'_>,
        name: &str,
        key: CustomerKey,
        storage: Storage,
        now: Timestamp,
    ) -> Result<(u32, VersionRecord), Error> {
        // Until its mounts are open: a revocation in between would be undone.
        let changing = self.customer_keys.change();
        let (number, version) = self.customer_keys.upload(view, name, key, storage, now)?;
        self.customer_keys.events.uploads.add(1);
        tracing::info!(key = name, version = number, storage = storage.name(), "a customer key was uploaded");
        self.unlock(view, name, &[number])?;
        drop(changing);
        self.drive();
        Ok((number, version))
    }

    /// Puts the version of a key that has these bytes in force again, or presents it. Returns which that is, and the mounts
    /// that it opened.
    pub(crate) fn restore(
        self: &Arc<Self>,
        view: &View<'_>,
        name: &str,
        key: &CustomerKey,
        now: Timestamp,
    ) -> Result<(u32, Vec<String>), Error> {
        let record = CustomerKeys::read(view, name)?;
        let Some((number, version)) = record.version_of(key) else { return Err(another_key(name, &record, key)) };
        if record.drill.as_ref().is_some_and(|drill| drill.versions.contains(&number)) {
            self.end_drill(view, name, now)?;
        }
        let changing = self.customer_keys.change();
        if version.storage == Storage::Memory {
            self.customer_keys.present(id_of(name, number), clone_of(key)?);
        }
        edit(view, name, |record| {
            if let Some(version) = record.versions.get_mut(&number) {
                version.keep(key);
                (version.revoked, version.last_use) = (None, Some(now));
            }
            Ok(())
        })?;
        let opened = self.unlock(view, name, &[number])?;
        self.customer_keys.events.restorations.add(1);
        tracing::warn!(key = name, version = number, mounts = ?opened, "a customer key is in force again");
        // Jobs come before keys: who holds one may wait for the other.
        drop(changing);
        self.drive();
        Ok((number, opened))
    }

    /// Ends drills whose time has come.
    pub(in super::super) fn end_drills(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        self.drills_over(view, now)?.iter().try_for_each(|name| self.end_drill(view, name, now))
    }

    /// The keys whose drills are to be ended. All keys are looked at only when there may be one.
    fn drills_over(&self, view: &View<'_>, now: Timestamp) -> Result<Vec<String>, Error> {
        let mut due = self.customer_keys.change();
        if due.is_some_and(|due| now < due) {
            return Ok(Vec::new());
        }
        let (mut over, mut next) = (Vec::new(), Timestamp::MAX);
        for name in CustomerKeys::names(view, "", usize::MAX)? {
            match CustomerKeys::find(view, &name)?.and_then(|found| found.value.drill) {
                Some(drill) if drill.until <= now => over.push(name),
                Some(drill) => next = next.min(drill.until),
                None => {}
            }
        }
        // One that cannot be ended now is tried again.
        *due = Some(next).filter(|_| over.is_empty());
        Ok(over)
    }

    fn end_drill(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<(), Error> {
        let _changing = self.customer_keys.change();
        let began = Stopwatch::start();
        let drill = edit(view, name, |record| {
            let drill = record.drill.take();
            for version in drill.iter().flat_map(|drill| &drill.versions) {
                record.versions.get_mut(version).into_iter().for_each(|version| version.revoked = None);
            }
            Ok(drill)
        })?;
        let Some(drill) = drill else { return Ok(()) };
        self.unlock(view, name, &drill.versions)?;
        let restored_us = microseconds(began.elapsed());
        let refused = |path: String| {
            let refused = self.mounts.at(&path).map_or(0, |mount| mount.take_refused());
            MountInDrill { path, refused }
        };
        let mounts = drill.mounts.into_iter().map(refused).collect();
        let (effective_us, began) = (drill.effective_us, drill.began);
        tracing::warn!(key = name, effective_us, restored_us, "a drill has ended: the customer key is in force again");
        edit(view, name, |record| {
            record.drills.push(DrillReport { began, ended: now, effective_us, restored_us, mounts });
            let surplus = record.drills.len().saturating_sub(DRILLS_MAX);
            record.drills.drain(..surplus);
            Ok(())
        })
    }

    /// Opens what versions of a key lock, if they are at hand. Returns the paths of the mounts that can be used again.
    fn unlock(&self, view: &View<'_>, name: &str, versions: &[u32]) -> Result<Vec<String>, Error> {
        let mut opened = Vec::new();
        for version in versions {
            let Some(wrapper) = self.customer_keys.wrapper(view, &id_of(name, *version))? else { continue };
            for mount in self.mounts_under(name, &[*version]) {
                let was_locked = mount.scope.locked_by().is_some();
                mount.scope.unlock(&wrapper)?;
                if was_locked && mount.scope.locked_by().is_none() {
                    opened.push(mount.entry.path.clone());
                }
            }
        }
        Ok(opened)
    }
}

fn in_force(record: &KeyRecord, order: &Order<'_>) -> Result<Vec<u32>, Error> {
    let versions = record.in_force(order.version, order.drill.is_none());
    if versions.is_empty() {
        return Err(Error::invalid(match order.version {
            Some(number) if !record.versions.contains_key(&number) => {
                format!("customer key {:?} has no version {number}", order.name)
            }
            Some(number) => format!("version {number} of customer key {:?} is revoked already", order.name),
            None => format!("customer key {:?} is revoked already", order.name),
        }));
    }
    Ok(versions)
}

fn revoke_in(record: &mut KeyRecord, versions: &[u32], drill: Option<Drill>, now: Timestamp) {
    for number in versions {
        let Some(version) = record.versions.get_mut(number) else { continue };
        match &drill {
            Some(_) => version.revoked = Some(now),
            None => version.erase(now),
        }
    }
    record.drill = drill;
}

fn check_values<'r>(record: &'r KeyRecord, versions: &[u32]) -> Vec<&'r str> {
    versions.iter().filter_map(|number| Some(record.versions.get(number)?.check_value.as_str())).collect()
}

fn another_key(name: &str, record: &KeyRecord, key: &CustomerKey) -> Error {
    let found = key.check_value().map(|value| hex::encode(&value)).unwrap_or_default();
    let known: Vec<String> =
        record.versions.iter().map(|(number, version)| format!("{} (version {number})", version.check_value)).collect();
    Error::invalid(format!(
        "this is another key: its check value is {found}, and customer key {name:?} has {}",
        known.join(", ")
    ))
}

fn clone_of(key: &CustomerKey) -> Result<CustomerKey, Error> {
    CustomerKey::parse(key.expose()).map_err(Error::internal)
}

/// Waits until requests from before have ended, but not for long. Returns how many mounts still have some.
fn wait_for(before: &[Weak<Mount>]) -> usize {
    let began = Stopwatch::start();
    loop {
        let busy = before.iter().filter(|mount| mount.strong_count() > 0).count();
        if busy == 0 || began.elapsed() > REQUESTS_WAIT_MAX {
            return busy;
        }
        thread::sleep(REQUESTS_PAUSE);
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Reports of drills that are kept of each key.
const DRILLS_MAX: usize = 20;
/// How long a revocation waits for requests that were already running.
const REQUESTS_WAIT_MAX: Duration = Duration::from_secs(2);
const REQUESTS_PAUSE: Duration = Duration::from_micros(100);
