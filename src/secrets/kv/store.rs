//! Where secrets are kept, and how they change: every change is one commit, made on what it was decided on, or tried again.
//!
//! Layout, below the mount: `meta/<path>` holds the entry of a secret, `version/<id of the entry>/<slot>` the data of one
//! version, with its number; `v1/<path>` a secret of version 1. `upgraded` is there once the mount is of version 2: from
//! then on nobody adds to `v1/`, and what is still there counts as version 1 of its path until it is converted. Knows
//! nothing of the cache.
//!
//! A write that lets a version go puts the new one in its slot, which is one change of the store instead of two. A reader
//! looks into the entry first and into the slot then, and what he finds there may be of a later version by now: the number
//! tells, and he begins again.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::entry::{Entry, Version};
use super::secret::Secret;
use super::text::Text;
use crate::api::Error;
use crate::barrier::{self, Change, Found, Stamp, Stored, View};
use crate::clock::Timestamp;

/// A secret as version 1 keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Plain {
    #[serde(with = "super::entry::nanoseconds")]
    pub written: Timestamp,
    /// The lease that the data name, if they do.
    pub lease_s: Option<u64>,
    pub data: Text,
}

impl Stored for Plain {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        PLAIN_OVERHEAD_USUAL + self.data.as_bytes().len()
    }
}

impl Plain {
    /// What a mount of version 2 makes of it.
    fn entry(&self) -> Entry {
        let first = Version::new(self.written, None);
        Entry { current: 1, versions: vec![first], ..Entry::new(self.written) }
    }
}

/// The data of one version, as they are kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Data {
    /// `None` in what the first form of this record was: the version whose number the slot has.
    number: Option<u64>,
    data: Text,
}

impl Stored for Data {
    const VERSION: u8 = 2;

    fn encoded_len(&self) -> usize {
        DATA_OVERHEAD_MAX + self.data.as_bytes().len()
    }

    /// The first form was nothing but the data.
    fn earlier(version: u8, json: &[u8]) -> Option<serde_json::Result<Self>> {
        (version == 1).then(|| Ok(Self { number: None, data: serde_json::from_slice(json)? }))
    }
}

impl From<Text> for Data {
    /// Data that have no number before they are a version.
    fn from(data: Text) -> Self {
        Self { number: None, data }
    }
}

/// Which parts of a mount a secret may be in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// All are converted.
    Entries,
    /// Some may not be converted yet.
    Both,
    /// The mount is of version 1.
    Plain,
}

// === reading ===

/// Reads a secret with the data of its latest version, if there are any.
pub(super) fn load(view: &View<'_>, path: &str, places: Places) -> Result<Option<Secret>, Error> {
    persist(|| {
        if places != Places::Plain
            && let Some(found) = view.get::<Entry>(&entry_path(path))?
        {
            return Ok(with_latest(view, found)?.map(Some));
        }
        if places == Places::Entries {
            return Ok(Some(None));
        }
        if let Some(Found { value: plain, seq, .. }) = view.get::<Plain>(&plain_path(path))? {
            let mut secret = Secret::new(plain.entry(), Some(&plain.data), seq);
            secret.lease_s = plain.lease_s;
            return Ok(Some(Some(secret)));
        }
        // It may have been converted between the two looks.
        let converted = places == Places::Both && view.get::<Entry>(&entry_path(path))?.is_some();
        Ok((!converted).then_some(None))
    })
}

/// `None` if the version is gone, because the secret is another by now.
fn with_latest(view: &View<'_>, found: Found<Entry>) -> Result<Option<Secret>, Error> {
    let Found { value: entry, seq, .. } = found;
    let latest = match entry.version(entry.current).filter(|version| !version.destroyed) {
        Some(_) => match version(view, &entry, entry.current)? {
            Some(found) => Some(found),
            None => return Ok(None),
        },
        None => None,
    };
    let seq = latest.as_ref().map_or(seq, |latest| seq.max(latest.seq));
    Ok(Some(Secret::new(entry, latest.as_ref().map(|latest| &latest.value), seq)))
}

