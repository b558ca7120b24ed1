//! The rules around sled: each test fails if the rule it names is dropped.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::super::{Batch, Engine, Error, KEY_BYTES_MAX};
use super::directory::{names, refusal};
use super::{PIECE_BYTES, Place, get, list_all, noise, open, run_again, told};

#[test]
fn a_torn_snapshot_does_not_stop_the_next_start() {
    let place = Place::new();
    let store = place.open(Engine::Sled);
    store.commit(Batch::new().put("a", "1")).unwrap();
    drop(store);
    let torn = place.store().join("data/snap.00000000000000FF.generating");
    fs::write(&torn, "").unwrap();
    let store = place.open(Engine::Sled);
    assert_eq!(get(&*store, "a"), Some(b"1".to_vec()));
    assert!(!torn.exists());
}

#[test]
fn no_node_grows_into_a_blob() {
    let place = Place::new();
    let store = place.open(Engine::Sled);
    // The longest keys that share as much as keys can, with the longest pieces; then the same thinned out, so that nodes
    // merge to more than they would split at.
    let key = |index: usize| [vec![b'k'; KEY_BYTES_MAX - 6], format!("{index:06}").into_bytes()].concat();
    for index in 0..300 {
        store.commit(Batch::new().put(key(index), noise(PIECE_BYTES))).unwrap();
    }
    for index in (0..300).filter(|index| index % 6 > 0) {
        store.commit(Batch::new().delete(key(index))).unwrap();
    }
    // Index nodes full of long keys that share nothing but a little.
    let far = |index: u32| (0..).map(|at| noise_byte(index, at)).take(KEY_BYTES_MAX).collect::<Vec<_>>();
    for index in 0..3000_u32 {
        let seq =
            store.commit(Batch::new().put([far(index / 2), index.to_be_bytes().to_vec()].concat()[4..].to_vec(), ""));
        seq.unwrap();
    }
    let seq = store.commit(Batch::new().put("last", "")).unwrap();
    store.durable(seq).wait();
    assert_eq!(names(&place.store().join("data/blobs")), [""; 0]);
    assert_eq!(list_all(&*store).len(), 50 + 3000 + 1);
}

fn noise_byte(seed: u32, at: u32) -> u8 {
    (seed.wrapping_mul(2_654_435_761).rotate_left(at % 32) ^ at.wrapping_mul(40_503)).to_le_bytes()[1]
}

#[test]
fn a_blob_raises_one_alarm() {
    if let Some(dir) = told() {
        let store = open(Engine::Sled, &dir).unwrap();
        fs::write(dir.join("data/blobs/99999999"), "").unwrap();
        for value in ["1", "2", "3"] {
            let seq = store.commit(Batch::new().put("a", value)).unwrap();
            store.durable(seq).wait();
        }
        return;
    }
    let place = Place::new();
    let output = run_again(module_path!(), "a_blob_raises_one_alarm", "077", &place.store());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("storage alarm: 1 files in").count(), 1, "{told}");
}

#[test]
fn a_large_value_leaves_no_piece_behind() {
    let place = Place::new();
    let store = place.open(Engine::Sled);
    for value in [noise(9 * PIECE_BYTES), noise(2 * PIECE_BYTES), noise(10), noise(5 * PIECE_BYTES)] {
        store.commit(Batch::new().put("long", value)).unwrap();
    }
    store.commit(Batch::new().delete("long").put("short", "1")).unwrap();
    drop(store);
    let raw = place.open_raw();
    let keys: Vec<_> = raw.iter().keys().map(Result::unwrap).collect();
    assert_eq!(keys, [b"kshort"]);
}

#[test]
fn a_missing_piece_is_an_error() {
    let place = Place::new();
    let store = place.open(Engine::Sled);
    store.commit(Batch::new().put("long", noise(3 * PIECE_BYTES)).put("short", "1")).unwrap();
    drop(store);
    let raw = place.open_raw();
    raw.remove(b"plong\0\0\0\x01").unwrap().unwrap();
    raw.insert(b"kshort", b"").unwrap();
    drop(raw);
    let store = place.open(Engine::Sled);
    assert!(matches!(store.get(b"long"), Err(Error::Corrupt { .. })));
    assert!(matches!(store.get(b"short"), Err(Error::Corrupt { .. })));
    store.commit(Batch::new().put("long", "mended").put("short", "mended")).unwrap();
    assert_eq!(get(&*store, "long"), get(&*store, "short"));
}

#[test]
fn a_database_that_sled_refuses_names_the_way_out() {
    let place = Place::new();
    drop(place.open(Engine::Sled));
    fs::write(place.store().join("data/conf"), "segment_size: many\nuse_compression: no\nversion: 0.34\n1234").unwrap();
    let text = refusal(Engine::Sled, &place.store());
    assert!(text.contains("Keep a copy of this directory, and restore the latest backup"), "{text}");
}

#[test]
fn a_panic_of_sled_is_a_refusal() {
    let place = Place::new();
    drop(place.open(Engine::Sled));
    fs::write(place.store().join("data/blobs").join(OsStr::from_bytes(b"\xff")), "").unwrap();
    assert!(refusal(Engine::Sled, &place.store()).contains("sled panicked over its files"));
}

/// In a process of its own, for what others have in memory is not to be counted. The C library's allocator may keep some of
/// what was freed; what is in memory without the rule is all of it.
#[test]
fn long_values_that_were_read_do_not_stay_in_memory() {
    const VALUES: u32 = 8_000;
    const VALUE_BYTES: usize = 32 << 10;
    if let Some(dir) = told() {
        let store = open(Engine::Sled, &dir).unwrap();
        for index in 0..VALUES {
            assert!(store.get(&index.to_be_bytes()).unwrap().value.is_some());
        }
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: usize = resident.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kibibytes < 160 << 10, "{kibibytes} KiB");
        return;
    }
    let place = Place::new();
    let store = place.open(Engine::Sled);
    for index in 0..VALUES {
        store.commit(Batch::new().put(index.to_be_bytes(), noise(VALUE_BYTES))).unwrap();
    }
    drop(store);
    let name = "long_values_that_were_read_do_not_stay_in_memory";
    let output = run_again(module_path!(), name, "077", &place.store());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
