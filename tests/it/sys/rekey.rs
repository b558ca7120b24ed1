//! `sys/rekey/*`, `sys/generate-root/*`, `sys/rotate`: what takes the shares of an unsealed server, or changes its keys.

use std::time::Duration;

use serde_json::{Value, json};

use super::seal::{Shared, open, texts};
use crate::client::request;
use crate::server::TestServer;

/// Begins to make new shares. Returns the nonce.
fn begin(server: &TestServer, body: &Value) -> String {
    open(server, "PUT", "sys/rekey/init", body).expect(200).json()["nonce"].as_str().unwrap().to_owned()
}

fn bring(server: &TestServer, key: &str, nonce: &str) -> Value {
    open(server, "PUT", "sys/rekey/update", &json!({"key": key, "nonce": nonce})).expect(200).json()
}

#[test]
fn a_restart_in_the_middle_leaves_the_old_shares() {
    let shared = Shared::unsealed(3, 2);
    let nonce = begin(&shared.server, &json!({"secret_shares": 2, "secret_threshold": 2}));
    bring(&shared.server, &shared.keys[0], &nonce);
    let shared = shared.restarted();
    shared.unseal(&shared.keys[1..]);
    let told = shared.server.get("sys/rekey/init").expect(200).json();
    assert_eq!((&told["started"], &told["nonce"], &told["required"]), (&json!(false), &json!(""), &json!(2)));
    let text = open(&shared.server, "PUT", "sys/rekey/update", &json!({"key": shared.keys[0], "nonce": nonce}));
    text.refused(400, "no barrier rekey in progress");
}

/// Shares that nobody gave back do not count, whatever happens then.
#[test]
fn shares_that_are_not_verified_do_not_count() {
    let shared = Shared::unsealed(1, 1);
    let begun =
        begin(&shared.server, &json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true}));
    let early = shared.server.get("sys/rekey/verify").expect(200).json();
    assert_eq!(early, json!({"nonce": "", "started": false, "t": 2, "n": 3, "progress": 0}));
    let made = bring(&shared.server, &shared.keys[0], &begun);
    let again = open(&shared.server, "PUT", "sys/rekey/update", &json!({"key": shared.keys[0], "nonce": begun}));
    let new = texts(&made["keys_base64"]);
    let nonce = made["verification_nonce"].as_str().unwrap().to_owned();
    let text =
        "rekey operation already finished; verification must be performed; nonce for the verification operation is";
    again.refused(400, &format!("{text} {nonce:?}"));
    let verify =
        |key: &str, nonce: &str| open(&shared.server, "PUT", "sys/rekey/verify", &json!({"key": key, "nonce": nonce}));
    assert_eq!(verify(&new[0], &nonce).expect(200).json()["progress"], 1);
    let again = verify(&new[0], &nonce).refused_with(400);
    assert_eq!(again, "given key has already been provided during this verify operation");
    verify(&shared.keys[0], &nonce).refused(400, "rekey verification failed; incorrect key shares supplied");
    let failed = shared.server.get("sys/rekey/verify").expect(200).json();
    assert_eq!(failed["progress"], 0);
    assert_ne!(failed["nonce"], nonce, "all shares have to come again, and whoever brings one must know it");
    assert!(verify(&new[0], "wrong").refused_with(400).starts_with("incorrect nonce supplied; nonce for this verify"));
    let restarted = shared.server.delete("sys/rekey/verify").expect(200).json();
    assert_ne!(restarted["nonce"], nonce);
    assert_eq!(verify(&new[0], restarted["nonce"].as_str().unwrap()).expect(200).json()["progress"], 1);
    let shared = shared.restarted();
    shared.unseal(&shared.keys);
    shared.server.get("sys/rekey/verify").refused(400, "no rekey configuration found");
    open(&shared.server, "PUT", "sys/rekey/verify", &json!({"key": new[0], "nonce": ""}))
        .refused(400, "no rekey in progress");
}

