//! Policies that speak of who asks.

use serde_json::{Value, json};

use super::{accessor, log_in, reads, server_with, text};
use crate::client::request;
use crate::server::TestServer;

/// A server with a user whose token has a policy with these rules.
fn server_with_rules(rules: &str) -> (TestServer, Value) {
    let server = server_with(&["bob"]);
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    let rules = rules.replace("ACCESSOR", &accessor(&server, "userpass"));
    server.post("sys/policies/acl/t", &json!({"policy": rules})).expect(204);
    server.post("auth/userpass/users/bob", &json!({"token_policies": ["t"]})).expect(204);
    let bob = log_in(&server, "userpass", "bob");
    (server, bob)
}

/// Regression R28: a value with a slash or a wildcard made a rule be about more than its author meant.
#[test]
fn a_value_never_widens_a_rule() {
    let (server, bob) = server_with_rules(
        r#"path "kv/team/{{identity.entity.metadata.team}}/*" { capabilities = ["read"] }
           path "kv/alias/{{identity.entity.aliases.ACCESSOR.custom_metadata.team}}" { capabilities = ["read"] }"#,
    );
    let entity = format!("identity/entity/id/{}", text(&bob["entity_id"]));
    let alias = server.get(&entity).data()["aliases"][0]["id"].take();
    let alias = format!("identity/entity-alias/id/{}", text(&alias));
    let set = |team: &str| {
        server.post(&entity, &json!({"metadata": {"team": team}})).expect(204);
        server.post(&alias, &json!({"custom_metadata": {"team": team}})).expect(200);
    };
    set("blue");
    assert!(reads(&server, &bob, "kv/team/blue/x") && reads(&server, &bob, "kv/alias/blue"));
    assert!(!reads(&server, &bob, "kv/team/red/x") && !reads(&server, &bob, "kv/alias/red"));
    for team in [
        "*",
        "+",
        "blue*",
        "+/x",
        "blue/x",
        "/",
        "..",
        "a..b",
        "%2f",
        "%2e%2e",
        "{{identity.entity.id}}",
        "a／b",
        "＊",
        "＋",
    ] {
        set(team);
        for path in
            ["kv/team/blue/x", "kv/team/x/x", "kv/team/*/x", "kv/team/+/x", "kv/alias/blue", "kv/alias/+", "kv/alias/*"]
        {
            assert!(!reads(&server, &bob, path), "{team} {path}");
        }
    }
    set("red");
    assert!(reads(&server, &bob, "kv/team/red/x") && !reads(&server, &bob, "kv/team/blue/x"));
}

#[test]
fn a_template_is_a_rule_like_any_other() {
    let (server, bob) = server_with_rules(
        r#"path "kv/{{identity.entity.name}}/*" { capabilities = ["read"] }
           path "kv/{{identity.entity.name}}/secret" { capabilities = ["deny"] }
           path "kv/+/shared" { capabilities = ["deny"] }
           path "kv/all/*" { capabilities = ["list"] }
           path "kv/{{identity.groups.names.all.id}}/*" { capabilities = ["read"] }"#,
    );
    let entity = format!("identity/entity/id/{}", text(&bob["entity_id"]));
    server.post(&entity, &json!({"name": "all"})).expect(204);
    // The rule for `kv/all/*` is that of two: what they grant adds up.
    let token = text(&bob["client_token"]);
    let paths = json!({"paths": ["kv/all/x", "kv/all/secret", "kv/all/shared", "kv/other/x"]});
    let told = server.send(&request("POST", "sys/capabilities-self").token(token).json(&paths)).data();
    assert_eq!(told["kv/all/x"], json!(["list", "read"]));
    assert_eq!(told["kv/all/secret"], json!(["deny"]));
    assert_eq!(told["kv/all/shared"], json!(["list", "read"]), "the wildcard of the other rule comes first");
    assert_eq!(told["kv/other/x"], json!(["deny"]));
    let rules = server.send(&request("GET", "sys/internal/ui/resultant-acl").token(token)).data();
    assert_eq!(rules["glob_paths"]["kv/all/"], json!({"capabilities": ["list", "read"]}));
    assert_eq!(rules["exact_paths"]["kv/all/secret"], json!({"capabilities": ["deny"]}));
    let own = rules["exact_paths"].as_object().unwrap().keys().filter(|path| path.contains("{{")).count();
    assert_eq!(own, 0, "{rules}");
    let group = json!({"name": "all", "member_entity_ids": [bob["entity_id"]]});
    let group = server.post("identity/group", &group).text_of("id");
    assert!(reads(&server, &bob, &format!("kv/{group}/x")));
    // The policy `default` lets everybody read who he is.
    assert!(reads(&server, &bob, &entity) && reads(&server, &bob, "identity/entity/name/all"));
    assert!(!reads(&server, &bob, "identity/entity/name/other"));
}

#[test]
fn explanations_know_what_templates_stand_for() {
    let (server, bob) = server_with_rules(r#"path "kv/{{identity.entity.id}}/*" { capabilities = ["read"] }"#);
    let path = format!("kv/{}/x", text(&bob["entity_id"]));
    let explain = |path: &str| {
        let body = json!({"path": path, "operation": "read", "token": bob["client_token"]});
        server.post("sys/policies/explain", &body).data()
    };
    let told = explain(&path);
    assert_eq!((&told["allowed"], &told["rule"]["policies"][0]["name"]), (&json!(true), &json!("t")), "{told}");
    assert_eq!(explain("kv/other/x")["allowed"], json!(false));
}
