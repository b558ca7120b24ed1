//! Changes of protection as their administrator sees them, while clients go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{activate, key, protection, upload, wait_for};
use crate::client::{b64, request};
use crate::server::TestServer;

/// With every engine under way: to the customer, rotated, back; and nobody notices.
#[test]
fn clients_do_not_notice_a_change() {
    let server = TestServer::with_all_engines();
    let mounts = ["secret", "kv", "transit", "auth/userpass"];
    upload(&server, "k", &key(1)).expect(200);
    server.post("transit/keys/t", &json!({})).expect(200);
    for number in 0..300 {
        server.post(&format!("secret/data/{number}"), &json!({"data": {"a": number}})).expect(200);
        server.post(&format!("kv/{number}"), &json!({"a": number})).expect(204);
    }
    server.post("auth/userpass/users/u", &json!({"password": "p"})).expect(204);
    let ended = AtomicBool::new(false);
    thread::scope(|threads| {
        let _end = AtLast(&ended);
        for worker in 0..4 {
            let (server, ended) = (&server, &ended);
            threads.spawn(move || client(server, worker, ended));
        }
        for mount in mounts {
            activate(&server, mount, "k");
        }
        for mount in mounts {
            wait_for(&server, mount, "active");
        }
        upload(&server, "k", &key(2)).expect(200);
        for mount in mounts {
            assert!(["rotating", "active"].contains(&activate(&server, mount, "k")["state"].as_str().unwrap()));
        }
        for mount in mounts {
            assert_eq!(wait_for(&server, mount, "active")["version"], 2);
        }
        server.delete("sys/customer-keys/k?version=1").expect(200);
        for mount in mounts {
            server.post(&format!("sys/mounts/{mount}/protection"), &json!({"protector": "platform"})).expect(200);
        }
        for mount in mounts {
            wait_for(&server, mount, "platform");
        }
    });
    server.delete("sys/customer-keys/k").expect(200);
    for number in 0..300 {
        assert_eq!(server.get(&format!("kv/{number}")).expect(200).data()["a"], number);
    }
}

/// Sets a flag when it is dropped, also by a panic: those who wait for the flag would wait for ever.
struct AtLast<'f>(&'f AtomicBool);

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Reads and writes in every engine until it is over; whatever fails ends the test.
fn client(server: &TestServer, worker: usize, ended: &AtomicBool) {
    let mut connection = server.connect();
    let mut send = |method: &str, path: &str, body: &serde_json::Value, status: u16| {
        let asked = request(method, path).json(body);
        connection.send(&asked).unwrap_or_else(|| panic!("no answer to {method} {path}")).expect(status)
    };
    let mut round = 0;
    while !ended.load(Ordering::Acquire) {
        round += 1;
        let path = format!("secret/data/w{worker}");
        send("POST", &path, &json!({"data": {"round": round}}), 200);
        assert_eq!(send("GET", &path, &json!({}), 200).data()["data"]["round"], round);
        // One that everybody writes.
        send("POST", "secret/data/all", &json!({"data": {"round": round}}), 200);
        send("GET", &format!("kv/{}", round % 300), &json!({}), 200);
        let sealed = send("POST", "transit/encrypt/t", &json!({"plaintext": b64("p")}), 200).text_of("ciphertext");
        assert_eq!(
            send("POST", "transit/decrypt/t", &json!({"ciphertext": sealed}), 200).text_of("plaintext"),
            b64("p")
        );
    }
}

