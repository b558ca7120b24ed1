//! How terms come and go: counted, replaced in time, and never lost, whatever fails in between.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// Keeps every state that it was ever in, and fails on demand.
#[derive(Default)]
struct Watched {
    inner: Memory,
    states: Mutex<Vec<Pairs>>,
    broken: AtomicBool,
    /// A key that is deleted as soon as somebody has read it.
    fleeting: Mutex<Option<String>>,
}

impl Store for Watched {
    fn get(&self, key: &[u8]) -> Result<Read, storage::Error> {
        let read = self.inner.get(key);
        if let Some(key) = self.fleeting.lock().unwrap().take_if(|fleeting| fleeting.as_bytes() == key) {
            self.inner.commit(Batch::new().delete(key))?;
        }
        read
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, storage::Error> {
        self.inner.list(prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Seq, storage::Error> {
        if self.broken.load(Ordering::Acquire) {
            return Err(storage::Error::Engine("the disk is full".to_owned()));
        }
        let mut states = self.states.lock().unwrap();
        let seq = self.inner.commit(batch)?;
        states.push(dump(&self.inner));
        Ok(seq)
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

fn sealed(store: &Arc<Watched>, uses_max: u64, uses_step: u64) -> Sealed {
    Sealed { limits: Limits { uses_max, uses_step }, ..Sealed::new(store.clone()) }
}

fn term_of(path: &str, record: &[u8]) -> u32 {
    record::split(path, record).unwrap().0
}

/// How often each term was used for the records below `prefix` of all states together.
fn uses(store: &Watched, prefix: &str) -> HashMap<u32, u64> {
    let states = store.states.lock().unwrap();
    let records = states.iter().flat_map(|pairs| pairs.iter().filter(|(key, _)| key.starts_with(prefix)));
    let distinct: HashSet<_> = records.collect();
    let mut uses = HashMap::new();
    for (key, record) in distinct {
        *uses.entry(term_of(key, record)).or_default() += 1;
    }
    uses
}

#[test]
fn old_and_new_terms_coexist() {
    let store = Arc::new(Watched::default());
    let barrier = sealed(&store, 3, 1).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    for number in 0..20 {
        put(&scope, &format!("{number:02}"), "text").unwrap();
    }
    let used = uses(&store, &scope_prefix(ONE));
    assert!(used.len() >= 7, "20 records need 7 terms of 3 uses: {used:?}");
    assert!(used.values().all(|uses| *uses <= 3), "{used:?}");
    read_everything(&dump(&*store)).unwrap();
}

#[test]
fn a_record_that_claims_another_term_does_not_open() {
    let store = Arc::new(Watched::default());
    let barrier = sealed(&store, 2, 1).initialise(&root(), Vec::new()).unwrap();
    for number in 0..5 {
        put(&barrier.platform(), &number.to_string(), "text").unwrap();
    }
    let good = dump(&*store);
    let (oldest, newest) = (term_of("", &good["platform/0"]), term_of("", &good["platform/4"]));
    assert!(oldest < newest);
    let mut altered = good.clone();
    altered.get_mut("platform/0").unwrap()[1..5].copy_from_slice(&newest.to_be_bytes());
    assert_refused(&altered, "platform/0", "the newest term");
}

#[test]
fn the_count_survives_reopening_and_never_falls() {
    let check = |sessions: usize, writes: usize| {
        const USES_MAX: u64 = 100;
        const USES_STEP: u64 = 10;
        let store = Arc::new(Watched::default());
        sealed(&store, USES_MAX, USES_STEP).initialise(&root(), Vec::new()).unwrap();
        for session in 0..sessions {
            let platform = sealed(&store, USES_MAX, USES_STEP).unseal(&root()).unwrap().platform();
            for write in 0..writes {
                put(&platform, &format!("{session}-{write}"), "text").unwrap();
            }
        }
        let used = uses(&store, PLATFORM_PREFIX);
        assert!(used.values().all(|uses| *uses <= USES_MAX), "{sessions} times {writes} writes: {used:?}");
        read_everything(&dump(&*store)).unwrap();
        used.len()
    };
    // A session wastes about a step and no more.
    assert_eq!(check(8, 1), 1);
    assert_eq!(check(12, 1), 2);
    assert_eq!(check(1, 75), 1);
    assert_eq!(check(1, 101), 2);
    assert!(check(3, 95) >= 3);
    assert!(check(20, 17) >= 4);
}

#[test]
fn what_could_not_be_written_is_not_used() {
    let store = Arc::new(Watched::default());
    let barrier = sealed(&store, 4, 2).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    for round in 0..12 {
        // Fails at another point of the terms' lives each time.
        store.broken.store(true, Ordering::Release);
        for attempt in 0..round {
            assert!(put(&scope, &format!("{round}-{attempt}"), "text").is_err());
        }
        store.broken.store(false, Ordering::Release);
        put(&scope, &format!("{round}"), "text").unwrap();
        read_everything(&dump(&*store)).unwrap();
    }
    assert!(uses(&store, &scope_prefix(ONE)).len() > 2);
}

#[test]
fn a_deleted_keyring_is_not_written_again() {
    let store = Arc::new(Watched::default());
    let barrier = sealed(&store, 4, 2).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    delete_scope(&barrier, ONE);
    let outcomes: Vec<_> = (0..6).map(|number| put(&scope, &number.to_string(), "text").is_ok()).collect();
    assert!(outcomes.contains(&false), "at the latest when its count is due");
    assert!(!dump(&*store).contains_key(&keyring_key(ONE)));

    // The same, deleted in the middle of a change of its count.
    let scope = create_scope(&barrier, TWO);
    *store.fleeting.lock().unwrap() = Some(keyring_key(TWO));
    let outcomes: Vec<_> = (0..6).map(|number| put(&scope, &number.to_string(), "text")).collect();
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Conflict))));
    assert!(!dump(&*store).contains_key(&keyring_key(TWO)));
}

/// The invariant that everything else rests on: a crash at any instant leaves records that open, all of them.
#[test]
fn every_record_opens_at_every_instant_while_threads_roll_terms_over() {
    let store = Arc::new(Watched::default());
    let barrier = sealed(&store, 7, 3).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    thread::scope(|threads| {
        for thread in 0..8 {
            let (scope, platform) = (&scope, barrier.platform());
            threads.spawn(move || {
                for number in 0..12 {
                    put(scope, &format!("{thread}-{number}"), "text").unwrap();
                    put(&platform, &format!("{thread}-{}", number % 3), "text").unwrap();
                }
            });
        }
    });
    for prefix in [scope_prefix(ONE).as_str(), PLATFORM_PREFIX] {
        let used = uses(&store, prefix);
        assert_eq!(used.values().sum::<u64>(), 96, "{prefix}");
        assert!(used.len() >= 14 && used.values().all(|uses| *uses <= 7), "{prefix}: {used:?}");
    }
    for state in store.states.lock().unwrap().iter() {
        read_everything(state).unwrap();
    }
}
