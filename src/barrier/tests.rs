//! What the barrier promises about records, views and scopes. How terms come and go is in `tests/terms.rs`,
//! how records get from one protector to another in `tests/migrate.rs`.

mod migrate;
mod terms;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::{env, fs, process};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::*;
use crate::crypto::record::RecordKey;
use crate::storage::{Engine, Listing, Memory, Read, Visit};

/// A stored type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note(String);

impl Stored for Note {
    const VERSION: u8 = 1;
}

/// The same under another version.
#[derive(Serialize, Deserialize)]
struct NewerNote(String);

impl Stored for NewerNote {
    const VERSION: u8 = 2;
}

type Pairs = BTreeMap<String, Vec<u8>>;

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

fn root() -> RootKey {
    Secret::new([0xa5; 32])
}

fn put(scope: &Scope, path: &str, text: &str) -> Result<Seq, Error> {
    let horizon = Horizon::default();
    let mut change = scope.view(&horizon).change();
    change.put(path, &Note(text.to_owned()))?;
    change.commit()
}

fn get(scope: &Scope, path: &str) -> Result<Option<String>, Error> {
    Ok(scope.view(&Horizon::default()).get::<Note>(path)?.map(|found| found.value.0))
}

fn create_scope(barrier: &Unsealed, id: Uuid) -> Scope {
    let (platform, horizon) = (barrier.platform(), Horizon::default());
    let mut change = platform.view(&horizon).change();
    let scope = barrier.create_scope(id, Protector::Platform, &mut change).unwrap();
    change.commit().unwrap();
    scope
}

fn delete_scope(barrier: &Unsealed, id: Uuid) {
    let (platform, horizon) = (barrier.platform(), Horizon::default());
    let mut change = platform.view(&horizon).change();
    Unsealed::delete_scope(id, &mut change).unwrap();
    change.commit().unwrap();
}

/// Everything that a store holds.
fn dump(store: &dyn Store) -> Pairs {
    let mut pairs = Pairs::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        pairs.insert(String::from_utf8(key.to_vec()).unwrap(), value.to_vec());
        Ok(())
    };
    store.walk(&mut visit).unwrap();
    pairs
}

fn store_of(pairs: &Pairs) -> Arc<dyn Store> {
    let store = Memory::new();
    let batch = pairs.iter().fold(Batch::new(), |batch, (key, value)| batch.put(key.as_str(), value.as_slice()));
    store.commit(batch).unwrap();
    Arc::new(store)
}

/// Opens a store with the root key, its scopes, and every record of theirs and of the platform.
fn read_everything(pairs: &Pairs) -> Result<(), Error> {
    let barrier = Sealed::new(store_of(pairs)).unseal(&root())?;
    let ids: Vec<Uuid> = pairs.keys().filter_map(|key| key.strip_prefix("keyring/")?.parse().ok()).collect();
    let mut scopes = vec![(PLATFORM_PREFIX.to_owned(), barrier.platform())];
    for id in ids {
        scopes.push((scope_prefix(id), barrier.open_scope(id, &|_| None)?));
    }
    for (prefix, scope) in scopes {
        for path in pairs.keys().filter_map(|key| key.strip_prefix(&prefix)) {
            get(&scope, path)?;
        }
    }
    Ok(())
}

/// A store with two scopes and some records.
fn sample() -> Pairs {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let barrier = Sealed::new(store.clone()).initialise(&root(), b"seal".to_vec()).unwrap();
    let (one, two) = (create_scope(&barrier, ONE), create_scope(&barrier, TWO));
    put(&barrier.platform(), "p", "platform").unwrap();
    put(&barrier.platform(), "q", "platform").unwrap();
    put(&one, "a", "first").unwrap();
    put(&one, "b", "second").unwrap();
    put(&two, "a", "first").unwrap();
    put(&two, "empty", "").unwrap();
    let pairs = dump(&*store);
    read_everything(&pairs).unwrap();
    pairs
}

/// The keys of all that is encrypted.
fn encrypted(pairs: &Pairs) -> impl Iterator<Item = &String> {
    pairs.keys().filter(|key| *key != SEAL_KEY)
}

/// Whether reading everything fails, and at this key.
fn assert_refused(pairs: &Pairs, key: &str, what: &str) {
    match read_everything(pairs) {
        Err(Error::Damaged { path, .. }) => assert_eq!(path, key, "{what}"),
        // Its key comes from outside: nobody can tell a wrong one from an altered record.
        Err(Error::WrongRootKey) => assert_eq!(key, PLATFORM_KEYRING_KEY, "{what}"),
        other => panic!("{what} of {key}: {other:?}"),
    }
}

