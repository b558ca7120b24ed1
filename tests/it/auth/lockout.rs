//! Lockouts: who guesses too often is not listened to, for a while.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn server() -> TestServer {
    let server = TestServer::start();
    server.post("sys/auth/userpass", &json!({"type": "userpass"})).expect(204);
    server.post("auth/userpass/users/bob", &json!({"password": "pass1"})).expect(204);
    server
}

fn log_in(server: &TestServer, name: &str, password: &str) -> Answer {
    let path = format!("auth/userpass/login/{name}");
    server.send(&request("POST", &path).without_token().json(&json!({"password": password})))
}

fn lock(server: &TestServer, name: &str) {
    for _ in 0..5 {
        log_in(server, name, "wrong").refused(400, "invalid username or password");
    }
    log_in(server, name, "pass1").refused(403, "permission denied");
}

#[test]
fn the_locked_are_listed_and_unlocked() {
    let server = server();
    assert_eq!(server.get("sys/locked-users").data(), json!({"by_namespace": [], "total": 0}));
    lock(&server, "Bob");
    lock(&server, "nobody");
    let accessor = server.get("sys/auth/userpass").text_of("accessor");
    let method = json!({"mount_accessor": accessor, "counts": 2, "alias_identifiers": ["bob", "nobody"]});
    let namespace = json!({"namespace_id": "root", "namespace_path": "", "counts": 2, "mount_accessors": [method]});
    let all = json!({"by_namespace": [namespace], "total": 2});
    assert_eq!(server.get("sys/locked-users").data(), all);
    assert_eq!(server.get(&format!("sys/locked-users?mount_accessor={accessor}")).data(), all);
    assert_eq!(server.get("sys/locked-users?mount_accessor=other").data()["total"], 0);
    server.post("sys/locked-users/other/unlock/bob", &json!({})).expect(204);
    log_in(&server, "bob", "pass1").refused(403, "permission denied");
    server.post(&format!("sys/locked-users/{accessor}/unlock/bob"), &json!({})).expect(204);
    log_in(&server, "bob", "pass1").expect(200);
    assert_eq!(server.get("sys/locked-users").data()["total"], 1);
}

#[test]
fn a_lock_ends_by_itself() {
    let server = server();
    lock(&server, "bob");
    server.clock.advance(Duration::from_secs(899));
    log_in(&server, "bob", "pass1").refused(403, "permission denied");
    server.clock.advance(Duration::from_secs(1));
    log_in(&server, "bob", "pass1").expect(200);
}

#[test]
fn a_mount_has_rules_of_its_own() {
    let server = server();
    let tune = |config: Value| server.post("sys/auth/userpass/tune", &json!({"user_lockout_config": config}));
    tune(json!({"lockout_threshold": "2", "lockout_duration": "1m", "lockout_counter_reset": "30s"})).expect(204);
    let told = json!({"user_lockout_threshold": 2, "user_lockout_duration": 60,
        "user_lockout_counter_reset_duration": 30, "user_lockout_disable": false});
    assert_eq!(server.get("sys/auth/userpass").data()["config"]["user_lockout_config"], told);
    let data = server.get("sys/auth/userpass/tune").data();
    for (name, value) in told.as_object().unwrap() {
        assert_eq!(data[name], *value, "{name}");
    }
    log_in(&server, "bob", "wrong").expect(400);
    server.clock.advance(Duration::from_secs(30));
    log_in(&server, "bob", "wrong").expect(400);
    log_in(&server, "bob", "wrong").expect(400);
    log_in(&server, "bob", "pass1").expect(403);
    server.clock.advance(Duration::from_mins(1));
    log_in(&server, "bob", "pass1").expect(200);
    tune(json!({"lockout_disable": true})).expect(204);
    for _ in 0..10 {
        log_in(&server, "bob", "wrong").expect(400);
    }
    log_in(&server, "bob", "pass1").expect(200);
    let text = "unable to parse user lockout threshold: strconv.ParseUint: parsing \"many\": invalid syntax";
    tune(json!({"lockout_threshold": "many"})).refused(400, text);
    let text = "tuning of user lockout configuration for auth type \"token\" not allowed";
    let config = json!({"user_lockout_config": {"lockout_threshold": 3}});
    server.post("sys/auth/token/tune", &config).refused(400, text);
    tune(json!({"lockout_duration": "soon"})).refused(400, "time: invalid duration \"soon\"");
    tune(json!({"lockout_duration": "system", "lockout_counter_reset_duration": "system"})).expect(204);
    let told = server.get("sys/auth/userpass/tune").data();
    assert_eq!((&told["user_lockout_duration"], &told["user_lockout_counter_reset_duration"]), (&json!(0), &json!(0)));
}

/// Guesses that are made at one time are no more than those that wait for each other's answers.
#[test]
fn many_guesses_at_one_time_are_five() {
    let server = server();
    let (guesses, barrier) = (12, Barrier::new(12));
    let heard: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..guesses)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let guess = request("POST", "auth/userpass/login/bob").without_token();
                    barrier.wait();
                    let answer = connection.send(&guess.json(&json!({"password": "wrong"}))).unwrap();
                    assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
                    usize::from(answer.status == 400)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(heard, 5);
    log_in(&server, "bob", "pass1").refused(403, "permission denied");
}

/// Roles of machines are counted by their role ID, known or not.
#[test]
fn role_ids_are_locked_too() {
    let server = TestServer::start();
    server.post("sys/auth/approle", &json!({"type": "approle"})).expect(204);
    server.post("auth/approle/role/web", &json!({"role_id": "known"})).expect(204);
    let secret = server.post("auth/approle/role/web/secret-id", &json!({})).text_of("secret_id");
    let log_in = |role_id: &str, secret: &str| {
        let body = json!({"role_id": role_id, "secret_id": secret});
        server.send(&request("POST", "auth/approle/login").without_token().json(&body))
    };
    for role_id in ["known", "unknown"] {
        for spelling in ["", " ", "\t", "  ", "\n"] {
            log_in(&format!("{spelling}{role_id}{spelling}"), "wrong").refused(400, "invalid role or secret ID");
        }
        log_in(role_id, &secret).refused(403, "permission denied");
    }
    let accessor = server.get("sys/auth/approle").text_of("accessor");
    server.post(&format!("sys/locked-users/{accessor}/unlock/known"), &json!({})).expect(204);
    log_in("known", &secret).expect(200);
}