/// After a rekeying neither the old shares open the new seal record, nor the old root key the new keyring.
#[test]
fn what_the_old_shares_opened_is_of_no_use() {
    let shared = Shared::unsealed(2, 2);
    shared.as_root("POST", "cubbyhole/a", &json!({"a": "b"})).expect(204);
    let before = shared.server.stored();
    let nonce = begin(&shared.server, &json!({"secret_shares": 3, "secret_threshold": 2}));
    bring(&shared.server, &shared.keys[1], &nonce);
    let again = open(&shared.server, "PUT", "sys/rekey/update", &json!({"key": shared.keys[1], "nonce": nonce}));
    again.refused(400, "given key has already been provided during this generation operation");
    let new = texts(&bring(&shared.server, &shared.keys[0], &nonce)["keys"]);
    assert_eq!(shared.server.get("sys/rekey/init").json()["started"], false, "another one may begin");
    let after = shared.server.stored();
    assert_ne!(before[&b"core/keyring"[..]], after[&b"core/keyring"[..]]);

    // Changes after it are made under the new root key.
    shared.as_root("PUT", "sys/rotate", &json!({})).expect(204);
    shared.as_root("POST", "cubbyhole/c", &json!({"c": "d"})).expect(204);
    let shared = shared.restarted();
    open(&shared.server, "PUT", "sys/unseal", &json!({"key": shared.keys[0]})).expect(200);
    open(&shared.server, "PUT", "sys/unseal", &json!({"key": shared.keys[1]})).expect(400);
    shared.unseal(&new[1..]);
    assert_eq!(shared.as_root("GET", "cubbyhole/a", &Value::Null).data()["a"], "b");
    assert_eq!(shared.as_root("GET", "cubbyhole/c", &Value::Null).data()["c"], "d");

    // Who kept the old seal record and the old shares has the old root key, which is that of nothing.
    let mixed = coffer::storage::Memory::new();
    let seal = before[&b"core/seal"[..]].clone();
    let all = shared.server.stored().into_iter().fold(coffer::storage::Batch::new(), |batch, (key, value)| {
        let value = if key == b"core/seal" { seal.clone() } else { value };
        batch.put(key, value)
    });
    coffer::storage::Store::commit(&mixed, all).unwrap();
    let thief = TestServer::over(std::sync::Arc::new(mixed), crate::server::limits());
    open(&thief, "PUT", "sys/unseal", &json!({"key": shared.keys[0]})).expect(200);
    open(&thief, "PUT", "sys/unseal", &json!({"key": shared.keys[1]})).expect(500);
    thief.get("sys/mounts").refused(503, "Vault is sealed");
}

/// Who can write to the store puts a seal record of his own there, and has the shares for it.
#[test]
fn a_seal_record_of_another_store_makes_no_root_token() {
    let (shared, other) = (Shared::unsealed(1, 1), Shared::unsealed(1, 1));
    let seal = other.server.stored()[&b"core/seal"[..]].clone();
    shared.server.store.commit(coffer::storage::Batch::new().put("core/seal", seal)).unwrap();
    let answered = open(&shared.server, "PUT", "sys/generate-root/attempt", &json!({})).expect(200).json();
    let share = json!({"key": other.keys[0], "nonce": answered["nonce"]});
    open(&shared.server, "PUT", "sys/generate-root/update", &share).expect(500);
    let nonce = begin(&shared.server, &json!({"secret_shares": 1, "secret_threshold": 1}));
    open(&shared.server, "PUT", "sys/rekey/update", &json!({"key": other.keys[0], "nonce": nonce})).expect(500);
}

#[test]
fn a_root_token_takes_the_shares_and_the_password() {
    let shared = Shared::unsealed(3, 2);
    let begin = |body: &Value| open(&shared.server, "PUT", "sys/generate-root/attempt", body);
    let update = |key: &str, nonce: &str| {
        open(&shared.server, "PUT", "sys/generate-root/update", &json!({"key": key, "nonce": nonce}))
    };
    update(&shared.keys[0], "n").refused(400, "no root generation in progress");
    begin(&json!({"otp": "short"})).refused(400, "OTP string is wrong length");
    let otp = "x".repeat(28);
    let answered = begin(&json!({"otp": otp})).expect(200).json();
    assert_eq!((&answered["otp"], &answered["otp_length"]), (&json!(""), &json!(28)), "what was sent is not told back");
    begin(&json!({})).refused(400, "root generation already in progress");
    let nonce = answered["nonce"].as_str().unwrap();
    let wrong = format!("incorrect nonce supplied; nonce for this root generation operation is {nonce:?}");
    update(&shared.keys[0], "n").refused(400, &wrong);
    update(&"0b".repeat(15), nonce).refused(400, "invalid key: key is shorter than minimum 16 bytes");
    update(&shared.keys[0], nonce).expect(200);
    update(&"0b".repeat(33), nonce).expect(400);
    assert_eq!(shared.server.get("sys/generate-root/attempt").json()["progress"], 0, "it begins anew");
    update(&shared.keys[0], nonce).expect(200);
    let done = update(&shared.keys[2], nonce).expect(200).json();
    let body = json!({"encoded_token": done["encoded_token"], "otp": otp});
    let token = open(&shared.server, "PUT", "sys/decode-token", &body).text_of("token");
    let own = shared.server.send(&request("GET", "auth/token/lookup-self").token(&token)).data();
    assert_eq!(
        (&own["policies"], &own["path"], &own["orphan"]),
        (&json!(["root"]), &json!("auth/token/root"), &json!(true))
    );
    begin(&json!({})).expect(200);
    shared.server.delete("sys/generate-root/attempt").expect(204);
    assert_eq!(shared.server.get("sys/generate-root/attempt").json()["started"], false);
}

