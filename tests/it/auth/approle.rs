//! `auth/approle`: what the recorded scenarios do not show.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

/// A server with the login method, and with the role `web` whose role ID is `web-id`.
fn server(role: &Value) -> TestServer {
    let server = TestServer::start();
    server.post("sys/auth/approle", &json!({"type": "approle"})).expect(204);
    server.post("auth/approle/role/web", role).expect(204);
    server.post("auth/approle/role/web/role-id", &json!({"role_id": "web-id"})).expect(204);
    server
}

fn secret_id(server: &TestServer, parameters: &Value) -> (String, String) {
    let answer = server.post("auth/approle/role/web/secret-id", parameters);
    (answer.text_of("secret_id"), answer.text_of("secret_id_accessor"))
}

fn log_in(server: &TestServer, role_id: &str, secret_id: &str) -> Answer {
    let body = json!({"role_id": role_id, "secret_id": secret_id});
    server.send(&request("POST", "auth/approle/login").without_token().json(&body))
}

const WRONG: &str = "invalid role or secret ID";

#[test]
fn names_of_roles_are_the_same_in_any_case() {
    let server = server(&json!({}));
    server.post("auth/approle/role/WEB", &json!({"token_ttl": 60})).expect(204);
    assert_eq!(server.list("auth/approle/role").data()["keys"], json!(["web"]));
    let (secret, _) = secret_id(&server, &json!({}));
    server.post("auth/approle/role/Web/secret-id/lookup", &json!({"secret_id": secret})).expect(200);
    let auth = &log_in(&server, "web-id", &secret).expect(200).json()["auth"];
    assert_eq!((&auth["metadata"], &auth["lease_duration"]), (&json!({"role_name": "web"}), &json!(60)));
}

/// Who reads the store, even with its keys, finds no secret ID that he could use.
#[test]
fn secret_ids_are_not_in_the_store() {
    let server = server(&json!({}));
    let (secret, _) = secret_id(&server, &json!({"metadata": {"a": "b"}}));
    let own = "mine-0123456789";
    server.post("auth/approle/role/web/custom-secret-id", &json!({"secret_id": own})).expect(200);
    for (key, _) in server.stored() {
        let key = String::from_utf8(key).unwrap();
        assert!(!key.contains(&secret) && !key.contains(own) && !key.contains("web-id"), "{key}");
    }
    // A record is as long whatever its secret ID is, so that none is inside.
    let records = |server: &TestServer| server.stored().values().map(Vec::len).sum::<usize>();
    let before = records(&server);
    server.post("auth/approle/role/web/custom-secret-id", &json!({"secret_id": "x".repeat(100)})).expect(200);
    let short = records(&server) - before;
    server.post("auth/approle/role/web/custom-secret-id", &json!({"secret_id": "y".repeat(4_000)})).expect(200);
    assert_eq!(records(&server) - before - short, short);
}

/// Regression R43: parallel logins used a secret ID more often than it was good for.
#[test]
fn a_secret_id_is_good_for_exactly_so_many_logins() {
    for uses in [1, 7] {
        let server = server(&json!({"secret_id_num_uses": uses}));
        server.post("sys/auth/approle/tune", &json!({"user_lockout_config": {"lockout_disable": true}})).expect(204);
        let (secret, accessor) = secret_id(&server, &json!({}));
        let barrier = Barrier::new(20);
        let heard: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        let body = json!({"role_id": "web-id", "secret_id": secret});
                        let login = request("POST", "auth/approle/login").without_token().json(&body);
                        let mut connection = server.connect();
                        barrier.wait();
                        (0..5).filter(|_| connection.send(&login).unwrap().status == 200).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(heard, uses);
        let asked = json!({"secret_id_accessor": accessor});
        server.post("auth/approle/role/web/secret-id-accessor/lookup", &asked).expect(404);
        server.list("auth/approle/role/web/secret-id").expect(404);
    }
}

/// Regression R41: the accessor of one role's secret ID destroyed it by way of another role.
#[test]
fn accessors_are_those_of_their_role_only() {
    let server = server(&json!({}));
    server.post("auth/approle/role/db", &json!({})).expect(204);
    let (secret, accessor) = secret_id(&server, &json!({}));
    let asked = json!({"secret_id_accessor": accessor});
    server.post("auth/approle/role/db/secret-id-accessor/lookup", &asked).expect(404);
    let text = format!("failed to find accessor entry for secret_id_accessor: {accessor:?}");
    server.post("auth/approle/role/db/secret-id-accessor/destroy", &asked).refused_wrapped(500, &text);
    server.post("auth/approle/role/db/secret-id/lookup", &json!({"secret_id": secret})).expect(204);
    server.post("auth/approle/role/db/secret-id/destroy", &json!({"secret_id": secret})).expect(204);
    log_in(&server, "web-id", &secret).expect(200);
    server.post("auth/approle/role/web/secret-id-accessor/destroy", &asked).expect(204);
    log_in(&server, "web-id", &secret).refused(400, WRONG);
}

