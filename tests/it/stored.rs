//! Stores that earlier versions wrote: each opens, and its server answers as the one that wrote it did.
//!
//! `tests/golden/stored/` only ever gets more files. When a stored form changes,
//! `cargo test --test it -- --ignored write_a_store` adds one.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use coffer::barrier::Sealed;
use coffer::core::seal::UnsealKey;
use coffer::storage::{Batch, Memory, Store};

use crate::by_hand::{self, Pairs};
use crate::client::{Answer, b64, request};
use crate::server::{ROOT, TestServer, limits};
use crate::{golden, transit};

/// A store as it is at rest, and requests with the answers of the server that wrote it.
#[derive(Serialize, Deserialize)]
struct Kept {
    unseal_key: String,
    /// Values in base64.
    pairs: std::collections::BTreeMap<String, String>,
    asked: Vec<Asked>,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    /// Method and path.
    line: String,
    token: String,
    body: Value,
    status: u16,
    /// `data` of the answer.
    data: Value,
}

impl Kept {
    fn pairs(&self) -> Pairs {
        self.pairs.iter().map(|(key, value)| (key.clone(), crate::client::from_b64(value))).collect()
    }

    fn open(&self) -> TestServer {
        let store = Memory::new();
        let batch = self.pairs().into_iter().fold(Batch::new(), |batch, (key, value)| batch.put(key, value));
        store.commit(batch).unwrap();
        TestServer::restarted(Arc::new(store), &UnsealKey::from_base64(&self.unseal_key).unwrap())
    }
}

impl Asked {
    fn ask(&self, server: &TestServer) -> Answer {
        let (method, path) = self.line.split_once(' ').unwrap();
        let request = request(method, path).token(&self.token);
        server.send(&if self.body.is_null() { request } else { request.json(&self.body) })
    }
}

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stored")
}

fn kept() -> Vec<(String, Kept)> {
    let files = fs::read_dir(dir()).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.display().to_string(), serde_json::from_slice(&fs::read(&file).unwrap()).unwrap())).collect()
}

#[test]
fn old_stores_open_and_answer_as_they_did() {
    let kept = kept();
    assert!(!kept.is_empty());
    for (name, kept) in kept {
        let server = kept.open();
        for asked in &kept.asked {
            let answer = asked.ask(&server);
            assert_eq!(answer.status, asked.status, "{name}: {}: {}", asked.line, answer.text());
            if answer.status == 200 {
                let data = answer.data();
                assert!(says_all(&data, &asked.data), "{name}: {}\nwas {}\nis  {data}", asked.line, asked.data);
            }
        }
        // And what is old can be changed.
        server.post("transit/keys/plain/rotate", &json!({})).expect(200);
        server.post("sys/mounts/new", &json!({"type": "transit"})).expect(204);
    }
}

/// An answer may say more than it did, and another version of the server has another name.
fn says_all(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => then.iter().all(|(name, then)| {
            name == "running_plugin_version" || now.get(name).is_some_and(|now| says_all(now, then))
        }),
        _ => now == then,
    }
}

/// What is stored of everything that there is now: the members of each record, with types in place of values. It goes
/// through a reader that knows the layout only as it is written down.
#[test]
fn forms() {
    let (server, key) = furnished();
    let pairs: Pairs =
        server.stored().into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value)).collect();
    let opened = by_hand::open(&pairs, &key.to_base64());
    let line = |(path, (version, value)): (&String, &(u8, Value))| {
        let path: Vec<_> = path.split('/').map(|part| if is_identifier(part) { "*" } else { part }).collect();
        format!("{} v{version} {}", path.join("/"), form(value))
    };
    let lines: BTreeSet<String> = opened.iter().map(line).collect();
    golden::check("forms.txt", &(lines.into_iter().collect::<Vec<_>>().join("\n") + "\n"));
}

fn is_identifier(part: &str) -> bool {
    // The accessor of a mount ends so.
    let is_random = |end: &str| end.len() == 8 && end.chars().all(|char| char.is_ascii_hexdigit());
    let is_time = |start: &str| start.len() == 16 && start.chars().all(|char| char.is_ascii_hexdigit());
    part.len() >= 24
        || part.chars().all(|char| char.is_ascii_digit())
        || part.rsplit_once('_').is_some_and(|(_, end)| is_random(end))
        || part.split_once('-').is_some_and(|(start, _)| is_time(start))
}

