//! Secrets of both versions in a store in memory: where they are found, and what changes that meet leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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
    versions.add(entry, &mut text(json).into(), NOW, &Config::default())?;
    Ok(entry.current)
}

/// Number and data of the latest version, as a read finds them.
fn latest(view: &View<'_>, path: &str, places: Places) -> Option<(u64, String)> {
    let secret = load(view, path, places).unwrap()?;
    let data = secret.latest_data(NOW).unwrap_or_default();
    Some((secret.entry.current, String::from_utf8(data.to_vec()).unwrap()))
}

/// Data that are too long to be kept with the entry.
fn long(number: u64) -> String {
    format!(r#"{{"v":{number},"x":"{}"}}"#, "x".repeat(LATEST_BYTES_MAX))
}

fn short(number: u64) -> String {
    format!(r#"{{"v":{number}}}"#)
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
    assert_eq!((all(&view, PLAIN), all(&view, "version/")), (0, 0));
    assert_eq!(write(&view, "a", Places::Both, r#"{"v":2}"#).unwrap(), 2);
    assert_eq!(latest(&view, "a", Places::Both), Some((2, r#"{"v":2}"#.to_owned())));
    assert_eq!(all(&view, "version/"), 1);
    put(&view, "b", &long(1)).unwrap();
    change(&view, "b", Places::Both, |_, _| Ok(())).unwrap();
    assert_eq!(latest(&view, "b", Places::Entries), Some((1, long(1))));
    assert_eq!((all(&view, PLAIN), all(&view, "version/")), (0, 2));
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
        let patched = versions.patched(entry.as_ref().unwrap(), &text(r#"{"w":2}"#))?;
        Ok(patched.map(|patched| patched.data.as_bytes().to_vec()))
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
        list(&view, "", Places::Both, &Page { after: "", limit: 9, depth: Depth::One }).unwrap(),
        ["a", "a/", "b", "e/", "z"]
    );
    assert_eq!(list(&view, "", Places::Both, &Page { after: "a", limit: 2, depth: Depth::One }).unwrap(), ["a/", "b"]);
    assert_eq!(list(&view, "a/", Places::Both, &Page { after: "", limit: 9, depth: Depth::One }).unwrap(), ["b", "b/"]);
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
        list(&view, "", Places::Entries, &Page { after: "", limit: 9, depth: Depth::One }).unwrap(),
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

/// Every version that is kept, with its data.
fn kept(view: &View<'_>, path: &str) -> Vec<(u64, String)> {
    let Record { entry, latest } = view.get::<Record>(&entry_path(path)).unwrap().unwrap().value;
    let data = |number| match &latest {
        Some(data) if number == entry.current => data.copy(),
        _ => version(view, &entry, number).unwrap().unwrap().value,
    };
    let text = |number| String::from_utf8(data(number).as_bytes().to_vec()).unwrap();
    entry.numbered().map(|(number, _)| (number, text(number))).collect()
}

fn numbered(numbers: impl Iterator<Item = u64>) -> Vec<(u64, String)> {
    numbers.map(|number| (number, short(number))).collect()
}

#[test]
fn a_version_takes_the_slot_of_one_that_goes() {
    let check = |data: &dyn Fn(u64) -> String, slots: [usize; 2]| {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        for number in 1..=25_u64 {
            write(&view, "a", Places::Entries, &data(number)).unwrap();
            let first = number.saturating_sub(9).max(1);
            assert_eq!(kept(&view, "a"), (first..=number).map(|number| (number, data(number))).collect::<Vec<_>>());
            if number >= 24 {
                let records = view.scan("version/", "", usize::MAX).unwrap().len();
                assert_eq!(records, slots[usize::from(number == 25)], "{number}");
            }
        }
    };
    check(&short, [9, 9]);
    check(&long, [10, 10]);
    check(&|number| if number % 2 == 0 { long(number) } else { short(number) }, [10, 9]);
}

#[test]
fn data_of_null_are_data() {
    let (scope, horizon) = (scope(), Horizon::default());
    let view = scope.view(&horizon);
    write(&view, "a", Places::Entries, "null").unwrap();
    write(&view, "a", Places::Entries, "null").unwrap();
    assert_eq!(latest(&view, "a", Places::Entries), Some((2, "null".to_owned())));
    assert_eq!(kept(&view, "a").len(), 2);
}

#[test]
fn destroyed_data_are_gone_wherever_they_were() {
    let (scope, horizon) = (scope(), Horizon::default());
    let view = scope.view(&horizon);
    for (path, data) in [("short", short(2)), ("long", long(2))] {
        write(&view, path, Places::Entries, &short(1)).unwrap();
        write(&view, path, Places::Entries, &data).unwrap();
        change(&view, path, Places::Entries, |entry, versions| {
            let entry = entry.as_mut().unwrap();
            let destroyed = entry.destroy(&[2]);
            versions.delete(entry, destroyed);
            Ok(())
        })
        .unwrap();
        assert!(view.get::<Record>(&entry_path(path)).unwrap().unwrap().value.latest.is_none(), "{path}");
        assert_eq!(latest(&view, path, Places::Entries), Some((2, String::new())));
    }
    assert_eq!(view.scan("version/", "", usize::MAX).unwrap().len(), 2, "the first of each");
    for path in ["short", "long"] {
        assert_eq!(write(&view, path, Places::Entries, &short(3)).unwrap(), 3);
        change(&view, path, Places::Entries, |entry, versions| {
            let entry = entry.take().unwrap();
            versions.delete(&entry, entry.numbered().map(|(number, _)| number));
            Ok(())
        })
        .unwrap();
    }
    assert!(view.scan("", "", usize::MAX).unwrap().is_empty());
}

/// An entry as it was kept before data could be with it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct EntryAlone(Entry);

impl Stored for EntryAlone {
    const VERSION: u8 = 1;
}

#[test]
fn an_entry_without_data_has_them_in_a_slot() {
    let (scope, horizon) = (scope(), Horizon::default());
    let view = scope.view(&horizon);
    let mut entry = Entry::new(NOW);
    let mut change = view.change();
    for (number, data) in numbered(1..=10) {
        assert!(entry.add_version(NOW, &Config::default()).is_empty());
        change.put(&slot_path(&entry, number), &Data { number: Some(number), data: text(&data) }).unwrap();
    }
    change.put(&entry_path("a"), &EntryAlone(entry)).unwrap();
    change.commit().unwrap();
    assert_eq!(latest(&view, "a", Places::Entries), Some((10, short(10))));
    for latest in 10..15 {
        assert_eq!(kept(&view, "a"), numbered(latest - 9..=latest));
        write(&view, "a", Places::Entries, &short(latest + 1)).unwrap();
    }
    assert_eq!(view.scan("version/", "", usize::MAX).unwrap().len(), 9);
}

/// The data of a version as they were kept before they had a number.
#[derive(Serialize, Deserialize)]
struct FirstForm(Text);

impl Stored for FirstForm {
    const VERSION: u8 = 1;
}

#[test]
fn data_without_a_number_are_of_the_version_that_their_slot_names() {
    let (scope, horizon) = (scope(), Horizon::default());
    let view = scope.view(&horizon);
    change(&view, "a", Places::Entries, |entry, versions| {
        let entry = entry.get_or_insert_with(|| Entry::new(NOW));
        for (number, data) in numbered(1..=10) {
            assert!(entry.add_version(NOW, &Config::default()).is_empty());
            versions.change.put(&slot_path(entry, number), &FirstForm(text(&data)))?;
        }
        Ok(())
    })
    .unwrap();
    for latest in 10..15 {
        assert_eq!(kept(&view, "a"), numbered(latest - 9..=latest));
        write(&view, "a", Places::Entries, &format!(r#"{{"v":{}}}"#, latest + 1)).unwrap();
    }
    assert_eq!(kept(&view, "a"), numbered(6..=15));
}

/// Whoever can write to the store cannot have one version pass for another, though both had the same slot.
#[test]
fn data_of_another_version_are_not_served() {
    let (scope, horizon) = (scope(), Horizon::default());
    let view = scope.view(&horizon);
    for number in 1..=11 {
        write(&view, "a", Places::Entries, &long(number)).unwrap();
    }
    let entry = view.get::<Record>(&entry_path("a")).unwrap().unwrap().value.entry;
    let check = |number: Option<u64>, expected: bool| {
        let mut change = view.change();
        change.put(&slot_path(&entry, entry.slot(11)), &Data { number, data: text("{}") }).unwrap();
        change.commit().unwrap();
        assert_eq!(version(&view, &entry, 11).unwrap().is_some(), expected, "{number:?}");
        assert_eq!(load(&view, "a", Places::Entries).is_ok(), expected, "{number:?}");
    };
    check(Some(11), true);
    check(Some(1), false);
    check(Some(21), false);
    check(None, false);
}

/// Readers who come between the two looks of others find a version with its own data, and find it in the end.
#[test]
fn readers_and_writers_of_one_slot_do_not_mix_versions() {
    const WRITES: u64 = 2_000;
    let scope = scope();
    let only_one = Config { max_versions: 1, ..Config::default() };
    let add_numbered = |entry: &mut Option<Entry>, versions: &mut Versions<'_>| {
        let entry = entry.get_or_insert_with(|| Entry::new(NOW));
        versions.add(entry, &mut text(&long(entry.current + 1)).into(), NOW, &only_one)?;
        Ok(entry.current)
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        let readers = [(); 2].map(|()| {
            threads.spawn(|| {
                let horizon = Horizon::default();
                let mut seen = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let secret = match load(&scope.view(&horizon), "a", Places::Entries) {
                        Ok(Some(secret)) => secret,
                        // Outrun a hundred times: nobody else writes as fast as two threads that do nothing else.
                        Ok(None) | Err(Error::Unavailable(_)) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let data = String::from_utf8(secret.latest_data(NOW).unwrap_or_default().to_vec()).unwrap();
                    let number = secret.entry.current;
                    assert!(number >= seen && data == long(number), "{number}: {data}");
                    seen = number;
                }
            })
        });
        let write = || {
            let horizon = Horizon::default();
            for _ in 0..WRITES {
                while let Err(error) = change(&scope.view(&horizon), "a", Places::Entries, add_numbered) {
                    assert!(matches!(error, Error::Unavailable(_)), "{error}");
                }
            }
        };
        let writers = [(); 2].map(|()| threads.spawn(write));
        let written = writers.map(|writer| writer.join().is_ok());
        is_over.store(true, Ordering::SeqCst);
        assert!(written == [true; 2] && readers.map(|reader| reader.join().is_ok()) == [true; 2]);
    });
    let horizon = Horizon::default();
    assert_eq!(latest(&scope.view(&horizon), "a", Places::Entries).unwrap().0, 2 * WRITES);
    assert_eq!(scope.view(&horizon).scan("version/", "", usize::MAX).unwrap().len(), 1);
}
