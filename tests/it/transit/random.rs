//! `transit/random`: as many bytes as were asked for, and never the same.

use std::collections::BTreeSet;

use serde_json::json;

use crate::client::from_b64;
use crate::server::TestServer;

#[test]
fn lengths_are_exact_up_to_the_limit() {
    let server = TestServer::start();
    for bytes in [1, 31, 32, 4096, 131_072] {
        let base64 = server.post("transit/random", &json!({"bytes": bytes})).text_of("random_bytes");
        assert_eq!(from_b64(&base64).len(), bytes);
        let hex = server.post(&format!("transit/random/{bytes}"), &json!({"format": "hex"})).text_of("random_bytes");
        assert_eq!(hex.len(), 2 * bytes);
    }
    for odd in [json!(0), json!(-1), json!(131_073), json!(i64::MAX), json!(null)] {
        server.post("transit/random", &json!({"bytes": odd})).expect(400);
    }
}

#[test]
fn no_bytes_come_twice() {
    let server = TestServer::start();
    let mut seen = BTreeSet::new();
    for _ in 0..500 {
        assert!(seen.insert(server.post("transit/random/16", &json!({})).text_of("random_bytes")));
    }
}