/// A value with types in place of what it says.
fn form(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(form).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("|"))
        }
        Value::Object(members) => {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{}", form(value))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// A server whose store has a record of every kind.
fn furnished() -> (TestServer, UnsealKey) {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    let key = UnsealKey::generate();
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    let config =
        json!({"listing_visibility": "unauth", "max_lease_ttl": "24h", "passthrough_request_headers": ["X-Mine"]});
    let tuned = json!({"type": "transit", "description": "tuned", "config": config, "options": {"k": "v"}});
    server.post("sys/mounts/tuned", &tuned).expect(204);
    server.post("sys/mounts/transit", &json!({"type": "transit"})).expect(204);
    server.post("sys/mounts/gone", &json!({"type": "transit"})).expect(204);
    server.delete("sys/mounts/gone").expect(204);
    server.post("transit/config/keys", &json!({"disable_upsert": true})).expect(200);
    server.post("transit/cache-config", &json!({"size": 20})).expect(200);
    for key_type in transit::CIPHERS {
        server.post(&format!("transit/keys/{key_type}"), &json!({"type": key_type})).expect(200);
    }
    server.post("transit/keys/plain", &json!({"exportable": true, "auto_rotate_period": "1h"})).expect(200);
    server.post("transit/keys/derived", &json!({"derived": true})).expect(200);
    let convergent = json!({"derived": true, "convergent_encryption": true, "type": "xchacha20-poly1305"});
    server.post("transit/keys/convergent", &convergent).expect(200);
    for _ in 0..3 {
        server.post("transit/keys/plain/rotate", &json!({})).expect(200);
    }
    let floors = json!({"min_decryption_version": 2, "min_encryption_version": 3, "deletion_allowed": true});
    server.post("transit/keys/plain/config", &floors).expect(200);
    server.post("transit/keys/plain/trim", &json!({"min_available_version": 2})).expect(200);
    server.post("auth/token/create", &json!({"id": "parent", "ttl": "24h", "meta": {"a": "b"}})).expect(200);
    let child = json!({"id": "child", "period": "1h", "policies": ["default"], "display_name": "child"});
    server.send(&request("POST", "auth/token/create").token("parent").json(&child)).expect(200);
    server.clock.advance(Duration::from_mins(1));
    server.send(&request("POST", "auth/token/renew-self").token("child")).expect(200);
    let ended = server.token(&json!({"ttl": "1h"}));
    for token in [ROOT, &ended] {
        server.send(&request("POST", "cubbyhole/k").token(token).json(&json!({"a": "b"}))).expect(204);
    }
    server.send(&request("POST", "auth/token/revoke-self").token(&ended)).expect(204);
    furnish_logins(&server);
    furnish_secrets(&server);
    let device = json!({"type": "file", "description": "d", "options": {"file_path": "discard"}});
    server.post("sys/audit/nowhere", &device).expect(204);
    server.post("sys/config/auditing/request-headers/x-a", &json!({"hmac": true})).expect(204);
    (server, key)
}

/// A record of every kind that login methods keep.
fn furnish_logins(server: &TestServer) {
    let config = json!({"user_lockout_config": {"lockout_threshold": 3}, "token_type": "service"});
    for method in ["approle", "userpass"] {
        server.post(&format!("sys/auth/{method}"), &json!({"type": method, "config": config})).expect(204);
    }
    server.post("auth/userpass/users/bob", &json!({"password": "pass1", "policies": "a"})).expect(204);
    server.send(&request("POST", "auth/userpass/login/bob").json(&json!({"password": "pass1"}))).expect(200);
    for role in ["web", "gone"] {
        let body = json!({"secret_id_bound_cidrs": "127.0.0.0/8", "secret_id_ttl": "1h"});
        server.post(&format!("auth/approle/role/{role}"), &body).expect(204);
    }
    server.post("auth/approle/role/web/secret-id", &json!({"metadata": "k=v"})).expect(200);
    server.delete("auth/approle/role/gone").expect(204);
}

/// A record of every kind that KV keeps, of secrets with more versions than are kept.
fn furnish_secrets(server: &TestServer) {
    for version in ["1", "2"] {
        let mount = json!({"type": "kv", "options": {"version": version}});
        server.post(&format!("sys/mounts/kv{version}"), &mount).expect(204);
    }
    server.post("kv1/k", &json!({"a": 1.50, "ttl": "1h"})).expect(204);
    server.post("kv2/config", &json!({"max_versions": 3, "delete_version_after": "24h"})).expect(204);
    server.post("kv2/metadata/full", &json!({"custom_metadata": {"a": "b"}, "cas_required": false})).expect(204);
    for version in 1..=5 {
        for secret in ["full", "few"] {
            if secret == "full" || version < 3 {
                server.post(&format!("kv2/data/{secret}"), &json!({"data": {"version": version}})).expect(200);
            }
        }
    }
    let leased = json!({"type": "kv", "options": {"leased_passthrough": "true"}});
    server.post("sys/mounts/leased", &leased).expect(204);
    server.post("leased/k", &json!({"ttl": "1h"})).expect(204);
    for token in [ROOT, &server.token(&json!({"policies": ["root"]}))] {
        server.send(&request("GET", "leased/k").token(token)).expect(200);
    }
    server.delete("kv2/data/few").expect(204);
    server.post("kv2/destroy/full", &json!({"versions": [4]})).expect(204);
}

#[test]
#[ignore = "writes a file that is kept for ever"]
fn write_a_store() {
    let (server, key) = furnished();
    let unseal_key = key.to_base64().to_string();
    let pairs = server.stored().into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), b64(value))).collect();
    let mut asked = Vec::new();
    let mut keep = |line: &str, token: &str, body: Value| {
        asked.push(Asked { line: line.to_owned(), token: token.to_owned(), body, status: 0, data: Value::Null });
    };
    for path in
        ["sys/mounts", "sys/mounts/tuned/tune", "transit/config/keys", "transit/cache-config", "transit/keys?list=true"]
    {
        keep(&format!("GET {path}"), ROOT, Value::Null);
    }
    for key in transit::CIPHERS.iter().chain(&["plain", "derived", "convergent"]) {
        let context = if matches!(*key, "derived" | "convergent") { b64("context") } else { String::new() };
        let plain = json!({"plaintext": b64("kept"), "context": context, "associated_data": b64("aad")});
        let ciphertext = server.post(&format!("transit/encrypt/{key}"), &plain).text_of("ciphertext");
        let body = json!({"ciphertext": ciphertext, "context": context, "associated_data": b64("aad")});
        keep(&format!("POST transit/decrypt/{key}"), ROOT, body);
        keep(&format!("GET transit/keys/{key}"), ROOT, Value::Null);
        if *key == "convergent" {
            keep("POST transit/encrypt/convergent", ROOT, plain);
        }
    }
    keep("GET gone/keys/k", ROOT, Value::Null);
    for path in ["kv1/k", "kv2/config", "kv2/metadata/full", "kv2/metadata/few", "kv2/data/few"] {
        keep(&format!("GET {path}"), ROOT, Value::Null);
    }
    for version in 0..=6 {
        keep(&format!("GET kv2/data/full?version={version}"), ROOT, Value::Null);
    }
    for token in [ROOT, "parent", "child"] {
        keep("GET auth/token/lookup-self", token, Value::Null);
    }
    let mut kept = Kept { unseal_key, pairs, asked };
    let server = kept.open();
    for asked in &mut kept.asked {
        let answer = asked.ask(&server);
        asked.status = answer.status;
        asked.data = if answer.status == 200 { answer.data() } else { Value::Null };
    }
    let number = (1..1000).find(|number| !dir().join(format!("{number}.json")).exists()).unwrap();
    fs::create_dir_all(dir()).unwrap();
    fs::write(dir().join(format!("{number}.json")), serde_json::to_string_pretty(&kept).unwrap() + "\n").unwrap();
}

