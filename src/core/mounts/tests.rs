//! The mount table through restarts, races and the end of a mount.

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::barrier::{self, Sealed};
use crate::clock::Clock;
use crate::core::Core;
use crate::core::seal::UnsealKey;
use crate::storage::{Memory, Store};

const UNSEAL_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn unseal_key() -> UnsealKey {
    UnsealKey::from_base64(UNSEAL_KEY).unwrap()
}

fn new_core() -> (Arc<Core>, Arc<Memory>) {
    let store = Arc::new(Memory::new());
    let core = Core::new(Sealed::new(store.clone()), Settings::default(), Clock::System);
    core.initialise(&unseal_key()).unwrap();
    (core, store)
}

fn restarted(store: &Arc<Memory>) -> Arc<Core> {
    let core = Core::new(Sealed::new(store.clone()), Settings::default(), Clock::System);
    core.unseal(&unseal_key()).unwrap();
    core
}

fn enable(core: &Core, path: &str) -> Result<(), Error> {
    let active = core.unsealed()?;
    let entry = MountEntry::new(path.to_owned(), "transit".to_owned(), Tune::default());
    active.enable(&active.platform.view(&Horizon::default()), entry)
}

fn disable(core: &Core, path: &str) {
    let active = core.unsealed().unwrap();
    active.disable(&active.platform.view(&Horizon::default()), path).unwrap();
}

fn at(core: &Core, path: &str) -> Option<Arc<Mount>> {
    core.unsealed().unwrap().mounts.at(path)
}

/// Keys of the store that contain a text.
fn keys_with(store: &Memory, text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        keys.extend(String::from_utf8(key.to_vec()).ok().filter(|key| key.contains(text)));
        Ok(())
    };
    store.walk(&mut visit).unwrap();
    keys
}

fn paths(mounts: &[Arc<Mount>]) -> Vec<&str> {
    mounts.iter().map(|mount| mount.entry.path.as_str()).collect()
}

/// A record of a mount's engine.
#[derive(Serialize, Deserialize)]
struct Note(String);

impl Stored for Note {
    const VERSION: u8 = 1;
}

fn write(scope: &Scope, path: &str) -> Result<(), barrier::Error> {
    let horizon = Horizon::default();
    let mut change = scope.view(&horizon).change();
    change.put(path, &Note(path.to_owned()))?;
    change.commit().map(drop)
}

fn has(scope: &Scope, path: &str) -> bool {
    scope.view(&Horizon::default()).get::<Note>(path).unwrap().is_some()
}

#[test]
fn a_path_leads_to_the_mount_it_begins_with() {
    let (core, _) = new_core();
    enable(&core, "transit/").unwrap();
    enable(&core, "team/a/transit/").unwrap();
    let active = core.unsealed().unwrap();
    let check = |path: &str, expected: Option<(&str, &str)>| {
        let found = active.mounts.find(path);
        let found = found.as_ref().map(|(mount, rest)| (mount.entry.path.as_str(), *rest));
        assert_eq!(found, expected, "{path:?}");
    };
    check("transit/encrypt/k", Some(("transit/", "encrypt/k")));
    check("transit/", Some(("transit/", "")));
    check("transit", Some(("transit/", "")));
    check("transit//k", Some(("transit/", "/k")));
    check("transit2/encrypt/k", None);
    check("transi", None);
    check("Transit/encrypt/k", None);
    check("/transit/encrypt/k", None);
    check("team/a/transit/keys/", Some(("team/a/transit/", "keys/")));
    check("team/a/transit", Some(("team/a/transit/", "")));
    check("team/a", None);
    check("team/a/", None);
    check("auth/token/lookup-self", Some(("auth/token/", "lookup-self")));
    check("auth/tokens/x", None);
    check("sys/mounts", Some(("sys/", "mounts")));
    check("cubbyhole/a", Some(("cubbyhole/", "a")));
    check("", None);
    check("/", None);
    assert_eq!(paths(&active.mounts.secrets()), ["cubbyhole/", "identity/", "sys/", "team/a/transit/", "transit/"]);
    assert_eq!(paths(&active.mounts.logins()), ["auth/token/"]);
}

