//! Revocation: fenced, told, signed, undone by the same key only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use coffer::crypto::ed25519::{PublicKey, Variant};
use serde_json::{Value, json};

use super::{activate, key, protection, send_bytes, upload, wait_for};
use crate::client::{b64, request};
use crate::server::TestServer;

/// A server with transit and KV under the key `k`.
fn protected() -> TestServer {
    let server = TestServer::with_all_engines();
    upload(&server, "k", &key(1)).expect(200);
    server.post("transit/keys/t", &json!({})).expect(200);
    server.post("kv/a", &json!({"a": "b"})).expect(204);
    for mount in ["transit", "kv"] {
        activate(&server, mount, "k");
        wait_for(&server, mount, "active");
    }
    server
}

fn encrypt(connection: &mut crate::client::Connection) -> u16 {
    let asked = request("POST", "transit/encrypt/t").json(&json!({"plaintext": b64("p")}));
    connection.send(&asked).unwrap().status
}

/// Invariant 4: no request that starts after the answer is served with the key, whatever is cached.
#[test]
fn nothing_is_served_once_a_revocation_is_answered() {
    let server = protected();
    for _ in 0..20 {
        let revoked = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    let mut connection = server.connect();
                    for _ in 0..AFTER {
                        while !revoked.load(Ordering::SeqCst) {
                            assert!([200, 503].contains(&encrypt(&mut connection)));
                        }
                        assert_eq!(encrypt(&mut connection), 503);
                    }
                });
            }
            let told = server.post("sys/customer-keys/k/revoke", &json!({}));
            revoked.store(true, Ordering::SeqCst);
            let told = told.expect(200).data();
            assert_eq!(told["mounts"], json!(["kv/", "transit/"]));
            assert_eq!((&told["terms_wiped"], &told["mounts_busy"]), (&json!(2), &json!(0)));
        });
        send_bytes(&server, "sys/customer-keys/k/restore", &key(1)).expect(200);
        assert_eq!(encrypt(&mut server.connect()), 200);
    }
}

const AFTER: usize = 20;

#[test]
fn a_revocation_is_told_beforehand_and_signed() {
    let server = protected();
    let told = server.post("sys/customer-keys/k/revoke", &json!({"dry_run": true})).expect(200).data();
    assert_eq!((&told["dry_run"], &told["mounts"]), (&json!(true), &json!(["kv/", "transit/"])));
    assert!(told["records"].as_u64() >= Some(2));
    server.get("kv/a").expect(200);
    let told = server.post("sys/customer-keys/k/revoke", &json!({})).expect(200).data();
    assert!(told["effective_us"].is_u64());
    check_receipt(&server, &told, "customer key revoked");
    server.post("sys/customer-keys/k/revoke", &json!({})).refused_with(400);
    server.post("sys/customer-keys/none/revoke", &json!({})).refused_with(404);
    let read = server.get("sys/customer-keys/k").expect(200).data();
    assert_eq!((&read["state"], &read["versions"]["1"]["mounts"]), (&json!("revoked"), &json!(["kv/", "transit/"])));
}

/// Whoever has the public key can check what the server stated, and nobody can change it.
fn check_receipt(server: &TestServer, told: &Value, statement: &str) {
    let public = server.get("sys/customer-keys/signing-key").expect(200).text_of("public_key");
    let public = PublicKey::from_bytes(&BASE64_STANDARD.decode(public).unwrap()).unwrap();
    let receipt = told["receipt"].as_str().unwrap();
    let signature = BASE64_STANDARD.decode(told["signature"].as_str().unwrap()).unwrap();
    assert!(public.verify(Variant::Pure, receipt.as_bytes(), &signature));
    assert!(!public.verify(Variant::Pure, receipt.replace("\"k\"", "\"l\"").as_bytes(), &signature));
    let receipt: Value = serde_json::from_str(receipt).unwrap();
    assert_eq!((&receipt["statement"], &receipt["customer_key"]), (&json!(statement), &json!("k")));
}

#[test]
fn a_drill_ends_by_itself_and_is_reported() {
    let server = protected();
    server.post("sys/customer-keys/k/revoke", &json!({"minutes": 100_000})).refused_with(400);
    let told = server.post("sys/customer-keys/k/revoke", &json!({"minutes": 5})).expect(200).data();
    assert_eq!(told["drill_until"], "2026-11-22T00:05:00.123456789Z");
    (0..3).for_each(|_| drop(server.get("kv/a").refused_with(503)));
    server.clock.advance(Duration::from_mins(4));
    server.core.tick();
    server.get("kv/a").refused_with(503);
    server.clock.advance(Duration::from_mins(1));
    server.core.tick();
    server.get("kv/a").expect(200);
    let read = server.get("sys/customer-keys/k").expect(200).data();
    assert_eq!((&read["state"], &read["drill"]), (&json!("active"), &Value::Null));
    let report = &read["drills"][0];
    assert_eq!(report["mounts"][0], json!({"path": "kv/", "refused": 4}));
    assert!(report["restored_us"].is_u64() && report["effective_us"].is_u64());
}

