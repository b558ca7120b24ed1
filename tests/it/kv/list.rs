//! Listing in pages.

use serde_json::{Value, json};

use super::write;
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
