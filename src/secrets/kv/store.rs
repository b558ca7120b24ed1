//! Where secrets are kept, and how they change: every change is one commit, made on what it was decided on, or tried again.
//!
//! Layout, below the mount: `meta/<path>` holds the entry of a secret, and with it the data of its latest version if these
//! are short; `version/<id of the entry>/<slot>` the data of one version, with its number; `v1/<path>` what a mount of
//! version 1 keeps. `upgraded` is there once the mount is of version 2: from then on nobody adds to `v1/`, and what is still
//! there counts as version 1 of its path until it is converted. Knows nothing of the cache.
//!
//! Most secrets are so one record, which most requests want: one page of the store to read where there would be two, and
//! half as many pages. The data go to a slot when a later version comes.
//!
//! A write that lets a version go gives its slot to one that needs one, which is one change of the store instead of two. A
//! reader looks into the entry first and into the slot then, and what he finds there may be of a later version by now: the
//! number tells, and he begins again.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::config::Config;
use super::entry::{Entry, Version};
use super::secret::Secret;
use super::text::Text;
use crate::api::Error;
use crate::barrier::{self, Change, Depth, Found, Stamp, Stored, View};
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
    /// What a mount of version 2 makes of it. As in Vault, its only version is told to be the first that is kept.
    fn entry(&self) -> Entry {
        let first = Version::new(self.written, None);
        Entry { current: 1, oldest: 1, versions: vec![first], ..Entry::new(self.written) }
    }
}

/// A secret of version 2, as it is kept.
#[derive(Serialize, Deserialize)]
struct Record {
    entry: Entry,
    /// The data of the latest version. `None` if they are in a slot, or destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    latest: Option<Text>,
}

/// Data that are there may be `null`.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Text::deserialize(deserializer).map(Some)
}

impl Stored for Record {
    const VERSION: u8 = 2;

    fn encoded_len(&self) -> usize {
        ENTRY_BYTES_USUAL + self.latest.as_ref().map_or(0, |data| data.as_bytes().len())
    }

    /// The first form was nothing but the entry.
    fn earlier(version: u8, json: &[u8]) -> Option<serde_json::Result<Self>> {
        (version == 1).then(|| Ok(Self { entry: serde_json::from_slice(json)?, latest: None }))
    }
}

/// The data of one version, as they are kept in a slot.
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
            && let Some(found) = view.get::<Record>(&entry_path(path))?
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
        let converted = places == Places::Both && view.get::<Record>(&entry_path(path))?.is_some();
        Ok((!converted).then_some(None))
    })
}

/// `None` if the version is gone, because the secret is another by now.
fn with_latest(view: &View<'_>, found: Found<Record>) -> Result<Option<Secret>, Error> {
    let Found { value: Record { entry, latest }, seq, .. } = found;
    if latest.is_some() {
        return Ok(Some(Secret::new(entry, latest.as_ref(), seq)));
    }
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

/// The data of one version, from its slot. `None` if they are gone, because the secret is another by now.
pub(super) fn version(view: &View<'_>, entry: &Entry, number: u64) -> Result<Option<Found<Text>>, Error> {
    let slot = entry.slot(number);
    let found = view.get::<Data>(&slot_path(entry, slot))?.filter(|found| found.value.number.unwrap_or(slot) == number);
    Ok(found.map(|Found { value, stamp, seq }| Found { value: value.data, stamp, seq }))
}

/// Which names of a folder are wanted: at most `limit`, those after `after`.
pub(super) struct Page<'a> {
    pub after: &'a str,
    pub limit: usize,
    /// Whether those in the folders below are listed, instead of these folders' own.
    pub depth: Depth,
}

/// Shows the names in a folder, which is empty or ends in `/`. Returns how many there were.
pub(super) fn each_name(
    view: &View<'_>,
    folder: &str,
    places: Places,
    page: &Page<'_>,
    mut show: impl FnMut(&str),
) -> Result<usize, Error> {
    let below = |prefix: &str, show: &mut dyn FnMut(&str)| {
        view.each_name(&format!("{prefix}{folder}"), page.after, page.limit, page.depth, show)
    };
    match places {
        Places::Entries => return Ok(below(ENTRIES, &mut show)?),
        Places::Plain => return Ok(below(PLAIN, &mut show)?),
        Places::Both => {}
    }
    let mut names = BTreeSet::new();
    // In this order: what is converted meanwhile is seen at least once.
    for prefix in [PLAIN, ENTRIES] {
        below(prefix, &mut |name| _ = names.insert(name.to_owned()))?;
    }
    names.iter().take(page.limit).for_each(|name| show(name));
    Ok(names.len().min(page.limit))
}

