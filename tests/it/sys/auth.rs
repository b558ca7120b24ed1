//! `sys/auth`: the login methods, of which that of tokens is always there.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

#[test]
fn the_method_of_tokens_is_told_under_all_its_names() {
    let server = TestServer::start();
    let list = server.get("sys/auth").expect(200);
    let entry = list.data()["token/"].take();
    assert_eq!(list.json()["token/"], entry, "told beside the envelope, too");
    assert_eq!(server.get("sys/auth/token").data(), entry);
    assert_eq!(server.get("sys/mounts/auth/token").data(), entry);
    assert_eq!((&entry["type"], &entry["description"]), (&json!("token"), &json!("token based credentials")));
    let config =
        json!({"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0, "token_type": "default-service"});
    assert_eq!(entry["config"], config);
    let accessor = entry["accessor"].as_str().unwrap();
    assert!(accessor.starts_with("auth_token_") && accessor.len() == "auth_token_".len() + 8, "{accessor}");
    for path in ["sys/auth/token/tune", "sys/mounts/auth/token/tune"] {
        let data = server.get(path).data();
        let told = json!({"default_lease_ttl": 2_764_800, "max_lease_ttl": 2_764_800, "force_no_cache": false,
            "description": "token based credentials", "token_type": "default-service"});
        assert_eq!(data, told, "{path}");
    }
    server.get("sys/auth/nosuch").refused(400, "No auth engine at nosuch/");
    server.get("sys/mounts/auth/nosuch").refused(400, "No secret engine mount at auth/nosuch/");
    server.get("sys/auth/nosuch/tune").refused(400, "cannot fetch sysview for path \"auth/nosuch/\"");
}

#[test]
fn its_ttls_are_those_of_new_tokens() {
    let server = TestServer::start();
    let ttl = || {
        let token = server.token(&json!({"policies": ["default"]}));
        server.send(&request("GET", "auth/token/lookup-self").token(&token)).data()["ttl"].clone()
    };
    assert_eq!(ttl(), 2_764_800);
    server.post("sys/auth/token/tune", &json!({"default_lease_ttl": "1h", "description": "ours"})).expect(204);
    assert_eq!(ttl(), 3_600);
    server.post("sys/mounts/auth/token/tune", &json!({"max_lease_ttl": "2h", "default_lease_ttl": "0"})).expect(204);
    assert_eq!(ttl(), 7_200);
    assert_eq!(server.get("sys/auth").data()["token/"]["description"], "ours");
    let text = "'token_type' cannot be set for 'token' or 'ns_token' auth mounts";
    server.post("sys/auth/token/tune", &json!({"token_type": "batch"})).refused(400, text);
    let text = "tune of path \"auth/nosuch/\" failed: no mount entry found";
    server.post("sys/auth/nosuch/tune", &json!({})).refused(400, text);
}

#[test]
fn others_cannot_be_enabled_and_this_one_not_disabled() {
    let server = TestServer::start();
    let before = server.stored();
    for (path, body, text) in [
        ("new", json!({}), "backend type must be specified as a string"),
        ("new", json!({"type": "nosuch"}), "plugin not found in the catalog: nosuch"),
        ("new", json!({"type": "kv"}), "plugin not found in the catalog: kv"),
        ("new", json!({"type": "plugin", "plugin_name": "mine"}), "plugin not found in the catalog: mine"),
        (
            "new",
            json!({"type": "userpass", "options": {"version": 2}}),
            "auth method \"userpass\" does not allow setting a version",
        ),
        (
            "new",
            json!({"type": "userpass", "config": {"plugin_version": "v1.0.0"}}),
            "cannot select non-builtin version of auth plugin userpass",
        ),
        ("token/inside", json!({"type": "userpass"}), "path is already in use at token/"),
        ("new", json!({"type": "token"}), "token credential backend cannot be instantiated"),
        ("token", json!({"type": "userpass"}), "path is already in use at token/"),
    ] {
        server.post(&format!("sys/auth/{path}"), &body).refused(400, text);
    }
    server.delete("sys/auth/token").refused(400, "token credential backend cannot be disabled");
    server.delete("sys/mounts/auth/token").refused(400, "cannot unmount \"auth/token/\"");
    server.delete("sys/auth/nosuch").expect(204);
    assert_eq!(server.stored(), before);
}
