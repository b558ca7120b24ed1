//! The conformance suite that every store passes, and beside it what only stores with files, or one engine, must do.

mod commit;
mod directory;
mod sled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{env, fs, process, thread};

use proptest::prelude::*;

use super::pieces::PIECE_BYTES;
use super::{Batch, Engine, Error, KEY_BYTES_MAX, Memory, Store, VALUE_BYTES_MAX};

macro_rules! every_store {
    ($($case:ident)*) => {
        mod on_memory { $(#[test] fn $case() { super::$case(&super::Memory::new()); })* }
        mod on_sled { $(#[test] fn $case() { super::in_place(super::Engine::Sled, super::$case); })* }
        mod on_redb { $(#[test] fn $case() { super::in_place(super::Engine::Redb, super::$case); })* }
    };
}

every_store! {
    keys_come_in_bytewise_order
    a_listing_starts_after_a_key_and_ends_with_the_prefix
    a_batch_happens_whole_or_not_at_all
    expectations_look_at_the_state_before_the_batch
    of_all_who_compare_and_set_exactly_one_wins
    values_of_every_size_come_back
    what_is_too_large_is_refused
    listings_see_batches_whole
    a_walk_sees_one_point_in_time
    a_walk_sees_what_is_overwritten_ahead_of_it
    an_error_of_the_visitor_ends_the_walk
    behaves_like_an_ordered_map
}

fn keys_come_in_bytewise_order(store: &dyn Store) {
    let keys: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"a/b", b"aa", b"\xff", b"\xff\xff"];
    for key in keys.iter().rev() {
        store.commit(Batch::new().put(*key, *key)).unwrap();
    }
    assert_eq!(list(store, b"", None, usize::MAX), keys);
    assert_eq!(list(store, b"a", None, usize::MAX), keys[2..6]);
    assert_eq!(list(store, b"\xff", None, usize::MAX), keys[6..]);
    assert_eq!(walked(store).keys().collect::<Vec<_>>(), keys);
}

fn a_listing_starts_after_a_key_and_ends_with_the_prefix(store: &dyn Store) {
    let batch = ["a", "b/1", "b/2", "b/4", "c"].into_iter().fold(Batch::new(), |batch, key| batch.put(key, "v"));
    store.commit(batch).unwrap();
    let check = |prefix: &str, after: Option<&str>, limit, expected: &[&str]| {
        let found = list(store, prefix.as_bytes(), after.map(str::as_bytes), limit);
        let expected: Vec<_> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(found, expected, "prefix {prefix:?} after {after:?} limit {limit}");
    };
    check("b/", None, 10, &["b/1", "b/2", "b/4"]);
    check("b/", None, 2, &["b/1", "b/2"]);
    check("b/", None, 0, &[]);
    check("b/", Some("b/1"), 10, &["b/2", "b/4"]);
    check("b/", Some("b/3"), 10, &["b/4"]);
    check("b/", Some("b/4"), 10, &[]);
    check("b/", Some("a"), 10, &["b/1", "b/2", "b/4"]);
    check("b/", Some("c"), 10, &[]);
    check("b/", Some("b/"), 1, &["b/1"]);
    check("", Some("b/4"), 10, &["c"]);
    check("d", None, 10, &[]);
}

fn a_batch_happens_whole_or_not_at_all(store: &dyn Store) {
    store.commit(Batch::new().put("a", "1").put("b", "1")).unwrap();
    let refused = [
        Batch::new().put("a", "2").delete("b").put("c", "2").expect_absent("a"),
        Batch::new().put("a", "2").delete("b").put("c", "2").expect_value("a", "0"),
        Batch::new().put("a", "2").delete("b").put("c", "2").expect_value("a", "1").expect_value("c", "1"),
    ];
    for batch in refused {
        assert!(matches!(store.commit(batch), Err(Error::Conflict)));
        assert_eq!(walked(store), pairs(&[("a", "1"), ("b", "1")]));
    }
    store
        .commit(Batch::new().put("a", "2").delete("b").put("c", "2").expect_value("a", "1").expect_absent("c"))
        .unwrap();
    assert_eq!(walked(store), pairs(&[("a", "2"), ("c", "2")]));
}

fn expectations_look_at_the_state_before_the_batch(store: &dyn Store) {
    let batch =
        Batch::new().put("a", "1").expect_absent("a").put("a", "2").delete("b").put("b", "3").put("c", "4").delete("c");
    store.commit(batch).unwrap();
    assert_eq!(walked(store), pairs(&[("a", "2"), ("b", "3")]));
    store.commit(Batch::new().expect_value("a", "2")).unwrap();
    assert!(matches!(store.commit(Batch::new().expect_absent("a")), Err(Error::Conflict)));
}

fn of_all_who_compare_and_set_exactly_one_wins(store: &dyn Store) {
    for round in 0..50_u8 {
        let winners = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let batch = match round {
                        0 => Batch::new().expect_absent("leader"),
                        _ => Batch::new().expect_value("leader", [round - 1]),
                    };
                    match store.commit(batch.put("leader", [round])) {
                        Ok(_) => _ = winners.fetch_add(1, Ordering::Relaxed),
                        Err(error) => assert!(matches!(error, Error::Conflict)),
                    }
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
        assert_eq!(get(store, "leader"), Some(vec![round]));
    }
}

fn values_of_every_size_come_back(store: &dyn Store) {
    let sizes = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 5 * PIECE_BYTES + 7, 32 << 20];
    for (index, &bytes) in sizes.iter().enumerate() {
        store.commit(Batch::new().put([b'k', u8::try_from(index).unwrap()], noise(bytes))).unwrap();
    }
    // Each is then replaced by the next, larger or smaller, and expected as a whole on the way.
    for (index, &bytes) in sizes.iter().enumerate() {
        let key = [b'k', u8::try_from(index).unwrap()];
        let next = sizes[(index + 3) % sizes.len()];
        let seq = store.commit(Batch::new().expect_value(key, noise(bytes)).put(key, noise(next))).unwrap();
        store.durable(seq).wait();
        assert!(store.get(&key).unwrap().value == Some(noise(next)), "{next} bytes over {bytes}");
    }
    assert_eq!(list(store, b"", None, usize::MAX).len(), sizes.len());
    assert_eq!(walked(store).len(), sizes.len());
    let all = list(store, b"", None, usize::MAX);
    store.commit(all.into_iter().fold(Batch::new(), Batch::delete)).unwrap();
    assert_eq!(walked(store).len(), 0);
}

fn what_is_too_large_is_refused(store: &dyn Store) {
    let key = vec![b'k'; KEY_BYTES_MAX];
    store.commit(Batch::new().put(key.clone(), "v")).unwrap();
    assert_eq!(store.get(&key).unwrap().value.as_deref(), Some(&b"v"[..]));
    let refused = [
        Batch::new().put("a", "1").put(vec![b'k'; KEY_BYTES_MAX + 1], "v"),
        Batch::new().put("a", "1").delete(vec![b'k'; KEY_BYTES_MAX + 1]),
        Batch::new().put("a", "1").put("k", vec![0; VALUE_BYTES_MAX + 1]),
        Batch::new().put("a", vec![0; VALUE_BYTES_MAX]).put("b", vec![0; VALUE_BYTES_MAX]),
    ];
    for batch in refused {
        assert!(matches!(store.commit(batch), Err(Error::TooLarge { .. })));
    }
    assert_eq!(list(store, b"", None, usize::MAX), [key]);
}

fn listings_see_batches_whole(store: &dyn Store) {
    const KEYS: usize = 1000;
    let key = |generation: usize, index: usize| format!("{index:04}/{generation}").into_bytes();
    let generation = |generation: usize| (0..KEYS).map(move |index| key(generation, index));
    store.commit(generation(0).fold(Batch::new(), |batch, key| batch.put(key, "v"))).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for now in 1..50 {
                let batch = generation(now - 1).fold(Batch::new(), Batch::delete);
                store.commit(generation(now).fold(batch, |batch, key| batch.put(key, "v"))).unwrap();
            }
        });
        while !writer.is_finished() {
            let keys = list_all(store);
            assert_eq!(keys.len(), KEYS);
            assert!(keys.iter().all(|key| key[4..] == keys[0][4..]), "two generations in one listing");
        }
    });
}

