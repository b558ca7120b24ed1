//! `transit/decrypt`: what was altered does not open, and nothing of it comes out.

use serde_json::json;

use super::{CIPHERS, encrypt, payload, with_payload};
use crate::client::b64;
use crate::server::TestServer;

/// Regression R08: plaintext was there to be read although the tag was wrong. Every byte counts, and every length.
#[test]
fn no_altered_ciphertext_opens() {
    let server = TestServer::start();
    for key_type in CIPHERS {
        server.post(&format!("transit/keys/{key_type}"), &json!({"type": key_type})).expect(200);
        let ciphertext = encrypt(&server, key_type, b"attack at dawn");
        let good = payload(&ciphertext);
        let flipped = (0..good.len()).map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        });
        let cut = (0..good.len()).map(|length| good[..length].to_vec());
        let longer = [[&good[..], b"x"].concat()];
        for bad in flipped.chain(cut).chain(longer) {
            let body = json!({"ciphertext": with_payload(&ciphertext, &bad)});
            let answer = server.post(&format!("transit/decrypt/{key_type}"), &body).expect(400);
            assert_eq!(answer.json().as_object().unwrap().len(), 1, "{}", answer.text());
            let batch = json!({"batch_input": [body]});
            let answer = server.post(&format!("transit/decrypt/{key_type}"), &batch).expect(400);
            assert_eq!(answer.json()["data"]["batch_results"][0]["plaintext"], "");
        }
    }
}

/// Regression R10: errors told why a ciphertext does not open.
#[test]
fn a_wrong_key_tag_context_and_associated_data_look_the_same() {
    let server = TestServer::start();
    for (key, derived) in [("plain", false), ("derived", true), ("other", true)] {
        server.post(&format!("transit/keys/{key}"), &json!({"derived": derived})).expect(200);
    }
    let (context, aad) = (b64("context"), b64("aad"));
    let body = json!({"plaintext": "YQ==", "context": context, "associated_data": aad});
    let ciphertext = server.post("transit/encrypt/derived", &body).text_of("ciphertext");
    let mut bytes = payload(&ciphertext);
    *bytes.last_mut().unwrap() ^= 1;
    let tampered = with_payload(&ciphertext, &bytes);
    let good = json!({"ciphertext": ciphertext, "context": context, "associated_data": aad});
    server.post("transit/decrypt/derived", &good).expect(200);

    let wrong = |key: &str, member: &str, value: &str| {
        let mut body = good.clone();
        body[member] = value.into();
        server.post(&format!("transit/decrypt/{key}"), &body).expect(400).error()
    };
    let text = wrong("derived", "ciphertext", &tampered);
    assert_eq!(text, "cipher: message authentication failed");
    assert_eq!(wrong("derived", "context", &b64("other")), text);
    assert_eq!(wrong("derived", "associated_data", &b64("other")), text);
    assert_eq!(wrong("derived", "associated_data", ""), text);
    assert_eq!(wrong("other", "context", &context), text);
}

#[test]
fn versions_are_numbers_that_exist() {
    let server = TestServer::start();
    let ciphertext = encrypt(&server, "k", b"text");
    let (_, payload) = ciphertext.rsplit_once(':').unwrap();
    // Version 0 is the first one; a number may be written in more ways than one.
    for version in ["0", "01", "+1"] {
        let body = json!({"ciphertext": format!("vault:v{version}:{payload}")});
        assert_eq!(server.post("transit/decrypt/k", &body).text_of("plaintext"), b64("text"), "{version}");
    }
    for version in ["2", "-1", "99999999999999999999", "4294967297", "1.0", " 1", "1e0", "one", ""] {
        let body = json!({"ciphertext": format!("vault:v{version}:{payload}")});
        server.post("transit/decrypt/k", &body).expect(400);
    }
}