#[test]
fn an_altered_record_does_not_open() {
    let good = sample();
    for key in encrypted(&good) {
        let mut altered = good.clone();
        for at in 0..good[key].len() {
            altered.insert(key.clone(), good[key][..at].to_vec());
            assert_refused(&altered, key, &format!("cut at {at}"));
            for bit in [0x01, 0x80] {
                let mut record = good[key].clone();
                record[at] ^= bit;
                altered.insert(key.clone(), record);
                assert_refused(&altered, key, &format!("flip of {bit:#x} at {at}"));
            }
        }
        let longer = [good[key].as_slice(), &[0]].concat();
        altered.insert(key.clone(), longer);
        assert_refused(&altered, key, "a byte more");
    }
}

#[test]
fn a_record_in_the_place_of_another_does_not_open() {
    let good = sample();
    for from in encrypted(&good) {
        for to in encrypted(&good).filter(|to| *to != from) {
            let mut moved = good.clone();
            moved.insert(to.clone(), good[from].clone());
            assert_refused(&moved, to, &format!("a copy of {from} in the place"));
        }
    }
}

#[test]
fn a_record_at_a_new_path_does_not_open() {
    let good = sample();
    let keyring = |id: Uuid| format!("keyring/{id}");
    let record = |id: Uuid, path: &str| format!("scope/{id}/{path}");
    let check = |from: String, to: String| {
        let mut moved = good.clone();
        let bytes = moved.remove(&from).unwrap();
        moved.insert(to.clone(), bytes);
        assert_refused(&moved, &to, &from);
    };
    check(record(ONE, "a"), record(ONE, "c"));
    check(record(ONE, "a"), record(TWO, "c"));
    check(record(ONE, "a"), "platform/a".to_owned());
    check("platform/p".to_owned(), record(ONE, "p"));
    check(keyring(ONE), keyring(Uuid::from_u128(3)));
}

#[test]
fn a_record_of_another_version_or_type_does_not_open() {
    let barrier = Sealed::new(store_of(&Pairs::new())).initialise(&root(), Vec::new()).unwrap();
    let (platform, horizon) = (barrier.platform(), Horizon::default());
    let view = platform.view(&horizon);
    let mut change = view.change();
    change.put("newer", &NewerNote("text".to_owned())).unwrap();
    change.put("note", &Note("text".to_owned())).unwrap();
    change.commit().unwrap();
    assert!(matches!(view.get::<Note>("newer"), Err(Error::Damaged { .. })));
    assert!(matches!(view.get::<StoredNumber>("note"), Err(Error::Damaged { .. })));
    assert_eq!(view.get::<Note>("note").unwrap().unwrap().value.0, "text");
    assert!(view.get::<Note>("none").unwrap().is_none());
}

#[derive(Serialize, Deserialize)]
struct StoredNumber(u64);

impl Stored for StoredNumber {
    const VERSION: u8 = 1;
}

#[test]
fn only_the_root_key_of_the_store_unseals_it() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let sealed = Sealed::new(store);
    assert!(matches!(sealed.unseal(&root()), Err(Error::WrongState(_))));
    assert_eq!(sealed.seal_record().unwrap(), None);
    sealed.initialise(&root(), b"seal".to_vec()).unwrap();
    assert_eq!(sealed.seal_record().unwrap().unwrap(), b"seal");
    assert!(matches!(sealed.initialise(&root(), b"other".to_vec()), Err(Error::WrongState(_))));
    assert_eq!(sealed.seal_record().unwrap().unwrap(), b"seal");
    assert!(matches!(sealed.unseal(&Secret::new([0xa4; 32])), Err(Error::WrongRootKey)));
    assert!(sealed.unseal(&root()).is_ok());
}

#[test]
fn the_store_shows_neither_plaintexts_nor_keys() {
    let pairs = sample();
    let mut secrets = vec![b"platform".to_vec(), b"first".to_vec(), b"second".to_vec(), root().expose().to_vec()];
    let platform = Keyring::open_platform(&root(), store_of(&pairs), Limits::DEFAULT).unwrap();
    for (key, record) in pairs.iter().filter(|(key, _)| key.contains("keyring")) {
        let plaintext = if key == PLATFORM_KEYRING_KEY {
            let (term, body) = record::split(key, record).unwrap();
            record::decrypt(&RecordKey::new(root().expose()), term, key, body).unwrap()
        } else {
            platform.decrypt(key, record).unwrap().unwrap()
        };
        let keyring: serde_json::Value = serde_json::from_slice(&plaintext[1..]).unwrap();
        let term_key = keyring["terms"][0]["protector"]["platform"]["key"].as_str().unwrap();
        secrets.push(BASE64_STANDARD.decode(term_key).unwrap());
    }
    assert_eq!(secrets.len(), 7, "three keyrings have a term each");
    let with_texts = secrets.iter().flat_map(|secret| [secret.clone(), BASE64_STANDARD.encode(secret).into_bytes()]);
    let contains = |bytes: &[u8], secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    for secret in with_texts {
        for (key, record) in &pairs {
            assert!(!contains(record, &secret), "a secret of {} bytes stands in {key}", secret.len());
        }
    }
}

