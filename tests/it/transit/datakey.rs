//! `transit/datakey`: keys that clients use themselves.

use serde_json::json;

use super::decrypt;
use crate::client::from_b64;
use crate::server::TestServer;

#[test]
fn a_data_key_is_what_its_ciphertext_holds() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    for (bits, bytes) in [(128, 16), (256, 32), (512, 64)] {
        let answer = server.post("transit/datakey/plaintext/k", &json!({"bits": bits}));
        let key = from_b64(&answer.text_of("plaintext"));
        assert_eq!(key.len(), bytes);
        assert_eq!(decrypt(&server, "k", &answer.text_of("ciphertext")), key);
    }
}

#[test]
fn a_wrapped_data_key_is_not_shown_and_no_two_are_equal() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let data = server.post("transit/datakey/wrapped/k", &json!({})).data();
        let members: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["ciphertext", "key_version"]);
        assert!(seen.insert(decrypt(&server, "k", data["ciphertext"].as_str().unwrap())));
    }
}

/// Unlike encrypting, this never makes the key.
#[test]
fn a_key_that_is_missing_stays_missing() {
    let server = TestServer::start();
    server.post("transit/datakey/plaintext/new", &json!({})).refused(400, "encryption key not found");
    server.get("transit/keys/new").refused(404, "");
}

#[test]
fn data_keys_come_in_numbers() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let data = server.post("transit/datakeys/plaintext/k", &json!({"count": 3, "bits": 128})).data();
    assert_eq!(data["key_version"], 1);
    let pairs = data["key_pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    for pair in pairs {
        let key = from_b64(pair["plaintext"].as_str().unwrap());
        assert_eq!(key.len(), 16);
        assert_eq!(decrypt(&server, "k", pair["ciphertext"].as_str().unwrap()), key);
    }
    let data = server.post("transit/datakeys/wrapped/k", &json!({"count": 1})).data();
    assert!(data["key_pairs"][0].get("plaintext").is_none());
    server.post("transit/datakeys/wrapped/k", &json!({})).refused(400, "missing count");
    for count in [0, -1, 10_001] {
        let body = json!({"count": count});
        server.post("transit/datakeys/wrapped/k", &body).refused(400, "count must be between 1 and 10000");
    }
}
