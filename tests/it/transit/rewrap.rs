//! `transit/rewrap`: the same plaintext under a newer version, seen by nobody.

use serde_json::json;

use super::{CIPHERS, decrypt, encrypt};
use crate::server::TestServer;

#[test]
fn the_plaintext_moves_to_the_newest_version_and_stays_inside() {
    let server = TestServer::start();
    for key_type in CIPHERS {
        let path = |what: &str| format!("transit/{what}/{key_type}");
        server.post(&path("keys"), &json!({"type": key_type})).expect(200);
        let old = encrypt(&server, key_type, b"moved");
        server.post(&format!("{}/rotate", path("keys")), &json!({})).expect(200);
        let answer = server.post(&path("rewrap"), &json!({"ciphertext": old}));
        let new = answer.text_of("ciphertext");
        assert!(new.starts_with("vault:v2:"), "{new}");
        assert!(!answer.text().contains("plaintext"), "{}", answer.text());
        assert_eq!(decrypt(&server, key_type, &new), b"moved");
        let again = server.post(&path("rewrap"), &json!({"ciphertext": new})).text_of("ciphertext");
        assert_ne!(again, new);
        let config = json!({"min_decryption_version": 2});
        server.post(&format!("{}/config", path("keys")), &config).expect(200);
        server.post(&path("rewrap"), &json!({"ciphertext": old})).expect(400);
    }
}

#[test]
fn what_has_associated_data_cannot_be_moved() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let body = json!({"plaintext": "YQ==", "associated_data": "YQ=="});
    let ciphertext = server.post("transit/encrypt/k", &body).text_of("ciphertext");
    let asked = json!({"ciphertext": ciphertext, "associated_data": "YQ=="});
    server.post("transit/rewrap/k", &asked).refused(400, "cipher: message authentication failed");
}
