//! Headers: which count, which do not, and which every answer has (`Answer::check_headers` looks at each).

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

#[test]
fn every_kind_of_answer_has_the_same_headers() {
    let server = TestServer::start();
    for (method, path, status) in [
        ("GET", "sys/mounts", 200),
        ("DELETE", "sys/mounts/none", 204),
        ("GET", "transit/keys/%zz", 400),
        ("GET", "nowhere", 404),
        ("TRACE", "sys/mounts", 405),
        ("POST", "sys/mounts/", 400),
        ("HEAD", "sys/health", 200),
    ] {
        let answer = server.send(&request(method, path)).expect(status);
        assert!(answer.header("date").is_some(), "{method} {path}");
        // A 204 has no length (RFC 9110, 8.6), an answer to HEAD need not have one; all others say theirs.
        let silent = status == 204 || method == "HEAD";
        assert_eq!(answer.header("content-length").is_none(), silent, "{method} {path}");
        assert!(answer.header("server").is_none() && answer.header("transfer-encoding").is_none());
    }
    server.send(&request("GET", "sys/mounts").without_token()).expect(403);
}

#[test]
fn headers_of_other_products_are_ignored() {
    let server = TestServer::start();
    for (name, value) in [
        ("X-Vault-Request", "true"),
        ("X-Vault-Namespace", ""),
        ("X-Vault-Namespace", "root"),
        ("X-Vault-Index", "abc"),
        ("X-Vault-Inconsistent", "forward-active-node"),
        ("X-Vault-No-Request-Forwarding", "true"),
        ("X-Vault-MFA", "x"),
        ("X-Forwarded-For", "1.2.3.4, x"),
        ("Accept", "image/gif"),
        ("Accept-Encoding", "gzip, br"),
        ("Content-Type", "/"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "*"),
        ("Upgrade", "h2c"),
        ("Origin", "http://evil.example"),
    ] {
        let answer = server.send(&request("GET", "sys/mounts").header(name, value)).expect(200);
        assert!(answer.json()["data"].is_object(), "{name}");
        assert!(answer.header("access-control-allow-origin").is_none() && answer.header("content-encoding").is_none());
    }
}

/// A secret must not come out unwrapped.
#[test]
fn a_wish_to_wrap_is_never_passed_over() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let asked =
        |ttl: &str| server.send(&request("POST", "transit/datakey/plaintext/k").header("X-Vault-Wrap-TTL", ttl));
    let text = "error parsing X-Vault-Wrap-TTL header: ";
    asked("abc").refused(400, &format!("{text}time: invalid duration \"abc\""));
    asked("-1").refused(400, &format!("{text}requested wrap ttl cannot be negative"));
    asked("-5m").refused(400, &format!("{text}requested wrap ttl cannot be negative"));
    for ttl in ["60", "5m", "1"] {
        let wrapped = asked(ttl).expect(200).json();
        assert!(wrapped["data"].is_null() && wrapped["wrap_info"]["token"].is_string(), "{wrapped}");
    }
    for ttl in ["0", "0s", ""] {
        asked(ttl).expect(200);
    }
}

#[test]
fn a_header_with_control_characters_is_refused() {
    let server = TestServer::start();
    for value in [&b"ro\x01ot"[..], b"root\x00", b"root\x7f", b"ro\rot", b"r\xc3\xb6\xc3\xb6t\x1b"] {
        let mut connection = server.connect();
        connection.write(&[b"GET /v1/sys/mounts HTTP/1.1\r\nHost: x\r\nX-Vault-Token: ", value, b"\r\n\r\n"].concat());
        assert_eq!(connection.answer().unwrap().status, 400, "{value:?}");
    }
}

/// Which of two tokens counts is a matter for nobody to guess.
#[test]
fn the_first_of_two_tokens_counts_or_none() {
    let server = TestServer::start();
    let two = |first: &str, second: &str| {
        server.send(&request("GET", "sys/mounts").token(first).header("X-Vault-Token", second))
    };
    assert!(matches!(two("wrong", "root").status, 400 | 403));
    assert!(matches!(two("root", "wrong").status, 200 | 400));
}
