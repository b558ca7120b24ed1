//! `sys/internal/specs/openapi`: the document follows the mounts.

use serde_json::{Value, json};

use crate::client::request;
use crate::server::TestServer;

#[test]
fn the_document_has_what_is_mounted_now() {
    let server = TestServer::start();
    let has = |path: &str| server.get("sys/internal/specs/openapi").expect(200).json()["paths"].get(path).is_some();
    assert!(has("/transit/encrypt/{name}") && !has("/deep/er/encrypt/{name}"));
    server.post("sys/mounts/deep/er", &json!({"type": "transit"})).expect(204);
    assert!(has("/deep/er/encrypt/{name}"));
    server.delete("sys/mounts/deep/er").expect(204);
    assert!(!has("/deep/er/encrypt/{name}"));
}

/// `OpenAPI` 3.0: every part of a path that stands in braces is a required parameter of it, and there is no other.
#[test]
fn every_path_declares_its_parameters() {
    let document = TestServer::start().get("sys/internal/specs/openapi").expect(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.0"));
    for (path, item) in document["paths"].as_object().unwrap() {
        let braced: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: Vec<_> =
            item["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(braced, declared, "{path}");
        assert!(path.starts_with('/') && !path.contains("//") && !path.contains(['?', '.']), "{path}");
        assert!(!item.to_string().contains("$ref"), "{path} refers to something outside itself");
    }
}

/// Regression: who had no token was refused, where Vault tells as much as everybody may know.
#[test]
fn the_document_has_what_its_reader_may_see() {
    let server = TestServer::start();
    let paths = |asked| -> Vec<String> {
        let document: Value = server.send(&asked).expect(200).json();
        document["paths"].as_object().unwrap().keys().cloned().collect()
    };
    let asked = request("GET", "sys/internal/specs/openapi");
    assert!(paths(asked.clone().without_token()).is_empty());
    server.send(&asked.clone().token("wrong")).refused(403, "permission denied");
    let policy = json!({"policy": "path \"transit/encrypt/k\" { capabilities = [\"update\"] }"});
    server.post("sys/policies/acl/p", &policy).expect(204);
    let token = server.token(&json!({"policies": ["p"], "no_default_policy": true}));
    let seen = paths(asked.clone().token(&token));
    assert!(!seen.is_empty() && seen.iter().all(|path| path.starts_with("/transit/")), "{seen:?}");
    server.post("sys/mounts/transit/tune", &json!({"listing_visibility": "unauth"})).expect(204);
    assert_eq!(paths(asked.without_token()), seen);
}
