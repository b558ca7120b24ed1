//! What hangs on a customer's key: mounts, and the records in them. It is read from the keyrings and the records
//! themselves, so it cannot be out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::super::Active;
use super::super::mounts::Mount;
use super::super::receipts::{self, Receipt, Statement};
use super::record::id_of;
use super::{CustomerKeys, edit};
use crate::api::Error;
use crate::barrier::{Horizon, KeyVersion, Portion, View};
use crate::clock::Timestamp;

/// What one version of a key holds.
#[derive(Default)]
pub struct Lineage {
    /// Paths of the mounts, sorted.
    pub mounts: Vec<String>,
    pub records: u64,
    /// As they are stored.
    pub bytes: u64,
    /// Since when there may be records under it.
    pub oldest: Option<Timestamp>,
}

impl Active {
    /// The mounts that have terms under one of these versions of a key, by path.
    pub(crate) fn mounts_under(&self, name: &str, versions: &[u32]) -> Vec<Arc<Mount>> {
        let is_under = |key: &KeyVersion| key.name == name && versions.contains(&key.version);
        let mounts = self.mounts.all().into_iter();
        mounts
            .filter(|mount| mount.scope.terms().iter().any(|term| term.wrapped_by.as_ref().is_some_and(is_under)))
            .collect()
    }

    /// What hangs on a key, by version. Visits all records of the mounts that it protects.
    pub(crate) fn lineage(&self, name: &str, versions: &[u32]) -> Result<BTreeMap<u32, Lineage>, Error> {
        let mut lineage: BTreeMap<u32, Lineage> = BTreeMap::new();
        for mount in self.mounts_under(name, versions) {
            let terms: BTreeMap<u32, KeyVersion> =
                mount.scope.terms().into_iter().filter_map(|term| Some((term.id, term.wrapped_by?))).collect();
            for (key, (records, bytes)) in records_under(&mount, &terms)? {
                let version = lineage.entry(key.version).or_default();
                version.mounts.push(mount.entry.path.clone());
                version.records += records;
                version.bytes += bytes;
                let since = self.protections.since(&mount);
                version.oldest = version.oldest.into_iter().chain(since).min();
            }
        }
        lineage.retain(|version, _| versions.contains(version));
        Ok(lineage)
    }
}

/// What is signed of a deletion.
#[derive(Serialize)]
struct Deleted {
    mounts: u64,
    records: u64,
}

impl Active {
    /// Which versions a deletion is about, and the paths of the mounts that stand in its way.
    pub(crate) fn would_delete(
        &self,
        view: &View<'_>,
        name: &str,
        version: Option<u32>,
    ) -> Result<(Vec<u32>, Vec<String>), Error> {
        let record = CustomerKeys::read(view, name)?;
        let versions: Vec<u32> =
            record.versions.keys().copied().filter(|number| version.is_none_or(|only| only == *number)).collect();
        if versions.is_empty() {
            let text = format!("customer key {name:?} has no version {}", version.unwrap_or_default());
            return Err(Error::Missing(text.into()));
        }
        let bound =
            self.protections.bound_for(name, &versions).into_iter().filter_map(|uuid| self.mounts.by_uuid(uuid));
        let mounts = self.mounts_under(name, &versions).into_iter().chain(bound);
        let mounts: BTreeSet<String> = mounts.map(|mount| mount.entry.path.clone()).collect();
        Ok((versions, mounts.into_iter().collect()))
    }

    /// Deletes versions of a key on which nothing hangs, and signs that this is so.
    pub(crate) fn delete_key(
        &self,
        view: &View<'_>,
        name: &str,
        version: Option<u32>,
        now: Timestamp,
    ) -> Result<(Vec<u32>, Receipt), Error> {
        // Before the keys stand still: a change of protection that begins now waits for them while it is looked at.
        let (versions, mounts) = self.would_delete(view, name, version)?;
        refuse_in_use(name, &mounts)?;
        let _changing = self.customer_keys.change();
        refuse_in_use(name, &paths(&self.mounts_under(name, &versions)))?;
        edit(view, name, |record| {
            record.versions.retain(|number, _| !versions.contains(number));
            Ok(())
        })?;
        for number in &versions {
            self.customer_keys.withdraw(&id_of(name, *number));
        }
        let statement = Statement {
            what: "customer key deleted, nothing hangs on it",
            cluster: &self.cluster.id,
            customer_key: name,
            versions: &versions,
            details: Deleted { mounts: 0, records: 0 },
            time: now,
        };
        self.customer_keys.events.deletions.add(1);
        let receipt = receipts::sign(view, &statement)?;
        tracing::warn!(key = name, ?versions, "a customer key was deleted");
        Ok((versions, receipt))
    }
}

/// Refuses to delete a key that protects mounts, given by their paths.
pub(super) fn refuse_in_use(name: &str, mounts: &[String]) -> Result<(), Error> {
    if mounts.is_empty() {
        return Ok(());
    }
    let mounts = mounts.join(", ");
    Err(Error::invalid(format!(
        "customer key {name:?} still protects {mounts}: move these mounts to another key or to the platform first"
    )))
}

/// Where mounts are.
pub(super) fn paths(mounts: &[Arc<Mount>]) -> Vec<String> {
    mounts.iter().map(|mount| mount.entry.path.clone()).collect()
}

/// How many records of a mount, and bytes, each key holds.
fn records_under(mount: &Mount, terms: &BTreeMap<u32, KeyVersion>) -> Result<BTreeMap<KeyVersion, (u64, u64)>, Error> {
    let horizon = Horizon::default();
    let view = mount.scope.view(&horizon);
    let mut under: BTreeMap<KeyVersion, (u64, u64)> = terms.values().map(|key| (key.clone(), (0, 0))).collect();
    let mut after = String::new();
    loop {
        let pass = view.survey(&after, PORTION, |term, len| {
            if let Some((records, bytes)) = terms.get(&term).and_then(|key| under.get_mut(key)) {
                *records += 1;
                *bytes += len;
            }
        })?;
        match pass.last {
            Some(last) if !pass.ended => after = last,
            Some(_) | None => return Ok(under),
        }
    }
}

const PORTION: Portion = Portion { records_max: 1_000, bytes_max: 8 << 20 };