/// What was answered with the shares is over with the seal.
#[test]
fn a_seal_ends_what_was_begun() {
    let shared = Shared::unsealed(2, 2);
    let nonce = begin(&shared.server, &json!({"secret_shares": 1, "secret_threshold": 1}));
    bring(&shared.server, &shared.keys[0], &nonce);
    open(&shared.server, "PUT", "sys/generate-root/attempt", &json!({})).expect(200);
    shared.as_root("PUT", "sys/seal", &json!({})).expect(204);
    shared.server.get("sys/rekey/init").refused(503, "node is not active");
    shared.unseal(&shared.keys);
    assert_eq!(shared.server.get("sys/rekey/init").json()["started"], false);
    assert_eq!(shared.server.get("sys/generate-root/attempt").json()["started"], false);
}

#[test]
fn a_rotation_is_a_new_term_and_old_records_stay_readable() {
    let shared = Shared::unsealed(1, 1);
    let status = || shared.as_root("GET", "sys/key-status", &Value::Null).expect(200).json();
    let first = status();
    assert_eq!((&first["term"], &first["data"]["term"]), (&json!(1), &json!(1)));
    assert_eq!(first["install_time"], "2026-11-22T00:00:00.123456789Z");
    shared.as_root("POST", "cubbyhole/a", &json!({"a": "b"})).expect(204);
    shared.server.clock.advance(Duration::from_mins(1));
    shared.as_root("PUT", "sys/rotate", &json!({})).expect(204);
    shared.as_root("POST", "cubbyhole/b", &json!({"a": "c"})).expect(204);
    let second = status();
    assert_eq!((&second["term"], &second["install_time"]), (&json!(2), &json!("2026-11-22T00:01:00.123456789Z")));
    assert!(second["encryptions"].as_u64().unwrap() < first["encryptions"].as_u64().unwrap() + 10);
    let shared = shared.restarted();
    shared.unseal(&shared.keys);
    assert_eq!(shared.as_root("GET", "cubbyhole/a", &Value::Null).data()["a"], "b");
    assert_eq!(shared.as_root("GET", "cubbyhole/b", &Value::Null).data()["a"], "c");
    let third = shared.as_root("GET", "sys/key-status", &Value::Null).json();
    assert_eq!((&third["term"], &third["install_time"]), (&second["term"], &second["install_time"]));
}

#[test]
fn time_rotates_where_an_operator_wants_that() {
    let shared = Shared::unsealed(1, 1);
    let write = |body: &Value| shared.as_root("POST", "sys/rotate/config", body);
    let term = || shared.as_root("GET", "sys/key-status", &Value::Null).data()["term"].clone();
    let config = shared.as_root("GET", "sys/rotate/config", &Value::Null).data();
    assert_eq!(config, json!({"enabled": true, "interval": 0, "max_operations": 3_865_470_566_u64}));
    write(&json!({"interval": "1h"})).refused(400, "interval must be greater or equal than 24h0m0s");
    for uses in [json!(1), json!(-1), json!(999_999), json!(3_865_470_567_u64)] {
        write(&json!({"max_operations": uses}))
            .refused(400, "max_operations must be greater or equal than 1000000 or less than 3865470566");
    }
    write(&json!({"interval": "24h", "max_operations": 1_000_000, "enabled": "true"})).expect(204);
    let config = shared.as_root("GET", "sys/rotate/config", &Value::Null).data();
    assert_eq!(config, json!({"enabled": true, "interval": "24h0m0s", "max_operations": 1_000_000}));
    shared.server.clock.advance(Duration::from_hours(23));
    shared.server.core.tick();
    assert_eq!(term(), 1);
    shared.server.clock.advance(Duration::from_hours(1));
    shared.server.core.tick();
    shared.server.core.tick();
    assert_eq!(term(), 2);
    write(&json!({"enabled": false})).expect(204);
    shared.server.clock.advance(Duration::from_hours(100));
    shared.server.core.tick();
    assert_eq!(term(), 2);
}

#[test]
fn the_only_server_of_a_cluster_says_so() {
    let shared = Shared::unsealed(1, 1);
    let told = shared.as_root("GET", "sys/ha-status", &Value::Null).expect(200).json();
    assert_eq!(told["nodes"], told["data"]["nodes"]);
    assert_eq!((told["nodes"].as_array().unwrap().len(), &told["nodes"][0]["active_node"]), (1, &json!(true)));
    shared.server.send(&request("GET", "sys/ha-status").without_token()).refused(403, "permission denied");
}
