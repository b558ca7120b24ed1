//! Shares and root tokens that are encrypted for the PGP keys of their holders. That messages can be read is shown where
//! they are made; here, for which key they are.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use coffer::storage::{Batch, Durable, Error, Listing, Memory, Read, Seq, Store, Visit};

use super::seal::{Shared, open, texts};
use crate::client::{from_b64, request};
use crate::server::{TestServer, limits};

/// Certificates of `GnuPG`: their fingerprints, and their armor.
pub(super) fn keys(names: &[&str]) -> Vec<(String, String)> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../vectors/pgp.json")).unwrap();
    let text = |case: &Value, member: &str| case[member].as_str().unwrap().to_owned();
    let find = |name: &&str| all.iter().find(|case| case["name"] == **name).unwrap();
    names.iter().map(find).map(|case| (text(case, "fingerprint"), text(case, "public"))).collect()
}

/// The armor's content, which is what Vault's tools send.
fn bare(armor: &str) -> String {
    let body = armor.lines().skip_while(|line| !line.is_empty()).skip(1);
    body.take_while(|line| !line.starts_with('=') && !line.starts_with('-')).collect()
}

fn new_server() -> TestServer {
    TestServer::over(Arc::new(Memory::new()), limits())
}

/// A message begins with a packet that names a key of the certificate; none of them is the plaintext.
#[track_caller]
fn assert_message(base64: &str, algorithm: u8) {
    let message = from_b64(base64);
    assert_eq!((message[0], message[6], message[15]), (0xc1, 3, algorithm), "{base64}");
}

#[test]
fn shares_are_told_to_their_holders_only() {
    let server = new_server();
    let keys = keys(&["rsa-alone", "curve25519"]);
    let certificates: Vec<_> = keys.iter().map(|(_, armor)| bare(armor)).collect();
    let init = |body: Value| open(&server, "PUT", "sys/init", &body);
    let shares =
        |shares: u8, pgp_keys: &[String]| json!({"secret_shares": shares, "secret_threshold": 2, "pgp_keys": pgp_keys});
    init(shares(3, &certificates)).refused(400, "incorrect number of PGP keys");
    let text = init(shares(2, &["keybase:hashicorp".to_owned(), "x".to_owned()])).refused_with(400);
    assert!(text.contains("keybase"), "{text}");
    for (bad, part) in [("!!", "error decoding given PGP key: "), ("AAAA", "error parsing given PGP key: ")] {
        let text = init(shares(2, &[certificates[0].clone(), bad.to_owned()])).refused_with(400);
        assert!(text.starts_with(part), "{text}");
    }
    assert!(server.stored().is_empty());
    let mut body = shares(2, &certificates);
    body["root_token_pgp_key"] = json!(keys[0].1);
    let made = init(body).expect(200).json();
    let told = texts(&made["keys_base64"]);
    assert_message(&told[0], 1);
    assert_message(&told[1], 18);
    assert_message(made["root_token"].as_str().unwrap(), 1);
    assert_eq!(texts(&made["keys"])[0].len(), 2 * from_b64(&told[0]).len());
    // Nobody has read them, so nobody unseals.
    open(&server, "PUT", "sys/unseal", &json!({"key": told[0]})).expect(400);
}

#[test]
fn new_shares_are_kept_for_holders_who_have_not_come_yet() {
    let shared = Shared::unsealed(1, 1);
    let keys = keys(&["rsa-alone", "nistp256"]);
    let certificates: Vec<_> = keys.iter().map(|(_, armor)| armor.clone()).collect();
    let begin = |body: &Value| open(&shared.server, "PUT", "sys/rekey/init", body);
    begin(&json!({"secret_shares": 2, "secret_threshold": 2, "backup": true}))
        .refused(400, "cannot request a backup of the new keys without providing PGP keys for encryption");
    begin(&json!({"secret_shares": 3, "secret_threshold": 2, "pgp_keys": certificates}))
        .refused(400, "incorrect number of PGP keys for rekey");
    let wanted = json!({"secret_shares": 2, "secret_threshold": 2, "pgp_keys": certificates, "backup": true});
    let answered = begin(&wanted).expect(200).json();
    let fingerprints: Vec<_> = keys.iter().map(|(fingerprint, _)| fingerprint.clone()).collect();
    assert_eq!((&answered["pgp_fingerprints"], &answered["backup"]), (&json!(fingerprints), &json!(true)));
    let backup = |method: &str| shared.as_root(method, "sys/rekey/backup", &Value::Null);
    backup("GET").refused(400, "no backed-up keys found");
    let share = json!({"key": shared.keys[0], "nonce": answered["nonce"]});
    let made = open(&shared.server, "PUT", "sys/rekey/update", &share).expect(200).json();
    assert_eq!(made["pgp_fingerprints"], json!(fingerprints));
    let kept = backup("GET").expect(200).json();
    assert_eq!((&kept["nonce"], &kept["data"]["nonce"]), (&answered["nonce"], &answered["nonce"]));
    for (at, fingerprint) in fingerprints.iter().enumerate() {
        assert_eq!(kept["keys_base64"][fingerprint], json!([made["keys_base64"][at]]));
        assert_eq!(kept["keys"][fingerprint], json!([made["keys"][at]]));
    }
    backup("DELETE").expect(204);
    backup("GET").refused(400, "no backed-up keys found");
}