#[test]
fn a_role_id_is_one_roles_and_can_be_another() {
    let server = server(&json!({}));
    server.post("auth/approle/role/db", &json!({"role_id": "web-id"})).refused_wrapped(500, "role_id already in use");
    server.get("auth/approle/role/db").expect(404);
    server.post("auth/approle/role/db", &json!({})).expect(204);
    let taken = json!({"role_id": "web-id"});
    server.post("auth/approle/role/db/role-id", &taken).refused_wrapped(500, "role_id already in use");
    let (secret, _) = secret_id(&server, &json!({}));
    server.post("auth/approle/role/web/role-id", &json!({"role_id": " new-id "})).expect(204);
    log_in(&server, "web-id", &secret).refused(400, WRONG);
    log_in(&server, "new-id", &secret).expect(200);
    server.post("auth/approle/role/db/role-id", &taken).expect(204);
    log_in(&server, "web-id", &secret).refused(400, WRONG);
    server.post("auth/approle/role/web/role-id", &json!({})).refused(400, "missing role_id");
    server.post("auth/approle/role/none/role-id", &taken).refused_wrapped(404, "unsupported path");
}

#[test]
fn where_a_secret_id_is_used_is_bound() {
    let server = server(&json!({"secret_id_bound_cidrs": "127.0.0.0/8,10.0.0.0/8", "secret_id_num_uses": 1}));
    let (elsewhere, _) = secret_id(&server, &json!({"cidr_list": "10.1.0.0/16"}));
    let text = "source address \"127.0.0.1\" unauthorized by CIDR restrictions on the secret ID";
    for _ in 0..3 {
        log_in(&server, "web-id", &elsewhere).refused(400, text);
    }
    // Who is refused for where he is used nothing up.
    let lookup = server.post("auth/approle/role/web/secret-id/lookup", &json!({"secret_id": elsewhere})).data();
    assert_eq!(lookup["secret_id_num_uses"], 1);
    let (here, _) = secret_id(&server, &json!({"cidr_list": ["127.0.0.1"], "token_bound_cidrs": "127.0.0.1/32"}));
    log_in(&server, "web-id", &here).expect(200);
    let (here, _) = secret_id(&server, &json!({"cidr_list": ["127.0.0.1"]}));
    server.post("auth/approle/role/web", &json!({"secret_id_bound_cidrs": "10.0.0.0/8"})).expect(204);
    let text = "failed to verify subset relationship between CIDR blocks on the role [\"10.0.0.0/8\"] and CIDR blocks on \
                the secret ID [\"127.0.0.1\"]";
    log_in(&server, "web-id", &here).refused_wrapped(500, text);
    for (parameters, status) in [
        (json!({"cidr_list": "11.0.0.0/8"}), 500),
        (json!({"cidr_list": "10.0.0.0/7"}), 500),
        (json!({"cidr_list": "x"}), 400),
        (json!({"token_bound_cidrs": "x"}), 400),
    ] {
        server.post("auth/approle/role/web/secret-id", &parameters).expect(status);
    }
}

#[test]
fn expired_secret_ids_are_dead_at_once_and_gone_soon() {
    let server = server(&json!({"secret_id_ttl": "60s"}));
    let before = server.stored().len();
    let (secret, accessor) = secret_id(&server, &json!({}));
    secret_id(&server, &json!({"ttl": 30}));
    assert_eq!(server.stored().len(), before + 6);
    server.clock.advance(Duration::from_secs(59));
    let made = server.post("auth/approle/role/web/secret-id/lookup", &json!({"secret_id": secret})).data();
    assert_eq!(
        (&made["secret_id_ttl"], &made["expiration_time"]),
        (&json!(60), &json!("2026-11-22T00:01:00.123456789Z"))
    );
    log_in(&server, "web-id", &secret).expect(200);
    let kept = |server: &TestServer| server.stored().into_keys().filter(|key| !key.starts_with(b"platform/")).count();
    let with_both = kept(&server);
    server.clock.advance(Duration::from_secs(1));
    log_in(&server, "web-id", &secret).refused(400, WRONG);
    server.post("auth/approle/role/web/secret-id/lookup", &json!({"secret_id": secret})).expect(204);
    let asked = json!({"secret_id_accessor": accessor});
    server.post("auth/approle/role/web/secret-id-accessor/lookup", &asked).expect(404);
    assert_eq!(kept(&server), with_both);
    server.core.tick();
    assert_eq!(kept(&server), with_both - 6);
    server.list("auth/approle/role/web/secret-id").expect(404);
}