/// The data of one version. `None` if they are gone, because the secret is another by now.
pub(super) fn version(view: &View<'_>, entry: &Entry, number: u64) -> Result<Option<Found<Text>>, Error> {
    let slot = entry.slot(number);
    let found = view.get::<Data>(&slot_path(entry, slot))?.filter(|found| found.value.number.unwrap_or(slot) == number);
    Ok(found.map(|Found { value, stamp, seq }| Found { value: value.data, stamp, seq }))
}

/// Which names of a folder are wanted: at most `limit`, those after `after`.
pub(super) struct Page<'a> {
    pub after: &'a str,
    pub limit: usize,
    /// Also those in the folders below, instead of these folders' own.
    pub deep: bool,
}

/// Names in a folder, which is empty or ends in `/`.
pub(super) fn list(view: &View<'_>, folder: &str, places: Places, page: &Page<'_>) -> Result<Vec<String>, Error> {
    let below = |prefix: &str| {
        let prefix = format!("{prefix}{folder}");
        if page.deep { view.scan(&prefix, page.after, page.limit) } else { view.list(&prefix, page.after, page.limit) }
    };
    let mut names = match places {
        Places::Entries => return Ok(below(ENTRIES)?),
        Places::Plain => return Ok(below(PLAIN)?),
        // In this order: what is converted meanwhile is seen at least once.
        Places::Both => below(PLAIN)?,
    };
    names.extend(below(ENTRIES)?);
    names.sort_unstable();
    names.dedup();
    names.truncate(page.limit);
    Ok(names)
}

/// Paths of some secrets that are not converted yet; none if all are.
pub(super) fn unconverted(view: &View<'_>, limit: usize) -> Result<Vec<String>, Error> {
    let mut folder = String::new();
    loop {
        let names = view.list(&format!("{PLAIN}{folder}"), "", limit)?;
        let secrets: Vec<String> =
            names.iter().filter(|name| !name.ends_with('/')).map(|name| format!("{folder}{name}")).collect();
        match names.first() {
            Some(first) if secrets.is_empty() => folder.push_str(first),
            Some(_) | None => return Ok(secrets),
        }
    }
}

// === changing version 2 ===

/// The data of a secret while it changes.
pub(super) struct Versions<'a> {
    view: View<'a>,
    change: Change<'a>,
    /// Version 1, if it was not converted before.
    converted: Option<Text>,
    /// Whether another request has changed the secret meanwhile.
    outrun: bool,
}

impl Versions<'_> {
    /// The data of the latest version, changed by a merge patch. `None` if they are gone; the change is then tried again.
    pub(super) fn patched(&mut self, entry: &Entry, patch: &Text) -> Result<Option<Data>, Error> {
        let patched = match &self.converted {
            Some(data) => Some(data.patched(patch)),
            None => version(&self.view, entry, entry.current)?.map(|found| found.value.patched(patch)),
        };
        self.outrun = patched.is_none();
        let patched = patched.transpose().map_err(|refused| Error::invalid(refused.to_string()))?;
        Ok(patched.map(Data::from))
    }

    /// Adds a version, in place of those that are not kept any longer.
    pub(super) fn add(
        &mut self,
        entry: &mut Entry,
        data: &mut Data,
        now: Timestamp,
        config: &Config,
    ) -> Result<(), Error> {
        for slot in entry.add_version(now, config) {
            self.change.delete(&slot_path(entry, slot));
        }
        self.put(entry, data)
    }

    /// Sets the data of the latest version.
    fn put(&mut self, entry: &Entry, data: &mut Data) -> Result<(), Error> {
        data.number = Some(entry.current);
        self.change.put(&slot_path(entry, entry.slot(entry.current)), data)?;
        Ok(())
    }

    pub(super) fn delete(&mut self, entry: &Entry, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.change.delete(&slot_path(entry, entry.slot(number)));
        }
    }
}

