//! R01, R02, R06, R09: nonces from callers, options that a type does not have, strangers' keys, a crate that leaked.

use serde_json::{Value, json};

use super::recorded_keys;
use crate::client::{b64, from_b64};
use crate::server::TestServer;

const CIPHERS: [&str; 4] = crate::transit::CIPHERS;

/// The nonce stands in front of the ciphertext proper.
#[test]
fn r01_a_nonce_from_the_caller_is_not_used() {
    let server = TestServer::start();
    for (key_type, derived) in CIPHERS.iter().flat_map(|key_type| [(key_type, false), (key_type, true)]) {
        let key = format!("{key_type}-{derived}");
        server.post(&format!("transit/keys/{key}"), &json!({"type": key_type, "derived": derived})).expect(200);
        let nonce = vec![0x5a; if key_type.starts_with("xchacha") { 24 } else { 12 }];
        let post = |path: &str, text: &Value| {
            let mut body = json!({"context": b64("c"), "nonce": b64(&nonce), "iv": b64(&nonce)});
            body.as_object_mut().unwrap().extend(text.as_object().unwrap().clone());
            let single = server.post(&format!("transit/{path}/{key}"), &body).data();
            let batch = json!({"batch_input": [body, body], "nonce": b64(&nonce)});
            match path {
                "encrypt" | "rewrap" => {
                    let batch = server.post(&format!("transit/{path}/{key}"), &batch).data();
                    [&single, &batch["batch_results"][0], &batch["batch_results"][1]].map(text_of).to_vec()
                }
                _ => vec![text_of(&single)],
            }
        };
        let encrypted = post("encrypt", &json!({"plaintext": b64("text")}));
        let rewrapped = post("rewrap", &json!({"ciphertext": encrypted[0]}));
        let keys = [post("datakey/plaintext", &json!({})), post("datakey/wrapped", &json!({}))].concat();
        let mut nonces: Vec<Vec<u8>> = [encrypted, rewrapped, keys]
            .concat()
            .iter()
            .map(|text| from_b64(text.rsplit(':').next().unwrap())[..nonce.len()].to_vec())
            .collect();
        assert!(!nonces.contains(&nonce), "{key}");
        let count = nonces.len();
        nonces.sort();
        nonces.dedup();
        assert_eq!((nonces.len(), count), (8, 8), "{key} used a nonce twice");
    }
}

fn text_of(made: &Value) -> String {
    made["ciphertext"].as_str().unwrap_or_else(|| panic!("no ciphertext in {made}")).to_owned()
}

/// A refusal left a lock behind, or a key.
#[test]
fn r02_an_unsupported_option_leaves_the_name_free() {
    let server = TestServer::start();
    let signers = ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ml-dsa"];
    let macs = ["hmac", "aes128-cmac", "aes192-cmac", "aes256-cmac"];
    for (key_type, bits) in
        CIPHERS.iter().chain(&signers).chain(&macs).flat_map(|name| (1..8).map(move |bits| (name, bits)))
    {
        let (derived, convergent, exportable) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let path = format!("transit/keys/{key_type}-{bits}");
        let mut options = json!({"type": key_type, "derived": derived, "convergent_encryption": convergent, "exportable": exportable});
        if *key_type == "ml-dsa" {
            options["parameter_set"] = "44".into();
        }
        let is_cipher = CIPHERS.contains(key_type);
        match (derived, convergent) {
            // Making keys that may be made is the business of other tests.
            (false, false) => continue,
            (true, _) if is_cipher => continue,
            (true, false) if *key_type == "ed25519" => continue,
            (false, true) => {
                let text = "convergent encryption requires derivation to be enabled";
                server.post(&path, &options).refused(400, text);
            }
            (true, true) if *key_type == "ed25519" => {
                let text = "convergent encryption not supported for keys of type ed25519";
                server.post(&path, &options).refused_wrapped(500, text);
            }
            (true, _) => {
                let text = "key derivation and convergent encryption not supported for keys of type";
                server.post(&path, &options).refused_wrapped(500, &format!("{text} {key_type}"));
            }
        }
        server.get(&path).refused(404, "");
        assert_eq!(server.post(&path, &json!({"type": "chacha20-poly1305"})).text_of("type"), "chacha20-poly1305");
    }
}

#[test]
fn r06_a_restored_key_does_not_take_a_strangers_place() {
    let server = TestServer::start();
    let old = crate::transit::encrypt(&server, "k", b"of a stranger");
    let (_, backup) = recorded_keys().find(|(name, _)| *name == "chacha20-poly1305").unwrap();
    server.post("transit/keys/base", &json!({"type": "ecdsa-p256"})).expect(200);
    let before = server.stored();
    for path in ["transit/restore/k", "transit/restore"] {
        let backup = backup.replace("kat-chacha20-poly1305", "k");
        server.post(path, &json!({"backup": b64(&backup)})).refused_wrapped(500, "key \"k\" already exists");
        server
            .post(path, &json!({"backup": b64(&backup), "force": false}))
            .refused_wrapped(500, "key \"k\" already exists");
    }
    let import = json!({"type": "chacha20-poly1305", "ciphertext": b64([0; 600])});
    let text =
        "the import path cannot be used with an existing key; use import-version to rotate an existing imported key";
    server.post("transit/keys/k/import", &import).refused_wrapped(500, text);
    let text = "the import_version endpoint can only be used with an imported key";
    server.post("transit/keys/k/import_version", &import).refused_wrapped(500, text);
    let peer = &server.get("transit/keys/base").data()["keys"]["1"]["public_key"];
    let derive = json!({"base_key_name": "base", "peer_public_key": peer});
    server.post("transit/derive-key/k", &derive).refused(400, "a key that was made here takes no derived versions");
    assert_eq!(server.stored(), before);
    assert_eq!(crate::transit::decrypt(&server, "k", &old), b"of a stranger");

    let poor = server.token(&json!({"policies": ["default"]}));
    let forced = json!({"backup": b64(&backup), "force": true});
    let asked = crate::client::request("POST", "transit/restore/k").json(&forced);
    server.send(&asked.clone().token(&poor)).refused_wrapped(403, "permission denied");
    assert_eq!(crate::transit::decrypt(&server, "k", &old), b"of a stranger");
    server.send(&asked).expect(204);
    assert_eq!(server.get("transit/keys/k").text_of("type"), "chacha20-poly1305");
    server.post("transit/decrypt/k", &json!({"ciphertext": old})).expect(400);
}

/// The crate divided by secrets before 0.1. Ours only checks what AWS-LC signs.
#[test]
fn r09_the_crate_that_divided_by_secrets_signs_nothing() {
    let manifest = include_str!("../../../Cargo.toml");
    let of_tests = manifest.split("[dev-dependencies]").nth(1).unwrap();
    assert_eq!(manifest.matches("\nml-dsa").count(), of_tests.matches("\nml-dsa").count());
    let lock = include_str!("../../../Cargo.lock");
    let versions =
        lock.split("[[package]]").filter_map(|package| package.split_once("name = \"ml-dsa\"\nversion = \""));
    for (_, version) in versions {
        let numbers: Vec<u32> = version.split(['.', '-', '"']).map_while(|part| part.parse().ok()).collect();
        assert!(numbers >= vec![0, 1, 1], "{numbers:?}");
    }
}
