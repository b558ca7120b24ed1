//! Servers that unseal themselves, by a static key or by another server's transit engine; their recovery keys; and the way
//! from shares to such a seal and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::core::Settings;
use coffer::core::seal::{SealStanza, Seals};
use coffer::storage::{Memory, Store};

use super::seal::{open, texts, unseal};
use crate::client::{b64, request};
use crate::server::{TestServer, limits};

fn stanza(kind: &str, disabled: bool, values: &[(&str, &str)]) -> SealStanza {
    let values: BTreeMap<_, _> = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    SealStanza { kind: kind.to_owned(), disabled, values }
}

/// A key of this name; the bytes follow from the name.
fn static_key(id: &str, disabled: bool) -> SealStanza {
    stanza("static", disabled, &[("current_key_id", id), ("current_key", &key_of(id))])
}

fn key_of(id: &str) -> String {
    b64([id.as_bytes()[0]; 32])
}

/// A server over a store with these seals, as it is before time has passed.
fn over(store: &Arc<dyn Store>, stanzas: &[SealStanza]) -> TestServer {
    let seals = Seals::from_stanzas(stanzas).unwrap();
    TestServer::with_settings(store.clone(), Settings { seals, ..Settings::default() }, limits())
}

fn new_store() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

fn status(server: &TestServer) -> Value {
    server.send(&request("GET", "sys/seal-status").without_token()).expect(200).json()
}

fn backends(server: &TestServer) -> Value {
    server.send(&request("GET", "sys/seal-backend-status").without_token()).expect(200).json()
}

/// Kind, whether sealed, whether there are recovery keys, whether it is to move.
fn state(server: &TestServer) -> (String, bool, bool, bool) {
    let status = status(server);
    let is = |member: &str| status[member] == true;
    (status["type"].as_str().unwrap().to_owned(), is("sealed"), is("recovery_seal"), is("migration"))
}

#[track_caller]
fn assert_state(server: &TestServer, kind: &str, sealed: bool, recovery: bool, migration: bool) {
    assert_eq!(state(server), (kind.to_owned(), sealed, recovery, migration));
}

struct Made {
    recovery_keys: Vec<String>,
    root: String,
}

fn initialise(server: &TestServer) -> Made {
    let body = json!({"recovery_shares": 3, "recovery_threshold": 2});
    let made = open(server, "PUT", "sys/init", &body).expect(200).json();
    assert_eq!((&made["keys"], &made["keys_base64"]), (&json!([]), &json!([])));
    Made { recovery_keys: texts(&made["recovery_keys_base64"]), root: made["root_token"].as_str().unwrap().to_owned() }
}

fn write(server: &TestServer, token: &str) {
    server.send(&request("POST", "cubbyhole/a").token(token).json(&json!({"a": "b"}))).expect(204);
}

#[track_caller]
fn assert_kept(server: &TestServer, token: &str) {
    assert_eq!(server.send(&request("GET", "cubbyhole/a").token(token)).data()["a"], "b");
}

#[test]
fn a_static_key_unseals_at_every_start() {
    let store = new_store();
    let server = over(&store, &[static_key("1", false)]);
    assert_state(&server, "static", true, true, false);
    open(&server, "PUT", "sys/init", &json!({"secret_shares": 1, "secret_threshold": 1}))
        .refused(400, "parameters secret_shares,secret_threshold not applicable to seal type static");
    let made = initialise(&server);
    assert_state(&server, "static", false, true, false);
    write(&server, &made.root);

    let server = over(&store, &[static_key("1", false)]);
    server.get("sys/mounts").refused(503, "Vault is sealed");
    let bring = |key: &str| open(&server, "PUT", "sys/unseal", &json!({"key": key}));
    assert_eq!(bring(&made.recovery_keys[0]).expect(200).json()["progress"], 1);
    server.core.tick();
    assert_kept(&server, &made.root);
    assert_eq!(backends(&server)["healthy"], true);
    // Whoever seals it wants that: time does not unseal it, people with recovery shares do.
    server.send(&request("PUT", "sys/seal").token(&made.root)).expect(204);
    server.clock.advance(Duration::from_hours(1));
    server.core.tick();
    assert_state(&server, "static", true, true, false);
    assert_eq!(status(&server)["progress"], 0, "what was brought before is forgotten");
    bring(&"07".repeat(33)).expect(200);
    bring(&"08".repeat(33)).expect(400);
    assert_state(&server, "static", true, true, false);
    unseal(&server, &made.recovery_keys[1..]);
    assert_kept(&server, &made.root);
}