// === stores that are damaged ===

/// Regressions R54, R65 and R66: a record that is cut, altered, or put in another's place is told from a good one, without
/// a panic; its reader gets no data, and no word about the inside of the server.
#[test]
fn a_damaged_record_is_an_error_without_details() {
    let (server, key) = furnished();
    let ciphertext = server.post("transit/encrypt/plain", &json!({"plaintext": b64("kept")})).text_of("ciphertext");
    let pairs = server.stored();
    let records: Vec<_> = pairs.iter().filter(|(path, _)| path.as_slice() != b"core/seal").collect();
    for (at, (path, record)) in records.iter().enumerate() {
        let cut = [0, 1, 4, 5, 16, 17, 32, record.len() - 1].map(|length| record[..length.min(record.len())].to_vec());
        let flipped = [0, 1, 4, 5, 17, record.len() - 1].map(|at| {
            let mut bad = (*record).clone();
            bad[at] ^= 1;
            bad
        });
        let (_, other) = records[(at + 1) % records.len()];
        for bad in cut.into_iter().chain(flipped).chain([other.clone(), [&record[..], b"x"].concat()]) {
            let store = Memory::new();
            let whole = pairs.iter().fold(Batch::new(), |batch, (key, value)| batch.put(&key[..], &value[..]));
            store.commit(whole).unwrap();
            store.commit(Batch::new().put(&path[..], bad)).unwrap();
            check_damaged(Arc::new(store), &key, &ciphertext, &String::from_utf8_lossy(path));
        }
    }
}

