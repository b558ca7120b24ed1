//! `auth/token`: tokens from their first second to their last.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn look_up(server: &TestServer, token: &str) -> Answer {
    server.send(&request("GET", "auth/token/lookup-self").token(token))
}

fn renew(server: &TestServer, token: &str, parameters: &Value) -> Answer {
    server.send(&request("POST", "auth/token/renew-self").token(token).json(parameters))
}

fn revoke(server: &TestServer, token: &str) {
    server.send(&request("POST", "auth/token/revoke-self").token(token)).expect(204);
}

/// Keys of the store that begin like this.
fn records(server: &TestServer, prefix: &str) -> usize {
    server.stored().into_keys().filter(|key| key.starts_with(prefix.as_bytes())).count()
}

#[test]
fn a_token_lives_exactly_as_long_as_it_was_given() {
    let server = TestServer::start();
    let token = server.token(&json!({"ttl": "60s"}));
    for second in 0..60 {
        assert_eq!(look_up(&server, &token).data()["ttl"], 60 - second);
        server.clock.advance(Duration::from_secs(1));
    }
    look_up(&server, &token).refused(403, "permission denied");
    let root = look_up(&server, "root").data();
    assert_eq!((&root["ttl"], &root["expire_time"]), (&json!(0), &Value::Null));
}

/// Regression R19: renewed in its last moment, a token lived for ever.
#[test]
fn renewal_at_any_moment_never_passes_the_end() {
    for parameters in [
        json!({"ttl": "10s", "explicit_max_ttl": "15s"}),
        json!({"ttl": "10s", "period": "10s", "explicit_max_ttl": "15s"}),
    ] {
        // Around the end of the first life, in steps of 10 ms.
        for step in 0..20 {
            let server = TestServer::start();
            let token = server.token(&parameters);
            let moment = Duration::from_millis(9_900 + 10 * step);
            server.clock.advance(moment);
            let renewed = renew(&server, &token, &json!({"increment": "1h"}));
            if moment >= Duration::from_secs(10) {
                renewed.refused(403, "permission denied");
                continue;
            }
            let left = renewed.expect(200).json()["auth"]["lease_duration"].as_u64().unwrap();
            assert!((1..=5).contains(&left), "{left} s at {moment:?} of {parameters}");
            server.clock.advance(Duration::from_secs(15).saturating_sub(moment));
            look_up(&server, &token).refused(403, "permission denied");
        }
    }
}

#[test]
fn a_periodic_token_lives_as_long_as_it_is_renewed() {
    let server = TestServer::start();
    let token = server.token(&json!({"period": "1h"}));
    for _ in 0..2000 {
        server.clock.advance(Duration::from_secs(3599));
        assert_eq!(
            renew(&server, &token, &json!({"increment": "5h"})).expect(200).json()["auth"]["lease_duration"],
            3600
        );
    }
    server.clock.advance(Duration::from_hours(1));
    look_up(&server, &token).refused(403, "permission denied");
}

