//! What a store accepts as its directory, what it leaves alone, and who may read its files.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::{Batch, Engine, Error};
use super::{PIECE_BYTES, Place, get, noise, open, run_again, told, walked};

#[test]
fn a_store_that_is_opened_again_has_everything() {
    for engine in Engine::ALL {
        let place = Place::new();
        let mut expected = BTreeMap::new();
        for life in 0..4 {
            let store = place.open(engine);
            assert!(walked(&*store) == expected, "{engine} in life {life}");
            let value = noise(life * PIECE_BYTES);
            store.commit(Batch::new().put(format!("life {life}"), value.clone()).delete("life 1")).unwrap();
            expected.insert(format!("life {life}").into_bytes(), value);
            expected.remove(&b"life 1"[..]);
            assert!(store.size_on_disk().unwrap() > 0);
        }
    }
}

#[test]
fn a_second_user_is_refused_until_the_first_is_gone() {
    for engine in Engine::ALL {
        let place = Place::new();
        let first = place.open(engine);
        assert!(refusal(engine, &place.store()).starts_with("the store in "));
        assert!(matches!(open(engine, &place.store()).err(), Some(Error::InUse { .. })));
        drop(first);
        place.open(engine);
    }
}

#[test]
fn a_second_process_is_refused() {
    if let Some(dir) = told() {
        assert!(matches!(open(Engine::Sled, &dir).err(), Some(Error::InUse { .. })));
        return;
    }
    let place = Place::new();
    let store = place.open(Engine::Sled);
    let output = run_again(module_path!(), "a_second_process_is_refused", "022", &place.store());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    drop(store);
    let output = run_again(module_path!(), "a_second_process_is_refused", "022", &place.store());
    assert!(!output.status.success());
}

#[test]
fn a_directory_with_something_else_in_it_is_left_as_it_was() {
    let place = Place::new();
    let dir = place.store();
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("thesis.tex"), "\\begin{document}").unwrap();
    assert!(refusal(Engine::Sled, &dir).contains("it has thesis.tex in it"));
    assert_eq!(names(&dir), ["thesis.tex"]);
    assert_eq!(mode(&dir), 0o755);
}

#[test]
fn an_empty_file_system_is_accepted() {
    let place = Place::new();
    fs::create_dir_all(place.store().join("lost+found")).unwrap();
    place.open(Engine::Sled);
}

#[test]
fn a_store_that_lost_its_database_is_not_made_anew() {
    for (engine, file) in [(Engine::Sled, "db"), (Engine::Sled, "conf"), (Engine::Redb, "pairs.redb")] {
        let place = Place::new();
        drop(place.open(engine));
        let file = place.store().join("data").join(file);
        for break_it in [|file: &Path| fs::write(file, ""), |file: &Path| fs::remove_file(file)] {
            break_it(&file).unwrap();
            let there = names(&place.store().join("data"));
            let refusal = refusal(engine, &place.store());
            assert!(refusal.contains("cannot be opened") && refusal.contains("restore the latest backup"), "{refusal}");
            assert_eq!(names(&place.store().join("data")), there);
        }
        fs::remove_dir_all(place.store().join("data")).unwrap();
        assert!(matches!(open(engine, &place.store()).err(), Some(Error::Damaged { .. })));
        assert!(!place.store().join("data").exists());
    }
}

#[test]
fn a_database_without_the_mark_is_not_taken_for_a_new_one() {
    let place = Place::new();
    drop(place.open(Engine::Sled));
    fs::remove_file(place.store().join("coffer-store")).unwrap();
    assert!(refusal(Engine::Sled, &place.store()).contains("it has data without the file coffer-store"));
    fs::write(place.store().join("coffer-store"), "coffer store, format 99\n").unwrap();
    assert!(refusal(Engine::Sled, &place.store()).contains("none that this version writes"));
}

#[test]
fn a_store_whose_making_was_cut_short_is_made_from_the_start() {
    for engine in Engine::ALL {
        let place = Place::new();
        fs::create_dir_all(place.store().join("data/blobs")).unwrap();
        fs::write(place.store().join("lock"), "").unwrap();
        fs::write(place.store().join("coffer-store.new"), "coffer st").unwrap();
        fs::write(place.store().join("data/db"), "torn").unwrap();
        fs::write(place.store().join("data/pairs.redb"), "torn").unwrap();
        let store = place.open(engine);
        assert!(walked(&*store).is_empty());
        assert_eq!(names(&place.store()), ["coffer-store", "data", "lock"]);
    }
}

#[test]
fn a_store_keeps_its_engine() {
    let place = Place::new();
    drop(place.open(Engine::Redb));
    assert!(refusal(Engine::Sled, &place.store()).contains("made with the storage engine redb, not sled; use redb"));
    place.open(Engine::Redb);
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let place = Place::new();
    fs::create_dir_all(&place.0).unwrap();
    fs::write(place.store(), "a file").unwrap();
    assert!(matches!(open(Engine::Sled, &place.store()).err(), Some(Error::Io { .. })));
    assert!(matches!(open(Engine::Sled, &place.store().join("below")).err(), Some(Error::Io { .. })));
}

#[test]
fn nobody_else_may_read_under_any_umask() {
    if let Some(dir) = told() {
        for (engine, life) in [(Engine::Sled, 0), (Engine::Redb, 0), (Engine::Sled, 1), (Engine::Redb, 1)] {
            let store = open(engine, &dir.join(format!("new/{engine}"))).unwrap();
            assert_eq!(get(&*store, "life"), (life > 0).then(|| vec![life - 1]));
            let seq = store.commit(Batch::new().put("life", [life])).unwrap();
            store.durable(seq).wait();
            check_private(&dir.join("new"));
        }
        return;
    }
    for umask in ["000", "022", "777"] {
        let place = Place::new();
        let output = run_again(module_path!(), "nobody_else_may_read_under_any_umask", umask, &place.0);
        assert!(output.status.success(), "umask {umask}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(place.0.join("new/sled/data/db").exists());
    }
}

fn check_private(dir: &Path) {
    assert_eq!(mode(dir), 0o700, "{}", dir.display());
    for name in names(dir) {
        let path = dir.join(name);
        if path.is_dir() {
            check_private(&path);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

/// What the user is told.
pub(super) fn refusal(engine: Engine, dir: &Path) -> String {
    open(engine, dir).err().expect("a refusal").to_string()
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
