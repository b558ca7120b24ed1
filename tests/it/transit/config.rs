//! `transit/keys/:name/config`, `transit/config/keys`, `transit/cache-config`: what is set is what is done.

use serde_json::{Value, json};

use super::{decrypt, encrypt};
use crate::server::TestServer;

#[test]
fn floors_bind_at_once_and_can_be_lowered_again() {
    let server = TestServer::start();
    let ciphertexts: Vec<String> = (0..3)
        .map(|at| {
            let ciphertext = encrypt(&server, "k", &[at]);
            server.post("transit/keys/k/rotate", &json!({})).expect(200);
            ciphertext
        })
        .collect();
    let set = |config: Value| server.post("transit/keys/k/config", &config).expect(200);
    for floor in [3, 1, 2] {
        set(json!({"min_decryption_version": floor}));
        for (version, ciphertext) in (1..).zip(&ciphertexts) {
            let answer = server.post("transit/decrypt/k", &json!({"ciphertext": ciphertext}));
            assert_eq!(answer.status == 200, version >= floor, "version {version}, floor {floor}: {}", answer.text());
        }
    }
    set(json!({"min_encryption_version": 3}));
    let with = |version: u32| server.post("transit/encrypt/k", &json!({"plaintext": "", "key_version": version}));
    with(2).expect(400);
    with(3).expect(200);
    with(5).expect(400);
}

#[test]
fn a_refused_config_changes_nothing() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let before = server.stored();
    for config in [
        json!({"deletion_allowed": true, "min_decryption_version": 9}),
        json!({"exportable": true, "min_encryption_version": -1}),
        json!({"deletion_allowed": true, "auto_rotate_period": "1m"}),
        json!({"deletion_allowed": true, "min_decryption_version": "x"}),
    ] {
        server.post("transit/keys/k/config", &config).expect(400);
        assert_eq!(server.stored(), before, "{config}");
    }
}

/// What was allowed once cannot be taken back.
#[test]
fn leave_to_export_is_for_ever() {
    let server = TestServer::start();
    let all = json!({"exportable": true, "allow_plaintext_backup": true});
    let none = json!({"exportable": false, "allow_plaintext_backup": false});
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/k/config", &all).expect(200);
    server.post("transit/keys/k/config", &none).expect(200);
    let data = server.get("transit/keys/k").data();
    assert_eq!((&data["exportable"], &data["allow_plaintext_backup"]), (&json!(true), &json!(true)));
}

#[test]
fn the_settings_of_a_mount_are_its_own() {
    let server = TestServer::start();
    server.post("sys/mounts/other", &json!({"type": "transit"})).expect(204);
    server.post("transit/config/keys", &json!({"disable_upsert": true})).expect(200);
    server.post("transit/cache-config", &json!({"size": 10})).expect(200);
    assert_eq!(server.get("other/config/keys").data(), json!({"disable_upsert": false}));
    assert_eq!(server.get("other/cache-config").data(), json!({"size": 0}));
    server.post("other/encrypt/new", &json!({"plaintext": ""})).expect(200);
    server.post("transit/encrypt/new", &json!({"plaintext": ""})).expect(400);
}

/// The cache forgets keys, never what they are.
#[test]
fn more_keys_than_the_cache_holds_all_work() {
    let server = TestServer::start();
    let ciphertexts: Vec<_> = (0..200).map(|at| encrypt(&server, &format!("k{at}"), &[at])).collect();
    for (at, ciphertext) in (0..200).zip(&ciphertexts) {
        assert_eq!(decrypt(&server, &format!("k{at}"), ciphertext), [at]);
    }
}