/// Lets `edit` change an entry, or make one, or take it away, and versions beside it. It is called again when another
/// request was faster.
pub(super) fn change<T>(
    view: &View<'_>,
    path: &str,
    places: Places,
    mut edit: impl FnMut(&mut Option<Entry>, &mut Versions<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let entry_path = entry_path(path);
    persist(|| {
        let mut versions = Versions { view: *view, change: view.change(), converted: None, outrun: false };
        let found = view.get::<Entry>(&entry_path)?;
        let stamp = found.as_ref().map(|found| &found.stamp);
        let before = found.as_ref().map(|found| &found.value);
        let mut entry = before.cloned();
        if places == Places::Both {
            convert(&mut entry, path, &mut versions)?;
        }
        let outcome = edit(&mut entry, &mut versions)?;
        if versions.outrun {
            return Ok(None);
        }
        let mut change = versions.change;
        if entry.as_ref() == before && change.is_empty() {
            return Ok(Some(outcome));
        }
        expect(&mut change, &entry_path, stamp);
        match &entry {
            Some(entry) => drop(change.put(&entry_path, entry)?),
            None => drop(change.delete(&entry_path)),
        }
        Ok(committed(change)?.then_some(outcome))
    })
}

/// Takes a secret over that is still kept as by version 1.
fn convert(entry: &mut Option<Entry>, path: &str, versions: &mut Versions<'_>) -> Result<(), Error> {
    if entry.is_some() {
        return Ok(());
    }
    let plain_path = plain_path(path);
    let Some(Found { value: plain, stamp, .. }) = versions.view.get::<Plain>(&plain_path)? else { return Ok(()) };
    let converted = plain.entry();
    let mut data = Data::from(plain.data);
    versions.put(&converted, &mut data)?;
    versions.change.delete(&plain_path).expect(&plain_path, &stamp);
    versions.converted = Some(data.data);
    *entry = Some(converted);
    Ok(())
}

fn expect(change: &mut Change<'_>, path: &str, stamp: Option<&Stamp>) {
    match stamp {
        Some(stamp) => change.expect(path, stamp),
        None => change.expect_absent(path),
    };
}

/// Ends the time of version 1 for a mount.
pub(super) fn mark_upgraded(view: &View<'_>) -> Result<(), Error> {
    persist(|| {
        if view.get::<Upgraded>(UPGRADED)?.is_some() {
            return Ok(Some(()));
        }
        let mut change = view.change();
        change.put(UPGRADED, &Upgraded {})?.expect_absent(UPGRADED);
        Ok(committed(change)?.then_some(()))
    })
}

// === changing version 1 ===

/// Writes a secret, or deletes it.
pub(super) fn put_plain(view: &View<'_>, path: &str, plain: Option<&Plain>) -> Result<(), Error> {
    let path = plain_path(path);
    let mut change = view.change();
    change.expect_absent(UPGRADED);
    match plain {
        Some(plain) => drop(change.put(&path, plain)?),
        None => drop(change.delete(&path)),
    }
    if committed(change)? {
        return Ok(());
    }
    Err(Error::Unavailable("this mount has just become one of version 2; try again".into()))
}

// === commits ===

/// Tries until nothing comes in between: `step` returns `None` to be called again.
pub(super) fn persist<T>(mut step: impl FnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(outcome) = step()? {
            return Ok(outcome);
        }
    }
    Err(Error::Unavailable("too many requests change this secret at once".into()))
}

/// Commits a change. Returns false if what it expects is not so any more.
pub(super) fn committed(change: Change<'_>) -> Result<bool, Error> {
    match change.commit() {
        Ok(_) => Ok(true),
        Err(barrier::Error::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Marks a mount of version 2.
#[derive(Serialize, Deserialize)]
struct Upgraded {}

impl Stored for Upgraded {
    const VERSION: u8 = 1;
}

fn entry_path(path: &str) -> String {
    format!("{ENTRIES}{path}")
}

fn plain_path(path: &str) -> String {
    format!("{PLAIN}{path}")
}

/// The numbers have one length, so that their order as texts is their order.
fn slot_path(entry: &Entry, slot: u64) -> String {
    format!("version/{}/{slot:010}", entry.id)
}

const ENTRIES: &str = "meta/";
const PLAIN: &str = "v1/";
const UPGRADED: &str = "upgraded";

/// How often a change is tried before the caller has to.
const ATTEMPTS_MAX: usize = 100;
/// Bytes of a stored version beside its data: `{"number":18446744073709551615,"data":}`.
const DATA_OVERHEAD_MAX: usize = 40;
/// Bytes of a stored secret of version 1 beside its data.
const PLAIN_OVERHEAD_USUAL: usize = 128;

#[cfg(test)]
mod tests;
