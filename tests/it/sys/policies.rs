//! `sys/policies` and what policies allow, over HTTP.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

#[test]
fn both_endpoints_tell_of_the_same_policies() {
    let server = TestServer::start();
    let text = "path \"transit/*\" { capabilities = [\"read\"] }";
    // base64 of the text, and a name in capitals
    let encoded = "cGF0aCAidHJhbnNpdC8qIiB7IGNhcGFiaWxpdGllcyA9IFsicmVhZCJdIH0=";
    let answer = server.post("sys/policies/acl/Mine", &json!({"policy": encoded})).expect(200);
    assert_eq!(answer.json()["warnings"], json!(["policy name was converted to mine"]));
    assert_eq!(server.get("sys/policies/acl/mine").data(), json!({"name": "mine", "policy": text}));
    assert_eq!(server.get("sys/policy/MINE").data(), json!({"name": "mine", "rules": text}));
    let answer = server.post("sys/policy/old", &json!({"rules": text})).expect(200);
    assert_eq!(answer.json()["warnings"], json!(["'rules' is deprecated, please use 'policy' instead"]));
    let names = json!(["default", "mine", "old", "root"]);
    assert_eq!(server.send(&request("LIST", "sys/policies/acl")).data(), json!({"keys": names}));
    assert_eq!(server.get("sys/policy").data(), json!({"keys": names, "policies": names}));
    server.post("sys/policies/acl/none", &json!({})).refused(400, "'policy' parameter not supplied or empty");
    server.delete("sys/policies/acl/default").refused(400, "cannot delete default policy");
    assert_eq!(server.get("sys/policies/acl/root").data(), json!({"name": "root", "policy": ""}));
}

#[test]
fn a_policy_that_changes_changes_what_tokens_may_do_at_once() {
    let server = TestServer::start();
    let policy = |words: &str| json!({"policy": format!("path \"transit/keys/k\" {{ capabilities = [{words}] }}")});
    server.post("transit/keys/k", &json!({})).expect(200);
    let token = server.token(&json!({"policies": ["p"], "no_default_policy": true}));
    let status = |expected: u16| drop(server.send(&request("GET", "transit/keys/k").token(&token)).expect(expected));
    status(403);
    server.post("sys/policies/acl/p", &policy("\"read\"")).expect(204);
    status(200);
    server.post("sys/policies/acl/p", &policy("\"read\", \"deny\"")).expect(204);
    status(403);
    server.post("sys/policies/acl/p", &policy("\"read\"")).expect(204);
    status(200);
    server.delete("sys/policies/acl/p").expect(204);
    status(403);
}

#[test]
fn nobody_gives_what_he_has_not() {
    let server = TestServer::start();
    let policy = json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"});
    server.post("sys/policies/acl/maker", &policy).expect(204);
    let token = server.token(&json!({"policies": ["maker"]}));
    let create = |policies: &[&str]| {
        server.send(&request("POST", "auth/token/create").token(&token).json(&json!({"policies": policies})))
    };
    create(&["maker"]).expect(200);
    create(&["default"]).expect(200);
    create(&["other"]).refused(400, "child policies must be subset of parent");
    create(&["root"]).refused(400, "child policies must be subset of parent");
    let reserved = json!({"policies": ["response-wrapping"]});
    server.post("auth/token/create", &reserved).refused(400, "cannot assign policy \"response-wrapping\"");
}

#[test]
fn a_token_learns_all_that_it_may_do() {
    let server = TestServer::start();
    assert_eq!(server.get("sys/internal/ui/resultant-acl").data(), json!({"root": true}));
    let text = "path \"a/b\" { capabilities = [\"read\"] required_parameters = [\"x\"] }
        path \"c/*\" { capabilities = [\"deny\"] }
        path \"sys/internal/ui/resultant-acl\" { capabilities = [\"read\"] }";
    server.post("sys/policies/acl/p", &json!({"policy": text})).expect(204);
    let token = server.token(&json!({"policies": ["p"], "no_default_policy": true}));
    let expected = json!({
        "exact_paths": {
            "a/b": {"capabilities": ["read"], "required_parameters": ["x"]},
            "sys/internal/ui/resultant-acl": {"capabilities": ["read"]}},
        "glob_paths": {"c/": {"capabilities": ["deny"]}},
        "root": false});
    assert_eq!(server.send(&request("GET", "sys/internal/ui/resultant-acl").token(&token)).data(), expected);
}