#[test]
fn mounts_do_not_nest() {
    let (core, store) = new_core();
    enable(&core, "a/b/").unwrap();
    let check = |path: &str, expected: Option<&str>| {
        let before = keys_with(&store, "").len();
        let error = enable(&core, path).err().map(|error| error.to_string());
        assert_eq!(error, expected.map(|text| format!("path is already in use at {text}")), "{path:?}");
        assert_eq!(keys_with(&store, "").len() == before, expected.is_some(), "a refused mount leaves nothing");
    };
    check("a/b/", Some("a/b/"));
    check("a/", Some("a/b/"));
    check("a/b/c/", Some("a/b/"));
    check("a/bc/", None);
    check("a/c/", None);
    check("b/", None);
    check("auth/", Some("token/"));
    check("auth/token/", Some("token/"));
}

#[test]
fn an_unknown_type_is_not_mounted() {
    let (core, store) = new_core();
    let before = keys_with(&store, "");
    let active = core.unsealed().unwrap();
    let entry = MountEntry::new("kv/".to_owned(), "nonesuch".to_owned(), Tune::default());
    let error = active.enable(&active.platform.view(&Horizon::default()), entry).unwrap_err();
    assert_eq!(error.to_string(), "plugin not found in the catalog: nonesuch");
    assert!(at(&core, "kv/").is_none());
    assert_eq!(keys_with(&store, ""), before);
}

