//! `sys/init`, `sys/unseal`, `sys/seal`: from nothing to a server that answers, back, and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::storage::Memory;

use crate::client::{Answer, Connection, Request, request};
use crate::server::{TestServer, limits};

/// A new server with its shares and its root token.
pub(super) struct Shared {
    pub(super) server: TestServer,
    pub(super) keys: Vec<String>,
    pub(super) root: String,
}

impl Shared {
    /// Initialised, and sealed.
    pub(super) fn sealed(shares: u8, threshold: u8) -> Self {
        let server = TestServer::over(Arc::new(Memory::new()), limits());
        let made = open(&server, "PUT", "sys/init", &json!({"secret_shares": shares, "secret_threshold": threshold}));
        let made = made.expect(200).json();
        let root = made["root_token"].as_str().unwrap().to_owned();
        Self { server, keys: texts(&made["keys_base64"]), root }
    }

    pub(super) fn unsealed(shares: u8, threshold: u8) -> Self {
        let sealed = Self::sealed(shares, threshold);
        sealed.unseal(&sealed.keys[..usize::from(threshold)]);
        sealed
    }

    pub(super) fn unseal(&self, keys: &[String]) {
        unseal(&self.server, keys);
    }

    pub(super) fn as_root(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.server.send(&request(method, path).token(&self.root).json(body))
    }

    /// The same store after a restart: sealed.
    pub(super) fn restarted(self) -> Self {
        let server = TestServer::over(self.server.store.clone(), limits());
        Self { server, ..self }
    }
}

/// A request without a token.
pub(super) fn open(server: &TestServer, method: &str, path: &str, body: &Value) -> Answer {
    server.send(&request(method, path).without_token().json(body))
}

pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Unseals a server with just enough shares.
pub(super) fn unseal(server: &TestServer, keys: &[String]) {
    for (at, key) in keys.iter().enumerate() {
        let status = open(server, "PUT", "sys/unseal", &json!({"key": key})).expect(200).json();
        assert_eq!(status["sealed"], at + 1 < keys.len(), "share {at}: {status}");
    }
}

fn status(server: &TestServer) -> Value {
    server.send(&request("GET", "sys/seal-status").without_token()).expect(200).json()
}

#[test]
fn what_cannot_be_initialised_is_refused() {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    server.send(&request("POST", "sys/init").without_token()).refused(400, "EOF");
    for (body, text) in [
        (json!({}), "invalid seal configuration: shares must be at least one"),
        (json!({"secret_shares": 1}), "invalid seal configuration: threshold must be at least one"),
        (
            json!({"secret_shares": 2, "secret_threshold": 3}),
            "invalid seal configuration: threshold cannot be larger than shares",
        ),
        (
            json!({"secret_shares": 2, "secret_threshold": 1}),
            "invalid seal configuration: threshold must be greater than one for multiple shares",
        ),
        (
            json!({"secret_shares": 300, "secret_threshold": 2}),
            "invalid seal configuration: shares must be less than 256",
        ),
        (
            json!({"secret_shares": 1, "secret_threshold": 1, "recovery_shares": 1}),
            "parameters recovery_shares not applicable to seal type shamir",
        ),
        (
            json!({"secret_shares": 1, "secret_threshold": 1, "recovery_shares": 1, "recovery_threshold": 1}),
            "parameters recovery_shares,recovery_threshold not applicable to seal type shamir",
        ),
    ] {
        open(&server, "PUT", "sys/init", &body).refused(400, text);
    }
    assert!(server.stored().is_empty());
    open(&server, "PUT", "sys/unseal", &json!({"key": "00".repeat(32)})).refused(400, "Vault is not initialized");
}

#[test]
fn only_the_first_of_many_initialises() {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    let wanted = request("PUT", "sys/init").without_token().json(&json!({"secret_shares": 3, "secret_threshold": 2}));
    let answers = at_once(&server, 8, |_| wanted.clone());
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(made.len(), 1);
    for answer in &refused {
        answer.refused(400, "Vault is already initialized");
    }
    unseal(&server, &texts(&made[0].json()["keys"])[1..]);
    let root = made[0].json()["root_token"].as_str().unwrap().to_owned();
    server.send(&request("GET", "auth/token/lookup-self").token(&root)).expect(200);
    open(&server, "PUT", "sys/init", &json!({"secret_shares": 1, "secret_threshold": 1}))
        .refused(400, "Vault is already initialized");
}

