//! Listing in pages.

use serde_json::{Value, json};

use super::write;
use crate::client::request;
use crate::server::TestServer;

#[test]
fn lists_come_in_pages() {
    let server = TestServer::with_all_engines();
    for path in ["a", "b/1", "b/2", "c", "d/1", "e"] {
        write(&server, path, &json!({}));
        server.post(&format!("kv/{path}"), &json!({"a": 1})).expect(204);
    }
    for list in ["secret/metadata", "kv"] {
        let check = |query: &str, expected: Value| {
            let answer = server.list(&format!("{list}{query}"));
            let keys = if answer.status == 404 { json!([]) } else { answer.data()["keys"].take() };
            assert_eq!(keys, expected, "{list}{query}");
        };
        check("", json!(["a", "b/", "c", "d/", "e"]));
        check("?limit=2", json!(["a", "b/"]));
        check("?limit=2&after=b/", json!(["c", "d/"]));
        check("?limit=2&after=d/", json!(["e"]));
        check("?after=bb", json!(["c", "d/", "e"]));
        check("?after=e", json!([]));
        check("?limit=0", json!(["a", "b/", "c", "d/", "e"]));
        check("?limit=-1", json!(["a", "b/", "c", "d/", "e"]));
        check("/b?limit=1", json!(["1"]));
        check("/b?after=1", json!(["2"]));
        check("/a", json!([]));
    }
    let detailed = server.list("secret/detailed-metadata?limit=2").data();
    assert_eq!(detailed["keys"], json!(["a", "b/"]));
    assert_eq!(detailed["key_info"]["a"]["current_version"], 1);
    assert_eq!(detailed["key_info"]["b/"], json!({}));
}

#[test]
fn a_scan_tells_what_is_in_the_folders_too() {
    let server = TestServer::with_all_engines();
    for path in ["a", "b/1", "b/2/x", "c", "d/1"] {
        write(&server, path, &json!({}));
        server.post(&format!("kv/{path}"), &json!({"a": 1})).expect(204);
    }
    for list in ["secret/metadata", "kv"] {
        let check = |below: &str, query: &str, expected: Value| {
            let answers = [
                server.send(&request("SCAN", &format!("{list}{below}?{query}"))),
                server.get(&format!("{list}{below}?scan=true&{query}")),
            ];
            for answer in answers {
                let keys = if answer.status == 404 { json!([]) } else { answer.data()["keys"].take() };
                assert_eq!(keys, expected, "{list}{below}?{query}");
            }
        };
        check("", "", json!(["a", "b/1", "b/2/x", "c", "d/1"]));
        check("", "limit=2", json!(["a", "b/1"]));
        check("", "limit=2&after=b/1", json!(["b/2/x", "c"]));
        check("/b", "", json!(["1", "2/x"]));
        check("/b/", "", json!(["1", "2/x"]));
        check("/a", "", json!([]));
    }
    let mut detailed = server.send(&request("SCAN", "secret/detailed-metadata/b")).data();
    assert_eq!(detailed["keys"], json!(["1", "2/x"]));
    assert_eq!(detailed["key_info"]["2/x"]["current_version"].take(), 1);

    // What has nothing to scan does not know the method, as Vault knows it nowhere.
    for path in ["secret/data/a", "sys/mounts", "sys/nothing"] {
        assert_eq!(server.send(&request("SCAN", path)).status, 405, "{path}");
    }
}

#[test]
fn a_scan_needs_its_own_right() {
    let server = TestServer::with_all_engines();
    write(&server, "b/1", &json!({}));
    let check = |capability: &str, list: u16, scan: u16| {
        let policy = json!({"policy": format!(r#"path "secret/metadata/*" {{ capabilities = ["{capability}"] }}"#)});
        server.post("sys/policies/acl/p", &policy).expect(204);
        let token = server.token(&json!({"policies": ["p"]}));
        assert_eq!(server.send(&request("LIST", "secret/metadata/b").token(&token)).status, list, "{capability}");
        assert_eq!(server.send(&request("SCAN", "secret/metadata/b").token(&token)).status, scan, "{capability}");
    };
    check("list", 200, 403);
    check("scan", 403, 200);
    check("deny", 403, 403);
}
