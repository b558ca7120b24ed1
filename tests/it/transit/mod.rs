//! `transit/`: what the recorded conformance cases do not show.

use serde_json::json;

use crate::client::{b64, from_b64};
use crate::server::TestServer;

mod batch;
mod cmac;
mod config;
mod datakey;
mod decrypt;
mod encrypt;
mod hash;
mod keys;
mod model;
mod random;
mod rewrap;
mod rsa;
mod sign;
mod trim;

/// The ciphertext of a plaintext, with the newest version of a key, which is made if need be.
#[track_caller]
pub(crate) fn encrypt(server: &TestServer, key: &str, plaintext: &[u8]) -> String {
    server.post(&format!("transit/encrypt/{key}"), &json!({"plaintext": b64(plaintext)})).text_of("ciphertext")
}

#[track_caller]
pub(crate) fn decrypt(server: &TestServer, key: &str, ciphertext: &str) -> Vec<u8> {
    let answer = server.post(&format!("transit/decrypt/{key}"), &json!({"ciphertext": ciphertext}));
    from_b64(&answer.text_of("plaintext"))
}

/// The bytes behind `vault:vN:`.
fn payload(ciphertext: &str) -> Vec<u8> {
    from_b64(ciphertext.rsplit(':').next().unwrap())
}

/// `ciphertext` with other bytes behind its prefix.
fn with_payload(ciphertext: &str, payload: &[u8]) -> String {
    let (prefix, _) = ciphertext.rsplit_once(':').unwrap();
    format!("{prefix}:{}", b64(payload))
}

/// The types of keys that encrypt.
pub(crate) const CIPHERS: [&str; 4] = ["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];
