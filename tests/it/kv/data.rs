//! What is written and read: to the letter, within limits, under any path.

use serde_json::{Value, json};

use super::{data_text, patch, read, write};
use crate::client::request;
use crate::server::TestServer;

#[test]
fn numbers_and_texts_come_back_as_they_came() {
    let server = TestServer::with_all_engines();
    let data =
        r#"{"big":123456789012345678901234567890,"exponent":1E+400,"float":1.10,"minus":-0,"one":1.0,"small":1e-06}"#;
    let write = |path: &str| server.send(&request("POST", path).body(format!(r#"{{ "data" : {data} }}"#)));
    write("secret/data/k").expect(200);
    assert_eq!(data_text(&server.get("secret/data/k")), data);
    assert_eq!(data_text(&server.get("secret/data/k?version=1")), data);
    server.send(&patch("secret/data/k", &json!({"data": {"a": 1}}))).expect(200);
    assert_eq!(data_text(&server.get("secret/data/k")), data.replacen('{', r#"{"a":1,"#, 1));
    server.send(&request("POST", "kv/k").body(data)).expect(204);
    assert!(server.get("kv/k").text().contains(&format!(r#""data":{data},"#)));
    // Go's escapes, whatever the writer's.
    let data = r#"{"data":{"b":"\u003c\u00e9\/\ud83d\ude00","a":"<é/😀"}}"#;
    server.send(&request("POST", "secret/data/k").body(data)).expect(200);
    assert_eq!(data_text(&server.get("secret/data/k")), r#"{"a":"\u003cé/😀","b":"\u003cé/😀"}"#);
}

#[test]
fn null_and_nothing_are_data() {
    let server = TestServer::with_all_engines();
    for data in [json!(null), json!({})] {
        server.post("secret/data/k", &json!({"data": data})).expect(200);
        assert_eq!(read(&server, "k"), data);
        assert_eq!(server.get("secret/subkeys/k").data()["subkeys"], data);
    }
    server.post("secret/data/k", &json!({"data": null})).expect(200);
    server.send(&patch("secret/data/k", &json!({"data": {"a": {"b": null}}}))).expect(200);
    assert_eq!(read(&server, "k"), json!({"a": {}}));
    server.send(&patch("secret/data/k", &json!({"data": null}))).refused(400, "Invalid JSON Patch");
    let field = "error converting input for field \"data\": '' expected a map, got 'string'";
    server.post("secret/data/k", &json!({"data": "text"})).refused(400, field);
}

/// Regression R15: what is too deep, too wide or too long is refused, and the server goes on.
#[test]
fn data_have_limits() {
    let server = TestServer::with_all_engines();
    let nested = |levels: usize| format!(r#"{{"data":{}1{}}}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let post = |path: &str, body: String| server.send(&request("POST", path).body(body));
    post("secret/data/k", nested(500)).expect(200);
    let kept = server.get("secret/data/k");
    let deep = "error converting input for field \"data\": the data are nested more than 500 levels deep";
    post("secret/data/k", nested(501)).refused(400, deep);
    post("secret/data/k", nested(1_000_000)).refused(400, deep);
    post("kv/k", nested(501)).refused(400, "the data are nested more than 500 levels deep");
    let wide = format!(r#"{{"data":{{"a":[{}1]}}}}"#, "1,".repeat(500_000));
    let many = "error converting input for field \"data\": the data have more than 500000 values";
    post("secret/data/k", wide).refused(400, many);
    // Each of these characters takes six bytes of an answer.
    let long = format!(r#"{{"data":{{"a":"{}"}}}}"#, "<".repeat(6 << 20));
    let too_long = "error converting input for field \"data\": the data are longer than 33554432 bytes";
    post("secret/data/k", long).refused(400, too_long);
    assert_eq!(data_text(&server.get("secret/data/k")), data_text(&kept));
    let patch_deep = json!({"data": {"b": {}}});
    server.send(&patch("secret/data/k", &patch_deep)).expect(200);
    server.get("secret/subkeys/k").expect(200);

    let large = "x".repeat(8 << 20);
    write(&server, "large", &json!({"a": large}));
    assert_eq!(read(&server, "large")["a"], large);
}

#[test]
fn a_path_has_an_end() {
    let server = TestServer::with_all_engines();
    let path = |bytes: usize| "x".repeat(bytes);
    write(&server, &path(4_000), &json!({"a": 1}));
    assert_eq!(read(&server, &path(4_000)), json!({"a": 1}));
    let too_long = "the path is longer than 4000 bytes";
    server.post(&format!("secret/data/{}", path(4_001)), &json!({"data": {}})).refused(400, too_long);
    server.post(&format!("secret/metadata/{}", path(4_001)), &json!({"max_versions": 1})).refused(400, too_long);
    server.post(&format!("kv/{}", path(4_001)), &json!({"a": 1})).refused(400, too_long);
    for operation in ["data", "metadata", "subkeys"] {
        server.get(&format!("secret/{operation}/{}", path(4_060))).refused(404, "");
    }
    server.delete(&format!("secret/data/{}", path(4_060))).expect(204);
    server.get(&format!("kv/{}", path(4_060))).refused(404, "");
    server.delete(&format!("kv/{}", path(4_090))).expect(204);
    server.delete("kv").expect(204);
}

/// A slash at the end is part of the path, and no secret has such a one. A rule for what is below `a` says nothing of `a`.
#[test]
fn a_slash_at_the_end_is_another_path() {
    let server = TestServer::with_all_engines();
    write(&server, "a", &json!({"a": 1}));
    server.post("kv/a", &json!({"a": 1})).expect(204);
    let invalid = server.get("secret/data/a/").expect(404).json();
    assert!(invalid["warnings"][0].as_str().unwrap().starts_with("Invalid path for a versioned K/V secrets engine"));
    server.get("secret/metadata/a/").refused(404, "");
    server.get("kv/a/").refused(404, "");
    for path in ["secret/data/a/", "secret/metadata/a/", "kv/a/"] {
        server.delete(path).expect(204);
    }
    assert_eq!(read(&server, "a"), json!({"a": 1}));
    server.get("kv/a").expect(200);
    server.post("secret/data/a/", &json!({"data": {}})).refused(400, "cannot write to a path ending in '/'");
}

#[test]
fn roots_are_no_secrets() {
    let server = TestServer::with_all_engines();
    let warned = |method: &str, path: &str, expected: &str| {
        let answer = server.send(&patch(path, &json!({}))).expect(404);
        assert_eq!(answer.json()["data"], Value::Null);
        let answer = server.send(&request(method, path).json(&json!({"a": 1}))).expect(404).json();
        assert_eq!(answer["data"], Value::Null, "{method} {path}");
        assert!(answer["warnings"][0].as_str().unwrap().contains(expected), "{method} {path}: {answer}");
        assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);
    };
    for path in ["secret/data", "secret/metadata", "secret/delete", "secret/undelete", "secret/destroy"] {
        for method in ["GET", "PUT", "DELETE"] {
            warned(method, path, "Non-listing operations on the root of a K/V v2 mount are not supported.");
        }
    }
    for (method, command) in [("GET", "get"), ("POST", "put"), ("DELETE", "delete"), ("LIST", "list")] {
        warned(method, "secret/foo", &format!("'vault kv {command}'"));
    }
    warned("LIST", "secret/data", "'vault kv list'");
    warned("GET", "secret", "'vault kv get'");
    let refused = "1 error occurred:\n\t* unsupported operation\n\n";
    server.get("secret/destroy/k").refused(405, refused);
    server.list("secret/subkeys/k").refused(405, refused);
    // A secret lists nothing; who asks for it is told where lists are.
    let listed = server.list("secret/data/k").expect(404).json();
    assert!(listed["warnings"][0].as_str().unwrap().contains("'vault kv list'"), "{listed}");
}

/// What languages without a difference between empty maps and empty lists send.
#[test]
fn an_empty_list_is_an_empty_map() {
    let server = TestServer::with_all_engines();
    server.post("secret/data/k", &json!({"data": {"a": 1}, "options": []})).expect(200);
    server.post("secret/metadata/k", &json!({"custom_metadata": {"a": "b"}})).expect(204);
    server.send(&patch("secret/metadata/k", &json!({"custom_metadata": []}))).expect(204);
    assert_eq!(server.get("secret/metadata/k").data()["custom_metadata"], json!({"a": "b"}));
    server.post("secret/metadata/k", &json!({"custom_metadata": []})).expect(204);
    assert_eq!(server.get("secret/metadata/k").data()["custom_metadata"], Value::Null);
    server.send(&patch("secret/data/k", &json!({"data": []}))).expect(200);
    assert_eq!(read(&server, "k"), json!({"a": 1}));
    server.send(&request("POST", "secret/data/k").body(r#"{"data":[ ]}"#)).expect(200);
    assert_eq!(read(&server, "k"), json!({}));
    server.post("secret/data/k", &json!({"data": [1]})).expect(400);
    server.post("secret/metadata/k", &json!({"custom_metadata": ["a"]})).expect(400);
}

#[test]
fn a_duration_of_null_changes_nothing() {
    let server = TestServer::with_all_engines();
    let (hour, null) = (json!({"delete_version_after": "1h"}), json!({"delete_version_after": null}));
    for path in ["secret/config", "secret/metadata/k"] {
        server.post(path, &hour).expect(204);
        server.post(path, &null).expect(204);
        assert_eq!(server.get(path).data()["delete_version_after"], "1h0m0s", "{path}");
    }
    server.send(&patch("secret/metadata/k", &null)).expect(204);
    assert_eq!(server.get("secret/metadata/k").data()["delete_version_after"], "1h0m0s");
    server.post("secret/metadata/other", &null).expect(204);
    server.get("secret/metadata/other").refused(404, "");
    server.post("secret/config", &json!({"delete_version_after": "-"})).expect(400);
}

/// A mount keeps what each of its secrets is to keep, and more where a secret asks for more.
#[test]
fn the_larger_of_two_maxima_counts() {
    let server = TestServer::with_all_engines();
    server.post("secret/config", &json!({"max_versions": 3})).expect(204);
    for (key, own, oldest) in [("few", 1, 4), ("none", 0, 4), ("many", 5, 2)] {
        server.post(&format!("secret/metadata/{key}"), &json!({"max_versions": own})).expect(204);
        for number in 1..=6 {
            assert_eq!(write(&server, key, &json!({})), number);
        }
        let metadata = server.get(&format!("secret/metadata/{key}")).data();
        assert_eq!((&metadata["oldest_version"], &metadata["max_versions"]), (&json!(oldest), &json!(own)), "{key}");
    }
}

#[test]
fn what_clients_get_wrong_is_told() {
    let server = TestServer::with_all_engines();
    write(&server, "k", &json!({"a": 1}));
    let version = "Field validation failed: error converting input for field \"version\": '' cannot parse value as 'int': \
                   strconv.ParseInt: invalid syntax";
    server.get("secret/data/k?version=abc").refused(400, version);
    server.get("secret/data/k?version=2").refused(404, "");
    server
        .post("secret/config", &json!({"max_versions": -1}))
        .refused(400, "max_versions must be between 0 and 100000");
    server.post("secret/metadata/k", &json!({"max_versions": 100_001})).expect(400);
    let negative = server.post("secret/metadata/k", &json!({"delete_version_after": "-1s"})).expect(400);
    assert!(negative.error().contains("cannot provide negative value '-1s'"), "{}", negative.error());
    let nested = server.post("secret/metadata/k", &json!({"custom_metadata": {"a": {}}}));
    assert!(nested.expect(400).error().starts_with("custom_metadata validation failed: "));
    let unnamed = server.send(&patch("secret/metadata/none", &json!({"custom_metadata": {"": "v"}})));
    assert!(unnamed.expect(400).error().contains("length of key \"\" is 0"));
    let cas = json!({"options": {"cas": null}, "data": {}});
    server.post("secret/data/k", &cas).refused(400, "check-and-set parameter did not match the current version");
    // A form is no way to write a map.
    let form = request("POST", "secret/data/k").header("Content-Type", "application/x-www-form-urlencoded");
    server.send(&form.body("data=a")).expect(400);
    assert_eq!(read(&server, "k"), json!({"a": 1}));
    server.post("secret/config", &json!({"cas_required": true})).expect(204);
    let ignored = server.post("secret/metadata/k", &json!({"cas_required": false, "unknown": 1})).expect(200).json();
    assert!(ignored["warnings"][0].as_str().unwrap().starts_with("\"cas_required\" set to false"), "{ignored}");
    assert_eq!(ignored["warnings"][1], "Endpoint ignored these unrecognized parameters: [unknown]");
}

/// Regression R13: what a body holds must not come back in an error.
#[test]
fn a_body_does_not_come_back() {
    let server = TestServer::with_all_engines();
    for body in [
        r#"{"data": "canary"}"#,
        r#"{"data": {"a": "canary"}"#,
        r#"{"data": {"a": "canary" "b"}}"#,
        r#"["canary"]"#,
        r#""canary""#,
        "canary",
        r#"{"data": {"a": 1}, "options": "canary"}"#,
        r#"{"data": {"a": 1}, "options": {"cas": "canary"}}"#,
        r#"{"data": ["canary"]}"#,
    ] {
        for path in ["secret/data/k", "secret/metadata/k"] {
            let answer = server.send(&request("POST", path).body(body));
            assert!(!answer.text().contains("canary"), "{body}: {}", answer.text());
        }
    }
}

#[test]
fn metadata_are_counted_apart_from_versions() {
    let server = TestServer::with_all_engines();
    write(&server, "k", &json!({}));
    assert_eq!(server.get("secret/metadata/k").data()["current_metadata_version"], 0);
    server.post("secret/metadata/k", &json!({})).expect(204);
    server.post("secret/metadata/new", &json!({})).expect(204);
    server.get("secret/metadata/new").refused(404, "");
    server.post("secret/metadata/k", &json!({"custom_metadata": {"a": "1", "b": "2"}})).expect(204);
    server.send(&patch("secret/metadata/k", &json!({"custom_metadata": {"a": null, "c": 3}}))).expect(204);
    let shown = server.get("secret/metadata/k").data();
    assert_eq!(shown["custom_metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(shown["current_metadata_version"], 2);
    server.send(&patch("secret/metadata/k", &json!({"custom_metadata": {"b": null, "c": null}}))).expect(204);
    assert_eq!(server.get("secret/metadata/k").data()["custom_metadata"], Value::Null, "none left is none");
    server.send(&patch("secret/metadata/k", &json!({"custom_metadata": null, "max_versions": null}))).expect(204);
    assert_eq!(server.get("secret/metadata/k").data()["custom_metadata"], Value::Null);
}

/// Nothing of a secret is left in the store once its metadata are deleted, and versions go when they are destroyed or
/// pruned.
#[test]
fn what_is_gone_is_gone_from_the_store() {
    let server = TestServer::with_all_engines();
    let versions =
        || server.stored().into_keys().filter(|key| String::from_utf8_lossy(key).contains("/version/")).count();
    // The latest version is kept with the metadata if it is short, and else by itself.
    for (text, latest) in [("short".to_owned(), 0), ("long".repeat(1_000), 1)] {
        let data = json!({"a": text});
        write(&server, "k", &data);
        let before = server.stored().len() - 1 - latest;
        for _ in 0..5 {
            write(&server, "k", &data);
        }
        assert_eq!(versions(), 5 + latest);
        server.post("secret/destroy/k", &json!({"versions": [1, 2, 7]})).expect(204);
        assert_eq!(versions(), 3 + latest);
        server.post("secret/metadata/k", &json!({"max_versions": 2})).expect(204);
        assert_eq!(versions(), 3 + latest);
        write(&server, "k", &data);
        assert_eq!(versions(), 1 + latest);
        server.delete("secret/metadata/k").expect(204);
        assert_eq!((versions(), server.stored().len()), (0, before));
    }
}