/// A store that keeps what it held after each commit: where a crash could have left it.
#[derive(Default)]
struct Crashing {
    inner: Memory,
    states: Mutex<Vec<Batch>>,
}

impl Store for Crashing {
    fn get(&self, key: &[u8]) -> Result<Read, Error> {
        self.inner.get(key)
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error> {
        self.inner.list(prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        let mut states = self.states.lock().unwrap();
        let seq = self.inner.commit(batch)?;
        let mut state = Batch::new();
        self.inner.walk(&mut |key, value| {
            state = std::mem::take(&mut state).put(key, value);
            Ok(())
        })?;
        states.push(state);
        Ok(seq)
    }

    fn durable(&self, seq: Seq) -> Durable {
        self.inner.durable(seq)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.walk(visit)
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.inner.size_on_disk()
    }
}

/// A backup was written before the shares in it counted, so that a crash left one of shares that opened nothing.
#[test]
fn whenever_the_server_stops_there_is_no_backup_of_shares_that_do_not_count() {
    let store = Arc::new(Crashing::default());
    let server = TestServer::over(store.clone(), limits());
    let made = open(&server, "PUT", "sys/init", &json!({"secret_shares": 1, "secret_threshold": 1})).expect(200).json();
    let old = json!({"key": made["keys_base64"][0]});
    open(&server, "PUT", "sys/unseal", &old).expect(200);
    let (_, armor) = keys(&["nistp256"]).remove(0);
    let wanted = json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": [armor], "backup": true});
    let begun = open(&server, "PUT", "sys/rekey/init", &wanted).expect(200).json();
    store.states.lock().unwrap().clear();
    let share = json!({"key": old["key"], "nonce": begun["nonce"]});
    open(&server, "PUT", "sys/rekey/update", &share).expect(200);
    let backup = request("GET", "sys/rekey/backup").token(made["root_token"].as_str().unwrap());
    server.send(&backup).expect(200);
    let states = std::mem::take(&mut *store.states.lock().unwrap());
    assert!(!states.is_empty());
    for state in states {
        let left = Arc::new(Memory::new());
        left.commit(state).unwrap();
        let server = TestServer::over(left, limits());
        if open(&server, "PUT", "sys/unseal", &old).status == 200 {
            server.send(&backup).refused(400, "no backed-up keys found");
        }
    }
}

#[test]
fn a_backup_of_shares_to_be_given_back_goes_with_them() {
    let shared = Shared::unsealed(1, 1);
    let (_, armor) = keys(&["nistp256"]).remove(0);
    let wanted = json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": [armor], "backup": true,
        "require_verification": true});
    let backup = |shared: &Shared, method: &str| shared.as_root(method, "sys/rekey/backup", &Value::Null);
    let make = |shared: &Shared| {
        let begun = open(&shared.server, "PUT", "sys/rekey/init", &wanted).expect(200).json();
        let share = json!({"key": shared.keys[0], "nonce": begun["nonce"]});
        open(&shared.server, "PUT", "sys/rekey/update", &share).expect(200);
        assert_eq!(backup(shared, "GET").expect(200).json()["nonce"], begun["nonce"]);
    };
    make(&shared);
    backup(&shared, "DELETE").expect(204);
    backup(&shared, "GET").refused(400, "no backed-up keys found");
    open(&shared.server, "DELETE", "sys/rekey/init", &Value::Null).expect(204);
    make(&shared);
    open(&shared.server, "DELETE", "sys/rekey/init", &Value::Null).expect(204);
    backup(&shared, "GET").refused(400, "no backed-up keys found");
    make(&shared);
    let shared = shared.restarted();
    shared.unseal(&shared.keys);
    backup(&shared, "GET").refused(400, "no backed-up keys found");
}

#[test]
fn a_root_token_is_told_to_who_asked_for_it() {
    let shared = Shared::unsealed(1, 1);
    let (fingerprint, armor) = keys(&["curve25519"]).remove(0);
    let begin = |body: &Value| open(&shared.server, "PUT", "sys/generate-root/attempt", body);
    begin(&json!({"otp": "x".repeat(28), "pgp_key": armor}))
        .refused(400, r#"only one of "otp" and "pgp_key" must be specified"#);
    let answered = begin(&json!({"pgp_key": armor})).expect(200).json();
    assert_eq!((&answered["pgp_fingerprint"], &answered["otp"]), (&json!(fingerprint), &json!("")));
    let share = json!({"key": shared.keys[0], "nonce": answered["nonce"]});
    let done = open(&shared.server, "PUT", "sys/generate-root/update", &share).expect(200).json();
    assert_message(done["encoded_token"].as_str().unwrap(), 18);
    assert_eq!(done["pgp_fingerprint"], fingerprint);
}