#[test]
fn progress_is_told_and_a_change_can_be_slowed_paused_and_resumed() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    for number in 0..50 {
        server.post(&format!("kv/{number}"), &json!({"a": "b"})).expect(204);
    }
    upload(&server, "k", &key(1)).expect(200);
    let before = protection(&server, "kv");
    assert_eq!(
        (&before["state"], &before["protector"], &before["records_total"]),
        (&json!("platform"), &json!("platform"), &json!(50))
    );
    let order = json!({"protector": "customer", "customer_key": "k", "skip_proof": true, "rate": 100});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    let paused = server.post("sys/mounts/kv/protection/pause", &json!({})).expect(200).data();
    assert_eq!(
        (&paused["state"], &paused["paused"], &paused["waiting"]),
        (&json!("migrating"), &json!(true), &json!("for resume"))
    );
    let stands = paused["records_done"].as_u64().unwrap();
    assert!(stands < 50, "{paused}");
    assert_eq!(paused["records_by_key"][1]["records"], 50 - stands);
    server.core.tick();
    assert_eq!(protection(&server, "kv")["records_done"], stands);
    let again = json!({"protector": "customer", "customer_key": "k", "skip_proof": true});
    server.post("sys/mounts/kv/protection", &again).expect(200);
    server.post("sys/mounts/kv/protection", &json!({"protector": "platform"})).refused_with(400);
    server.post("sys/mounts/kv/protection/resume", &json!({})).expect(200);
    let done = wait_for(&server, "kv", "active");
    assert_eq!(
        (&done["records_total"], &done["records_done"], &done["paused"]),
        (&json!(50), &json!(50), &json!(false))
    );
    assert!(done["bytes_done"].as_u64() > Some(50) && done["finished"].is_string());
    for order in ["pause", "resume", "cancel"] {
        let text = server.post(&format!("sys/mounts/kv/protection/{order}"), &json!({})).refused_with(400);
        assert!(text.contains("no change of protection is under way"), "{text}");
    }
}

#[test]
fn a_change_waits_for_its_maintenance_window_and_pauses_behind_it() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    server.post("kv/a", &json!({"a": "b"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    // The clock stands at midnight of the 22nd.
    let order = |start: &str, end: &str| {
        let order =
            json!({"protector": "customer", "customer_key": "k", "skip_proof": true, "start": start, "end": end});
        server.post("sys/mounts/kv/protection", &order)
    };
    order("tomorrow", "").refused_with(400);
    order("2026-11-22T04:00:00Z", "2026-11-22T02:00:00Z").refused_with(400);
    let told = order("2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z").expect(200).data();
    assert_eq!((&told["state"], &told["window"]["start"]), (&json!("scheduled"), &json!("2026-11-22T02:00:00Z")));
    server.clock.advance(Duration::from_hours(1));
    server.core.tick();
    assert_eq!(protection(&server, "kv")["state"], "scheduled");
    // Too late: the window is over before anything ran.
    server.clock.advance(Duration::from_hours(4));
    server.core.tick();
    let told = protection(&server, "kv");
    assert!(told["waiting"].as_str().unwrap().contains("another maintenance window"), "{told}");
    assert_eq!(order("2026-11-22T06:00:00Z", "").expect(200).data()["state"], "scheduled");
    server.clock.advance(Duration::from_hours(2));
    server.core.tick();
    wait_for(&server, "kv", "active");
}

#[test]
fn a_scheduled_change_is_cancelled_without_a_trace() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    let order =
        json!({"protector": "customer", "customer_key": "k", "skip_proof": true, "start": "2027-01-01T00:00:00Z"});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    let text = server.delete("sys/customer-keys/k").refused_with(400);
    assert!(text.contains("kv/"), "{text}");
    assert_eq!(server.post("sys/mounts/kv/protection/cancel", &json!({})).expect(200).data()["state"], "platform");
    server.delete("sys/customer-keys/k").expect(200);
}

/// Who waits for the end of an order compares it with what the answer to the order says.
#[test]
fn an_order_is_answered_as_given_whoever_cancels_it_meanwhile() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    let order =
        json!({"protector": "customer", "customer_key": "k", "skip_proof": true, "start": "2027-01-01T00:00:00Z"});
    let ended = AtomicBool::new(false);
    let answers: Vec<_> = thread::scope(|threads| {
        threads.spawn(|| {
            let mut another = server.connect();
            while !ended.load(Ordering::Acquire) {
                another.send(&request("POST", "sys/mounts/kv/protection/cancel").json(&json!({})));
            }
        });
        let answers = (0..200).map(|_| server.post("sys/mounts/kv/protection", &order)).collect();
        ended.store(true, Ordering::Release);
        answers
    });
    for answer in answers {
        let told = answer.expect(200).data();
        assert_eq!((&told["state"], &told["customer_key"]), (&json!("scheduled"), &json!("k")));
    }
}

