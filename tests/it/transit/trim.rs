//! `transit/keys/:name/trim`: versions that are gone for ever.

use serde_json::json;

use super::{decrypt, encrypt};
use crate::server::TestServer;

#[test]
fn a_trimmed_version_is_gone_from_the_store_and_cannot_be_had_back() {
    let server = TestServer::start();
    let first = encrypt(&server, "k", b"first");
    let versions =
        || server.stored().into_keys().filter(|key| String::from_utf8_lossy(key).contains("/version/")).count();
    for _ in 0..3 {
        server.post("transit/keys/k/rotate", &json!({})).expect(200);
    }
    let last = encrypt(&server, "k", b"last");
    assert_eq!(versions(), 4);
    let floors = json!({"min_decryption_version": 3, "min_encryption_version": 3});
    server.post("transit/keys/k/config", &floors).expect(200);
    assert_eq!(versions(), 4, "a floor deletes nothing");
    server.post("transit/keys/k/trim", &json!({"min_available_version": 3})).expect(200);
    assert_eq!(versions(), 2);

    server.post("transit/keys/k/config", &json!({"min_decryption_version": 1})).expect(400);
    server.post("transit/decrypt/k", &json!({"ciphertext": first})).expect(400);
    assert_eq!(decrypt(&server, "k", &last), b"last");
    server.post("transit/keys/k/trim", &json!({"min_available_version": 2})).expect(400);
    assert_eq!(server.get("transit/keys/k").data()["min_available_version"], 3);
}