/// Writers move money between accounts and accounts between names; every walk must find all of both.
fn a_walk_sees_one_point_in_time(store: &dyn Store) {
    const ACCOUNTS: u64 = 700;
    let account = |index: u64| format!("account/{index:04}");
    let amount = |key: &str| get(store, key).map(|value| u64::from_be_bytes(value.try_into().unwrap()));
    let put = |batch: Batch, key: String, amount: u64| batch.put(key, amount.to_be_bytes());
    store.commit((0..ACCOUNTS).fold(Batch::new(), |batch, index| put(batch, account(2 * index), 100))).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = 1_u64;
            while !done.load(Ordering::Acquire) {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (from, to) = (account((dice >> 33) % (2 * ACCOUNTS)), account((dice >> 13) % (2 * ACCOUNTS)));
                let batch = match (amount(&from), amount(&to)) {
                    (Some(some), Some(more)) if from != to && some > 0 => {
                        put(put(Batch::new(), from, some - 1), to, more + 1)
                    }
                    (Some(all), None) => put(Batch::new().delete(from), to, all),
                    _ => continue,
                };
                store.commit(batch).unwrap();
            }
        });
        let walks: Vec<_> = (0..20).map(|_| walked(store)).collect();
        done.store(true, Ordering::Release);
        for all in walks {
            let sum: u64 = all.values().map(|value| u64::from_be_bytes(value.as_slice().try_into().unwrap())).sum();
            assert_eq!((all.len() as u64, sum), (ACCOUNTS, 100 * ACCOUNTS));
        }
    });
}

