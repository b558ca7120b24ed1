//! What was acknowledged is there after a restart, on every engine that keeps a directory.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::{self, Engine};

use crate::client::{b64, request};
use crate::server::{ROOT, TestServer, limits};

/// A directory of its own, removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("coffer-it-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn sled_keeps_everything() {
    check(Engine::Sled);
}

#[test]
fn redb_keeps_everything() {
    check(Engine::Redb);
}

fn check(engine: Engine) {
    let scratch = Scratch::new(&engine.to_string());
    let key = UnsealKey::generate();
    let open = || TestServer::over(storage::open(engine, &scratch.0).unwrap(), limits());

    let server = open();
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    server.post("sys/mounts/deep/transit", &json!({"type": "transit", "description": "kept"})).expect(204);
    server.post("sys/mounts/gone", &json!({"type": "transit"})).expect(204);
    server.post("gone/keys/k", &json!({})).expect(200);
    server.delete("sys/mounts/gone").expect(204);
    let ciphertext = server.post("deep/transit/encrypt/k", &json!({"plaintext": b64("kept")})).text_of("ciphertext");
    server.post("deep/transit/keys/k/rotate", &json!({})).expect(200);
    server.post("deep/transit/config/keys", &json!({"disable_upsert": true})).expect(200);
    let token = server.token(&json!({"ttl": "1h", "policies": ["default"]}));
    let revoked = server.token(&json!({"ttl": "1h"}));
    server.send(&request("POST", "auth/token/revoke-self").token(&revoked)).expect(204);
    let told = |server: &TestServer| -> Vec<Value> {
        let mut health = server.get("sys/seal-status").expect(200).json();
        health["request_id"] = Value::Null;
        let reads =
            ["sys/mounts", "deep/transit/keys/k", "deep/transit/config/keys"].map(|path| server.get(path).data());
        [health].into_iter().chain(reads).collect()
    };
    let before = told(&server);
    drop(server);

    for _ in 0..2 {
        let server = open();
        server.get("sys/mounts").refused(503, "Vault is sealed");
        server.core.unseal(&key).unwrap();
        assert_eq!(told(&server), before);
        let body = json!({"ciphertext": ciphertext});
        assert_eq!(server.post("deep/transit/decrypt/k", &body).text_of("plaintext"), b64("kept"));
        server.get("gone/keys/k").expect(404);
        server.send(&request("GET", "auth/token/lookup-self").token(&token)).expect(200);
        server.send(&request("GET", "auth/token/lookup-self").token(&revoked)).refused(403, "permission denied");
        assert_eq!(server.core.dev_root_token(None).unwrap().expose(), ROOT);
    }
}

/// Only one process may have a directory, and the second one is told so.
#[test]
fn a_directory_in_use_is_not_opened() {
    let scratch = Scratch::new("in-use");
    let first = storage::open(Engine::Sled, &scratch.0).unwrap();
    let error = storage::open(Engine::Sled, &scratch.0).err().unwrap();
    assert!(matches!(error, storage::Error::InUse { .. }), "{error}");
    drop(first);
    storage::open(Engine::Sled, &scratch.0).unwrap();
}