#[test]
fn what_cannot_be_ordered_is_refused() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    let check = |mount: &str, order: serde_json::Value, status: u16, expected: &str| {
        let text = server.post(&format!("sys/mounts/{mount}/protection"), &order).refused_with(status);
        assert!(text.contains(expected), "{text}");
    };
    let customer = json!({"protector": "customer", "customer_key": "k", "skip_proof": true});
    check("none", customer.clone(), 400, "no matching mount");
    check("cubbyhole", customer.clone(), 400, "part of the platform");
    check("identity", customer, 400, "part of the platform");
    check("kv", json!({}), 400, "missing protector");
    check("kv", json!({"protector": "me"}), 400, "unknown protector");
    check("kv", json!({"protector": "customer"}), 400, "missing customer_key");
    check("kv", json!({"protector": "platform", "customer_key": "k"}), 400, "takes no customer_key");
    check("kv", json!({"protector": "customer", "customer_key": "none"}), 404, "no customer key \"none\"");
    check("kv", json!({"protector": "customer", "customer_key": "k", "version": 9}), 404, "no version 9");
    check("kv", json!({"protector": "customer", "customer_key": "k", "mode": "copy"}), 400, "unknown mode");
    let rewrap = json!({"protector": "customer", "customer_key": "k", "mode": "rewrap", "skip_proof": true});
    check("kv", rewrap, 400, "only for rotation");
    assert_eq!(protection(&server, "kv")["state"], "platform");
    server.post("sys/mounts/kv/protection", &json!({"protector": "platform"})).expect(200);
}

/// The data keys stay, so that no record changes; the old version of the key can go all the same.
#[test]
fn a_rewrap_changes_no_record() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    server.post("kv/a", &json!({"a": "b"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    activate(&server, "kv", "k");
    wait_for(&server, "kv", "active");
    let records = || server.stored().into_iter().filter(|(path, _)| path.starts_with(b"scope/")).collect::<Vec<_>>();
    let before = records();
    upload(&server, "k", &key(2)).expect(200);
    let order = json!({"protector": "customer", "customer_key": "k", "mode": "rewrap", "skip_proof": true});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    assert_eq!(wait_for(&server, "kv", "active")["version"], 2);
    assert_eq!(records(), before);
    server.delete("sys/customer-keys/k?version=1").expect(200);
    assert_eq!(server.get("kv/a").expect(200).data()["a"], "b");
    let order = json!({"protector": "platform"});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    wait_for(&server, "kv", "platform");
    assert_ne!(records(), before);
}

#[test]
fn new_mounts_can_be_protected_from_birth() {
    let server = TestServer::start();
    let settings = |key: &str| server.post("sys/config/customer-keys", &json!({"default_customer_key": key}));
    settings("k").refused_with(404);
    upload(&server, "k", &key(1)).expect(200);
    settings("k").expect(204);
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    let told = protection(&server, "kv");
    assert_eq!((&told["state"], &told["customer_key"]), (&json!("active"), &json!("k")));
    server.post("kv/a", &json!({"a": "b"})).expect(204);
    server.post("sys/customer-keys/k/revoke", &json!({})).expect(200);
    server.get("kv/a").refused_with(503);
    server.post("sys/mounts/more", &json!({"type": "kv"})).refused_with(400);
    settings("").expect(204);
    server.post("sys/mounts/more", &json!({"type": "kv"})).expect(204);
    // A mount that nobody can open can still be removed.
    server.delete("sys/mounts/kv").expect(204);
    server.delete("sys/customer-keys/k").expect(200);
}

/// A change takes as long as it takes; its administrator is not kept waiting for that.
#[test]
fn who_asks_during_a_change_is_answered_between_two_of_its_steps() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    for number in 0..80 {
        server.post(&format!("kv/{number}"), &json!({"a": "x".repeat(300_000)})).expect(204);
    }
    upload(&server, "k", &key(1)).expect(200);
    let mut told = vec![activate(&server, "kv", "k")];
    while told.last().is_some_and(|told| told["state"] != "active") {
        told.push(protection(&server, "kv"));
    }
    let done: std::collections::BTreeSet<_> = told.iter().filter_map(|told| told["records_done"].as_u64()).collect();
    assert!(done.len() > 3, "only {done:?} was told");
}
