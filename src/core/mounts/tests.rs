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
    active.mounts.enable(&active, &active.platform.view(&Horizon::default()), entry)
}

fn disable(core: &Core, path: &str) {
    let active = core.unsealed().unwrap();
    active.mounts.disable(&active.platform.view(&Horizon::default()), path).unwrap();
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
    check("sys/mounts", None);
    check("", None);
    check("/", None);
    assert_eq!(paths(&active.mounts.secrets()), ["team/a/transit/", "transit/"]);
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
    check("auth/", Some("auth/token/"));
    check("auth/token/", Some("auth/token/"));
}

#[test]
fn an_unknown_type_is_not_mounted() {
    let (core, store) = new_core();
    let before = keys_with(&store, "");
    let active = core.unsealed().unwrap();
    let entry = MountEntry::new("kv/".to_owned(), "nonesuch".to_owned(), Tune::default());
    let error = active.mounts.enable(&active, &active.platform.view(&Horizon::default()), entry).unwrap_err();
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