#[test]
fn a_deleted_scope_never_opens_again() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let barrier = Sealed::new(store.clone()).initialise(&root(), Vec::new()).unwrap();
    let (one, two) = (create_scope(&barrier, ONE), create_scope(&barrier, TWO));
    for path in ["a", "b", "c"] {
        put(&one, path, "text").unwrap();
    }
    put(&two, "a", "text").unwrap();
    delete_scope(&barrier, ONE);

    let barrier = Sealed::new(store.clone()).unseal(&root()).unwrap();
    assert!(matches!(barrier.open_scope(ONE, &|_| None), Err(Error::Damaged { reason: "it is missing", .. })));
    let below = |id: Uuid| dump(&*store).keys().filter(|key| key.starts_with(&scope_prefix(id))).count();
    assert_eq!(below(ONE), 3, "the records are still there, and no key opens them");
    assert!(barrier.purge(ONE, 2).unwrap());
    assert_eq!(below(ONE), 1);
    assert!(!barrier.purge(ONE, 2).unwrap());
    assert_eq!((below(ONE), below(TWO)), (0, 1));
    assert_eq!(get(&barrier.open_scope(TWO, &|_| None).unwrap(), "a").unwrap().unwrap(), "text");
}

#[test]
fn a_change_happens_whole_or_not_at_all() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let platform = Sealed::new(store.clone()).initialise(&root(), Vec::new()).unwrap().platform();
    let horizon = Horizon::default();
    let view = platform.view(&horizon);
    put(&platform, "there", "old").unwrap();
    let found = view.get::<Note>("there").unwrap().unwrap();
    // The same text again is another writing of the record.
    put(&platform, "there", "old").unwrap();
    let current = view.get::<Note>("there").unwrap().unwrap();

    let check = |expect: &dyn Fn(&mut Change<'_>), expected: bool| {
        let before = dump(&*store);
        let mut change = view.change();
        change.put("new", &Note("new".to_owned())).unwrap().delete("there");
        expect(&mut change);
        match change.commit() {
            Ok(_) => assert!(expected),
            Err(Error::Conflict) => assert!(!expected),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(dump(&*store) != before, expected, "a conflict changes nothing");
    };
    check(&|change| _ = change.expect("there", &found.stamp), false);
    check(&|change| _ = change.expect("missing", &current.stamp), false);
    check(&|change| _ = change.expect_absent("there"), false);
    check(&|change| _ = change.expect_absent("new").expect("there", &found.stamp), false);
    check(&|change| _ = change.expect_absent("new").expect("there", &current.stamp), true);
    check(&|change| _ = change.expect_absent("new"), false);
    assert_eq!((get(&platform, "there").unwrap(), get(&platform, "new").unwrap()), (None, Some("new".to_owned())));
}

#[test]
fn lists_names_directly_below_a_prefix() {
    let barrier = Sealed::new(store_of(&Pairs::new())).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    let paths = [
        "k/a",
        "k/a/b",
        "k/a/c/d",
        "k/a-b",
        "k/b",
        "k/dir/x",
        "k/dir/y",
        "k/dir0",
        "k/é",
        "k/日本/1",
        "k/\u{10FFFF}",
        "k",
        "ka",
        "other",
    ];
    for path in paths {
        put(&scope, path, path).unwrap();
    }
    // Another scope's names are never seen.
    put(&create_scope(&barrier, TWO), "k/foreign", "").unwrap();
    let horizon = Horizon::default();
    let check = |prefix: &str, after: &str, limit: usize, expected: &[&str]| {
        let names = scope.view(&horizon).list(prefix, after, limit).unwrap();
        assert_eq!(names, expected, "{prefix:?} after {after:?}, {limit} at most");
    };
    let all = ["a", "a-b", "a/", "b", "dir/", "dir0", "é", "日本/", "\u{10FFFF}"];
    check("k/", "", usize::MAX, &all);
    check("k/", "", 0, &[]);
    for limit in 1..=all.len() {
        check("k/", "", limit, &all[..limit]);
        check("k/", all[limit - 1], usize::MAX, &all[limit..]);
        check("k/", all[limit - 1], 1, &all[limit..(limit + 1).min(all.len())]);
    }
    check("k/", "dir", usize::MAX, &all[4..]);
    check("k/", "c", 2, &["dir/", "dir0"]);
    check("k/a/", "", usize::MAX, &["b", "c/"]);
    check("", "", usize::MAX, &["k", "k/", "ka", "other"]);
    check("none/", "", usize::MAX, &[]);
}