/// Of what a role had nothing stays, however much it was.
#[test]
fn what_a_role_had_goes_with_it() {
    let server = server(&json!({"secret_id_ttl": "1h"}));
    let others = server.stored().len();
    for _ in 0..10 {
        secret_id(&server, &json!({}));
    }
    let (secret, _) = secret_id(&server, &json!({}));
    server.delete("auth/approle/role/web").expect(204);
    log_in(&server, "web-id", &secret).refused(400, WRONG);
    server.post("auth/approle/role/web", &json!({"role_id": "web-id"})).expect(204);
    log_in(&server, "web-id", &secret).refused(400, WRONG);
    server.list("auth/approle/role/web/secret-id").expect(404);
    server.core.tick();
    assert_eq!(server.stored().len(), others);
}

#[test]
fn what_no_role_can_have_is_refused() {
    let server = server(&json!({}));
    let role = |parameters: Value| server.post("auth/approle/role/web", &parameters);
    let before = server.stored();
    role(json!({"bind_secret_id": false}))
        .refused_wrapped(500, "at least one constraint should be enabled on the role");
    let text = "invalid role_id supplied, or failed to generate a role_id";
    role(json!({"role_id": " "})).refused(400, text);
    role(json!({"role_id": "x".repeat(4_097)})).refused(400, "role_id is longer than maximum of 4096 bytes");
    role(json!({"local_secret_ids": true})).refused(400, "local_secret_ids can only be modified during role creation");
    role(json!({"secret_id_num_uses": -1})).refused(400, "secret_id_num_uses cannot be negative");
    let text = "period of \"769h\" is greater than the backend's maximum lease TTL of \"768h\"";
    role(json!({"token_period": "769h"})).refused(400, text);
    server.post("auth/approle/role/web/period", &json!({"period": "769h"})).refused(400, text);
    server.post("auth/approle/role/web/secret-id-bound-cidrs", &json!({"secret_id_bound_cidrs": []})).expect(400);
    assert_eq!(server.stored(), before);
    let warned = role(json!({"token_type": "default-batch"})).expect(200).json();
    assert_eq!(warned["warnings"], json!(["default-batch has no useful meaning; adjusting to batch"]));
    assert_eq!(server.get("auth/approle/role/web").data()["token_type"], "batch");
    let warned = role(json!({"token_max_ttl": "769h"})).expect(200).json();
    assert!(warned["warnings"][0].as_str().unwrap().starts_with("token_max_ttl is greater than"), "{warned}");
}

#[test]
fn secret_ids_of_ones_own_are_trimmed_bounded_and_unique() {
    let server = server(&json!({}));
    let own = |secret: &str| server.post("auth/approle/role/web/custom-secret-id", &json!({"secret_id": secret}));
    assert_eq!(own(" mine ").text_of("secret_id"), "mine");
    own("mine\n").refused_wrapped(500, "failed to store secret_id: SecretID is already registered");
    own(" ").refused(400, "missing secret_id");
    own(&"x".repeat(4_097)).refused(400, "secret_id is longer than maximum of 4096 bytes");
    for spelling in ["mine", " mine", "mine\t"] {
        log_in(&server, "web-id", spelling).expect(200);
    }
    log_in(&server, "web-id", "Mine").refused(400, WRONG);
    server.post("auth/approle/role/web/secret-id/destroy", &json!({"secret_id": " mine"})).expect(204);
    log_in(&server, "web-id", "mine").refused(400, WRONG);
    own("mine").expect(200);
    // Another role may have the same one: it is found by role and secret ID together.
    server.post("auth/approle/role/db", &json!({"role_id": "db-id"})).expect(204);
    server.post("auth/approle/role/db/custom-secret-id", &json!({"secret_id": "mine"})).expect(200);
    server.post("auth/approle/role/db/secret-id/destroy", &json!({"secret_id": "mine"})).expect(204);
    log_in(&server, "db-id", "mine").refused(400, WRONG);
    log_in(&server, "web-id", "mine").expect(200);
}

/// The name of the role in a token's metadata is the role's, whatever a secret ID says.
#[test]
fn a_secret_id_does_not_rename_its_role() {
    let server = server(&json!({}));
    let (secret, _) = secret_id(&server, &json!({"metadata": "{\"role_name\":\"admin\",\"k\":\"v\"}"}));
    let metadata = log_in(&server, "web-id", &secret).expect(200).json()["auth"]["metadata"].take();
    assert_eq!(metadata, json!({"role_name": "web", "k": "v"}));
}
