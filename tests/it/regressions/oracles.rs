//! R07, R08, R10: refusals that helped to decrypt. How long they take is measured elsewhere: tests are not timed.

use serde_json::{Value, json};

use crate::client::{b64, from_b64};
use crate::server::TestServer;

const CIPHERS: [&str; 4] = crate::transit::CIPHERS;

/// With RSA, telling wrong paddings apart decrypts (Bleichenbacher, Manger).
#[test]
fn r07_refusals_of_rsa_do_not_tell_paddings_apart() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "rsa-2048"})).expect(200);
    let other_padding = json!({"plaintext": b64("text"), "padding_scheme": "pkcs1v15"});
    let other_padding = server.post("transit/encrypt/k", &other_padding).text_of("ciphertext");
    let number = |last: u8| [&[0; 255][..], &[last]].concat();
    let blocks = [
        ("of zero", number(0)),
        ("of one", number(1)),
        ("a small number", number(77)),
        ("beyond the modulus", vec![0xff; 256]),
        ("short", vec![1; 255]),
        ("long", vec![1; 257]),
        ("one byte", vec![1]),
        ("empty", Vec::new()),
    ];
    let refused = |scheme: &str, payload: &str, title: &str| {
        let item = json!({"ciphertext": format!("vault:v1:{payload}"), "padding_scheme": scheme});
        let text = "failed to RSA decrypt the ciphertext: crypto/rsa: decryption error";
        let answer = server.post("transit/decrypt/k", &item);
        assert_eq!(answer.status, 500, "{scheme}, {title}: {}", answer.text());
        answer.refused_wrapped(500, text);
        let answer = server.post("transit/decrypt/k", &json!({"batch_input": [item]}));
        assert_eq!(answer.status, 500, "{scheme}, {title}: {}", answer.text());
        let expected = json!([{"plaintext": "", "error": text, "reference": ""}]);
        assert_eq!(answer.json()["data"]["batch_results"], expected, "{scheme}, {title}");
    };
    for scheme in ["oaep", "pkcs1v15"] {
        for (title, block) in &blocks {
            refused(scheme, &b64(block), title);
        }
    }
    refused("oaep", other_padding.rsplit(':').next().unwrap(), "padded otherwise");
}

/// Without this the crate could come back through another one.
#[test]
fn r07_the_crate_whose_timing_leaks_is_absent() {
    let lock = include_str!("../../../Cargo.lock");
    assert!(lock.contains("name = \"aws-lc-sys\"") && !lock.contains("name = \"rsa\""));
    assert!(include_str!("../../../deny.toml").contains("{ crate = \"rsa\","));
}

#[test]
fn r08_no_plaintext_leaves_when_the_tag_is_wrong() {
    let server = TestServer::start();
    let plaintext = b"attack at dawn, and bring the long ladder";
    for key_type in CIPHERS {
        server.post(&format!("transit/keys/{key_type}"), &json!({"type": key_type})).expect(200);
        let ciphertext = crate::transit::encrypt(&server, key_type, plaintext);
        let (prefix, payload) = ciphertext.rsplit_once(':').unwrap();
        let mut bytes = from_b64(payload);
        *bytes.last_mut().unwrap() ^= 1;
        let item = json!({"ciphertext": format!("{prefix}:{}", b64(&bytes))});
        let good = json!({"ciphertext": ciphertext});
        for path in ["decrypt", "rewrap"] {
            let path = format!("transit/{path}/{key_type}");
            let single = server.post(&path, &item).expect(400);
            // What the item before has left behind is not given out either.
            let batch = server.post(&path, &json!({"batch_input": [good, item]}));
            let results = batch.json()["data"]["batch_results"].take();
            let refused: Value = results[1].clone();
            assert!(refused["error"].is_string() && refused["ciphertext"].is_null(), "{refused}");
            for text in [single.text(), refused.to_string()] {
                assert!(!text.contains(&b64(plaintext)[..16]) && !text.contains("ladder"), "{text}");
            }
        }
    }
}

#[test]
fn r10_refusals_do_not_tell_key_tag_and_context_apart() {
    let server = TestServer::start();
    for key_type in CIPHERS {
        let key = |name: &str| format!("{key_type}-{name}");
        for name in ["right", "wrong"] {
            let path = format!("transit/keys/{}", key(name));
            server.post(&path, &json!({"type": key_type, "derived": true})).expect(200);
        }
        let (context, aad) = (b64("context"), b64("aad"));
        let body = json!({"plaintext": b64("some text"), "context": context, "associated_data": aad});
        let ciphertext = server.post(&format!("transit/encrypt/{}", key("right")), &body).text_of("ciphertext");
        let (prefix, payload) = ciphertext.rsplit_once(':').unwrap();
        let bytes = from_b64(payload);
        let good = json!({"ciphertext": ciphertext, "context": context, "associated_data": aad});
        server.post(&format!("transit/decrypt/{}", key("right")), &good).expect(200);

        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            format!("{prefix}:{}", b64(&bytes))
        };
        let truncated = |by: usize| format!("{prefix}:{}", b64(&bytes[..bytes.len() - by]));
        let refusal = |name: &str, member: &str, value: &str| {
            let mut body = good.clone();
            body[member] = value.into();
            server.post(&format!("transit/decrypt/{}", key(name)), &body).expect(400).text()
        };
        let of_wrong_key = refusal("wrong", "context", &context);
        assert!(of_wrong_key.contains("message authentication failed"), "{of_wrong_key}");
        for (member, value) in [
            ("ciphertext", flipped(0)),
            ("ciphertext", flipped(bytes.len() - 17)),
            ("ciphertext", flipped(bytes.len() - 1)),
            ("ciphertext", truncated(1)),
            ("ciphertext", truncated(9)),
            ("context", b64("other")),
            ("associated_data", b64("other")),
            ("associated_data", String::new()),
        ] {
            assert_eq!(refusal("right", member, &value), of_wrong_key, "{key_type}: {member} {value}");
        }
    }
}
