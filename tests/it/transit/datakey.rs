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