#[test]
fn a_server_without_its_key_stays_sealed_and_says_why() {
    let store = new_store();
    initialise(&over(&store, &[static_key("1", false)]));
    for stanzas in [vec![], vec![static_key("2", false)]] {
        let server = over(&store, &stanzas);
        server.core.tick();
        assert_state(&server, "static", true, true, false);
        let text = open(&server, "PUT", "sys/unseal", &json!({"key": "00".repeat(33)})).refused_with(400);
        assert!(text.contains("the key \"1\", which is not configured"), "{text}");
        assert_eq!(backends(&server)["healthy"], false);
    }
    let wrong = stanza("static", false, &[("current_key_id", "1"), ("current_key", &key_of("2"))]);
    let server = over(&store, &[wrong]);
    server.core.tick();
    assert_state(&server, "static", true, true, false);
}

#[test]
fn a_new_static_key_takes_over_from_the_one_before() {
    let store = new_store();
    let made = initialise(&over(&store, &[static_key("1", false)]));
    let (current, previous) = (key_of("2"), key_of("1"));
    let values =
        [("current_key_id", "2"), ("current_key", &*current), ("previous_key_id", "1"), ("previous_key", &*previous)];
    let server = over(&store, &[stanza("static", false, &values)]);
    server.core.tick();
    write(&server, &made.root);
    drop(server);
    // From now on the old one is not needed, and of no use.
    let server = over(&store, &[static_key("1", false)]);
    server.core.tick();
    assert_state(&server, "static", true, true, false);
    drop(server);
    let server = over(&store, &[static_key("2", false)]);
    server.core.tick();
    assert_kept(&server, &made.root);
}

/// Recovery shares make root tokens, and new ones of themselves; the old ones are of no use then.
#[test]
fn recovery_shares_allow_what_unseal_shares_do() {
    let store = new_store();
    let server = over(&store, &[static_key("1", false)]);
    let made = initialise(&server);
    let root = generate_root(&server, &made.recovery_keys[..2]);
    server.send(&request("GET", "auth/token/lookup-self").token(&root)).expect(200);

    let begin = |path: &str, body: &Value| {
        open(&server, "PUT", &format!("sys/{path}/init"), body).expect(200).json()["nonce"].as_str().unwrap().to_owned()
    };
    let bring = |path: &str, key: &str, nonce: &str| {
        open(&server, "PUT", &format!("sys/{path}/update"), &json!({"key": key, "nonce": nonce}))
    };
    let body = json!({"secret_shares": 2, "secret_threshold": 2, "require_verification": true});
    let nonce = begin("rekey-recovery-key", &body);
    bring("rekey-recovery-key", &made.recovery_keys[0], &nonce).expect(200);
    bring("rekey-recovery-key", &"07".repeat(33), &nonce).refused(400, "recovery key verification failed");
    bring("rekey-recovery-key", &made.recovery_keys[0], &nonce).expect(200);
    let done = bring("rekey-recovery-key", &made.recovery_keys[2], &nonce).expect(200).json();
    let new = texts(&done["keys_base64"]);
    let verification = done["verification_nonce"].as_str().unwrap();
    for key in &new {
        open(&server, "PUT", "sys/rekey-recovery-key/verify", &json!({"key": key, "nonce": verification})).expect(200);
    }
    let told = status(&server);
    assert_eq!((&told["t"], &told["n"]), (&json!(2), &json!(2)));
    begin("rekey-recovery-key", &json!({"secret_shares": 1, "secret_threshold": 1}));
    server.send(&request("DELETE", "sys/rekey-recovery-key/init").without_token()).expect(204);

    // The root key alone is made anew by the other one: nobody gets a share.
    let refused = open(
        &server,
        "PUT",
        "sys/rekey/init",
        &json!({"secret_shares": 1, "secret_threshold": 1, "require_verification": true}),
    );
    let text = "requiring verification not supported when rekeying the barrier key with recovery keys";
    refused.refused(400, text);
    let nonce = begin("rekey", &json!({"secret_shares": 1, "secret_threshold": 1}));
    bring("rekey", &new[0], &nonce).expect(200);
    let done = bring("rekey", &new[1], &nonce).expect(200).json();
    assert_eq!((&done["complete"], &done["keys"]), (&json!(true), &json!([])));
    write(&server, &made.root);

    let server = over(&store, &[static_key("1", false)]);
    server.core.tick();
    assert_kept(&server, &made.root);
    generate_root(&server, &new);
    let answered = open(&server, "PUT", "sys/generate-root/attempt", &json!({})).expect(200).json();
    for (key, expected) in made.recovery_keys.iter().zip([200, 400]) {
        open(&server, "PUT", "sys/generate-root/update", &json!({"key": key, "nonce": answered["nonce"]}))
            .expect(expected);
    }
}