#[test]
fn revocation_takes_all_that_came_of_the_token() {
    let server = TestServer::start();
    let make = |by: &str, parameters: Value| {
        let made = server.send(&request("POST", "auth/token/create").token(by).json(&parameters)).expect(200);
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let before = records(&server, "platform/token/");
    let parent = make("root", json!({}));
    let child = make(&parent, json!({"ttl": "1h"}));
    let grandchild = make(&child, json!({"ttl": "1h"}));
    let orphan = make(&parent, json!({"no_parent": true}));
    for token in [&parent, &child, &grandchild, &orphan] {
        look_up(&server, token).expect(200);
    }
    revoke(&server, &parent);
    for token in [&parent, &child, &grandchild] {
        look_up(&server, token).refused(403, "permission denied");
    }
    look_up(&server, &orphan).expect(200);
    revoke(&server, &orphan);
    assert_eq!(records(&server, "platform/token/"), before, "records of tokens that are gone");
}

/// The end of a token by time ends its children as revocation does.
#[test]
fn expiry_takes_all_that_came_of_the_token() {
    let server = TestServer::start();
    let parent = server.token(&json!({"ttl": "1m"}));
    let made =
        server.send(&request("POST", "auth/token/create").token(&parent).json(&json!({"ttl": "1h"}))).expect(200);
    let child = made.json()["auth"]["client_token"].as_str().unwrap().to_owned();
    server.clock.advance(Duration::from_mins(1));
    server.core.tick();
    look_up(&server, &child).refused(403, "permission denied");
}

/// Regression R22: a refused request left a token behind.
#[test]
fn a_refused_creation_makes_nothing() {
    let server = TestServer::start();
    let poor = server.token(&json!({"policies": ["default"]}));
    let before = server.stored();
    for body in [
        json!({"ttl": "abc"}),
        json!({"type": "batch"}),
        json!({"type": "x"}),
        json!({"id": "a.b"}),
        json!({"id": "root"}),
        json!({"num_uses": -1}),
        json!({"num_uses": "x"}),
        json!({"entity_alias": "x"}),
        json!({"meta": [1, 2]}),
        json!({"policies": {"a": 1}}),
    ] {
        server.post("auth/token/create", &body).expect(400);
        assert_eq!(server.stored(), before, "{body}");
    }
    let asked = request("POST", "auth/token/create").token(&poor).json(&json!({}));
    server.send(&asked).refused_wrapped(403, "permission denied");
    assert_eq!(server.stored(), before);
}

/// Regression R26: another spelling of `root` slipped through.
#[test]
fn no_spelling_of_root_is_another_policy() {
    let server = TestServer::start();
    for name in ["root", "ROOT", "Root", " root", "root ", "\troot"] {
        let made = server.post("auth/token/create", &json!({"policies": [name]})).expect(200);
        assert_eq!(made.json()["auth"]["policies"], json!(["root"]), "{name:?}");
        assert_eq!(made.json()["auth"]["lease_duration"], 0, "{name:?}");
    }
    for name in ["r\u{43e}\u{43e}t", "root\u{200b}", "\u{ff52}oot"] {
        let token = server.token(&json!({"policies": [name]}));
        server.send(&request("GET", "sys/mounts").token(&token)).refused_wrapped(403, "permission denied");
    }
}

/// Who reads the store learns no token, no accessor that a token has not told, no salt.
#[test]
fn no_token_is_stored() {
    let server = TestServer::start();
    let token = server.token(&json!({"id": "MyVeryOwnToken"}));
    for (key, value) in server.stored() {
        for part in [key, value] {
            assert!(!part.windows(token.len()).any(|window| window == token.as_bytes()));
        }
    }
    // Tokens are compared whole: neither a part of one nor more than one is one.
    for almost in ["MyVeryOwnToke", "MyVeryOwnToken2", "myveryowntoken", "MyVeryOwnToken\u{e9}"] {
        look_up(&server, almost).expect(if almost.is_ascii() { 403 } else { 400 });
    }
}

#[test]
fn tokens_arrive_by_two_headers_and_no_other_way() {
    let server = TestServer::start();
    let asked =
        |name: &str, value: &str| server.send(&request("GET", "sys/mounts").without_token().header(name, value));
    for (name, value) in [
        ("X-Vault-Token", "root"),
        ("x-vault-token", "root"),
        ("X-Vault-Token", " root "),
        ("Authorization", "Bearer root"),
    ] {
        asked(name, value).expect(200);
    }
    for (name, value) in [
        ("Authorization", "bearer root"),
        ("Authorization", "Basic cm9vdDo="),
        ("Authorization", "root"),
        ("X-Vault-Token", "Bearer root"),
        ("Cookie", "token=root"),
        ("X-Token", "root"),
    ] {
        asked(name, value).refused(403, "permission denied");
    }
    server.send(&request("GET", "sys/mounts?token=root").without_token()).refused(403, "permission denied");
    // The one that is Vault's own wins.
    let both = request("GET", "sys/mounts").token("wrong").header("Authorization", "Bearer root");
    server.send(&both).refused(403, "permission denied");
}
