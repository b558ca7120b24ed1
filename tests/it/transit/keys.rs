//! `transit/keys`: made, listed, deleted, also at the same time.

use std::collections::BTreeSet;
use std::thread;

use std::time::Duration;

use serde_json::{Value, json};

use super::{CIPHERS, decrypt, encrypt};
use crate::client::request;
use crate::server::TestServer;

/// Regression R02: an option that a type does not support left a lock behind, and the name unusable.
#[test]
fn a_refused_creation_leaves_the_name_free() {
    let server = TestServer::start();
    let types = ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "hmac"];
    for (index, key_type) in CIPHERS.iter().chain(&types).enumerate() {
        for bits in 0..8 {
            let (derived, convergent, exportable) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let options = json!({
                "type": key_type, "derived": derived, "convergent_encryption": convergent, "exportable": exportable,
            });
            let path = format!("transit/keys/k{index}-{bits}");
            let made = server.post(&path, &options);
            let supported = CIPHERS.contains(key_type) && (derived || !convergent);
            if supported {
                assert_eq!(made.data()["type"], **key_type, "{options}");
                continue;
            }
            // What is not there yet may come to be; a cipher without derivation never is convergent.
            assert!(matches!(made.status, 200 | 400 | 500), "{options}: {}", made.text());
            assert!(!CIPHERS.contains(key_type) || made.status == 400, "{options}: {}", made.text());
            server.post(&path, &json!({"type": "aes256-gcm96"})).expect(200);
        }
    }
}

#[test]
fn a_name_is_made_once_however_many_ask() {
    let server = TestServer::start();
    let ids: BTreeSet<Vec<u8>> = thread::scope(|scope| {
        let make = || server.connect().send(&request("POST", "transit/keys/k").json(&json!({}))).unwrap();
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).map(|made| made.data().to_string().into_bytes()).collect()
    });
    assert_eq!(ids.len(), 1);
    let versions = server.stored().into_keys().filter(|key| String::from_utf8_lossy(key).contains("/version/"));
    assert_eq!(versions.count(), 1, "a key that lost the race left its version behind");
}

#[test]
fn no_rotation_is_lost_when_many_rotate() {
    let server = TestServer::start();
    let old = encrypt(&server, "k", b"kept");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = server.connect();
                for _ in 0..5 {
                    let rotated = connection.send(&request("POST", "transit/keys/k/rotate")).unwrap();
                    assert_eq!(rotated.status, 200, "{}", rotated.text());
                }
            });
        }
    });
    assert_eq!(server.get("transit/keys/k").data()["latest_version"], 41);
    assert!(encrypt(&server, "k", b"new").starts_with("vault:v41:"));
    assert_eq!(decrypt(&server, "k", &old), b"kept");
}

/// Regression R03: a key that was deleted, or may no longer be used, was still served from a cache. A decryption that
/// begins after the change was answered must not succeed.
#[test]
fn a_change_is_seen_by_every_later_request() {
    let change = |server: &TestServer, path: &str, body: Value| {
        server.post(path, &body).expect(200);
    };
    for ended_by in ["delete", "config", "trim"] {
        let server = TestServer::start();
        let old = json!({"ciphertext": encrypt(&server, "k", b"old")});
        change(&server, "transit/keys/k/config", json!({"deletion_allowed": true}));
        change(&server, "transit/keys/k/rotate", json!({}));
        let is_over = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    for late in 0.. {
                        let began_after = is_over.load(std::sync::atomic::Ordering::SeqCst);
                        let answer = connection.send(&request("POST", "transit/decrypt/k").json(&old)).unwrap();
                        assert!(!(began_after && answer.status == 200), "decrypted after {ended_by}");
                        if began_after && late > 50 {
                            break;
                        }
                    }
                });
            }
            match ended_by {
                "delete" => drop(server.delete("transit/keys/k").expect(204)),
                "config" => change(&server, "transit/keys/k/config", json!({"min_decryption_version": 2})),
                _ => {
                    let floors = json!({"min_decryption_version": 2, "min_encryption_version": 2});
                    change(&server, "transit/keys/k/config", floors);
                    change(&server, "transit/keys/k/trim", json!({"min_available_version": 2}));
                }
            }
            is_over.store(true, std::sync::atomic::Ordering::SeqCst);
        });
    }
}

