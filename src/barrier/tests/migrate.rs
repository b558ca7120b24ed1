//! Scopes under a customer's key: who opens them, and how their records get from one key to another.

use super::*;
use crate::storage::interrupted::Interrupted;

fn customer(number: u8, version: u32) -> Wrapper {
    let id = KeyVersion { name: "tenant".to_owned(), version };
    Wrapper::new(id, &[number; 32])
}

fn under(wrapper: &Wrapper) -> Protector {
    Protector::Customer(wrapper.clone())
}

/// A barrier with a scope that has some records.
fn sample() -> (Arc<dyn Store>, Unsealed, Scope) {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let barrier = Sealed::new(store.clone()).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    for path in PATHS {
        put(&scope, path, path).unwrap();
    }
    (store, barrier, scope)
}

/// Moves all records from the terms there are to one under another protector, in portions of one.
fn move_all(scope: &Scope, to: &Protector) {
    let newest = scope.protect(to).unwrap();
    let old = scope.terms().iter().map(|term| term.id).filter(|id| *id != newest).collect();
    assert!(scope.is_idle(&old));
    let (horizon, mut after) = (Horizon::default(), String::new());
    loop {
        let view = scope.view(&horizon);
        let mut change = view.change();
        let pass = view.reencrypt(&mut change, &old, &after, ONE_BY_ONE).unwrap();
        change.commit().unwrap();
        match pass.last {
            Some(last) if !pass.ended => after = last,
            _ => break,
        }
    }
    assert_eq!(named(scope), BTreeSet::from([newest]));
    scope.retire(&old).unwrap();
    assert_eq!(scope.terms().len(), 1);
}

/// The terms that records name.
fn named(scope: &Scope) -> BTreeSet<u32> {
    let (horizon, mut named) = (Horizon::default(), BTreeSet::new());
    let all = Portion { records_max: 100, bytes_max: 1 << 20 };
    let note = |term, _| {
        named.insert(term);
    };
    let pass = scope.view(&horizon).survey("", all, note).unwrap();
    assert!(pass.ended);
    named
}

fn is_locked<T>(outcome: Result<T, Error>, version: u32) -> bool {
    matches!(outcome, Err(Error::Locked { name, version: needed }) if name == "tenant" && needed == version)
}

/// Invariant 3: the root key and the whole store read nothing without the customer's key, and another one does not help.
#[test]
fn a_scope_opens_with_the_customers_key_only() {
    let (store, _, scope) = sample();
    let own = customer(1, 1);
    move_all(&scope, &under(&own));
    for keys in [None, Some(customer(2, 1)), Some(customer(1, 2))] {
        let barrier = Sealed::new(store.clone()).unseal(&root()).unwrap();
        let scope = barrier.open_scope(ONE, &|_| keys.clone()).unwrap();
        assert_eq!(scope.locked_by().as_ref(), Some(own.id()));
        for path in PATHS {
            assert!(is_locked(get(&scope, path), 1), "{path}");
        }
        assert!(is_locked(put(&scope, "new", ""), 1));
        assert!(is_locked(scope.rewrap(&Protector::Platform), 1));
        scope.unlock(&customer(3, 1)).unwrap();
        assert!(scope.locked_by().is_some(), "another key under the same name opens nothing");
        scope.unlock(&own).unwrap();
        assert!(scope.locked_by().is_none());
        for path in PATHS {
            assert_eq!(get(&scope, path).unwrap().unwrap(), path);
        }
    }
}

/// Invariant 1: a writer who has taken a term is waited for, or what he writes would not open.
#[test]
fn a_term_is_idle_when_the_last_who_writes_with_it_has_ended() {
    let (_, _, scope) = sample();
    let horizon = Horizon::default();
    let view = scope.view(&horizon);
    let mut late = view.change();
    late.put("late", &Note("late".to_owned())).unwrap();
    let mut given_up = view.change();
    given_up.put("never", &Note(String::new())).unwrap();
    scope.protect(&under(&customer(1, 1))).unwrap();
    let old = BTreeSet::from([1]);
    assert!(!scope.is_idle(&old));
    drop(given_up);
    assert!(!scope.is_idle(&old));
    late.commit().unwrap();
    assert!(scope.is_idle(&old));
    assert_eq!(named(&scope), old, "what he wrote names the old term, and is seen by a walk that begins now");
    put(&scope, "later", "").unwrap();
    assert_eq!(named(&scope), BTreeSet::from([1, 2]));
}

