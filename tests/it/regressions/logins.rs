//! R22, R31, R34 to R37, R41 to R43: logins that told, or let in, more than they should. How long they take is measured
//! elsewhere: tests are not timed.

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn server() -> TestServer {
    let server = TestServer::with_all_engines();
    server.post("auth/userpass/users/bob", &json!({"password": "pass1"})).expect(204);
    server.post("auth/approle/role/web", &json!({"role_id": "web-id"})).expect(204);
    server
}

fn log_in(server: &TestServer, path: &str, body: &Value) -> Answer {
    server.send(&request("POST", path).without_token().json(body))
}

/// A token that nobody was told of was made all the same.
#[test]
fn r22_a_failed_login_makes_no_token() {
    let server = server();
    let tokens = || server.stored().into_keys().filter(|key| key.starts_with(b"platform/token/")).count();
    let before = tokens();
    server.post("auth/userpass/users/root", &json!({"password": "p", "token_policies": "root"})).expect(204);
    server.post("auth/userpass/users/far", &json!({"password": "p", "token_bound_cidrs": "192.0.2.0/24"})).expect(204);
    for (path, body) in [
        ("auth/userpass/login/bob", json!({"password": "wrong"})),
        ("auth/userpass/login/nobody", json!({"password": "pass1"})),
        ("auth/userpass/login/root", json!({"password": "p"})),
        ("auth/userpass/login/far", json!({"password": "p"})),
        ("auth/approle/login", json!({"role_id": "web-id", "secret_id": "wrong"})),
        ("auth/approle/login", json!({"role_id": "none", "secret_id": "wrong"})),
        ("auth/approle/login", json!({})),
    ] {
        let answer = log_in(&server, path, &body);
        assert!(matches!(answer.status, 400 | 403) && answer.json().get("auth").is_none(), "{path} {}", answer.text());
    }
    assert_eq!(tokens(), before);
}

/// R31: something stayed of each refusal. However many names are guessed at, the store is what it was; what is counted of
/// them in memory is bounded, as its own tests show.
#[test]
fn r31_refused_logins_leave_nothing_behind() {
    let server = server();
    for method in ["jwt", "kubernetes", "cert"] {
        let answer = log_in(&server, &format!("auth/{method}/login"), &json!({"role": "none", "jwt": "a.b.c"}));
        assert!(matches!(answer.status, 400..=499), "{method}: {}", answer.text());
    }
    let before = server.stored();
    for number in 0..200 {
        let guess =
            json!({"role_id": number.to_string(), "secret_id": "guess", "role": number.to_string(), "jwt": "a.b.c"});
        for method in ["approle", "jwt", "kubernetes", "cert"] {
            let answer = log_in(&server, &format!("auth/{method}/login"), &guess);
            assert!(matches!(answer.status, 400..=499), "{method}: {}", answer.text());
        }
        let forged = server.send(&request("GET", "secret/data/k").token(&format!("hvs.{number}")));
        assert_eq!(forged.status, 403);
    }
    for number in 0..10 {
        let answer = log_in(&server, &format!("auth/userpass/login/nobody{number}"), &json!({"password": "p"}));
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert!(server.stored() == before, "a refusal was stored");
}

/// The lock was on one spelling of the name, and the next one was free to be guessed at.
#[test]
fn r35_a_name_is_locked_in_every_spelling() {
    let server = server();
    let spellings = ["alice", "Alice", "ALICE", "aLiCe", "alicE"];
    server.post("auth/userpass/users/alice", &json!({"password": "pass1"})).expect(204);
    for name in spellings {
        let wrong = log_in(&server, &format!("auth/userpass/login/{name}"), &json!({"password": "wrong"}));
        wrong.refused(400, "invalid username or password");
    }
    for name in spellings {
        let right = log_in(&server, &format!("auth/userpass/login/{name}"), &json!({"password": "pass1"}));
        right.refused(403, "permission denied");
    }
    // Spellings that no name can have lead to nobody: nothing can be guessed by them.
    server.post("auth/userpass/users/carol", &json!({"password": "pass1"})).expect(204);
    for name in ["%20carol%20", "carol%20", "%20carol", "caro%CC%81l", "%EF%BD%83arol", "carol%00", "carol/"] {
        let answer = log_in(&server, &format!("auth/userpass/login/{name}"), &json!({"password": "pass1"}));
        assert!(matches!(answer.status, 400 | 403 | 404), "{name}: {} {}", answer.status, answer.text());
    }
    log_in(&server, "auth/userpass/login/carol", &json!({"password": "pass1"})).expect(200);
}

/// That a name can be locked told that it exists, or that it is locked told the right password from the wrong one.
#[test]
fn r36_a_lock_tells_nothing_about_a_name() {
    let server = server();
    let told = |path: &str, wrong: &Value, last: &Value| {
        let mut told: Vec<_> = (0..10).map(|_| log_in(&server, path, wrong)).collect();
        told.push(log_in(&server, path, last));
        told.into_iter().map(|answer| (answer.status, answer.text())).collect::<Vec<_>>()
    };
    let (wrong, right) = (json!({"password": "wrong"}), json!({"password": "pass1"}));
    let known = told("auth/userpass/login/bob", &wrong, &right);
    assert_eq!(known, told("auth/userpass/login/nobody", &wrong, &right));
    assert_eq!(known.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [[400; 5].as_slice(), &[403; 6]].concat());

    let secret = server.post("auth/approle/role/web/secret-id", &json!({})).text_of("secret_id");
    let body = |role_id: &str, secret: &str| json!({"role_id": role_id, "secret_id": secret});
    let known = told("auth/approle/login", &body("web-id", "wrong"), &body("web-id", &secret));
    assert_eq!(known, told("auth/approle/login", &body("none", "wrong"), &body("none", &secret)));
}

/// The text of a refusal told users apart.
#[test]
fn r37_refusals_are_the_same_for_known_and_unknown_names() {
    let server = server();
    for body in [json!({}), json!({"password": ""}), json!({"password": "x"}), json!({"password": null})] {
        for name in ["bob", "nobody"] {
            let answer = log_in(&server, &format!("auth/userpass/login/{name}"), &body);
            answer.refused(400, "invalid username or password");
        }
    }
    for (secret, text) in [("", "missing secret_id"), ("x", "invalid role or secret ID")] {
        for role_id in ["web-id", "none"] {
            log_in(&server, "auth/approle/login", &json!({"role_id": role_id, "secret_id": secret})).refused(400, text);
        }
    }
}

/// A parameter of another type ended the server.
#[test]
fn r42_parameters_of_any_type_are_refused_or_wrong() {
    let server = server();
    server.post("sys/auth/approle/tune", &json!({"user_lockout_config": {"lockout_disable": true}})).expect(204);
    server.post("sys/auth/userpass/tune", &json!({"user_lockout_config": {"lockout_disable": true}})).expect(204);
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1.5),
        json!("x"),
        json!([]),
        json!(["web-id"]),
        json!({}),
        json!({"role_id": "web-id"}),
        json!([[[]]]),
        json!("\u{0}"),
        json!("x".repeat(100_000)),
    ];
    for one in &values {
        for other in &values {
            for (path, body) in [
                ("auth/approle/login", json!({"role_id": one, "secret_id": other})),
                ("auth/userpass/login/bob", json!({"password": one, "other": other})),
            ] {
                let answer = log_in(&server, path, &body);
                assert_eq!(answer.status, 400, "{path} {body} {}", answer.text());
            }
        }
    }
    server.post("auth/userpass/users/bob", &json!({})).expect(204);
}
