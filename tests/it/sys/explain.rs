//! `sys/policies/explain` and the text that refusals carry where an operator wants it.

use serde_json::{Value, json};

use crate::client::request;
use crate::server::TestServer;

/// A server where someone has a policy; his token.
fn someone() -> (TestServer, String) {
    let server = TestServer::with_all_engines();
    let policy = r#"path "secret/data/*" { capabilities = ["read", "create"] }
                    path "secret/data/closed" { capabilities = ["deny"] }
                    path "sys/policies/explain-self" { capabilities = ["update"] }"#;
    server.post("sys/policies/acl/dev", &json!({"policy": policy})).expect(204);
    server.post("sys/policies/acl/other", &json!({"policy": "path \"kv/*\" { policy = \"deny\" }"})).expect(204);
    let token = server.token(&json!({"policies": ["dev"]}));
    (server, token)
}

#[track_caller]
fn explained(server: &TestServer, question: &Value) -> Value {
    server.post("sys/policies/explain", question).expect(200).json()["data"].clone()
}

#[test]
fn the_rule_that_decides_is_told() {
    let (server, token) = someone();
    let data = explained(&server, &json!({"path": "secret/data/a", "operation": "update", "token": token}));
    let smallest = "path \"secret/data/a\" {\n  capabilities = [\"update\"]\n}\n";
    let expected = json!({
        "path": "secret/data/a", "operation": "update", "needed": ["update"], "sudo": false, "allowed": false,
        "reason": "capability_missing",
        "explanation": format!("the rule for \"secret/data/*\" in the policy \"dev\" does not grant update; \
                                this policy would allow it: {smallest}"),
        "rule": {
            "path": "secret/data/*", "kind": "prefix", "capabilities": ["create", "read"],
            "policies": [{"name": "dev", "path": "secret/data/*", "capabilities": ["create", "read"]}],
        },
        "smallest_policy": smallest,
    });
    assert_eq!(data, expected);
}

/// Whose rights are asked for: one of three, or one's own.
#[test]
fn anyones_rights_can_be_asked_for() {
    let (server, _) = someone();
    let auth = server.post("auth/token/create", &json!({"policies": ["dev"]})).expect(200).json()["auth"].clone();
    let (token, accessor) = (&auth["client_token"], &auth["accessor"]);
    let allowed = |whose: Value| {
        let mut question = json!({"path": "/secret/data/a", "operation": "create"});
        question.as_object_mut().unwrap().extend(whose.as_object().unwrap().clone());
        explained(&server, &question)["allowed"].clone()
    };
    assert_eq!(allowed(json!({})), true);
    assert_eq!(allowed(json!({"token": token})), true);
    assert_eq!(allowed(json!({"accessor": accessor})), true);
    assert_eq!(allowed(json!({"policies": ["DEV"]})), true);
    assert_eq!(allowed(json!({"policies": "default,other"})), false);
    assert_eq!(allowed(json!({"policies": ["nobody"]})), false);
    let refused = |whose: Value, text: &str| server.post("sys/policies/explain", &whose).refused(400, text);
    let both = "only one of 'token', 'accessor' and 'policies' can be given";
    refused(json!({"path": "a", "operation": "read", "token": token, "policies": ["a"]}), both);
    refused(json!({"path": "a", "operation": "read", "token": "hvs.nobody"}), "invalid token");
    refused(json!({"path": "a", "operation": "read", "accessor": "nobody"}), "invalid accessor");
    refused(json!({"operation": "read"}), "'path' must be supplied");
    let unknown = "unknown operation \"write\"; there are create, delete, list, patch, read, scan, sudo and update";
    refused(json!({"path": "a", "operation": "write"}), unknown);
}

#[test]
fn about_oneself_one_may_ask_where_a_policy_says_so() {
    let (server, token) = someone();
    let ask = |path: &str| {
        let question = json!({"path": "secret/metadata", "operation": "list", "token": "root"});
        server.send(&request("POST", path).token(&token).json(&question))
    };
    ask("sys/policies/explain").refused(403, "1 error occurred:\n\t* permission denied\n\n");
    let data = ask("sys/policies/explain-self").expect(200).json()["data"].clone();
    assert_eq!(
        (&data["allowed"], &data["reason"], &data["path"]),
        (&json!(false), &json!("no_rule"), &json!("secret/metadata/"))
    );
}

