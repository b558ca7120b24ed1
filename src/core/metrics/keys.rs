//! Customers' keys: what protects each mount, how far changes of that are, and which keys are to be rotated.

use std::collections::BTreeMap;

use super::super::Active;
use super::super::customer_keys::CustomerKeys;
use super::super::mounts::{Mount, Mounts};
use super::super::protection::record::Guard;
use super::super::protection::status::Standing;
use super::family::{Family, Labels, Value};
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;

pub(super) fn families(active: &Active, view: &View<'_>, now: Timestamp) -> Result<Vec<Family>, Error> {
    Ok(mounts(active, now).into_iter().chain(keys(view, now)?).chain(events(active)).collect())
}

fn mounts(active: &Active, now: Timestamp) -> [Family; 6] {
    let mut by_state: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut locked, mut running) = (0_usize, 0_usize);
    let mut one = Family::gauge("coffer.mount_protection", "What protects a mount, and the state of that; always 1.");
    let mut done = Family::gauge("coffer.migration_records_done", "Records of a mount that are under the new key.");
    let mut total = Family::gauge("coffer.migration_records", "Records that were there when the change began.");
    let mounts = active.mounts.all().into_iter().filter(|mount| Mounts::has_own_scope(mount));
    for (place, mount) in mounts.enumerate() {
        let standing = active.standing(&mount, now);
        let key = standing.key();
        *by_state.entry((if key.is_some() { "customer" } else { "platform" }, standing.state)).or_default() += 1;
        locked += usize::from(standing.locked_by.is_some());
        running += usize::from(standing.record.migration.is_some());
        if place >= TOLD_MAX {
            continue;
        }
        let mut labels = labels_of(&mount);
        if let Some(migration) = &standing.record.migration {
            done.add(labels.clone(), migration.progress.records_done);
            total.add(labels.clone(), migration.progress.records_total);
        }
        labels.extend([("customer_key", key.unwrap_or_default()), ("state", standing.state.to_owned())]);
        one.add(labels, true);
    }
    let mut counts = Family::gauge("coffer.mounts", "Mounts, by what protects them and the state of that.");
    for ((protector, state), count) in by_state {
        counts.add(vec![("protector", protector.to_owned()), ("state", state.to_owned())], count);
    }
    let locked = Family::gauge("coffer.mounts_locked", "Mounts whose key is revoked or not loaded.").of(locked);
    let running = Family::gauge("coffer.migrations_running", "Changes of protection that are under way.").of(running);
    [counts, one, locked, running, done, total]
}

impl Standing {
    /// The customer's key that protects a mount, or will.
    fn key(&self) -> Option<String> {
        let guard = self.record.migration.as_ref().map_or(&self.record.settled, |migration| &migration.to);
        match guard {
            Guard::Platform => None,
            Guard::Customer(key) => Some(key.name.clone()),
        }
    }
}

fn labels_of(mount: &Mount) -> Labels {
    vec![("mount", mount.entry.path.clone()), ("accessor", mount.entry.accessor.clone())]
}

fn keys(view: &View<'_>, now: Timestamp) -> Result<[Family; 4], Error> {
    let names = CustomerKeys::names(view, "", usize::MAX)?;
    let mut left = Family::gauge(
        "coffer.customer_key_rotation_due_seconds",
        "Seconds until the key should have a new version; below zero it is overdue.",
    );
    let (mut overdue, mut in_force, mut revoked) = (0_usize, 0_usize, 0_usize);
    for (place, name) in names.iter().enumerate() {
        let Some(record) = CustomerKeys::find(view, name)?.map(|found| found.value) else { continue };
        let gone = record.versions.values().filter(|version| version.revoked.is_some()).count();
        (revoked, in_force) = (revoked + gone, in_force + record.versions.len() - gone);
        let Some(due) = record.rotation_time() else { continue };
        let seconds = due.duration_since(now).as_secs();
        overdue += usize::from(seconds <= 0);
        if place < TOLD_MAX {
            left.add(vec![("customer_key", name.clone())], Value::Whole(seconds));
        }
    }
    let state = |name: &str| vec![("state", name.to_owned())];
    Ok([
        Family::gauge("coffer.customer_keys", "Customers' keys.").of(names.len()),
        Family::gauge("coffer.customer_key_versions", "Versions of them.")
            .with(state("in_force"), in_force)
            .with(state("revoked"), revoked),
        Family::gauge("coffer.customer_keys_rotation_overdue", "Keys that should have a new version.").of(overdue),
        left,
    ])
}

fn events(active: &Active) -> Vec<Family> {
    let (events, done) = (&active.customer_keys.events, &active.protections.done);
    let event = |name: &str| vec![("event", name.to_owned())];
    let outcome = |name: &str| vec![("outcome", name.to_owned())];
    let mut refused =
        Family::counter("coffer.locked_mount_refusals_total", "Requests refused because their mount was locked.");
    for mount in active.mounts.all().iter().take(TOLD_MAX).filter(|mount| mount.refused() > 0) {
        refused.add(labels_of(mount), mount.refused());
    }
    vec![
        Family::counter("coffer.customer_key_events_total", "What was done with keys since the server was unsealed.")
            .with(event("upload"), events.uploads.read())
            .with(event("proof"), events.proofs.read())
            .with(event("use"), events.uses.read())
            .with(event("revoke"), events.revocations.read())
            .with(event("drill"), events.drills.read())
            .with(event("restore"), events.restorations.read())
            .with(event("delete"), events.deletions.read()),
        Family::counter("coffer.migrations_total", "Changes of protection that ended since then.")
            .with(outcome("completed"), done.completed.read())
            .with(outcome("cancelled"), done.cancelled.read()),
        Family::counter("coffer.migration_failures_total", "Steps of them that failed, and are tried again.")
            .of(done.failures.read()),
        Family::counter("coffer.migrated_records_total", "Records that were encrypted anew.").of(done.records.read()),
        Family::counter("coffer.migrated_bytes_total", "Their bytes.").of(done.bytes.read()),
        refused,
    ]
}

/// Mounts and keys that have figures of their own; the others are only in the sums.
const TOLD_MAX: usize = 1_000;
