//! `auth/userpass`: what the recorded scenarios do not show.

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

/// A server with the login method, and with one user.
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

fn auth(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["auth"].take()
}

#[test]
fn names_are_the_same_in_any_case() {
    let server = server();
    server.post("auth/userpass/users/BOB", &json!({"token_ttl": "1h"})).expect(204);
    assert_eq!(server.list("auth/userpass/users").data()["keys"], json!(["bob"]));
    assert_eq!(server.get("auth/userpass/users/Bob").data()["token_ttl"], 3_600);
    let auth = auth(&log_in(&server, "bOb", "pass1"));
    assert_eq!((&auth["metadata"], &auth["lease_duration"]), (&json!({"username": "bob"}), &json!(3_600)));
    server.post("auth/userpass/users/BoB/password", &json!({"password": "pass2"})).expect(204);
    log_in(&server, "bob", "pass1").refused(400, "invalid username or password");
    server.delete("auth/userpass/users/bOB").expect(204);
    server.get("auth/userpass/users/bob").expect(404);
}

#[test]
fn old_names_of_parameters_are_taken_and_told() {
    let server = server();
    let old = json!({"policies": "b,A", "ttl": "1m", "max_ttl": 120, "bound_cidrs": "127.0.0.0/8"});
    server.post("auth/userpass/users/bob", &old).expect(204);
    let told = server.get("auth/userpass/users/bob").data();
    for (name, value) in [
        ("policies", json!(["a", "b"])),
        ("token_policies", json!(["a", "b"])),
        ("ttl", json!(60)),
        ("token_ttl", json!(60)),
        ("max_ttl", json!(120)),
        ("token_max_ttl", json!(120)),
        ("bound_cidrs", json!(["127.0.0.0/8"])),
        ("token_bound_cidrs", json!(["127.0.0.0/8"])),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert!(told.get("password").is_none() && told.get("period").is_none(), "{told}");
}

#[test]
fn what_no_user_can_have_is_refused_and_changes_nothing() {
    let server = server();
    let before = server.stored();
    for (path, body, status, text) in [
        ("users/eve", json!({}), 400, "missing password"),
        ("users/eve", json!({"password": ""}), 400, "missing password"),
        ("users/bob", json!({"password": ""}), 400, "missing password"),
        ("users/bob", json!({"token_type": "x"}), 400, "invalid 'token_type' value \"x\""),
        ("users/bob", json!({"token_type": "default-batch"}), 400, "invalid 'token_type' value \"default-batch\""),
        ("users/bob", json!({"token_num_uses": -1}), 400, "'token_num_uses' cannot be negative"),
        ("users/bob", json!({"password_hash": "pass1"}), 400, "\"password_hash\" is not a bcrypt hash"),
        (
            "users/bob",
            json!({"password": "a", "password_hash": "b"}),
            400,
            "\"password\" and \"password_hash\" cannot be set together",
        ),
        ("users/bob/password", json!({}), 400, "missing password"),
    ] {
        server.post(&format!("auth/userpass/{path}"), &body).refused(status, text);
    }
    for path in ["users/eve/password", "users/eve/policies"] {
        let body = json!({"password": "x", "token_policies": "x"});
        server.post(&format!("auth/userpass/{path}"), &body).refused_wrapped(500, "username does not exist");
    }
    assert_eq!(server.stored(), before);
    auth(&log_in(&server, "bob", "pass1"));
}

/// Vault 1.17 takes the hashes of others; so people keep their passwords when they move.
#[test]
fn users_come_with_hashes_of_bcrypt() {
    let server = server();
    let hash = "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    server.post("auth/userpass/users/eve", &json!({"password_hash": hash})).expect(204);
    log_in(&server, "eve", hash).refused(400, "invalid username or password");
    for _ in 0..2 {
        auth(&log_in(&server, "eve", "U*U"));
    }
    server.post("auth/userpass/users/bob/password", &json!({"password_hash": hash})).expect(204);
    log_in(&server, "bob", "pass1").refused(400, "invalid username or password");
    auth(&log_in(&server, "bob", "U*U"));
}

#[test]
fn who_may_only_create_users_does_not_change_them() {
    let server = server();
    let policy = "path \"auth/userpass/users/*\" { capabilities = [\"create\"] }";
    server.post("sys/policies/acl/hiring", &json!({"policy": policy})).expect(204);
    let token = server.token(&json!({"policies": ["hiring"]}));
    let write = |name: &str| {
        let path = format!("auth/userpass/users/{name}");
        server.send(&request("POST", &path).token(&token).json(&json!({"password": "mine"})))
    };
    write("eve").expect(204);
    write("eve").refused_wrapped(403, "permission denied");
    write("BOB").refused_wrapped(403, "permission denied");
    auth(&log_in(&server, "bob", "pass1"));
}

#[test]
fn a_login_obeys_the_mount_and_the_user() {
    let server = server();
    let mount = json!({"default_lease_ttl": "10m", "max_lease_ttl": "20m"});
    server.post("sys/auth/userpass/tune", &mount).expect(204);
    let login = |parameters: Value| {
        server.post("auth/userpass/users/bob", &parameters).expect(204);
        log_in(&server, "bob", "pass1")
    };
    assert_eq!(auth(&login(json!({})))["lease_duration"], 600);
    assert_eq!(auth(&login(json!({"token_ttl": "15m"})))["lease_duration"], 900);
    let cut = login(json!({"token_ttl": "30m"}));
    let text = "TTL of \"30m\" exceeded the effective max_ttl of \"20m\"; TTL value is capped accordingly";
    assert_eq!((&auth(&cut)["lease_duration"], &cut.json()["warnings"]), (&json!(1_200), &json!([text])));
    assert_eq!(auth(&login(json!({"token_explicit_max_ttl": 60})))["lease_duration"], 60);
    login(json!({"token_policies": "ROOT"})).refused(400, "auth methods cannot create root tokens");
}

/// A password leaves the server by no way, and is not in its store either.
#[test]
fn a_password_is_nowhere() {
    let server = server();
    let canary = "CANARY-0123456789";
    server.post("auth/userpass/users/eve", &json!({"password": canary})).expect(204);
    let answers = [
        server.get("auth/userpass/users/eve"),
        log_in(&server, "eve", canary),
        log_in(&server, "eve", "wrong"),
        log_in(&server, canary, canary),
        server.post("auth/userpass/users/eve", &json!({"password": [canary]})),
        server.post("auth/userpass/users/eve", &json!({"password": canary, "token_ttl": canary, "token_type": "x"})),
    ];
    for answer in answers {
        let told_back = answer.status == 400 && answer.text().contains("time: invalid duration");
        assert!(told_back || !answer.text().contains(canary), "{}", answer.text());
    }
}