fn a_walk_sees_what_is_overwritten_ahead_of_it(store: &dyn Store) {
    let before: BTreeMap<_, _> = (0..1000_u32).map(|index| (format!("{index:04}").into_bytes(), noise(100))).collect();
    let long = noise(3 * PIECE_BYTES);
    let filled = before.iter().fold(Batch::new(), |batch, (key, value)| batch.put(key.clone(), value.clone()));
    store.commit(filled.put("long", long.clone())).unwrap();

    let mut seen = BTreeMap::new();
    let mut visits = 0;
    let visit = &mut |key: &[u8], value: &[u8]| {
        if visits == 0 {
            let batch = before.keys().fold(Batch::new(), |batch, key| batch.delete(key.clone()));
            store.commit(batch.put("long", "short now").put("0000/new", "1").put("new", "1")).unwrap();
            store.commit(Batch::new().put("0500", "back").delete("long")).unwrap();
        }
        visits += 1;
        seen.insert(key.to_vec(), value.to_vec());
        Ok(())
    };
    store.walk(visit).unwrap();
    assert_eq!(visits, 1001);
    assert!(seen.remove(&b"long"[..]) == Some(long));
    assert!(seen == before);
    assert_eq!(list(store, b"", None, usize::MAX), [&b"0000/new"[..], b"0500", b"new"]);
}

fn an_error_of_the_visitor_ends_the_walk(store: &dyn Store) {
    store.commit(Batch::new().put("a", "").put("b", "").put("c", "")).unwrap();
    let mut visits = 0;
    let outcome = store.walk(&mut |key, _| {
        visits += 1;
        if key == b"b" { Err(Error::Engine("enough".into())) } else { Ok(()) }
    });
    assert!(matches!(outcome, Err(Error::Engine(text)) if text == "enough"));
    assert_eq!(visits, 2);
}

#[derive(Clone, Debug)]
enum Step {
    Commit { changes: Vec<(Vec<u8>, Option<usize>)>, expectation: Option<(Vec<u8>, Option<usize>)> },
    List { prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
}

fn behaves_like_an_ordered_map(store: &dyn Store) {
    let key = || prop::collection::vec(prop::sample::select(vec![0, 1, b'k', 0xff]), 0..3);
    let value = || prop::option::of(prop_oneof![4 => 0..100_usize, 1 => PIECE_BYTES - 2..3 * PIECE_BYTES]);
    let changes = prop::collection::vec((key(), value()), 0..5);
    let commit = (changes, prop::option::weighted(0.3, (key(), value())));
    let list = (key(), prop::option::of(key()), 0..6_usize);
    let step = prop_oneof![
        2 => commit.prop_map(|(changes, expectation)| Step::Commit { changes, expectation }),
        1 => list.prop_map(|(prefix, after, limit)| Step::List { prefix, after, limit }),
    ];
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step, 1..40))| {
        store.commit(list_all(store).into_iter().fold(Batch::new(), Batch::delete)).unwrap();
        let mut model = BTreeMap::new();
        for step in steps {
            take(store, &mut model, step)?;
        }
        prop_assert!(walked(store) == model);
    });
}