fn check_damaged(store: Arc<dyn Store>, key: &UnsealKey, ciphertext: &str, path: &str) {
    let server = TestServer::over(store, limits());
    if server.core.unseal(key).is_err() {
        return server.get("sys/mounts").refused(503, "Vault is sealed");
    }
    let body = json!({"ciphertext": ciphertext});
    let mut failures = 0;
    for answer in [
        server.post("transit/decrypt/plain", &body),
        server.get("transit/keys/convergent"),
        server.get("transit/config/keys"),
        server.send(&request("GET", "auth/token/lookup-self").token("child")),
    ] {
        match answer.status {
            200 => {
                let plaintext = answer.data()["plaintext"].clone();
                assert!(plaintext.is_null() || plaintext == b64("kept"), "{path}: {}", answer.text());
            }
            500 => {
                failures += 1;
                let text = answer.error();
                let id = text.strip_prefix("internal error; the server's log has it under request ").unwrap();
                assert_eq!(id.len(), 36, "{text}");
            }
            // Who cannot be recognised is not admitted.
            other => panic!("{path}: {other} {}", answer.text()),
        }
    }
    let is_read = ["key/plain", "key/convergent", "config/keys"].iter().any(|read| path.ends_with(read));
    assert!(failures > 0 || !is_read, "{path} was altered, and nobody noticed");
}

/// The unseal key is all that opens a store, and only with the store's own seal record.
#[test]
fn a_damaged_seal_record_unseals_nothing() {
    let (server, key) = furnished();
    let pairs = server.stored();
    let seal = &pairs[&b"core/seal"[..]];
    for at in 0..seal.len() {
        let mut bad = seal.clone();
        bad[at] ^= 1;
        let store = Memory::new();
        let whole = pairs.iter().fold(Batch::new(), |batch, (key, value)| batch.put(&key[..], &value[..]));
        store.commit(whole.put("core/seal", bad.clone())).unwrap();
        let core = coffer::core::Core::new(
            Sealed::new(Arc::new(store)),
            coffer::core::Settings::default(),
            server.clock.clone(),
        );
        let unsealed = core.unseal(&key).is_ok();
        // Of the shares only their number is told, and it binds nobody yet.
        let harmless = String::from_utf8(bad).is_ok_and(|bad| {
            let parsed: Option<Value> = serde_json::from_str(&bad).ok();
            parsed
                .is_some_and(|parsed| parsed["root_key"] == serde_json::from_slice::<Value>(seal).unwrap()["root_key"])
        });
        assert!(!unsealed || harmless, "byte {at}");
    }
}
