//! `auth/token`: tokens with limits, of roles, and of the kind that is not kept.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn by(server: &TestServer, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let asked = request(method, path).token(token);
    server.send(&if method == "POST" { asked.json(body) } else { asked })
}

fn look_up(server: &TestServer, token: &str) -> Answer {
    by(server, token, "GET", "auth/token/lookup-self", &Value::Null)
}

fn policy(server: &TestServer, name: &str, text: &str) {
    server.post(&format!("sys/policies/acl/{name}"), &json!({ "policy": text })).expect(204);
}

#[test]
fn each_request_is_one_use_whatever_comes_of_it() {
    let server = TestServer::with_all_engines();
    policy(&server, "p", "path \"kv/*\" { capabilities = [\"create\", \"read\", \"list\"] }");
    let uses = 8;
    let token = server.token(&json!({"policies": ["p"], "num_uses": uses}));
    for (number, (method, path, status)) in [
        ("GET", "auth/token/lookup-self", 200),
        ("POST", "kv/a", 204),
        ("LIST", "kv/", 200),
        ("GET", "kv/none", 404),
        ("GET", "sys/mounts", 403),
        ("GET", "nothing/there", 403),
        ("GET", "kv/a", 200),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(by(&server, &token, method, path, &json!({"a": "b"})).status, status, "{method} {path}");
        let left = server.post("auth/token/lookup", &json!({ "token": token })).data()["num_uses"].clone();
        assert_eq!(left, uses - 1 - number, "{method} {path}");
    }
    assert_eq!(look_up(&server, &token).expect(200).data()["num_uses"], -1);
    look_up(&server, &token).refused(403, "permission denied");
    server.post("auth/token/lookup", &json!({ "token": token })).refused(403, "bad token");
}

#[test]
fn a_limited_token_makes_no_others_and_may_end_itself() {
    let server = TestServer::start();
    let token = server.token(&json!({"num_uses": 2}));
    let refused = by(&server, &token, "POST", "auth/token/create", &json!({}));
    refused.refused(400, "restricted use token cannot generate child tokens");
    by(&server, &token, "POST", "auth/token/revoke-self", &json!({})).expect(204);
    look_up(&server, &token).refused(403, "permission denied");
}

#[test]
fn a_token_is_good_only_where_it_is_bound_to() {
    let server = TestServer::start();
    server.post("auth/token/roles/far", &json!({"token_bound_cidrs": ["10.0.0.0/8"]})).expect(204);
    server.post("auth/token/roles/near", &json!({"token_bound_cidrs": "127.0.0.0/8,::1"})).expect(204);
    for kind in ["service", "batch"] {
        let make = |role: &str| {
            let asked = json!({"policies": ["default"], "type": kind});
            let made = server.post(&format!("auth/token/create/{role}"), &asked).expect(200);
            made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
        };
        look_up(&server, &make("far")).refused(403, "permission denied");
        assert_eq!(look_up(&server, &make("near")).expect(200).data()["bound_cidrs"], json!(["127.0.0.0/8", "::1"]));
    }
    // Who is bound makes nobody who is not.
    let made = server.post("auth/token/create/near", &json!({"ttl": "1h"})).expect(200).json();
    let maker = made["auth"]["client_token"].as_str().unwrap();
    let child = by(&server, maker, "POST", "auth/token/create", &json!({"ttl": "1h"})).expect(200).json();
    let told = look_up(&server, child["auth"]["client_token"].as_str().unwrap()).data();
    assert_eq!(told["bound_cidrs"], json!(["127.0.0.0/8", "::1"]));
}

#[test]
fn a_batch_token_can_be_used_and_nothing_else() {
    let server = TestServer::start();
    policy(&server, "p", "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"sudo\"] }");
    let before = server.stored();
    let made = server.post("auth/token/create", &json!({"type": "batch", "policies": ["p"], "ttl": "1m"})).json();
    assert_eq!(server.stored(), before, "it is not kept");
    let auth = &made["auth"];
    assert_eq!(
        (&auth["accessor"], &auth["renewable"], &auth["token_type"]),
        (&json!(""), &json!(false), &json!("batch"))
    );
    let token = auth["client_token"].as_str().unwrap();
    let told = look_up(&server, token).expect(200).data();
    assert_eq!((&told["type"], &told["id"], &told["ttl"]), (&json!("batch"), &json!(token), &json!(60)));
    let own = json!({ "token": token });
    for (path, text) in [
        ("auth/token/create", "batch tokens cannot create more tokens"),
        ("auth/token/create-orphan", "batch tokens cannot create more tokens"),
        ("auth/token/renew", "batch tokens cannot be renewed"),
        ("auth/token/renew-self", "batch tokens cannot be renewed"),
        ("auth/token/revoke", "batch tokens cannot be revoked"),
        ("auth/token/revoke-self", "batch tokens cannot be revoked"),
        ("auth/token/revoke-orphan", "batch tokens cannot be revoked"),
        ("cubbyhole/a", "cubbyhole operations are only supported by \"service\" type tokens"),
    ] {
        by(&server, token, "POST", path, &own).refused(400, text);
    }
    assert_eq!(server.stored(), before);
    server.clock.advance(Duration::from_mins(1));
    look_up(&server, token).refused(403, "permission denied");
}