fn take(store: &dyn Store, model: &mut BTreeMap<Vec<u8>, Vec<u8>>, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Commit { changes, expectation } => {
            let mut batch = Batch::new();
            let holds = expectation.is_none_or(|(key, bytes)| {
                let value = bytes.map(noise);
                let holds = model.get(&key) == value.as_ref();
                batch = match value {
                    Some(value) => batch.clone().expect_value(key, value),
                    None => batch.clone().expect_absent(key),
                };
                holds
            });
            for (key, bytes) in &changes {
                batch = match bytes {
                    Some(bytes) => batch.put(key.clone(), noise(*bytes)),
                    None => batch.delete(key.clone()),
                };
            }
            prop_assert_eq!(store.commit(batch).is_ok(), holds);
            for (key, bytes) in changes.into_iter().filter(|_| holds) {
                match bytes {
                    Some(bytes) => model.insert(key, noise(bytes)),
                    None => model.remove(&key),
                };
            }
        }
        Step::List { prefix, after, limit } => {
            let within = |key: &&Vec<u8>| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after);
            let expected: Vec<_> = model.keys().filter(within).take(limit).cloned().collect();
            prop_assert_eq!(list(store, &prefix, after.as_deref(), limit), expected);
        }
    }
    Ok(())
}

fn in_place(engine: Engine, case: impl Fn(&dyn Store)) {
    let place = Place::new();
    case(&*place.open(engine));
}

/// A directory for one test, removed with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("coffer-storage-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(env::temp_dir().join(name))
    }

    /// Where the store is; nothing is there until it is opened.
    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    fn open(&self, engine: Engine) -> Arc<dyn Store> {
        open(engine, &self.store()).unwrap()
    }

    /// The store as sled sees it.
    fn open_raw(&self) -> ::sled::Db {
        let config = ::sled::Config::new().path(self.store().join("data")).segment_size(8 << 20);
        // A thread of the sled that was just closed may hold its lock for a moment more.
        for _ in 0..1000 {
            let _no_forks = FORKS.lock();
            if let Ok(db) = config.open() {
                return db;
            }
            thread::yield_now();
        }
        config.open().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(engine: Engine, dir: &Path) -> Result<Arc<dyn Store>, Error> {
    let _no_forks = FORKS.lock();
    super::open(engine, dir)
}

/// Held while a store is opened and while a process is started: until that has replaced itself with its program, it holds
/// a copy of every descriptor here, and with it the locks of stores that are closed.
static FORKS: Mutex<()> = Mutex::new(());

fn get(store: &dyn Store, key: &str) -> Option<Vec<u8>> {
    store.get(key.as_bytes()).unwrap().value
}

fn list(store: &dyn Store, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
    store.list(prefix, after, limit).unwrap().keys
}

fn list_all(store: &dyn Store) -> Vec<Vec<u8>> {
    list(store, b"", None, usize::MAX)
}

fn walked(store: &dyn Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut pairs = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        assert!(pairs.last_key_value().is_none_or(|(last, _)| last.as_slice() < key), "walks are in key order");
        pairs.insert(key.to_vec(), value.to_vec());
        Ok(())
    };
    store.walk(visit).unwrap();
    pairs
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// Bytes in which no piece looks like another, nor like any of a value of another length.
fn noise(bytes: usize) -> Vec<u8> {
    const PERIOD: usize = 99_991; // A prime, so that no two pieces begin at the same place in it.
    let mut state = bytes as u64 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let mut noise = std::iter::repeat_with(next).take(bytes.min(PERIOD)).collect::<Vec<_>>();
    noise = noise.repeat(bytes.div_ceil(PERIOD));
    noise.truncate(bytes);
    noise
}

/// Runs the test `name` of the module `path` again, in a process of its own with `umask`, where `CHILD` names `dir`.
fn run_again(path: &str, name: &str, umask: &str, dir: &Path) -> process::Output {
    let (_, path) = path.split_once("::").unwrap();
    let child = {
        let _no_opens = FORKS.lock();
        process::Command::new("sh")
            .args(["-c", r#"umask "$1"; exec "$2" "$3" --exact --nocapture"#, "sh", umask])
            .arg(env::current_exe().unwrap())
            .arg(format!("{path}::{name}"))
            .env(CHILD, dir)
            .stdout(process::Stdio::piped())
            .stderr(process::Stdio::piped())
            .spawn()
    };
    child.unwrap().wait_with_output().unwrap()
}

/// The directory that a test was told to use by the process that runs it again.
#[allow(clippy::disallowed_methods, reason = "how a test speaks to its other process")]
fn told() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

const CHILD: &str = "COFFER_STORAGE_TEST";