#[test]
fn encrypted_recovery_shares_have_a_backup_of_their_own() {
    let server = over(&new_store(), &[static_key("1", false)]);
    let made = initialise(&server);
    let (_, holder) = super::pgp::keys(&["rsa-alone"]).remove(0);
    let order = json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": [holder], "backup": true});
    open(&server, "PUT", "sys/rekey/init", &order)
        .refused(400, "PGP key encryption not supported when using stored keys");
    let begun = open(&server, "PUT", "sys/rekey-recovery-key/init", &order).expect(200).json();
    for key in &made.recovery_keys[..2] {
        open(&server, "PUT", "sys/rekey-recovery-key/update", &json!({"key": key, "nonce": begun["nonce"]}))
            .expect(200);
    }
    let read = |path: &str| server.send(&request("GET", path).token(&made.root));
    assert_eq!(read("sys/rekey/recovery-key-backup").data()["nonce"], begun["nonce"]);
    read("sys/rekey/backup").refused(400, "no backed-up keys found");
}

fn generate_root(server: &TestServer, keys: &[String]) -> String {
    let answered = open(server, "PUT", "sys/generate-root/attempt", &json!({})).expect(200).json();
    let mut last = Value::Null;
    for key in keys {
        let body = json!({"key": key, "nonce": answered["nonce"]});
        last = open(server, "PUT", "sys/generate-root/update", &body).expect(200).json();
    }
    let body = json!({"encoded_token": last["encoded_token"], "otp": answered["otp"]});
    open(server, "PUT", "sys/decode-token", &body).text_of("token")
}

/// From shares to a static key, on to another, and back to the same shares.
#[test]
fn a_server_moves_from_one_seal_to_another() {
    let store = new_store();
    let server = over(&store, &[]);
    let made = open(&server, "PUT", "sys/init", &json!({"secret_shares": 3, "secret_threshold": 2})).expect(200).json();
    let (keys, root) = (texts(&made["keys_base64"]), made["root_token"].as_str().unwrap().to_owned());
    let bring = |server: &TestServer, key: &str, migrate: bool| {
        open(server, "PUT", "sys/unseal", &json!({"key": key, "migrate": migrate}))
    };
    bring(&server, &keys[0], true).refused(400, "can't perform a seal migration, no migration seal found");
    unseal(&server, &keys[..2]);
    write(&server, &root);

    let mut seal = "shamir";
    for (stanzas, to) in [
        (vec![static_key("1", false)], "static"),
        (vec![static_key("1", true), static_key("2", false)], "static"),
        (vec![static_key("2", true)], "shamir"),
    ] {
        let server = over(&store, &stanzas);
        server.core.tick();
        assert_state(&server, seal, true, seal != "shamir", true);
        bring(&server, &keys[0], false).refused(400, "migrate option not provided and seal migration is pending");
        assert_eq!(bring(&server, &keys[2], true).expect(200).json()["sealed"], true);
        bring(&server, &"09".repeat(33), true).expect(400);
        assert_eq!(bring(&server, &keys[2], true).expect(200).json()["sealed"], true);
        assert_eq!(bring(&server, &keys[1], true).expect(200).json()["sealed"], false);
        assert_state(&server, to, false, to != "shamir", false);
        assert_kept(&server, &root);
        seal = to;
    }
    let server = over(&store, &[]);
    unseal(&server, &keys[1..]);
    assert_kept(&server, &root);
}

