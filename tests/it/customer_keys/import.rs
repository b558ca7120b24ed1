//! How keys get in, and what is refused as one.

use std::process::Command;

use coffer::crypto::customer_key::CustomerKey;
use serde_json::json;

use super::{activate, key, send_bytes, upload, wait_for};
use crate::client::{b64, request};
use crate::server::TestServer;

#[test]
fn a_key_comes_as_bytes_in_base64_or_wrapped_and_is_never_told() {
    let server = TestServer::start();
    let check = |name: &str, number: u8, data: serde_json::Value| {
        let own = CustomerKey::parse(&key(number)).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!((&data["name"], &data["version"], &data["state"]), (&json!(name), &json!(1), &json!("uploaded")));
        assert_eq!(data["check_value"], hex(&own.check_value().unwrap()));
        assert_eq!(data["fingerprint"], hex(&own.fingerprint()));
        let read = server.get(&format!("sys/customer-keys/{name}")).expect(200).text();
        assert!(!read.contains(&b64(key(number))) && !read.contains(&hex(&key(number))), "{read}");
    };
    check("bytes", 1, send_bytes(&server, "sys/customer-keys/bytes?storage=memory", &key(1)).expect(200).data());
    assert_eq!(server.get("sys/customer-keys/bytes").data()["storage"], "memory");
    check("text", 2, upload(&server, "text", &key(2)).expect(200).data());
    for (name, number, direct) in [("wrapped", 3, false), ("encrypted", 4, true)] {
        let pem = server.get("sys/customer-keys/wrapping-key").expect(200).text_of("public_key");
        let wrapped = wrapped_by_openssl(&pem, &key(number), direct);
        let body = json!({"wrapped_key": b64(wrapped), "hash_function": "SHA256"});
        check(name, number, server.post(&format!("sys/customer-keys/{name}"), &body).expect(200).data());
    }
    let names = server.list("sys/customer-keys").expect(200).data();
    assert_eq!(names["keys"], json!(["bytes", "encrypted", "text", "wrapped"]));
}

