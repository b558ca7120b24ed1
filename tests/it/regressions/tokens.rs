//! R20, R21 and R43: tokens that lived on, were ended by others, or were good for more than they were made for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::api::{Op, Request, Token};
use coffer::core::Thread;

use super::races::meanwhile;
use crate::client::request;
use crate::server::TestServer;

/// Asks the core itself, so that many can at once.
fn is_admitted(server: &TestServer, token: &str, op: Op, path: &str) -> bool {
    let asked = || Request { token: Some(Token::new(token)), ..Request::new(op, path) };
    let answer = server.core.handle(&asked(), Thread::Socket).or_else(|| server.core.handle(&asked(), Thread::Worker));
    answer.unwrap().outcome.is_ok()
}

/// What was made with a token outlived it.
#[test]
fn r20_nothing_outlives_its_maker() {
    let server = TestServer::start();
    let maker = server.token(&json!({"ttl": "1m"}));
    let made = [
        json!({"type": "batch", "ttl": "1h", "policies": ["default"]}),
        json!({"ttl": "1h", "policies": ["default"]}),
        json!({"period": "1h"}),
    ]
    .map(|parameters| {
        let made = server.send(&request("POST", "auth/token/create").token(&maker).json(&parameters)).expect(200);
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    });
    let alive = || made.iter().filter(|token| is_admitted(&server, token, Op::Read, "auth/token/lookup-self")).count();
    assert_eq!(alive(), 3);
    server.clock.advance(Duration::from_mins(1));
    assert_eq!(alive(), 0);
}

/// Who knew the accessor or the lease of another's token could renew or revoke it.
#[test]
fn r21_nobody_changes_a_token_of_which_he_knows_the_name_only() {
    let server = TestServer::start();
    let made = server.post("auth/token/create", &json!({"ttl": "1h", "policies": ["default"]})).expect(200).json();
    let (token, accessor) = (&made["auth"]["client_token"], &made["auth"]["accessor"]);
    let leases = server.list("sys/leases/lookup/auth/token/create").data();
    let lease =
        leases["keys"].as_array().unwrap().iter().map(|key| format!("auth/token/create/{}", key.as_str().unwrap()));
    let poor = server.token(&json!({"policies": ["default"]}));
    let before = server.stored();
    let mut asked: Vec<(String, Value)> = Vec::new();
    for path in ["lookup", "renew", "revoke", "revoke-orphan"] {
        asked.push((format!("auth/token/{path}"), json!({ "token": token })));
    }
    for path in ["lookup-accessor", "renew-accessor", "revoke-accessor"] {
        asked.push((format!("auth/token/{path}"), json!({ "accessor": accessor })));
    }
    for lease in lease {
        for path in ["sys/leases/revoke", "sys/revoke"] {
            asked.push((path.to_owned(), json!({ "lease_id": lease })));
            asked.push((format!("{path}/{lease}"), json!({})));
        }
    }
    for path in ["leases/revoke-prefix", "leases/revoke-force", "revoke-prefix", "revoke-force"] {
        asked.push((format!("sys/{path}/auth/token/create"), json!({})));
    }
    for (path, body) in asked {
        let answer = server.send(&request("POST", &path).token(&poor).json(&body));
        answer.refused_wrapped(403, "permission denied");
        assert_eq!(server.stored(), before, "{path}");
    }
}

/// Uses that came at the same time were counted as one.
#[test]
fn r43_a_token_is_good_for_just_so_many_requests() {
    let server = TestServer::with_all_engines();
    for (op, path) in [(Op::Read, "auth/token/lookup-self"), (Op::List, "kv/")] {
        server.post("kv/a", &json!({"a": "b"})).expect(204);
        let token = server.token(&json!({"num_uses": 10}));
        let admitted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..3 {
                        admitted.fetch_add(usize::from(is_admitted(&server, &token, op, path)), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 10, "{path}");
    }
}

/// A token was served from a cache when it had ended, or a child of it was.
#[test]
fn r03_no_token_is_served_after_its_end() {
    type End = fn(&TestServer, &Value);
    let ends: [(&str, End); 5] = [
        ("revoke", |server, made| {
            server.post("auth/token/revoke", &json!({"token": made["client_token"]})).expect(204);
        }),
        ("revoke-accessor", |server, made| {
            server.post("auth/token/revoke-accessor", &json!({"accessor": made["accessor"]})).expect(204);
        }),
        ("revoke-orphan", |server, made| {
            server.post("auth/token/revoke-orphan", &json!({"token": made["client_token"]})).expect(204);
        }),
        ("revoke-prefix", |server, _| {
            server.post("sys/leases/revoke-prefix/auth/token/create-orphan", &json!({})).expect(204);
        }),
        ("expiry", |server, _| server.clock.advance(Duration::from_hours(1))),
    ];
    for (title, end) in ends {
        let server = TestServer::start();
        let made = server.post("auth/token/create-orphan", &json!({"ttl": "1h"})).expect(200).json()["auth"].clone();
        let token = made["client_token"].as_str().unwrap().to_owned();
        let child = server.send(&request("POST", "auth/token/create").token(&token).json(&json!({"ttl": "2h"}))).json();
        let child = child["auth"]["client_token"].as_str().unwrap().to_owned();
        let used = if title == "revoke-orphan" { &token } else { &child };
        meanwhile(|| is_admitted(&server, used, Op::Read, "auth/token/lookup-self"), title, || end(&server, &made));
        assert_eq!(is_admitted(&server, &child, Op::Read, "auth/token/lookup-self"), title == "revoke-orphan");
    }
}

const THREADS: usize = 16;