#[test]
fn what_the_route_itself_needs_is_told() {
    let (server, token) = someone();
    let check = |path: &str, operation: &str, sudo: bool, needed: Value, reason: &str| {
        let data = explained(&server, &json!({"path": path, "operation": operation, "token": token}));
        assert_eq!(
            (&data["sudo"], &data["needed"], &data["reason"]),
            (&json!(sudo), &needed, &json!(reason)),
            "{path}"
        );
    };
    check("sys/remount", "update", true, json!(["sudo", "update"]), "no_rule");
    check("sys/remount", "sudo", true, json!(["sudo"]), "no_rule");
    check("sys/health", "read", false, json!(["read"]), "open");
    check("secret/data/a", "create", false, json!(["create"]), "granted");
    // Nothing is made by a write there.
    check("sys/capabilities-self", "create", false, json!(["update"]), "granted");
    check("nothing/there", "patch", false, json!(["patch"]), "no_rule");
}

#[test]
fn who_is_refused_hears_why_only_if_an_operator_wants_it() {
    let (server, token) = someone();
    let asked = [
        request("GET", "secret/data/closed").token(&token),
        request("GET", "kv/a").token(&token),
        request("POST", "sys/mounts/new").token(&token).json(&json!({"type": "kv"})),
        request("DELETE", "nothing/there").token(&token),
    ];
    let plain = "1 error occurred:\n\t* permission denied\n\n";
    let hear = |texts: [&str; 4]| {
        for (asked, text) in asked.iter().zip(texts) {
            server.send(asked).refused(403, text);
        }
    };
    assert_eq!(server.get("sys/config/explain").expect(200).json()["data"], json!({"enabled": false}));
    hear([plain; 4]);

    server.post("sys/config/explain", &json!({"enabled": true})).expect(204);
    let told = |text: &str| format!("2 errors occurred:\n\t* permission denied\n\t* {text}\n\n");
    let none = "no rule for this path is in the policies \"default\", \"dev\"; this policy would allow it: ";
    hear([
        &told(
            "the rule for \"secret/data/closed\" in the policy \"dev\" denies it; no policy that is added can allow it",
        ),
        &told(&format!("{none}path \"kv/a\" {{\n  capabilities = [\"read\"]\n}}\n")),
        &told(&format!("{none}path \"sys/mounts/new\" {{\n  capabilities = [\"create\", \"update\"]\n}}\n")),
        &told(&format!("{none}path \"nothing/there\" {{\n  capabilities = [\"delete\"]\n}}\n")),
    ]);
    for nobody in [asked[0].clone().without_token(), asked[1].clone().token("hvs.nobody")] {
        server.send(&nobody).refused(403, "permission denied");
    }

    server.post("sys/config/explain", &json!({"enabled": false})).expect(204);
    hear([plain; 4]);
    server
        .send(&request("POST", "sys/config/explain").token(&token).json(&json!({"enabled": true})))
        .refused(403, plain);
}

/// What a template became for somebody decides, and the policy is told as it was written.
#[test]
fn templates_are_told_as_they_were_written() {
    let (server, _) = someone();
    let policy = r#"path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }"#;
    server.post("sys/policies/acl/own", &json!({"policy": policy})).expect(204);
    server.post("auth/userpass/users/ann", &json!({"password": "p", "token_policies": "own"})).expect(204);
    let login = server.post("auth/userpass/login/ann", &json!({"password": "p"})).expect(200).json();
    let (token, id) = (&login["auth"]["client_token"], login["auth"]["entity_id"].as_str().unwrap());
    server.post(&format!("identity/entity/id/{id}"), &json!({"name": "ann"})).expect(204);
    let data = explained(&server, &json!({"path": "secret/data/ann/a", "operation": "read", "token": token}));
    let rule = &data["rule"];
    assert_eq!(
        (&data["allowed"], &rule["path"], &rule["kind"]),
        (&json!(true), &json!("secret/data/ann/*"), &json!("prefix"))
    );
    assert_eq!(rule["policies"][0]["path"], "secret/data/{{identity.entity.name}}/*");
    let data = explained(&server, &json!({"path": "secret/data/bob/a", "operation": "read", "token": token}));
    assert_eq!((&data["allowed"], &data["reason"]), (&json!(false), &json!("no_rule")));
}
