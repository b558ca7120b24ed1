//! `transit/encrypt`: nonces, sizes, and keys that encrypting makes.

use std::collections::BTreeSet;

use serde_json::json;

use super::{CIPHERS, decrypt, encrypt, payload};
use crate::client::{b64, request};
use crate::server::TestServer;

/// Regression R01: a nonce that the caller chose was used although the key is not convergent.
#[test]
fn a_nonce_of_the_callers_is_not_used() {
    let server = TestServer::start();
    for key_type in CIPHERS {
        let nonce = b64([7; 24]);
        let body = json!({"plaintext": "YQ==", "nonce": b64([7; 12]), "type": key_type});
        let batch = json!({"batch_input": [
            {"plaintext": "YQ==", "nonce": b64([7; 12])}, {"plaintext": "YQ==", "nonce": nonce},
        ]});
        let path = format!("transit/encrypt/{key_type}");
        let mut ciphertexts = Vec::new();
        for _ in 0..2 {
            let answer = server.post(&path, &body);
            ciphertexts.push(answer.text_of("ciphertext"));
            let warning = "Endpoint ignored these unrecognized parameters: [nonce]";
            assert_eq!(answer.json()["warnings"], json!([warning]));
            let results = server.post(&path, &batch).data()["batch_results"].take();
            ciphertexts.extend((0..2).map(|item| results[item]["ciphertext"].as_str().unwrap().to_owned()));
        }
        let nonces: BTreeSet<_> = ciphertexts.iter().map(|text| payload(text)[..12].to_vec()).collect();
        assert_eq!(nonces.len(), ciphertexts.len(), "{key_type}");
        assert!(!nonces.contains(&[7; 12][..]), "{key_type}");
    }
}

#[test]
fn plaintexts_of_every_size_come_back() {
    let server = TestServer::start();
    for key_type in CIPHERS {
        server.post(&format!("transit/keys/{key_type}"), &json!({"type": key_type})).expect(200);
        for size in [0, 1, 2, 3, 15, 16, 17, 4095, 4096, 100_000, 1 << 20] {
            let plaintext: Vec<u8> = (0..size).map(|at: usize| at.to_le_bytes()[0]).collect();
            let ciphertext = encrypt(&server, key_type, &plaintext);
            assert_eq!(decrypt(&server, key_type, &ciphertext), plaintext, "{key_type} {size}");
        }
    }
}

#[test]
fn every_key_and_context_has_its_own_ciphertexts() {
    let server = TestServer::start();
    let options = json!({"derived": true, "convergent_encryption": true});
    server.post("transit/keys/k", &options).expect(200);
    let of = |context: &str, plaintext: &str| {
        let body = json!({"plaintext": b64(plaintext), "context": b64(context)});
        server.post("transit/encrypt/k", &body).text_of("ciphertext")
    };
    assert_eq!(of("here", "same"), of("here", "same"));
    assert_ne!(of("here", "same"), of("there", "same"));
    assert_ne!(of("here", "same"), of("here", "other"));
    let body = json!({"ciphertext": of("here", "same"), "context": b64("there")});
    server.post("transit/decrypt/k", &body).expect(400);
}

/// The policy decides by whether the key exists, and a refusal must not make it.
#[test]
fn a_key_is_made_only_for_those_who_may() {
    let server = TestServer::start();
    let poor = server.token(&json!({"policies": ["default"]}));
    let asked = request("POST", "transit/encrypt/new").json(&json!({"plaintext": "YQ=="}));
    server.send(&asked.clone().token(&poor)).refused_wrapped(403, "permission denied");
    server.get("transit/keys/new").refused(404, "");
    server.post("transit/config/keys", &json!({"disable_upsert": true})).expect(200);
    server.send(&asked).refused(400, "encryption key not found");
    server.get("transit/keys/new").refused(404, "");
    server.post("transit/config/keys", &json!({})).expect(200);
    server.send(&asked).expect(200);
    server.get("transit/keys/new").expect(200);
}

/// A plaintext is nobody's business: neither what is stored nor any answer but the caller's has it.
#[test]
fn nothing_of_a_request_is_kept() {
    let server = TestServer::start();
    let secret = b"CANARY-0b1f5f9e-6d0f-4a5e";
    let before = server.stored().len();
    server.post("transit/keys/k", &json!({})).expect(200);
    let made = server.stored().len();
    assert!(made > before);
    let ciphertext = encrypt(&server, "k", secret);
    decrypt(&server, "k", &ciphertext);
    assert_eq!(server.stored().len(), made);
    for (key, value) in server.stored() {
        let pair = [key, value].concat();
        assert!(!pair.windows(secret.len()).any(|window| window == secret));
    }
}