#[test]
fn a_new_key_does_not_decrypt_for_its_predecessor() {
    let server = TestServer::start();
    let old = encrypt(&server, "k", b"old");
    server.post("transit/keys/k/config", &json!({"deletion_allowed": true})).expect(200);
    server.delete("transit/keys/k").expect(204);
    server.get("transit/keys/k").refused(404, "");
    encrypt(&server, "k", b"new");
    server.post("transit/decrypt/k", &json!({"ciphertext": old})).expect(400);
}

/// Regression R30: a limit of zero, or below, listed nothing or everything there is.
#[test]
fn lists_have_pages_and_odd_limits_are_none() {
    let server = TestServer::start();
    server.list("transit/keys").refused(404, "");
    for name in ["a", "b", "c", "B"] {
        server.post(&format!("transit/keys/{name}"), &json!({})).expect(200);
    }
    let names = |query: &str| server.get(&format!("transit/keys?list=true{query}")).data()["keys"].to_string();
    assert_eq!(names(""), r#"["B","a","b","c"]"#);
    assert_eq!(names("&limit=2"), r#"["B","a"]"#);
    assert_eq!(names("&limit=2&after=a"), r#"["b","c"]"#);
    assert_eq!(names("&after=aa"), r#"["b","c"]"#);
    for odd in ["0", "-1", "9223372036854775807"] {
        assert_eq!(names(&format!("&limit={odd}")), r#"["B","a","b","c"]"#);
    }
    server.get("transit/keys?list=true&limit=9223372036854775808").expect(400);
    server.get("transit/keys?list=true&after=c").refused(404, "");
}

/// Regression R11: an answer gave key material away.
#[test]
fn no_answer_about_a_key_has_room_for_its_material() {
    let server = TestServer::start();
    let made = server.post("transit/keys/k", &json!({"exportable": true, "allow_plaintext_backup": true}));
    let shown = server.get("transit/keys/k");
    for answer in [made, shown] {
        let data = answer.data();
        assert!(data["keys"]["1"].is_i64(), "{data}");
        let long =
            data.as_object().unwrap().iter().filter_map(|(_, value)| value.as_str()).find(|text| text.len() > 20);
        assert_eq!(long, None);
    }
}

/// Two mounts with keys of the same name have nothing in common, and the end of one ends its keys.
#[test]
fn mounts_do_not_share_keys() {
    let server = TestServer::start();
    server.post("sys/mounts/other", &json!({"type": "transit"})).expect(204);
    let ciphertext = encrypt(&server, "k", b"here");
    server.post("other/keys/k", &json!({})).expect(200);
    server.post("other/decrypt/k", &json!({"ciphertext": ciphertext})).expect(400);
    server.delete("sys/mounts/transit").expect(204);
    server.get("transit/keys/k").expect(404);
    server.post("sys/mounts/transit", &json!({"type": "transit"})).expect(204);
    server.get("transit/keys/k").refused(404, "");
    server.get("other/keys/k").expect(200);
}

#[test]
fn uses_are_counted_and_shown_on_request_only() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let ciphertext = super::encrypt(&server, "k", b"x");
    server.post("transit/keys/k/rotate", &json!({})).expect(200);
    super::encrypt(&server, "k", b"x");
    super::encrypt(&server, "k", b"x");
    super::decrypt(&server, "k", &ciphertext);
    server.post("transit/hmac/k", &json!({"input": ""})).expect(200);
    assert!(server.get("transit/keys/k").data().get("uses").is_none());
    let uses = server.get("transit/keys/k?uses=true").data()["uses"].clone();
    assert_eq!(
        uses,
        json!({
            "1": {"encrypt": 1, "decrypt": 1, "sign": 0, "verify": 0, "mac": 0},
            "2": {"encrypt": 2, "decrypt": 0, "sign": 0, "verify": 0, "mac": 1},
        })
    );
}

#[test]
fn keys_rotate_by_themselves_as_time_passes() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"auto_rotate_period": "2h"})).expect(200);
    let latest_after = |time: Duration| {
        server.clock.advance(time);
        server.core.tick();
        server.get("transit/keys/k").data()["latest_version"].as_u64().unwrap()
    };
    assert_eq!(latest_after(Duration::from_hours(1)), 1);
    assert_eq!(latest_after(Duration::from_mins(61)), 2);
    assert_eq!(latest_after(Duration::from_mins(61)), 2);
    server.post("transit/keys/k/config", &json!({"auto_rotate_period": 0})).expect(200);
    assert_eq!(latest_after(Duration::from_hours(100)), 2);
}