/// Sends requests at the same time, each on a connection of its own.
fn at_once(server: &TestServer, count: usize, request: impl Fn(usize) -> Request + Sync) -> Vec<Answer> {
    let barrier = std::sync::Barrier::new(count);
    thread::scope(|scope| {
        let send = |at: usize| {
            let (barrier, request) = (&barrier, &request);
            let mut connection = server.connect();
            scope.spawn(move || {
                barrier.wait();
                connection.send(&request(at)).unwrap()
            })
        };
        let threads: Vec<_> = (0..count).map(send).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn shares_that_come_at_once_unseal_once() {
    let shared = Shared::sealed(9, 5);
    for _ in 0..20 {
        let keys = &shared.keys;
        for answer in at_once(&shared.server, keys.len(), |at| {
            request("PUT", "sys/unseal").without_token().json(&json!({"key": keys[at]}))
        }) {
            answer.expect(200);
        }
        let told = status(&shared.server);
        assert_eq!(
            (&told["sealed"], &told["progress"], &told["nonce"]),
            (&json!(false), &json!(0), &json!("")),
            "{told}"
        );
        shared.as_root("PUT", "sys/seal", &json!({})).expect(204);
        assert_eq!(status(&shared.server)["sealed"], true);
    }
}

#[test]
fn shares_of_others_unseal_nothing_and_harm_nothing() {
    let (shared, other) = (Shared::sealed(3, 2), Shared::sealed(3, 2));
    let bring = |key: &str| open(&shared.server, "PUT", "sys/unseal", &json!({"key": key}));
    for _ in 0..3 {
        bring(&shared.keys[0]).expect(200);
        // The same share again is no second one.
        assert_eq!(bring(&shared.keys[0]).expect(200).json()["progress"], 1);
        assert!(bring(&other.keys[1]).refused_with(400).len() > 10);
        assert_eq!(status(&shared.server)["progress"], 0);
    }
    for length in [1, 15, 34, 100] {
        let text = bring(&"0a".repeat(length)).refused_with(400);
        assert!(text.starts_with("invalid key: key is "), "{text}");
    }
    bring(&shared.keys[2]).expect(200);
    bring(&"0a".repeat(32)).expect(400);
    assert_eq!(open(&shared.server, "PUT", "sys/unseal", &json!({"reset": true})).expect(200).json()["progress"], 0);
    shared.unseal(&shared.keys[1..]);
    open(&shared.server, "PUT", "sys/unseal", &json!({"reset": true})).refused(400, "vault is unsealed");
    open(&shared.server, "PUT", "sys/unseal", &json!({"key": "AAAA"}))
        .refused(400, "invalid key: key is shorter than minimum 16 bytes");
}

/// Nothing that a sealed server keeps lets its requests be served, and a stranger who asks it to seal learns nothing.
#[test]
fn a_sealed_server_is_sealed_again_without_a_token() {
    let shared = Shared::sealed(1, 1);
    open(&shared.server, "PUT", "sys/seal", &json!({})).expect(204);
    shared.unseal(&shared.keys);
    open(&shared.server, "PUT", "sys/seal", &json!({})).refused(403, "permission denied");
    shared.server.send(&request("GET", "sys/seal").token(&shared.root)).refused(405, "");
    shared.as_root("PUT", "sys/step-down", &json!({})).expect(204);
    assert_eq!(status(&shared.server)["sealed"], false);
}

/// A server that is sealed while many write: what was acknowledged is there afterwards, what was not was told so, and
/// nothing is served between.
#[test]
fn sealing_under_load_loses_nothing() {
    let shared = Shared::unsealed(3, 2);
    shared.as_root("PUT", "sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    for _ in 0..5 {
        let (stop, written) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 4]);
        let acknowledged = thread::scope(|scope| {
            let write = |thread: usize| {
                let (mut connection, stop, written) = (shared.server.connect(), &stop, &written[thread]);
                let root = &shared.root;
                scope.spawn(move || write_until(&mut connection, thread, root, stop, written))
            };
            let writers: Vec<_> = (0..written.len()).map(write).collect();
            while written.iter().any(|count| count.load(Ordering::Acquire) < 10) {
                thread::yield_now();
            }
            shared.as_root("PUT", "sys/seal", &json!({})).expect(204);
            shared.as_root("GET", "kv/0", &Value::Null).refused(503, "Vault is sealed");
            stop.store(true, Ordering::Release);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        shared.unseal(&shared.keys[..2]);
        for (thread, value) in acknowledged.into_iter().enumerate() {
            let kept = shared.server.send(&request("GET", &format!("kv/{thread}")).token(&shared.root)).expect(200);
            assert_eq!(kept.data()["value"], value, "thread {thread}");
        }
    }
}

/// Writes ever higher numbers until it is refused. The last one that was acknowledged.
fn write_until(
    connection: &mut Connection,
    thread: usize,
    root: &str,
    stop: &AtomicBool,
    written: &AtomicUsize,
) -> u64 {
    let mut acknowledged = 0;
    for value in 1.. {
        let wanted = request("POST", &format!("kv/{thread}")).token(root).json(&json!({"value": value}));
        let sealed = stop.load(Ordering::Acquire);
        let answer = connection.send(&wanted).unwrap();
        match answer.status {
            204 if !sealed => acknowledged = value,
            503 => {
                answer.refused(503, "Vault is sealed");
                break;
            }
            other => panic!("{other} {}", answer.text()),
        }
        written.fetch_add(1, Ordering::AcqRel);
    }
    acknowledged
}

/// What hangs on the process alone is gone with the seal: presented keys of customers, codes that were asked for, and
/// counters of quotas; what is stored comes back.
#[test]
fn sealing_forgets_what_is_only_in_memory() {
    let shared = Shared::unsealed(1, 1);
    let key = "Lx5m0o1PYUmZ7uR2bVtKc3hQJ9wXyAaEfDgHsTnUeIo=";
    shared.as_root("PUT", "sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    shared.as_root("POST", "kv/a", &json!({"a": "b"})).expect(204);
    shared.as_root("POST", "sys/customer-keys/k", &json!({"key": key, "storage": "memory"})).expect(200);
    let order = json!({"protector": "customer", "customer_key": "k", "skip_proof": true});
    shared.as_root("POST", "sys/mounts/kv/protection", &order).expect(200);
    let protection =
        || shared.as_root("GET", "sys/mounts/kv/protection", &Value::Null).expect(200).json()["data"].take();
    while protection()["state"] != "active" {
        thread::yield_now();
    }
    let quota = json!({"rate": 1000, "interval": "1h"});
    shared.as_root("POST", "sys/quotas/rate-limit/q", &quota).expect(204);
    shared
        .as_root("PUT", "sys/audit/nowhere", &json!({"type": "file", "options": {"file_path": "discard"}}))
        .expect(204);

    shared.as_root("PUT", "sys/seal", &json!({})).expect(204);
    shared.unseal(&shared.keys);
    assert_eq!(protection()["state"], "locked");
    shared.as_root("GET", "kv/a", &Value::Null).expect(503);
    shared.as_root("POST", "sys/customer-keys/k", &json!({"key": key, "storage": "memory"})).expect(200);
    assert_eq!(shared.as_root("GET", "kv/a", &Value::Null).data()["a"], "b");
    assert_eq!(shared.as_root("GET", "sys/quotas/rate-limit/q", &Value::Null).data()["rate"], 1000);
    assert!(shared.as_root("GET", "sys/audit", &Value::Null).data()["nowhere/"].is_object());
}

#[test]
fn tokens_that_end_while_the_server_is_sealed_are_over() {
    let shared = Shared::unsealed(1, 1);
    let token = |ttl: &str| {
        let made = shared.as_root("POST", "auth/token/create", &json!({"ttl": ttl, "policies": ["default"]}));
        made.expect(200).json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (short, long) = (token("1h"), token("2h"));
    shared.as_root("PUT", "sys/seal", &json!({})).expect(204);
    shared.server.clock.advance(Duration::from_hours(1));
    shared.unseal(&shared.keys);
    shared.server.send(&request("GET", "auth/token/lookup-self").token(&short)).refused(403, "permission denied");
    shared.server.send(&request("GET", "auth/token/lookup-self").token(&long)).expect(200);
}

#[test]
fn a_restart_needs_the_shares_again() {
    let shared = Shared::unsealed(3, 2);
    shared.as_root("POST", "cubbyhole/a", &json!({"a": "b"})).expect(204);
    let shared = shared.restarted();
    shared.as_root("GET", "cubbyhole/a", &Value::Null).refused(503, "Vault is sealed");
    shared.unseal(&shared.keys[1..]);
    assert_eq!(shared.as_root("GET", "cubbyhole/a", &Value::Null).data()["a"], "b");
}

/// What serves the state of the seal knows its methods in every state; what asks for the server that leads is told that it
/// is not this one.
#[test]
fn a_sealed_server_knows_the_methods_of_what_it_serves() {
    let (shared, empty) = (Shared::sealed(1, 1), TestServer::over(Arc::new(Memory::new()), limits()));
    for server in [&shared.server, &empty] {
        let ask = |method: &str, path: &str| server.send(&request(method, path).without_token());
        for (method, path) in [
            ("POST", "sys/health"),
            ("LIST", "sys/health"),
            ("DELETE", "sys/init"),
            ("GET", "sys/unseal"),
            ("GET", "sys/seal"),
            ("GET", "sys/step-down"),
            ("POST", "sys/seal-status"),
            ("LIST", "sys/leader"),
            ("LIST", "sys/generate-root/attempt"),
        ] {
            ask(method, path).refused(405, "");
        }
        ask("GET", "sys/health/").refused(503, "Vault is sealed");
        ask("GET", "sys/health?help=1").refused(503, "Vault is sealed");
        ask("POST", "sys/in-flight-req").refused(503, "Vault is sealed");
        ask("PUT", "sys/step-down").expect(204);
        for (method, path) in [
            ("GET", "init"),
            ("PUT", "init"),
            ("DELETE", "init"),
            ("PUT", "update"),
            ("GET", "verify"),
            ("PUT", "verify"),
        ] {
            ask(method, &format!("sys/rekey/{path}")).refused(503, "node is not active");
            ask(method, &format!("sys/rekey-recovery-key/{path}")).refused(503, "node is not active");
        }
        ask("GET", "sys/rekey/backup").refused(503, "Vault is sealed");
        ask("PUT", "sys/generate-root/attempt").refused(503, "Vault is sealed");
    }
    let attempt = |server: &TestServer| server.send(&request("GET", "sys/generate-root/attempt").without_token());
    attempt(&shared.server).refused(503, "Vault is sealed");
    attempt(&empty).refused(400, "server is not yet initialized");
}

#[test]
fn a_method_that_is_not_served_is_told_as_vault_tells_it() {
    let server = TestServer::start();
    for (method, path) in
        [("LIST", "sys/health"), ("LIST", "sys/seal"), ("DELETE", "sys/leader"), ("LIST", "sys/rekey/init")]
    {
        server.send(&request(method, path)).refused(405, "");
    }
    for path in ["sys/in-flight-req", "sys/internal/specs/openapi", "sys/replication/status"] {
        server.send(&request("DELETE", path)).refused_wrapped(405, "unsupported operation");
    }
    server.list("sys/in-flight-req").refused_wrapped(404, "unsupported path");
}

/// Regression: Go's client asks for a backup by `Backup`, and a server was initialised for `true` shares.
#[test]
fn what_takes_shares_is_read_as_go_reads_it() {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    for body in [
        json!({"secret_shares": true, "secret_threshold": 1}),
        json!({"secret_shares": "1", "secret_threshold": "1"}),
        json!({"secret_shares": 1, "secret_threshold": 1, "pgp_keys": "a"}),
    ] {
        let text = open(&server, "PUT", "sys/init", &body).refused_with(400);
        assert!(text.starts_with("failed to parse JSON input: json: cannot unmarshal "), "{text}");
    }
    let form = request("PUT", "sys/init").without_token().header("Content-Type", "application/x-www-form-urlencoded");
    server.send(&form.body("secret_shares=1&secret_threshold=1")).refused_with(400);
    assert!(server.stored().is_empty());
    let body = json!({"Secret_Shares": 2, "SECRET_THRESHOLD": 2, "pgp_keys": null, "other": [1]});
    let keys = texts(&open(&server, "PUT", "sys/init", &body).expect(200).json()["keys"]);
    let text = open(&server, "PUT", "sys/unseal", &json!({"key": [keys[0]]})).refused_with(400);
    assert_eq!(text, "failed to parse JSON input: json: cannot unmarshal array into \"key\"");
    open(&server, "PUT", "sys/unseal", &json!({"reset": "true"})).refused_with(400);
    for key in &keys {
        open(&server, "PUT", "sys/unseal", &json!({"Key": key, "Migrate": false})).expect(200);
    }
    assert_eq!(status(&server)["sealed"], false);
    let body = json!({"secret_shares": 1, "secret_threshold": 1, "Backup": true});
    open(&server, "PUT", "sys/rekey/init", &body)
        .refused(400, "cannot request a backup of the new keys without providing PGP keys for encryption");
    let body = json!({"secret_shares": 1, "secret_threshold": 1});
    let nonce = open(&server, "PUT", "sys/rekey/init", &body).expect(200).json()["nonce"].clone();
    let told = open(&server, "PUT", "sys/rekey/update", &json!({"Key": keys[0], "Nonce": nonce})).expect(200).json();
    assert_eq!(told["progress"], 1);
}