#[test]
fn long_lists_are_read_in_pages() {
    let platform = Sealed::new(store_of(&Pairs::new())).initialise(&root(), Vec::new()).unwrap().platform();
    let horizon = Horizon::default();
    let mut change = platform.view(&horizon).change();
    // The first thousand keys, a whole page, are one name.
    for number in 0..1_100 {
        change.put(&format!("k/dir/{number:04}"), &Note(String::new())).unwrap();
    }
    let names: Vec<String> = (0..1_100).map(|number| format!("name{number:04}")).collect();
    for name in &names {
        change.put(&format!("k/{name}"), &Note(String::new())).unwrap();
    }
    change.commit().unwrap();
    let listed = platform.view(&horizon).list("k/", "", usize::MAX).unwrap();
    assert_eq!((listed[0].as_str(), &listed[1..]), ("dir/", names.as_slice()));
}

/// A store whose commits are never durable: all it says rests on the commit `seq`.
struct Unsettled {
    inner: Memory,
    seq: Seq,
}

impl Store for Unsettled {
    fn get(&self, key: &[u8]) -> Result<Read, storage::Error> {
        Ok(Read { seq: self.seq, ..self.inner.get(key)? })
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, storage::Error> {
        Ok(Listing { seq: self.seq, ..self.inner.list(prefix, after, limit)? })
    }

    fn commit(&self, batch: Batch) -> Result<Seq, storage::Error> {
        self.inner.commit(batch).map(|_| self.seq)
    }

    fn durable(&self, _: Seq) -> Durable {
        Durable::SETTLED
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), storage::Error> {
        self.inner.walk(visit)
    }

    fn size_on_disk(&self) -> Result<u64, storage::Error> {
        self.inner.size_on_disk()
    }
}

/// Two commits of a store with files: only such a one has any to wait for.
fn two_commits() -> (Seq, Seq) {
    let dir = env::temp_dir().join(format!("coffer-barrier-{}", process::id()));
    let store = storage::open(Engine::Sled, &dir).unwrap();
    let commit = |key: &str| store.commit(Batch::new().put(key, "")).unwrap();
    let commits = (commit("a"), commit("b"));
    store.durable(commits.1).wait();
    drop(store);
    fs::remove_dir_all(dir).unwrap();
    commits
}

#[test]
fn a_horizon_collects_what_an_answer_rests_on() {
    let (first, second) = two_commits();
    assert!(Seq::SETTLED < first && first < second);
    let store = Arc::new(Unsettled { inner: Memory::new(), seq: first });
    let platform = Sealed::new(store).initialise(&root(), Vec::new()).unwrap().platform();
    put(&platform, "there", "text").unwrap();
    let check = |expected: Seq, act: &dyn Fn(&View<'_>)| {
        let horizon = Horizon::default();
        act(&platform.view(&horizon));
        assert_eq!(horizon.seq(), expected);
    };
    check(Seq::SETTLED, &|_| {});
    check(Seq::SETTLED, &|view| drop(view.change().put("k", &Note(String::new())).map(drop)));
    check(first, &|view| assert_eq!(view.get::<Note>("there").unwrap().unwrap().seq, first));
    check(first, &|view| assert!(view.get::<Note>("absent").unwrap().is_none()));
    check(first, &|view| assert_eq!(view.list("", "", 10).unwrap(), ["there"]));
    check(first, &|view| assert_eq!(view.change().commit().unwrap(), first));
    check(second, &|view| view.wait_for(second));
    check(second, &|view| {
        view.wait_for(second);
        view.wait_for(first);
        view.list("", "", 10).unwrap();
    });
}

#[test]
fn nothing_is_committed_before_what_must_come_first() {
    let platform = Sealed::new(Arc::new(Memory::new())).initialise(&root(), Vec::new()).unwrap().platform();
    put(&platform, "there", "text").unwrap();
    let horizon = Horizon::default();
    let came = Rc::new(Cell::new(false));
    horizon.before_commits({
        let came = Rc::clone(&came);
        move || if came.get() { Ok(()) } else { Err(Error::Withheld("not yet")) }
    });
    let view = platform.view(&horizon);
    let delete = || {
        let mut change = view.change();
        change.delete("there");
        change.commit()
    };
    assert!(matches!(delete(), Err(Error::Withheld("not yet"))));
    assert!(matches!(view.purge("", 10), Err(Error::Withheld("not yet"))));
    assert_eq!(get(&platform, "there").unwrap().as_deref(), Some("text"));
    came.set(true);
    delete().unwrap();
    assert_eq!(get(&platform, "there").unwrap(), None);
}