/// Terraform's provider makes such roles: the period is for those who ask for a service token.
#[test]
fn a_role_of_batch_tokens_unless_asked_may_be_periodic() {
    let server = TestServer::start();
    let role = json!({"token_type": "default-batch", "token_period": 3_600, "orphan": true});
    server.post("auth/token/roles/r", &role).expect(204);
    let told = server.get("auth/token/roles/r").data();
    assert_eq!((&told["token_type"], &told["token_period"]), (&json!("default-batch"), &json!(3_600)));
    let life = |asked: Value| {
        let auth = server.post("auth/token/create/r", &asked).json()["auth"].take();
        (auth["token_type"].clone(), auth["lease_duration"].clone())
    };
    assert_eq!(life(json!({"policies": ["p"]})), (json!("batch"), json!(2_764_800)));
    assert_eq!(life(json!({"policies": ["p"], "type": "service"})), (json!("service"), json!(3_600)));
    let periodic = "'token_type' cannot be 'batch' when role is set to generate periodic tokens";
    server.post("auth/token/roles/r", &json!({"token_type": "batch"})).refused(400, periodic);
    let counted = json!({"token_type": "default-batch", "token_num_uses": 1});
    let text = "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count";
    server.post("auth/token/roles/other", &counted).refused(400, text);
}

/// A role that changes changes what its tokens become at their next renewal.
#[test]
fn a_role_has_a_say_in_every_renewal() {
    let server = TestServer::start();
    server.post("auth/token/roles/r", &json!({"token_period": "1h"})).expect(204);
    let made = server.post("auth/token/create/r", &json!({"policies": ["default"]})).expect(200).json();
    let token = made["auth"]["client_token"].as_str().unwrap();
    let renew = || by(&server, token, "POST", "auth/token/renew-self", &json!({"increment": "9h"}));
    assert_eq!(renew().expect(200).json()["auth"]["lease_duration"], 3_600);
    server.post("auth/token/roles/r", &json!({"token_period": "2h"})).expect(204);
    assert_eq!(renew().expect(200).json()["auth"]["lease_duration"], 7_200);
    server.delete("auth/token/roles/r").expect(204);
    renew().refused(400, "original token role \"r\" could not be found, not renewing");
    assert_eq!(look_up(&server, token).expect(200).data()["ttl"], 7_200, "it lives on as it was");
}

/// Nobody learns a token by its accessor.
#[test]
fn an_accessor_is_no_token() {
    let server = TestServer::start();
    let made = server.post("auth/token/create", &json!({"ttl": "1h"})).expect(200).json();
    let (token, accessor) = (made["auth"]["client_token"].as_str().unwrap(), &made["auth"]["accessor"]);
    let about = |path: &str| server.post(&format!("auth/token/{path}"), &json!({ "accessor": accessor }));
    look_up(&server, accessor.as_str().unwrap()).refused(403, "permission denied");
    let told = about("lookup-accessor").expect(200);
    assert!(!told.text().contains(token) && told.data()["id"] == "");
    let renewed = about("renew-accessor").expect(200);
    assert!(!renewed.text().contains(token) && renewed.json()["auth"]["client_token"] == "");
    assert!(server.list("auth/token/accessors").data()["keys"].as_array().unwrap().contains(accessor));
    about("revoke-accessor").expect(204);
    assert_eq!(about("revoke-accessor").expect(200).json()["warnings"], json!(["No token found with this accessor"]));
    about("lookup-accessor").refused(400, "1 error occurred:\n\t* invalid accessor\n\n");
    look_up(&server, token).refused(403, "permission denied");
}

#[test]
fn expiring_roots_make_no_eternal_ones() {
    let server = TestServer::start();
    let root = server.token(&json!({"ttl": "1h"}));
    let refused = by(&server, &root, "POST", "auth/token/create", &json!({}));
    refused.refused(400, "expiring root tokens cannot create non-expiring root tokens");
    by(&server, &root, "POST", "auth/token/create", &json!({"ttl": "2h"})).expect(200);
}

#[test]
fn wishes_beyond_what_there_can_be_are_cut_with_a_warning() {
    let server = TestServer::start();
    server.post("auth/token/roles/r", &json!({"token_period": "2h", "token_explicit_max_ttl": "3h"})).expect(204);
    let check = |path: &str, body: Value, ttl_s: u64, warnings: &[&str]| {
        let made = server.post(&format!("auth/token/{path}"), &body).expect(200).json();
        assert_eq!(made["auth"]["lease_duration"], ttl_s, "{body}");
        let told = if warnings.is_empty() { Value::Null } else { json!(warnings) };
        assert_eq!(made["warnings"], told, "{body}");
    };
    let policies = ["default"];
    let period = "period of \"9000h\" exceeded the effective max_ttl of \"768h\"; period value is capped accordingly";
    check("create", json!({"policies": policies, "period": "9000h"}), 2_764_800, &[period]);
    let ttl = "TTL of \"2h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped accordingly";
    check("create", json!({"policies": policies, "ttl": "2h", "explicit_max_ttl": "1h"}), 3_600, &[ttl]);
    let lesser = "Period specified both during creation call and in role; using the lesser value of 3600 seconds";
    check("create/r", json!({"policies": policies, "period": "1h"}), 3_600, &[lesser]);
    let lesser =
        "Explicit max TTL specified both during creation call and in role; using the lesser value of 10800 seconds";
    check("create/r", json!({"policies": policies, "explicit_max_ttl": "9h"}), 7_200, &[lesser]);
    check("create", json!({"policies": ["default", "none"], "ttl": 60}), 60, &["Policy \"none\" does not exist"]);
}