/// The root key of one server is a secret of another's transit engine.
#[test]
fn another_server_unseals_as_long_as_it_wants() {
    let keeper = TestServer::start();
    let policy = r#"path "transit/+/seal" { capabilities = ["update"] }"#;
    keeper.post("sys/policies/acl/seal", &json!({"policy": policy})).expect(204);
    keeper.post("transit/keys/seal", &json!({})).expect(200);
    let token = keeper.token(&json!({"policies": ["seal"], "period": "24h"}));
    let address = format!("http://{}", keeper.address);
    let values = [("address", &*address), ("token", &*token), ("key_name", "seal"), ("mount_path", "transit/")];
    let seal = || stanza("transit", false, &values);

    let store = new_store();
    let server = over(&store, &[seal()]);
    let made = initialise(&server);
    write(&server, &made.root);
    assert_state(&server, "transit", false, true, false);
    // Its token lives on.
    for _ in 0..5 {
        keeper.clock.advance(Duration::from_hours(12));
        server.clock.advance(Duration::from_hours(12));
        server.core.tick();
    }
    keeper.post("transit/keys/seal/rotate", &json!({})).expect(200);
    // Also where somebody keeps the server sealed for longer than the token lives.
    server.send(&request("PUT", "sys/seal").token(&made.root)).expect(204);
    for _ in 0..5 {
        keeper.clock.advance(Duration::from_hours(12));
        server.clock.advance(Duration::from_hours(12));
        server.core.tick();
    }
    unseal(&server, &made.recovery_keys[..2]);
    assert_kept(&server, &made.root);

    keeper.post("transit/keys/seal/config", &json!({"deletion_allowed": true})).expect(200);
    let server = over(&store, &[seal()]);
    keeper.post("sys/policies/acl/seal", &json!({"policy": "path \"x\" { capabilities = [\"deny\"] }"})).expect(204);
    server.core.tick();
    assert_state(&server, "transit", true, true, false);
    // It is not asked again at once; later it is, and less and less often.
    keeper.post("sys/policies/acl/seal", &json!({"policy": policy})).expect(204);
    server.core.tick();
    assert_state(&server, "transit", true, true, false);
    keeper.post("sys/policies/acl/seal", &json!({"policy": "path \"x\" { capabilities = [\"deny\"] }"})).expect(204);
    server.clock.advance(Duration::from_secs(1));
    server.core.tick();
    keeper.post("sys/policies/acl/seal", &json!({"policy": policy})).expect(204);
    server.clock.advance(Duration::from_secs(1));
    server.core.tick();
    assert_state(&server, "transit", true, true, false);
    server.clock.advance(Duration::from_secs(1));
    server.core.tick();
    assert_kept(&server, &made.root);
    drop(keeper);
    let server = over(&store, &[seal()]);
    server.core.tick();
    assert_state(&server, "transit", true, true, false);
    let text = open(&server, "PUT", "sys/unseal", &json!({"key": made.recovery_keys[0]}));
    text.expect(200);
    let text = open(&server, "PUT", "sys/unseal", &json!({"key": made.recovery_keys[1]})).refused_with(503);
    assert!(text.starts_with("the seal \"transit\" does not work now: cannot reach "), "{text}");
}

/// Who can write to the store makes himself no holder of recovery shares.
#[test]
fn recovery_shares_of_another_store_are_of_no_use() {
    let (store, other) = (new_store(), new_store());
    let server = over(&store, &[static_key("1", false)]);
    initialise(&server);
    let thief = initialise(&over(&other, &[static_key("1", false)]));
    let seal = other.get(b"core/seal").unwrap().value.unwrap();
    store.commit(coffer::storage::Batch::new().put("core/seal", seal)).unwrap();
    let answered = open(&server, "PUT", "sys/generate-root/attempt", &json!({})).expect(200).json();
    for (key, expected) in thief.recovery_keys.iter().zip([200, 400]) {
        open(&server, "PUT", "sys/generate-root/update", &json!({"key": key, "nonce": answered["nonce"]}))
            .expect(expected);
    }
}

/// Regression R63: strangers began, filled and cancelled what takes shares. Where an operator wants it, that takes a token.
#[test]
fn strangers_are_kept_from_ceremonies_where_an_operator_wants_that() {
    let settings = Settings { shares_need_token: true, ..Settings::default() };
    let server = TestServer::with_settings(new_store(), settings, limits());
    let made = open(&server, "PUT", "sys/init", &json!({"secret_shares": 1, "secret_threshold": 1})).expect(200).json();
    unseal(&server, &texts(&made["keys"]));
    let root = made["root_token"].as_str().unwrap();
    let body = json!({"policy": "path \"sys/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\"] }"});
    server.send(&request("PUT", "sys/policies/acl/all").token(root).json(&body)).expect(204);
    let made = server.send(&request("POST", "auth/token/create").token(root).json(&json!({"policies": ["all"]})));
    let token = made.expect(200).json()["auth"]["client_token"].as_str().unwrap().to_owned();
    let begin = json!({"secret_shares": 1, "secret_threshold": 1});
    for path in ["sys/rekey/init", "sys/generate-root/attempt"] {
        for method in ["GET", "PUT", "DELETE"] {
            let asked = || request(method, path).json(&begin);
            server.send(&asked().without_token()).refused(403, "permission denied");
            server.send(&asked().token(&token)).refused_wrapped(403, "permission denied");
            assert!(server.send(&asked().token(root)).status < 300, "{method} {path}");
        }
    }
    for path in ["sys/rekey/update", "sys/rekey/verify", "sys/generate-root/update", "sys/rekey-recovery-key/init"] {
        open(&server, "PUT", path, &begin).refused(403, "permission denied");
    }
}