#[test]
fn of_all_who_mount_at_one_path_one_wins() {
    let (core, store) = new_core();
    let won = thread::scope(|threads| {
        let outcomes: Vec<_> = (0..8).map(|_| threads.spawn(|| enable(&core, "transit/").is_ok())).collect();
        outcomes.into_iter().map(|outcome| outcome.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    assert_eq!(keys_with(&store, "keyring/").len(), 1);
    assert!(at(&restarted(&store), "transit/").is_some());
}

#[test]
fn mounts_are_there_again_after_a_restart() {
    let (core, store) = new_core();
    enable(&core, "transit/").unwrap();
    enable(&core, "other/").unwrap();
    let mount = at(&core, "transit/").unwrap();
    write(&mount.scope, "note").unwrap();
    let active = core.unsealed().unwrap();
    let horizon = Horizon::default();
    let view = active.platform.view(&horizon);
    let describe = |tune: &mut Tune| {
        tune.description = "ours".to_owned();
        Ok(())
    };
    active.mounts.tune(&view, "transit/", describe).unwrap();
    assert!(active.mounts.tune(&view, "none/", |_| Ok(())).is_err());

    let core = restarted(&store);
    let again = at(&core, "transit/").unwrap();
    assert_eq!(
        (again.entry.uuid, &again.entry.accessor, again.kind),
        (mount.entry.uuid, &mount.entry.accessor, "transit")
    );
    assert_eq!(again.entry.tune.description, "ours");
    assert!(has(&again.scope, "note"));
    assert!(!has(&at(&core, "other/").unwrap().scope, "note"), "what one mount keeps, another does not see");
}

#[test]
fn tuning_keeps_the_data() {
    let (core, _) = new_core();
    enable(&core, "transit/").unwrap();
    write(&at(&core, "transit/").unwrap().scope, "note").unwrap();
    let active = core.unsealed().unwrap();
    let horizon = Horizon::default();
    let never_cache = |tune: &mut Tune| {
        tune.force_no_cache = true;
        Ok(())
    };
    active.mounts.tune(&active.platform.view(&horizon), "transit/", never_cache).unwrap();
    let tuned = at(&core, "transit/").unwrap();
    assert!(tuned.entry.tune.force_no_cache && has(&tuned.scope, "note"));
}

#[test]
fn nothing_of_a_disabled_mount_is_left() {
    let check = |restart_first: bool| {
        let (core, store) = new_core();
        enable(&core, "gone/").unwrap();
        enable(&core, "kept/").unwrap();
        let (gone, kept) = (at(&core, "gone/").unwrap(), at(&core, "kept/").unwrap());
        let (gone_id, kept_id) = (gone.entry.uuid.to_string(), kept.entry.uuid.to_string());
        for number in 0..PURGE_BATCH + 5 {
            write(&gone.scope, &number.to_string()).unwrap();
        }
        write(&kept.scope, "note").unwrap();
        drop(gone);
        disable(&core, "gone/");
        disable(&core, "gone/");
        assert!(at(&core, "gone/").is_none());
        assert!(keys_with(&store, &format!("keyring/{gone_id}")).is_empty(), "its key goes first");

        let core = if restart_first { restarted(&store) } else { core };
        assert!(at(&core, "gone/").is_none());
        assert_eq!(keys_with(&store, &format!("scope/{gone_id}")).len(), PURGE_BATCH + 5);
        core.tick();
        assert!(keys_with(&store, &gone_id).is_empty());
        assert_eq!(
            keys_with(&store, &kept_id).into_iter().collect::<BTreeSet<_>>(),
            BTreeSet::from([
                format!("keyring/{kept_id}"),
                format!("platform/mount/{kept_id}"),
                format!("scope/{kept_id}/note"),
            ])
        );
        enable(&core, "gone/").unwrap();
        assert!(!has(&at(&core, "gone/").unwrap().scope, "0"), "a new mount begins empty");
        core.tick();
        assert!(has(&at(&core, "kept/").unwrap().scope, "note"));
    };
    check(false);
    check(true);
}

/// Regression: what a slow request wrote after the last record was deleted stayed for ever.
#[test]
fn a_removed_mount_is_purged_when_nobody_uses_it_any_more() {
    let (core, store) = new_core();
    enable(&core, "gone/").unwrap();
    let used = at(&core, "gone/").unwrap();
    let id = used.entry.uuid.to_string();
    write(&used.scope, "early").unwrap();
    // Neither another path nor other settings make a mount another one.
    remount(&core, "gone/", "moved/").unwrap();
    disable(&core, "moved/");
    core.tick();
    write(&used.scope, "late").unwrap();
    assert_eq!(keys_with(&store, &format!("scope/{id}")).len(), 2);
    drop(used);
    core.tick();
    assert_eq!(keys_with(&store, &id), Vec::<String>::new());
}

#[test]
fn large_mounts_are_purged_by_and_by() {
    let (core, store) = new_core();
    enable(&core, "gone/").unwrap();
    let gone = at(&core, "gone/").unwrap();
    let prefix = format!("scope/{}", gone.entry.uuid);
    let horizon = Horizon::default();
    let mut change = gone.scope.view(&horizon).change();
    for number in 0..=PURGE_BATCHES_PER_TICK * PURGE_BATCH {
        change.put(&number.to_string(), &Note(String::new())).unwrap();
    }
    change.commit().unwrap();
    drop(gone);
    disable(&core, "gone/");
    core.tick();
    assert_eq!(keys_with(&store, &prefix).len(), 1);
    core.tick();
    assert_eq!(keys_with(&store, &prefix).len(), 0);
}

fn remount(core: &Core, from: &str, to: &str) -> Result<Uuid, Error> {
    let active = core.unsealed()?;
    active.mounts.remount(&active.platform.view(&Horizon::default()), from, to)
}

#[test]
fn a_moved_mount_is_the_same_at_another_path() {
    let (core, store) = new_core();
    enable(&core, "a/").unwrap();
    enable(&core, "b/").unwrap();
    let before = at(&core, "a/").unwrap();
    write(&before.scope, "note").unwrap();
    let id = remount(&core, "a/", "team/a/").unwrap();
    for core in [core.clone(), restarted(&store)] {
        assert!(at(&core, "a/").is_none());
        let moved = at(&core, "team/a/").unwrap();
        assert_eq!((moved.entry.uuid, &moved.entry.accessor), (before.entry.uuid, &before.entry.accessor));
        assert!(has(&moved.scope, "note"));
    }
    let known = core.unsealed().unwrap().mounts.moved(&id.to_string()).unwrap();
    assert_eq!((known.from.as_str(), known.to.as_str()), ("a/", "team/a/"));
    assert!(core.unsealed().unwrap().mounts.moved(&Uuid::nil().to_string()).is_none());
    let check = |from: &str, to: &str, expected: &str| {
        assert_eq!(remount(&core, from, to).unwrap_err().to_string(), expected, "{from} {to}");
    };
    check("a/", "c/", "no matching mount at \"a/\"");
    check("b/", "team/a/", "path already in use at \"team/a/\"");
    check("b/", "team/", "path already in use at \"team/a/\"");
    check("b/", "team/a/b/", "path already in use at \"team/a/\"");
    check("b/", "b/", "path already in use at \"b/\"");
    enable(&core, "a/").unwrap();
}

#[test]
fn only_the_latest_moves_are_remembered() {
    let (core, _) = new_core();
    enable(&core, "a/").unwrap();
    let first = remount(&core, "a/", "b/").unwrap();
    for _ in 0..MOVES_MAX / 2 {
        remount(&core, "b/", "a/").unwrap();
        remount(&core, "a/", "b/").unwrap();
    }
    let mounts = &core.unsealed().unwrap().mounts;
    assert!(mounts.moved(&first.to_string()).is_none());
    assert_eq!(mounts.moves.lock().unwrap().len(), MOVES_MAX);
}

#[test]
fn every_server_has_the_same_mounts_with_names_of_their_own() {
    let (core, store) = new_core();
    let told = |core: &Core| {
        let mounts = &core.unsealed().unwrap().mounts;
        let entries = mounts.secrets().into_iter().chain(mounts.logins());
        entries.map(|mount| (mount.entry.path.clone(), mount.entry.accessor.clone())).collect::<Vec<_>>()
    };
    let before = told(&core);
    let kinds: Vec<_> =
        before.iter().map(|(path, accessor)| (path.as_str(), accessor.split_at(accessor.len() - 9).0)).collect();
    let expected =
        [("cubbyhole/", "cubbyhole"), ("identity/", "identity"), ("sys/", "system"), ("auth/token/", "auth_token")];
    assert_eq!(kinds, expected);
    assert_eq!(told(&restarted(&store)), before);
    let other = told(&new_core().0);
    let shared = before.iter().filter(|mount| other.contains(mount)).map(|(path, _)| path.as_str());
    assert_eq!(shared.collect::<Vec<_>>(), ["sys/"]);
}

#[test]
fn ttls_are_the_mounts_own_or_the_systems() {
    let check = |default_lease_ttl_s, max_lease_ttl_s, expected: (u64, u64)| {
        let tune = Tune { default_lease_ttl_s, max_lease_ttl_s, ..Tune::default() };
        let system = Settings {
            default_lease_ttl: Duration::from_secs(100),
            max_lease_ttl: Duration::from_secs(1_000),
            ..Settings::default()
        };
        let (default, max) = tune.ttls(&system);
        assert_eq!((default.as_secs(), max.as_secs()), expected);
    };
    check(0, 0, (100, 1_000));
    check(10, 0, (10, 1_000));
    check(0, 5_000, (100, 5_000));
    check(0, 50, (100, 50));
    check(2_000, 0, (2_000, 1_000));
    check(2_000, 3_000, (2_000, 3_000));
}

#[test]
fn lockouts_are_the_mounts_own_or_of_its_type_or_the_systems() {
    let of = |threshold, disable| UserLockout { threshold, disable, ..UserLockout::default() };
    let check = |own: Option<UserLockout>, kind, expected: Option<u64>| {
        let user_lockout = [("all".to_owned(), of(3, false)), ("approle".to_owned(), of(0, true))].into();
        let system = Settings { user_lockout, ..Settings::default() };
        let tune = Tune { user_lockout: own, ..Tune::default() };
        assert_eq!(tune.lockout_rules(kind, &system).map(|rules| rules.threshold), expected, "{kind}");
    };
    check(None, "userpass", Some(3));
    check(None, "approle", None);
    check(Some(of(7, false)), "userpass", Some(7));
    check(Some(of(0, true)), "userpass", None);
    let usual = Tune::default().lockout_rules("userpass", &Settings::default()).unwrap();
    assert_eq!(usual.threshold, 5);
}
