//! Where secrets are kept, and how they change: every change is one commit, made on what it was decided on, or tried again.
//!
//! Layout, below the mount: `meta/<path>` holds the entry of a secret, `version/<id of the entry>/<number>` the data of one
//! version; `v1/<path>` a secret of version 1. `upgraded` is there once the mount is of version 2: from then on nobody adds
//! to `v1/`, and what is still there counts as version 1 of its path until it is converted. Knows nothing of the cache.

use serde::{Deserialize, Serialize};

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
        PLAIN_OVERHEAD_USUAL + self.data.encoded_len()
    }
}

impl Plain {
    /// What a mount of version 2 makes of it.
    fn entry(&self) -> Entry {
        let first = Version { created: self.written, deletion: None, destroyed: false };
        Entry { current: 1, versions: vec![first], ..Entry::new(self.written) }
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

/// The data of one version.
pub(super) fn version(view: &View<'_>, entry: &Entry, number: u64) -> Result<Option<Found<Text>>, Error> {
    Ok(view.get(&version_path(entry, number))?)
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
}

impl Versions<'_> {
    /// The data of one version, `None` if they are gone.
    pub(super) fn patched(&self, entry: &Entry, number: u64, patch: &Text) -> Result<Option<Text>, Error> {
        let patched = match &self.converted {
            Some(data) => Some(data.patched(patch)),
            None => version(&self.view, entry, number)?.map(|found| found.value.patched(patch)),
        };
        patched.transpose().map_err(|refused| Error::invalid(refused.to_string()))
    }

    pub(super) fn put(&mut self, entry: &Entry, number: u64, data: &Text) -> Result<(), Error> {
        self.change.put(&version_path(entry, number), data)?;
        Ok(())
    }

    pub(super) fn delete(&mut self, entry: &Entry, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.change.delete(&version_path(entry, number));
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
        let mut versions = Versions { view: *view, change: view.change(), converted: None };
        let found = view.get::<Entry>(&entry_path)?;
        let stamp = found.as_ref().map(|found| &found.stamp);
        let before = found.as_ref().map(|found| &found.value);
        let mut entry = before.cloned();
        if places == Places::Both {
            convert(&mut entry, path, &mut versions)?;
        }
        let outcome = edit(&mut entry, &mut versions)?;
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
    versions.put(&converted, 1, &plain.data)?;
    versions.change.delete(&plain_path).expect(&plain_path, &stamp);
    versions.converted = Some(plain.data);
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
fn version_path(entry: &Entry, number: u64) -> String {
    format!("version/{}/{number:010}", entry.id)
}

const ENTRIES: &str = "meta/";
const PLAIN: &str = "v1/";
const UPGRADED: &str = "upgraded";

/// How often a change is tried before the caller has to.
const ATTEMPTS_MAX: usize = 100;
/// Bytes of a stored secret of version 1 beside its data.
const PLAIN_OVERHEAD_USUAL: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::config::Config;
    use super::*;
    use crate::barrier::{Horizon, RootKey, Scope, Sealed};
    use crate::storage::Memory;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn scope() -> Scope {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        sealed.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform()
    }

    fn text(json: &str) -> Text {
        Text::of(json).unwrap()
    }

    fn put(view: &View<'_>, path: &str, json: &str) -> Result<(), Error> {
        put_plain(view, path, Some(&Plain { written: NOW, lease_s: Some(5), data: text(json) }))
    }

    /// Adds a version, as a write does.
    fn write(view: &View<'_>, path: &str, places: Places, json: &str) -> Result<u64, Error> {
        change(view, path, places, |entry, versions| add(entry, versions, json))
    }

    fn add(entry: &mut Option<Entry>, versions: &mut Versions<'_>, json: &str) -> Result<u64, Error> {
        let entry = entry.get_or_insert_with(|| Entry::new(NOW));
        let pruned = entry.add_version(NOW, &Config::default());
        versions.delete(entry, pruned);
        versions.put(entry, entry.current, &text(json))?;
        Ok(entry.current)
    }

    /// Number and data of the latest version, as a read finds them.
    fn latest(view: &View<'_>, path: &str, places: Places) -> Option<(u64, String)> {
        let secret = load(view, path, places).unwrap()?;
        let data = secret.latest_data(NOW).unwrap_or_default();
        Some((secret.entry.current, String::from_utf8(data.to_vec()).unwrap()))
    }

    fn all(view: &View<'_>, prefix: &str) -> usize {
        view.list(prefix, "", usize::MAX).unwrap().len()
    }

    #[test]
    fn a_secret_is_found_wherever_it_is() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        put(&view, "a", r#"{"v":1}"#).unwrap();
        let found = Some((1, r#"{"v":1}"#.to_owned()));
        assert_eq!(latest(&view, "a", Places::Plain), found);
        assert_eq!(latest(&view, "a", Places::Both), found);
        assert_eq!(latest(&view, "a", Places::Entries), None);
        assert_eq!(load(&view, "a", Places::Plain).unwrap().unwrap().lease_s, Some(5));
        // Whatever changes it converts it, even what changes nothing.
        change(&view, "a", Places::Both, |_, _| Ok(())).unwrap();
        assert_eq!(latest(&view, "a", Places::Both), found);
        assert_eq!(latest(&view, "a", Places::Entries), found);
        assert_eq!((all(&view, PLAIN), all(&view, "version/")), (0, 1));
        assert_eq!(write(&view, "a", Places::Both, r#"{"v":2}"#).unwrap(), 2);
        assert_eq!(latest(&view, "a", Places::Both), Some((2, r#"{"v":2}"#.to_owned())));
    }

    #[test]
    fn a_write_takes_an_unconverted_secret_over() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        put(&view, "a", r#"{"v":1}"#).unwrap();
        assert_eq!(write(&view, "a", Places::Both, r#"{"v":2}"#).unwrap(), 2);
        let entry = load(&view, "a", Places::Entries).unwrap().unwrap().entry;
        assert_eq!(version(&view, &entry, 1).unwrap().unwrap().value.as_bytes(), br#"{"v":1}"#);
        put(&view, "b", r#"{"v":1}"#).unwrap();
        let patched = change(&view, "b", Places::Both, |entry, versions| {
            let patched = versions.patched(entry.as_ref().unwrap(), 1, &text(r#"{"w":2}"#))?;
            Ok(patched.map(|text| text.as_bytes().to_vec()))
        });
        assert_eq!(patched.unwrap().unwrap(), br#"{"v":1,"w":2}"#);
        assert_eq!(all(&view, PLAIN), 0);
    }

    /// A request of version 1 that was on its way when the mount became one of version 2 must not be lost in silence.
    #[test]
    fn nobody_writes_to_version_1_once_it_is_over() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        put(&view, "a", r#"{"v":1}"#).unwrap();
        mark_upgraded(&view).unwrap();
        mark_upgraded(&view).unwrap();
        assert!(matches!(put(&view, "a", r#"{"v":2}"#), Err(Error::Unavailable(_))));
        assert!(matches!(put_plain(&view, "a", None), Err(Error::Unavailable(_))));
        assert_eq!(latest(&view, "a", Places::Both), Some((1, r#"{"v":1}"#.to_owned())));
    }

    #[test]
    fn all_secrets_are_converted_by_and_by() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        let paths = ["a", "a/b", "a/b/c", "a/b/d", "e/f/g/h", "z"];
        for path in paths {
            put(&view, path, r#"{"v":1}"#).unwrap();
        }
        write(&view, "b", Places::Both, "{}").unwrap();
        assert_eq!(
            list(&view, "", Places::Both, &Page { after: "", limit: 9, deep: false }).unwrap(),
            ["a", "a/", "b", "e/", "z"]
        );
        assert_eq!(list(&view, "", Places::Both, &Page { after: "a", limit: 2, deep: false }).unwrap(), ["a/", "b"]);
        assert_eq!(list(&view, "a/", Places::Both, &Page { after: "", limit: 9, deep: false }).unwrap(), ["b", "b/"]);
        let mut converted = Vec::new();
        loop {
            let some = unconverted(&view, 2).unwrap();
            assert!(some.len() <= 2);
            if some.is_empty() {
                break;
            }
            for path in &some {
                change(&view, path, Places::Both, |_, _| Ok(())).unwrap();
            }
            converted.extend(some);
        }
        converted.sort_unstable();
        assert_eq!(converted, paths);
        assert_eq!(
            list(&view, "", Places::Entries, &Page { after: "", limit: 9, deep: false }).unwrap(),
            ["a", "a/", "b", "e/", "z"]
        );
    }

    #[test]
    fn a_change_that_was_outrun_is_made_again() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        for places in [Places::Entries, Places::Both] {
            put(&view, "a", "{}").unwrap();
            let mut tries = 0;
            let written = change(&view, "a", places, |entry, versions| {
                tries += 1;
                if tries == 1 {
                    write(&view, "a", places, r#"{"by":"the other"}"#)?;
                }
                add(entry, versions, r#"{"by":"this"}"#)
            });
            let number = written.unwrap();
            assert_eq!((tries, latest(&view, "a", places)), (2, Some((number, r#"{"by":"this"}"#.to_owned()))));
        }
    }

    #[test]
    fn a_change_that_is_always_outrun_is_given_up() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        let written = change(&view, "a", Places::Entries, |entry, versions| {
            write(&view, "a", Places::Entries, "{}")?;
            add(entry, versions, "{}")
        });
        assert!(matches!(written, Err(Error::Unavailable(_))));
        let others = u64::try_from(ATTEMPTS_MAX).unwrap();
        assert_eq!(latest(&view, "a", Places::Entries), Some((others, "{}".to_owned())));
    }
}
