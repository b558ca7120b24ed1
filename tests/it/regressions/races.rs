//! R03: a key that was deleted, or may not be used any more, served from a cache. Asks the core itself, from many threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use coffer::api::{Data, Op, Params, Request, Token};
use coffer::core::{Core, Thread};

use super::recorded_keys;
use crate::client::b64;
use crate::server::{ROOT, TestServer};
use crate::transit::encrypt;

/// An operation on a path, and its body.
type Ask = (Op, &'static str, Value);

/// What ends the first version of the key `k`: one request after the other, of which the first already does.
fn ends() -> Vec<(&'static str, Vec<Ask>)> {
    let floor = json!({"min_decryption_version": 2, "min_encryption_version": 2});
    let (_, other) = recorded_keys().find(|(name, _)| *name == "chacha20-poly1305").unwrap();
    let (write, config) = (Op::Write, "transit/keys/k/config");
    vec![
        ("delete", vec![(Op::Delete, "transit/keys/k", Value::Null)]),
        ("soft delete", vec![(Op::Delete, "transit/keys/k/soft-delete", Value::Null)]),
        ("minimum", vec![(write, config, json!({"min_decryption_version": 2}))]),
        ("trim", vec![(write, config, floor), (write, "transit/keys/k/trim", json!({"min_available_version": 2}))]),
        ("restore", vec![(write, "transit/restore/k", json!({"backup": b64(other), "force": true}))]),
        ("unmount", vec![(Op::Delete, "sys/mounts/transit", Value::Null)]),
    ]
}

#[test]
fn r03_no_key_is_served_after_its_end() {
    for (title, requests) in ends() {
        let server = TestServer::start();
        let old = json!({"ciphertext": encrypt(&server, "k", b"old")});
        server.post("transit/keys/k/rotate", &json!({})).expect(200);
        server.post("transit/keys/k/config", &json!({"deletion_allowed": true})).expect(200);
        let decrypts = || succeeds(&server.core, Op::Write, "transit/decrypt/k", &old);
        meanwhile(decrypts, title, || {
            for (op, path, body) in &requests {
                assert!(succeeds(&server.core, *op, path, body), "{title}: {path}");
            }
        });
    }
}

/// Many changes of one key in a row: each begins while others load the key as the last one left it.
#[test]
fn r03_a_floor_holds_for_all_that_begins_after_it_was_raised() {
    let server = TestServer::start();
    let old: Vec<Value> = (0..RISES)
        .map(|_| {
            let old = json!({"ciphertext": encrypt(&server, "k", b"old")});
            server.post("transit/keys/k/rotate", &json!({})).expect(200);
            old
        })
        .collect();
    let raise = |floor: usize| {
        let config = json!({"min_decryption_version": floor + 1});
        assert!(succeeds(&server.core, Op::Write, "transit/keys/k/config", &config));
    };
    rising(raise, |floor| {
        let Some(version_below) = floor.checked_sub(1) else { return };
        let decrypted = succeeds(&server.core, Op::Write, "transit/decrypt/k", &old[version_below]);
        assert!(!decrypted, "decrypted with a version below the floor {floor}");
    });
}

/// The same of rotations: what begins after one is encrypted with the new version, or a newer one.
#[test]
fn r03_nothing_is_encrypted_with_the_version_before_a_rotation() {
    let server = TestServer::start();
    encrypt(&server, "k", b"text");
    let rotate = |_| assert!(succeeds(&server.core, Op::Write, "transit/keys/k/rotate", &json!({})));
    rising(rotate, |rotations| {
        let made = answer(&server.core, Op::Write, "transit/encrypt/k", &json!({"plaintext": b64("text")})).unwrap();
        let version = usize::try_from(made["key_version"].as_u64().unwrap()).unwrap();
        assert!(version > rotations, "version {version} encrypts after {rotations} rotations");
    });
}

/// The same of keys that are deleted and made anew under one name.
#[test]
fn r03_no_key_is_served_after_the_next_one_of_its_name() {
    let server = TestServer::start();
    let old = Mutex::new(Vec::new());
    let replace = |_| {
        let ask = |op, path, body| assert!(succeeds(&server.core, op, path, &body), "{path}");
        let made = answer(&server.core, Op::Write, "transit/encrypt/k", &json!({"plaintext": b64("old")})).unwrap();
        old.lock().unwrap().push(json!({"ciphertext": made["ciphertext"]}));
        ask(Op::Write, "transit/keys/k/config", json!({"deletion_allowed": true}));
        ask(Op::Delete, "transit/keys/k", Value::Null);
    };
    rising(replace, |deletions| {
        let Some(last) = deletions.checked_sub(1) else { return };
        let old = old.lock().unwrap()[last].clone();
        assert!(!succeeds(&server.core, Op::Write, "transit/decrypt/k", &old), "decrypted after deletion {deletions}");
    });
}

/// Makes one change after the other, and lets other threads check all the while what holds since the last one that was
/// answered.
fn rising(change: impl Fn(usize), check: impl Fn(usize) + Sync) {
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..FEW_THREADS {
            scope.spawn(|| {
                while answered.load(Ordering::SeqCst) < RISES {
                    check(answered.load(Ordering::SeqCst));
                    thread::yield_now();
                }
            });
        }
        let _end = AtEnd(|| answered.store(RISES, Ordering::SeqCst));
        for number in 1..=RISES {
            change(number);
            answered.store(number, Ordering::SeqCst);
        }
    });
}

/// Makes a change while many threads ask, and checks that no request that began after it gets what only was before.
pub(super) fn meanwhile(is_as_before: impl Fn() -> bool + Sync, title: &str, change: impl FnOnce()) {
    let (is_over, began) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let served = is_as_before();
                began.fetch_add(1, Ordering::SeqCst);
                assert!(served, "{title}: refused before the end");
                let mut late = 0;
                while late < LATE_REQUESTS {
                    let began_after = is_over.load(Ordering::SeqCst);
                    let as_before = is_as_before();
                    late += usize::from(began_after);
                    assert!(!(began_after && as_before), "served after {title}");
                    thread::yield_now();
                }
            });
        }
        while began.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
        let _end = AtEnd(|| is_over.store(true, Ordering::SeqCst));
        change();
    });
}

/// Does something at the end of a scope, a panic's too, or the threads that wait for it would wait for ever.
struct AtEnd<F: Fn()>(F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn succeeds(core: &Arc<Core>, op: Op, path: &str, body: &Value) -> bool {
    core.handle(&request(op, path, body), Thread::Worker).unwrap().outcome.is_ok()
}

/// The data of a success.
fn answer(core: &Arc<Core>, op: Op, path: &str, body: &Value) -> Option<Value> {
    let reply = core.handle(&request(op, path, body), Thread::Worker)?.outcome.ok()?;
    let Data::Json(json) = reply.data else { return None };
    serde_json::from_slice(&json.0).ok()
}

fn request(op: Op, path: &str, body: &Value) -> Request {
    Request {
        token: Some(Token::new(ROOT)),
        params: if op == Op::Write { Params::Json(body.to_string().into_bytes().into()) } else { Params::None },
        ..Request::new(op, path)
    }
}

const THREADS: usize = 64;
/// Where each change has to take its turn with the others.
const FEW_THREADS: usize = 4;
const RISES: usize = 100;
/// Requests of each thread that begin after the change.
const LATE_REQUESTS: usize = 10;
