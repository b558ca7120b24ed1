//! `transit/sign` and `transit/verify`: every type of key, and what Vault's enterprise edition alone has.

use serde_json::{Value, json};

use crate::client::b64;
use crate::server::TestServer;

/// Types that sign quickly, with what makes them.
fn signing_types() -> Vec<Value> {
    let mut types: Vec<_> =
        ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"].iter().map(|name| json!({"type": name})).collect();
    types.extend(["44", "65", "87"].map(|set| json!({"type": "ml-dsa", "parameter_set": set})));
    types
}

#[track_caller]
fn is_valid(server: &TestServer, body: &Value) -> bool {
    server.post("transit/verify/k", body).data()["valid"].as_bool().unwrap()
}

#[test]
fn what_is_signed_is_valid_and_nothing_else_is() {
    for parameters in signing_types() {
        let server = TestServer::start();
        server.post("transit/keys/k", &parameters).expect(200);
        let input = b64("a message");
        let sign = json!({"input": input});
        let signature = server.post("transit/sign/k", &sign).text_of("signature");
        server.post("transit/keys/k/rotate", &json!({})).expect(200);
        assert!(is_valid(&server, &json!({"input": input, "signature": signature})), "{parameters}");
        assert!(!is_valid(&server, &json!({"input": b64("another"), "signature": signature})), "{parameters}");
        let of_v2 = signature.replace("vault:v1:", "vault:v2:");
        assert!(!is_valid(&server, &json!({"input": input, "signature": of_v2})), "{parameters}");
        let of_v2 = server.post("transit/sign/k", &sign).text_of("signature");
        assert!(of_v2.starts_with("vault:v2:") && is_valid(&server, &json!({"input": input, "signature": of_v2})));
    }
}

#[test]
fn ml_dsa_keys_show_their_parameter_set_and_a_public_key() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "ml-dsa", "parameter_set": "65"})).expect(200);
    let key = server.get("transit/keys/k").data();
    assert_eq!((&key["type"], &key["parameter_set"]), (&json!("ml-dsa"), &json!("65")));
    assert_eq!((&key["supports_signing"], &key["supports_encryption"]), (&json!(true), &json!(false)));
    assert_eq!(key["keys"]["1"]["name"], "ml-dsa-65");
    assert!(key["keys"]["1"]["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
}

/// RFC 8032 section 5.1: the three variants of Ed25519 never accept each other's signatures.
#[test]
fn variants_of_ed25519_are_told_apart() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "ed25519"})).expect(200);
    let digest = b64([7; 64]);
    let context = b64("a context");
    let variants = [
        json!({"input": digest}),
        json!({"input": digest, "signature_context": context}),
        json!({"input": digest, "prehashed": true, "hash_algorithm": "sha2-512"}),
        json!({"input": digest, "prehashed": true, "hash_algorithm": "sha2-512", "signature_context": context}),
    ];
    let signatures: Vec<_> =
        variants.iter().map(|variant| server.post("transit/sign/k", variant).text_of("signature")).collect();
    for (at, signature) in signatures.iter().enumerate() {
        for (checked, variant) in variants.iter().enumerate() {
            let mut body = variant.clone();
            body["signature"] = json!(signature);
            assert_eq!(is_valid(&server, &body), at == checked, "{at} as {checked}");
        }
    }
    let long = json!({"input": digest, "signature_context": b64([0; 256])});
    server.post("transit/sign/k", &long).refused(400, "signature_context must not be longer than 255 bytes");
    let short = json!({"input": b64([7; 63]), "prehashed": true, "hash_algorithm": "sha2-512"});
    assert_eq!(server.post("transit/sign/k", &short).expect(500).status, 500);
}

#[test]
fn a_context_of_a_signature_is_for_ed25519_only() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "ecdsa-p256"})).expect(200);
    let body = json!({"input": b64("x"), "signature_context": b64("context")});
    server.post("transit/sign/k", &body).refused(400, "signature_context is not supported for key type ecdsa-p256");
}

/// An HMAC is verified with the hash function that made it, wherever that is named.
#[test]
fn hmacs_are_verified_with_the_algorithm_that_is_named() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let hmac = server.post("transit/hmac/k", &json!({"input": b64("x"), "algorithm": "sha2-512"})).text_of("hmac");
    let check = |parameters: &Value, valid: bool| {
        let mut body = parameters.clone();
        body["input"] = json!(b64("x"));
        body["hmac"] = json!(hmac);
        assert_eq!(is_valid(&server, &body), valid, "{parameters}");
    };
    check(&json!({"algorithm": "sha2-512"}), true);
    check(&json!({"hash_algorithm": "sha2-512"}), true);
    check(&json!({"hash_algorithm": "sha2-512", "algorithm": "sha2-256"}), true);
    check(&json!({"hash_algorithm": "sha2-256", "algorithm": "sha2-512"}), false);
    check(&json!({}), false);
    for algorithm in ["none", "md5"] {
        let body = json!({"input": b64("x"), "algorithm": algorithm});
        server.post("transit/hmac/k", &body).refused(400, "unsupported algorithm '\\x00'");
    }
}