/// A drill can become serious: then it does not end by itself.
#[test]
fn a_drill_can_be_made_a_revocation() {
    let server = protected();
    server.post("sys/customer-keys/k/revoke", &json!({"minutes": 5})).expect(200);
    server.post("sys/customer-keys/k/revoke", &json!({})).expect(200);
    server.clock.advance(Duration::from_mins(10));
    server.core.tick();
    server.get("kv/a").refused_with(503);
    send_bytes(&server, "sys/customer-keys/k/restore", &key(1)).expect(200);
    server.get("kv/a").expect(200);
}

/// Revoking in the middle of a change locks the mount as it stands; the same key makes it go on from there.
#[test]
fn a_change_that_is_revoked_half_way_stands_and_goes_on_with_the_key() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    for number in 0..100 {
        server.post(&format!("kv/{number}"), &json!({"a": number})).expect(204);
    }
    upload(&server, "k", &key(1)).expect(200);
    let order = json!({"protector": "customer", "customer_key": "k", "skip_proof": true, "rate": 100});
    server.post("sys/mounts/kv/protection", &order).expect(200);
    while protection(&server, "kv")["records_done"].as_u64() < Some(10) {
        thread::yield_now();
    }
    assert_eq!(server.post("sys/customer-keys/k/revoke", &json!({})).expect(200).data()["mounts"], json!(["kv/"]));
    let stands = protection(&server, "kv");
    assert_eq!((&stands["state"], &stands["locked_by"]), (&json!("locked"), &json!("k@1")));
    (0..100).for_each(|number| drop(server.get(&format!("kv/{number}")).refused_with(503)));
    server.core.tick();
    assert_eq!(protection(&server, "kv")["records_done"], stands["records_done"]);
    server.post("sys/mounts/kv/protection/cancel", &json!({})).refused_with(503);
    let again = json!({"protector": "customer", "customer_key": "k", "skip_proof": true});
    server.post("sys/mounts/kv/protection", &again).refused_with(400);
    send_bytes(&server, "sys/customer-keys/k/restore", &key(1)).expect(200);
    server.post("sys/mounts/kv/protection", &again).expect(200);
    wait_for(&server, "kv", "active");
    (0..100).for_each(|number| assert_eq!(server.get(&format!("kv/{number}")).expect(200).data()["a"], number));
}

#[test]
fn a_key_is_deleted_when_nothing_hangs_on_it_and_that_is_signed() {
    let server = protected();
    let told = server.delete("sys/customer-keys/k?dry_run=true").expect(200).data();
    assert_eq!(told["mounts"], json!(["kv/", "transit/"]));
    let text = server.delete("sys/customer-keys/k").refused_with(400);
    assert!(text.contains("still protects kv/, transit/"), "{text}");
    for mount in ["transit", "kv"] {
        server.post(&format!("sys/mounts/{mount}/protection"), &json!({"protector": "platform"})).expect(200);
        wait_for(&server, mount, "platform");
    }
    let told = server.delete("sys/customer-keys/k").expect(200).data();
    assert_eq!(told["records"], 0);
    check_receipt(&server, &told, "customer key deleted, nothing hangs on it");
    server.get("sys/customer-keys/k").expect(404);
    server.get("kv/a").expect(200);
    // Its bytes may be used again.
    upload(&server, "other", &key(1)).expect(200);
}

#[test]
fn a_rotation_that_is_due_says_why() {
    let server = TestServer::start();
    upload(&server, "k", &key(1)).expect(200);
    let config = server.post("sys/customer-keys/k/config", &json!({"rotation_period": "90d"})).expect(200).data();
    assert_eq!((&config["rotation_due"], &config["rotation_reason"]), (&json!(false), &Value::Null));
    server.clock.advance(Duration::from_hours(24 * 91));
    let read = server.get("sys/customer-keys/k").expect(200).data();
    let reason = "version 1 is 91 days old, and the rotation period is 90 days";
    assert_eq!((&read["rotation_due"], &read["rotation_reason"]), (&json!(true), &json!(reason)));
    upload(&server, "k", &key(2)).expect(200);
    assert_eq!(server.get("sys/customer-keys/k").expect(200).data()["rotation_due"], false);
}
