//! `secret/data` with `paths`: many secrets in one request.

use serde_json::{Value, json};

use super::write;
use crate::client::request;
use crate::server::TestServer;

#[test]
fn each_path_has_an_answer_of_its_own() {
    let server = TestServer::with_all_engines();
    write(&server, "a", &json!({"v": 1}));
    write(&server, "a", &json!({"v": 2}));
    write(&server, "dir/b", &json!({"v": 3}));
    write(&server, "deleted", &json!({"v": 4}));
    server.delete("secret/data/deleted").expect(204);
    let paths = json!(["a", {"path": "a", "version": 1}, "nope", "deleted", {"path": "dir/b"}, {"path": "a", "version": "9"},
                       "a", "a/", "", "../a", {"version": 1}]);
    let results = server.post("secret/data", &json!({"paths": paths})).data()["results"].take();
    let read = |path: &str| server.get(&format!("secret/data/{path}")).json()["data"].take();
    let expected = json!([
        {"path": "a", "status": 200, "data": read("a")},
        {"path": "a", "status": 200, "data": read("a?version=1")},
        {"path": "nope", "status": 404, "data": null},
        {"path": "deleted", "status": 404, "data": read("deleted")},
        {"path": "dir/b", "status": 200, "data": read("dir/b")},
        {"path": "a", "status": 404, "data": null},
        {"path": "a", "status": 200, "data": read("a")},
        {"path": "a/", "status": 404, "data": null},
        {"path": "", "status": 404, "data": null},
        {"path": "../a", "status": 404, "data": null},
        {"path": "", "status": 404, "data": null},
    ]);
    assert_eq!(results, expected);
    assert_eq!(server.post("secret/data", &json!({"paths": []})).data()["results"], json!([]));
    assert_eq!(server.post("secret/data", &json!({"paths": "a"})).data()["results"][0]["status"], 200);
}

#[test]
fn it_has_limits_and_needs_a_right() {
    let server = TestServer::with_all_engines();
    let paths = |count: usize| json!({"paths": vec!["nope"; count]});
    let results = server.post("secret/data", &paths(1_000)).data()["results"].take();
    assert_eq!(results.as_array().map(Vec::len), Some(1_000));
    server.post("secret/data", &paths(1_001)).refused(400, "more than 1000 paths");
    server.post("secret/data", &json!({"paths": [["a"]]})).expect(400);
    let default = server.token(&json!({"policies": ["default"]}));
    let denied = server.send(&request("POST", "secret/data").token(&default).json(&json!({"paths": ["a"]})));
    denied.refused_wrapped(403, "permission denied");
    // Without `paths` it is what it always was.
    let answer = server.post("secret/data", &json!({"data": {}})).expect(404).json();
    assert_eq!(answer["data"], Value::Null);

    write(&server, "large", &json!({"a": "x".repeat(4 << 20)}));
    let too_much = "these secrets are longer than 67108864 bytes; ask for fewer at one time";
    server.post("secret/data", &json!({"paths": vec!["large"; 17]})).refused(400, too_much);
    server.post("secret/data", &json!({"paths": vec!["large"; 3]})).expect(200);
}