/// Wraps a key as an administrator does, without this program: RSA-OAEP, and AES-KWP unless it goes in directly.
fn wrapped_by_openssl(pem: &str, key: &[u8], direct: bool) -> Vec<u8> {
    let dir = std::env::temp_dir().join(format!("coffer-wrap-{}-{direct}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("pem"), pem).unwrap();
    std::fs::write(path("key"), key).unwrap();
    let openssl = |arguments: &str| {
        let arguments = arguments.replace("DIR", dir.to_str().unwrap());
        let output = Command::new("openssl").args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let oaep = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";
    let wrapped = if direct {
        openssl(&format!("pkeyutl -encrypt -pubin -inkey DIR/pem {oaep} -in DIR/key -out DIR/wrapped"));
        std::fs::read(path("wrapped")).unwrap()
    } else {
        let ephemeral = super::key(200);
        std::fs::write(path("ephemeral"), &ephemeral).unwrap();
        openssl(&format!("pkeyutl -encrypt -pubin -inkey DIR/pem {oaep} -in DIR/ephemeral -out DIR/first"));
        let hex: String = ephemeral.iter().map(|byte| format!("{byte:02x}")).collect();
        openssl(&format!("enc -id-aes256-wrap-pad -iv A65959A6 -K {hex} -in DIR/key -out DIR/second"));
        [std::fs::read(path("first")).unwrap(), std::fs::read(path("second")).unwrap()].concat()
    };
    std::fs::remove_dir_all(&dir).unwrap();
    wrapped
}

/// Invariant 5: what is no key is refused, told what it is, and leaves nothing.
#[test]
fn what_is_no_key_is_refused_with_a_text_that_teaches() {
    let server = TestServer::start();
    let good = key(1);
    let hex: String = good.iter().map(|byte| format!("{byte:02x}")).collect();
    let check = |bytes: &[u8], expected: &str| {
        let text = send_bytes(&server, "sys/customer-keys/k", bytes).refused_with(400);
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
        server.get("sys/customer-keys/k").expect(404);
    };
    check(&good[..31], "31 bytes");
    check(&[good.as_slice(), b"\n"].concat(), "newline");
    check(hex.as_bytes(), "hexadecimal");
    check(b64(&good).as_bytes(), "base64");
    check(b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n", "public key");
    check(b"correct horse battery staple!!!!", "readable text");
    check(&[0; 32], "all zeros");
    check(&[7; 32], "byte");
    check(&[0x81, 0x13, 0xfe, 0x42].repeat(8), "repeats itself");
    let text = server.send(
        &request("POST", "sys/customer-keys/k")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(b"abc".to_vec()),
    );
    assert!(text.refused_with(400).contains("application/octet-stream"));
    for body in
        [json!({}), json!({"key": ""}), json!({"key": "!"}), json!({"wrapped_key": "AAAA"}), json!({"key": hex})]
    {
        server.post("sys/customer-keys/k", &body).refused_with(400);
    }
    server.post("sys/customer-keys/k", &json!({"key": b64(&good), "storage": "disk"})).refused_with(400);
    // The paths of other things are no names.
    for name in ["wrapping-key", "signing-key"] {
        upload(&server, name, &good).refused_with(405);
    }
}

#[test]
fn a_key_has_one_name_and_one_version() {
    let server = TestServer::start();
    upload(&server, "a", &key(1)).expect(200);
    let text = upload(&server, "b", &key(1)).refused_with(400);
    assert!(text.contains("already used as version 1 of customer key \"a\""), "{text}");
    let text = upload(&server, "a", &key(1)).refused_with(400);
    assert!(text.contains("version 1 of \"a\" already"), "{text}");
    assert_eq!(upload(&server, "a", &key(2)).expect(200).data()["version"], 2);
    assert_eq!(server.get("sys/customer-keys/a").data()["versions"].as_object().unwrap().len(), 2);
    server.post("sys/customer-keys/a/revoke", &json!({"version": 1})).expect(200);
    let text = upload(&server, "a", &key(1)).refused_with(400);
    assert!(text.contains("sys/customer-keys/a/restore"), "{text}");
}

/// Invariant 6: a mount goes under a key only when a backup of it was shown.
#[test]
fn activation_asks_for_a_proof_of_backup() {
    let server = TestServer::start();
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    upload(&server, "k", &key(1)).expect(200);
    let order = json!({"protector": "customer", "customer_key": "k"});
    let text = server.post("sys/mounts/kv/protection", &order).refused_with(400);
    assert!(text.contains("backup") && text.contains("skip_proof"), "{text}");
    let nonce = || server.post("sys/customer-keys/k/proof", &json!({})).expect(200).text_of("nonce");
    let prove = |nonce: &str, number: u8| {
        let bytes = base64_of(nonce);
        let proof = CustomerKey::parse(&key(number)).unwrap().proof(&bytes);
        server.post("sys/customer-keys/k/proof", &json!({"nonce": nonce, "proof": b64(proof)}))
    };
    let first = nonce();
    assert!(prove(&first, 2).refused_with(400).contains("not made with this key"));
    server.post("sys/mounts/kv/protection", &order).refused_with(400);
    prove(&b64([7; 32]), 1).refused_with(400);
    server.post("sys/customer-keys/k/proof", &json!({"nonce": first})).refused_with(400);
    server.clock.advance(std::time::Duration::from_mins(15));
    assert!(prove(&first, 1).refused_with(400).contains("15 minutes"));
    let second = nonce();
    prove(&second, 1).expect(200);
    prove(&second, 1).refused_with(400);
    server.post("sys/mounts/kv/protection", &order).expect(200);
    wait_for(&server, "kv", "active");
    // The next version is another key, and wants its own.
    upload(&server, "k", &key(2)).expect(200);
    server.post("sys/mounts/kv/protection", &order).refused_with(400);
    activate(&server, "kv", "k");
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.decode(text).unwrap()
}
