//! Methods and what they mean.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

/// Regression R25: an operation that is the server's own was reachable under some name.
#[test]
fn there_are_no_other_methods() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let before = server.stored();
    for method in
        ["OPTIONS", "TRACE", "CONNECT", "SCAN", "RENEW", "REVOKE", "ROLLBACK", "get", "list", "Post", "X-1", "PRI"]
    {
        let target = if method == "CONNECT" { "coffer:80" } else { "/v1/transit/keys/k" };
        let answer = server.connect().send(&request(method, "").target(target)).unwrap();
        assert!(matches!(answer.status, 404 | 405), "{method}: {} {}", answer.status, answer.text());
        assert_eq!(answer.error(), "", "{method}");
    }
    server.send(&request("HEAD", "transit/keys/k")).expect(405);
    assert_eq!(server.stored(), before);
}

#[test]
fn no_header_and_no_member_changes_the_operation() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/k/config", &json!({"deletion_allowed": true})).expect(200);
    for header in
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Vault-Operation", "X-Vault-Policy-Override"]
    {
        server.send(&request("POST", "transit/keys/k").header(header, "DELETE").json(&json!({}))).expect(200);
    }
    server.post("transit/keys/k", &json!({"_method": "DELETE", "operation": "delete"})).expect(200);
    server.get("transit/keys/k?_method=DELETE&operation=delete").expect(200);
    server.get("transit/keys/k").expect(200);
}

#[test]
fn put_is_post_and_a_list_is_asked_for_in_three_ways() {
    let server = TestServer::start();
    let put = |path: &str| server.send(&request("PUT", path).json(&json!({})));
    put("transit/keys/k").expect(200);
    put("transit/keys/k/rotate").expect(200);
    let expected = server.list("transit/keys").data();
    assert_eq!(expected, json!({"keys": ["k"]}));
    for asked in
        ["LIST transit/keys/", "GET transit/keys?list=true", "GET transit/keys/?list=1", "GET transit/keys?list=T"]
    {
        let (method, path) = asked.split_once(' ').unwrap();
        assert_eq!(server.send(&request(method, path)).data(), expected, "{asked}");
    }
    for not_a_list in ["list=false", "list=0", "list="] {
        server.get(&format!("transit/keys?{not_a_list}")).refused_wrapped(405, "unsupported operation");
    }
}

#[test]
fn a_patch_says_what_it_is() {
    let server = TestServer::start();
    let patch = |kind: &str| {
        let asked = request("PATCH", "transit/keys/k").json(&json!({}));
        server.send(&if kind.is_empty() { asked } else { asked.header("Content-Type", kind) })
    };
    patch("").refused(400, "mime: no media type");
    let text = "PATCH requires Content-Type of application/merge-patch+json, provided application/json";
    patch("application/json").refused(415, text);
    patch("application/merge-patch+json").refused_wrapped(405, "unsupported operation");
    patch("Application/Merge-Patch+JSON; charset=utf-8").refused_wrapped(405, "unsupported operation");
}