/// Whoever writes a record while it is moved wins, and the mover is told.
#[test]
fn a_record_that_was_written_meanwhile_is_not_overwritten() {
    let (_, _, scope) = sample();
    scope.protect(&under(&customer(1, 1))).unwrap();
    let horizon = Horizon::default();
    let view = scope.view(&horizon);
    let mut change = view.change();
    let pass = view.reencrypt(&mut change, &BTreeSet::from([1]), "", ONE_BY_ONE).unwrap();
    assert_eq!((pass.records, pass.found, pass.last.as_deref()), (1, 1, Some(PATHS[0])));
    put(&scope, PATHS[0], "newer").unwrap();
    assert!(matches!(change.commit(), Err(Error::Conflict)));
    assert_eq!(get(&scope, PATHS[0]).unwrap().unwrap(), "newer");
    let mut again = view.change();
    let pass = view.reencrypt(&mut again, &BTreeSet::from([1]), "", ONE_BY_ONE).unwrap();
    assert_eq!((pass.records, pass.found), (1, 0), "it names the new term already");
}

/// Invariant 4, below the API: what was open is not any more, and nothing new is made under the key.
/// A reader that sleeps from the reading of a record to its decryption misses a whole migration.
#[test]
fn a_read_that_a_migration_overtakes_begins_again() {
    let store = Arc::new(Interrupted::new("scope/"));
    let barrier = Sealed::new(store.clone()).initialise(&root(), Vec::new()).unwrap();
    let scope = create_scope(&barrier, ONE);
    put(&scope, "a", "text").unwrap();
    for to in [under(&customer(7, 1)), Protector::Platform] {
        let moved = scope.clone();
        store.interrupt(move || move_all(&moved, &to));
        assert_eq!(get(&scope, "a").unwrap().unwrap(), "text");
    }
    // A record whose term is gone for good is damaged, however often it is read.
    let old = store.get(format!("scope/{ONE}/a").as_bytes()).unwrap().value.unwrap();
    move_all(&scope, &Protector::Platform);
    store.commit(Batch::new().put(format!("scope/{ONE}/a"), old)).unwrap();
    assert!(matches!(get(&scope, "a"), Err(Error::Damaged { .. })));
}

#[test]
fn a_lock_wipes_what_was_open() {
    let (_, _, scope) = sample();
    let own = customer(1, 1);
    move_all(&scope, &under(&own));
    assert_eq!(scope.lock(&KeyVersion { name: "other".to_owned(), version: 1 }), 0);
    assert_eq!(scope.lock(own.id()), 1);
    assert!(is_locked(get(&scope, PATHS[0]), 1));
    assert!(is_locked(put(&scope, PATHS[0], ""), 1));
    assert_eq!(scope.lock(own.id()), 0);
    scope.unlock(&own).unwrap();
    assert_eq!(get(&scope, PATHS[0]).unwrap().unwrap(), PATHS[0]);
    put(&scope, PATHS[0], "again").unwrap();
}

#[test]
fn keys_follow_each_other_and_the_platform_gets_everything_back() {
    let (store, _, scope) = sample();
    let (first, second) = (customer(1, 1), customer(2, 2));
    move_all(&scope, &under(&first));
    let before = dump(&*store);
    scope.rewrap(&under(&second)).unwrap();
    let records = |pairs: &Pairs| pairs.iter().filter(|(key, _)| key.starts_with("scope/")).count();
    let changed = dump(&*store).iter().filter(|(key, value)| before.get(*key) != Some(value)).count();
    assert_eq!((records(&before), changed), (PATHS.len(), 1), "only the keyring");
    assert_eq!(scope.lock(first.id()), 0);
    move_all(&scope, &under(&first));
    move_all(&scope, &Protector::Platform);
    read_everything(&dump(&*store)).unwrap();
}

const PATHS: [&str; 4] = ["a", "b", "b/c", "d"];
const ONE_BY_ONE: Portion = Portion { records_max: 1, bytes_max: 1 << 20 };
