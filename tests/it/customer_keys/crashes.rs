//! Whatever state a crash leaves, every acknowledged record opens, and the change of protection goes on to its end.

use std::sync::Arc;

use coffer::core::seal::UnsealKey;
use serde_json::json;

use super::{Filmed, activate, key, protection, send_bytes, upload, wait_for};
use crate::server::{ROOT, TestServer, limits};

/// A server with some secrets on a store that is filmed, and what unseals it.
fn filmed() -> (Arc<Filmed>, UnsealKey, TestServer) {
    let (store, unseal_key) = (Filmed::new(), UnsealKey::generate());
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&unseal_key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    server.post("sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}})).expect(204);
    for number in 0..SECRETS {
        write(&server, number, 0);
    }
    upload(&server, "tenant", &key(1)).expect(200);
    (store, unseal_key, server)
}

/// Long enough that a batch has few of them.
fn write(server: &TestServer, number: usize, round: usize) {
    let value = format!("{number} {round} {}", "x".repeat(300_000));
    server.post(&format!("secret/data/{number}"), &json!({"data": {"value": value}})).expect(200);
}

fn round_of(server: &TestServer, number: usize) -> usize {
    let data = server.get(&format!("secret/data/{number}")).expect(200).data();
    let value = data["data"]["value"].as_str().unwrap().to_owned();
    let mut words = value.split(' ');
    assert_eq!(words.next(), Some(number.to_string().as_str()));
    words.next().unwrap().parse().unwrap()
}

/// Invariants 1 and 2: a mount goes from the platform to a customer's key while it is written to. From each state that the
/// store was in, a server starts that has everything that was acknowledged until then, goes on, and ends `active`.
#[test]
fn a_crash_at_any_commit_loses_nothing_and_the_change_goes_on() {
    let (store, unseal_key, server) = filmed();
    let first = store.states();
    let mut acknowledged = [(first, 0); SECRETS];
    activate(&server, "secret", "tenant");
    let mut round = 1;
    while protection(&server, "secret")["state"] != "active" {
        write(&server, round % SECRETS, round);
        acknowledged[round % SECRETS] = (store.states(), round);
        round += 1;
    }
    drop(server);
    assert!(store.states() > first + 5, "a change of protection is several commits");
    let mut on_the_way = 0;
    for state in first..store.states() {
        let server = TestServer::restarted(store.state(state), &unseal_key);
        let check = |when: &str| {
            for (number, (since, round)) in acknowledged.iter().enumerate() {
                let found = round_of(&server, number);
                assert!(state + 1 < *since || found >= *round, "state {state}, {when}: secret {number} is of {found}");
            }
        };
        check("at once");
        let ordered = protection(&server, "secret")["state"] != "platform";
        if ordered {
            on_the_way += usize::from(protection(&server, "secret")["state"] == "migrating");
            let told = wait_for(&server, "secret", "active");
            assert_eq!((&told["customer_key"], &told["version"]), (&json!("tenant"), &json!(1)));
            check("when it is over");
            server.post("sys/customer-keys/tenant/revoke", &json!({})).expect(200);
            server.get("secret/data/0").refused_with(503);
        }
    }
    assert!(on_the_way > 0, "no crash was in the middle");
}

/// The same on the way back, and for a cancelled change.
#[test]
fn a_crash_while_a_change_is_undone_goes_on_undoing() {
    let (store, unseal_key, server) = filmed();
    // Slow enough to be cancelled in the middle.
    let order = json!({"protector": "customer", "customer_key": "tenant", "skip_proof": true, "rate": 20});
    server.post("sys/mounts/secret/protection", &order).expect(200);
    while protection(&server, "secret")["records_done"].as_u64() < Some(2) {
        std::thread::yield_now();
    }
    let first = store.states();
    let told = server.post("sys/mounts/secret/protection/cancel", &json!({})).expect(200).data();
    assert_eq!(told["state"], "cancelling");
    server.post("sys/mounts/secret/protection", &json!({"protector": "platform"})).expect(200);
    wait_for(&server, "secret", "platform");
    drop(server);
    for state in first..store.states() {
        let server = TestServer::restarted(store.state(state), &unseal_key);
        let before = protection(&server, "secret");
        if before["state"] == "cancelling" {
            server.post("sys/mounts/secret/protection", &json!({"protector": "platform"})).expect(200);
            wait_for(&server, "secret", "platform");
        }
        (0..SECRETS).for_each(|number| assert_eq!(round_of(&server, number), 0));
        if protection(&server, "secret")["state"] == "platform" {
            // Nothing needs the key any more.
            server.delete("sys/customer-keys/tenant").expect(200);
            (0..SECRETS).for_each(|number| assert_eq!(round_of(&server, number), 0));
        }
    }
}

/// A crash may come after a change has made its term and before it has noted that, so that it begins twice.
#[test]
fn a_change_that_began_twice_is_undone_whole() {
    let (store, unseal_key, server) = filmed();
    let first = store.states();
    let slow = json!({"protector": "customer", "customer_key": "tenant", "skip_proof": true, "rate": 1});
    server.post("sys/mounts/secret/protection", &slow).expect(200);
    wait_until_begun(&server);
    drop(server);
    for state in first..store.states() {
        let server = TestServer::restarted(store.state(state), &unseal_key);
        if protection(&server, "secret")["state"] == "platform" {
            continue; // Nothing was ordered yet.
        }
        wait_until_begun(&server);
        server.post("sys/mounts/secret/protection/cancel", &json!({})).expect(200);
        server.post("sys/mounts/secret/protection", &json!({"protector": "platform"})).expect(200);
        wait_for(&server, "secret", "platform");
        server.delete("sys/customer-keys/tenant").expect(200);
        (0..SECRETS).for_each(|number| assert_eq!(round_of(&server, number), 0));
    }
}

fn wait_until_begun(server: &TestServer) {
    while protection(server, "secret")["started"].is_null() {
        std::thread::yield_now();
    }
}

/// Invariant 3: without the customer's key, the platform's root key and the whole store read nothing of the mount.
#[test]
fn the_platform_alone_reads_nothing_of_a_mount_under_a_key_that_it_does_not_keep() {
    let (store, unseal_key, server) = filmed();
    let in_memory = json!({"key": crate::client::b64(key(2)), "storage": "memory"});
    server.post("sys/customer-keys/own", &in_memory).expect(200);
    activate(&server, "secret", "own");
    wait_for(&server, "secret", "active");
    drop(server);
    let server = TestServer::restarted(store.state(store.states() - 1), &unseal_key);
    nothing_is_read(&server, "own");
    assert_eq!(protection(&server, "secret")["state"], "locked");
    // Others do not notice.
    server.post("sys/mounts/other", &json!({"type": "kv"})).expect(204);
    server.post("other/a", &json!({"a": "b"})).expect(204);
    // Another key is refused, the right one opens.
    let refused = send_bytes(&server, "sys/customer-keys/own/restore", &key(3)).refused_with(400);
    assert!(refused.contains("another key"), "{refused}");
    nothing_is_read(&server, "own");
    send_bytes(&server, "sys/customer-keys/own/restore", &key(2)).expect(200);
    (0..SECRETS).for_each(|number| assert_eq!(round_of(&server, number), 0));
}

/// The same once a sealed key is revoked: its copy is gone.
#[test]
fn the_platform_alone_reads_nothing_once_a_sealed_key_is_revoked() {
    let (store, unseal_key, server) = filmed();
    activate(&server, "secret", "tenant");
    wait_for(&server, "secret", "active");
    server.post("sys/customer-keys/tenant/revoke", &json!({})).expect(200);
    drop(server);
    let server = TestServer::restarted(store.state(store.states() - 1), &unseal_key);
    nothing_is_read(&server, "tenant");
    assert_eq!(server.get("sys/customer-keys/tenant").expect(200).data()["state"], "revoked");
    send_bytes(&server, "sys/customer-keys/tenant/restore", &key(1)).expect(200);
    (0..SECRETS).for_each(|number| assert_eq!(round_of(&server, number), 0));
}

/// The server holds the platform's keys and everything that is stored; `barrier`'s own tests ask below the API.
fn nothing_is_read(server: &TestServer, name: &str) {
    for number in 0..SECRETS {
        let refused = server.get(&format!("secret/data/{number}")).refused_with(503);
        assert!(refused.contains(&format!("customer key \"{name}\"")), "{refused}");
        assert!(refused.contains(&format!("sys/customer-keys/{name}/restore")), "{refused}");
    }
}

const SECRETS: usize = 12;