/// The names in a folder.
pub(super) fn list(view: &View<'_>, folder: &str, places: Places, page: &Page<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    each_name(view, folder, places, page, |name| names.push(name.to_owned()))?;
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
    /// The data of the latest version, as long as they are in no slot.
    latest: Option<Text>,
    /// Whether another request has changed the secret meanwhile.
    outrun: bool,
}

impl Versions<'_> {
    /// The data of the latest version, changed by a merge patch. `None` if they are gone; the change is then tried again.
    pub(super) fn patched(&mut self, entry: &Entry, patch: &Text) -> Result<Option<Data>, Error> {
        let patched = match &self.latest {
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
        let (previous, previous_data) = (entry.current, self.latest.take());
        let mut free = entry.add_version(now, config);
        if let Some(previous_data) = previous_data.filter(|_| entry.version(previous).is_some()) {
            entry.take_slot(previous, free.pop());
            self.put(entry, previous, &mut previous_data.into())?;
        }
        if is_short(&data.data) {
            self.latest = Some(data.data.copy());
        } else {
            entry.take_slot(entry.current, free.pop());
            self.put(entry, entry.current, data)?;
        }
        for slot in free {
            self.change.delete(&slot_path(entry, slot));
        }
        Ok(())
    }

    /// Puts the data of a version in its slot.
    fn put(&mut self, entry: &Entry, number: u64, data: &mut Data) -> Result<(), Error> {
        data.number = Some(number);
        self.change.put(&slot_path(entry, entry.slot(number)), data)?;
        Ok(())
    }

    pub(super) fn delete(&mut self, entry: &Entry, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            if number != entry.current || self.latest.take().is_none() {
                self.change.delete(&slot_path(entry, entry.slot(number)));
            }
        }
    }

    /// The record to keep. What is too long for it goes to a slot.
    fn record(&mut self, entry: Entry) -> Result<Record, Error> {
        if let Some(long) = self.latest.take_if(|latest| !is_short(latest)) {
            self.put(&entry, entry.current, &mut long.into())?;
        }
        Ok(Record { entry, latest: self.latest.take() })
    }
}

fn is_short(data: &Text) -> bool {
    data.as_bytes().len() <= LATEST_BYTES_MAX
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
        let (before, latest, stamp) = match view.get::<Record>(&entry_path)? {
            Some(Found { value: Record { entry, latest }, stamp, .. }) => (Some(entry), latest, Some(stamp)),
            None => (None, None, None),
        };
        let mut versions = Versions { view: *view, change: view.change(), latest, outrun: false };
        let mut entry = before.clone();
        if places == Places::Both {
            convert(&mut entry, path, &mut versions)?;
        }
        let outcome = edit(&mut entry, &mut versions)?;
        if versions.outrun {
            return Ok(None);
        }
        if entry == before && versions.change.is_empty() {
            return Ok(Some(outcome));
        }
        let record = entry.map(|entry| versions.record(entry)).transpose()?;
        let mut change = versions.change;
        expect(&mut change, &entry_path, stamp.as_ref());
        match record {
            Some(record) => drop(change.put(&entry_path, &record)?),
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
    versions.change.delete(&plain_path).expect(&plain_path, &stamp);
    *entry = Some(plain.entry());
    versions.latest = Some(plain.data);
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
/// Longest data of a latest version that are kept with its entry, in bytes. Longer ones would be read with every list.
const LATEST_BYTES_MAX: usize = 1 << 10;
/// Bytes of most entries.
const ENTRY_BYTES_USUAL: usize = 1 << 10;
/// Bytes of a stored version beside its data: `{"number":18446744073709551615,"data":}`.
const DATA_OVERHEAD_MAX: usize = 40;
/// Bytes of a stored secret of version 1 beside its data.
const PLAIN_OVERHEAD_USUAL: usize = 128;

#[cfg(test)]
mod tests;
