//! `sys/internal/specs/openapi`: the document follows the mounts.

use serde_json::json;

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
