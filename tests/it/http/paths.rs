//! Paths: read once, in one way.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

/// Regressions R14 and R56: a path that could be read in two ways went past the policy under one and to the data under the
/// other.
#[test]
fn no_second_way_leads_to_a_key() {
    let server = TestServer::start();
    server.post("transit/keys/victim", &json!({})).expect(200);
    server.post("transit/keys/victim/config", &json!({"deletion_allowed": true})).expect(200);
    let before = server.stored();
    let unclean = ["x/../victim", "./victim", "/victim", "x//../victim", "../keys/victim", "victim/.", "victim/x/.."];
    let hidden = [
        "x/%2e%2e/victim",
        "x/%2E%2e/victim",
        "x/.%2e/victim",
        "%2e/victim",
        "x%2f..%2fvictim",
        "x/..%2fvictim",
        "%2fvictim",
        "victim/%2e",
        "victim%00",
        "victim%0a",
        "victim%0d%0aX: y",
        "victim%7f",
        "victim%c2%80",
        "%ff%fe",
        "%c0%ae%c0%ae/victim",
    ];
    let decoded_once = ["%252e%252e/victim", "x/%252e%252e/victim", "victim%252f", "victim%2500"];
    for (paths, expected) in [(&unclean[..], 307), (&hidden, 400), (&decoded_once, 404)] {
        for path in paths {
            for method in ["DELETE", "GET"] {
                let target = format!("/v1/transit/keys/{path}").replace(' ', "%20");
                let answer = server.send(&request(method, "").target(&target));
                let statuses = if expected == 404 { [404, 400] } else { [expected; 2] };
                assert!(statuses.contains(&answer.status), "{method} {target}: {} {}", answer.status, answer.text());
            }
        }
    }
    assert_eq!(server.stored(), before);
}

/// Bytes that are no part of any path end where they come in.
#[test]
fn raw_bytes_are_no_paths() {
    let server = TestServer::start();
    for target in [&b"/v1/sys/health\x01"[..], b"/v1/sys/\xff", b"/v1/sys/health\x7f", b"sys/health", b"\\v1\\sys"] {
        let mut connection = server.connect();
        connection.write(&[b"GET ", target, b" HTTP/1.1\r\nHost: coffer\r\n\r\n"].concat());
        let answer = connection.answer().unwrap();
        assert!(matches!(answer.status, 400 | 404), "{target:?}: {answer:?}");
    }
}

#[test]
fn the_clean_form_is_where_a_redirect_leads() {
    let server = TestServer::start();
    for (target, to) in [
        ("/", "/ui/"),
        ("/v1//sys/health", "/v1/sys/health"),
        ("/v1/a/../sys/health?x=%2e&y", "/v1/sys/health?x=%2e&y"),
        ("/v1/..//evil.example/", "/evil.example/"),
    ] {
        let answer = server.send(&request("GET", "").target(target)).expect(307);
        assert_eq!(answer.header("location"), Some(to));
    }
    for target in ["/v1", "/V1/sys/health", "/x", "/v1x/sys/health", "*"] {
        server.connect().send(&request("GET", "").target(target)).unwrap().refused(404, "");
    }
    // A proxy's form of the target leads to the same place.
    server.send(&request("GET", "").target("http://other.example/v1/sys/health")).expect(200);
}

#[test]
fn one_name_has_many_spellings_and_one_key() {
    let server = TestServer::start();
    server.post("transit/keys/a.b-c_d", &json!({})).expect(200);
    for path in ["transit/keys/%61.b-c_d", "transit/keys%2Fa.b-c_d", "%74ransit/keys/a%2Eb%2dc%5fd"] {
        assert_eq!(server.get(path).data()["name"], "a.b-c_d");
    }
    for name in ["-a", ".a", "a.", "a-", "a@b", "a%20b", "%C3%BC", "a%2520b", "a+b", "a%2bb", "%EF%BC%A1"] {
        server.get(&format!("transit/keys/{name}")).refused_wrapped(404, "unsupported path");
    }
    server.get("transit/keys/A.b-c_d").refused(404, "");
}

#[test]
fn slashes_at_the_end() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/k/", &json!({})).refused(400, "cannot write to a path ending in '/'");
    server.get("transit/keys/k/").refused_wrapped(404, "unsupported path");
    server.delete("transit/keys/k/").refused_wrapped(404, "unsupported path");
    server.get("sys/mounts/transit/").expect(200);
    server.post("sys/mounts/new/", &json!({"type": "transit"})).refused(400, "cannot write to a path ending in '/'");
}
