//! Regression R71: two readers of one connection that do not agree where a request ends let a second one slip through.

use crate::server::TestServer;

/// What stands behind the first request: nobody may serve it.
const SMUGGLED: &str = "GET /v1/sys/init HTTP/1.1\r\nHost: x\r\n\r\n";

#[rustfmt::skip]
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    ("two encodings",                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    ("an encoding that is not last", "Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
    ("an encoding and nothing",      "Transfer-Encoding: chunked ,\r\n", "0\r\n\r\n"),
    ("an unknown encoding",          "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
    ("a space before the colon",     "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
    ("two lengths",                  "Content-Length: 0\r\nContent-Length: 2\r\n", "{}"),
    ("two lengths in one",           "Content-Length: 0, 2\r\n", "{}"),
    ("a length with a sign",         "Content-Length: +2\r\n", "{}"),
    ("a negative length",            "Content-Length: -2\r\n", "{}"),
    ("a length in hexadecimal",      "Content-Length: 0x2\r\n", "{}"),
    ("a length with a space",        "Content-Length: 2 2\r\n", "{}"),
    ("an empty length",              "Content-Length:\r\n", "{}"),
    ("a length that is too large",   "Content-Length: 18446744073709551618\r\n", "{}"),
    ("a folded header",              "X-Folded: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "{}"),
    ("a chunk that is too large",    "Transfer-Encoding: chunked\r\n", "10000000000000002\r\n{}\r\n0\r\n\r\n"),
    ("a chunk with a sign",          "Transfer-Encoding: chunked\r\n", "+2\r\n{}\r\n0\r\n\r\n"),
    ("a chunk without a length",     "Transfer-Encoding: chunked\r\n", "\r\n{}\r\n0\r\n\r\n"),
    ("a chunk that is longer",       "Transfer-Encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"),
    ("a chunk with a bare line end", "Transfer-Encoding: chunked\r\n", "2\n{}\n0\n\n"),
];

#[test]
fn a_request_with_two_ends_is_refused_and_nothing_behind_it_is_served() {
    let server = TestServer::start();
    let mut wrong = Vec::new();
    for (what, headers, body) in AMBIGUOUS {
        let mut connection = server.connect();
        let head = "POST /v1/transit/cache-config HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n";
        connection.write(format!("{head}{headers}\r\n{body}{SMUGGLED}").as_bytes());
        let answers = String::from_utf8(connection.rest()).unwrap();
        if !answers.starts_with("HTTP/1.1 400 ") || answers.matches("HTTP/1.1 ").count() != 1 {
            wrong.push(format!("{what}: {answers}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// With both a length and chunks, the chunks count and the connection ends with the answer (RFC 9112, 6.3).
#[test]
fn of_two_lengths_one_counts_and_nothing_follows() {
    let server = TestServer::start();
    for lengths in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: CHUNKED\r\nContent-Length: 0\r\n",
    ] {
        let mut connection = server.connect();
        let head = "POST /v1/transit/cache-config HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\n";
        connection.write(format!("{head}{lengths}\r\n0\r\n\r\n{SMUGGLED}").as_bytes());
        let answers = String::from_utf8(connection.rest()).unwrap();
        assert!(answers.starts_with("HTTP/1.1 200 ") || answers.starts_with("HTTP/1.1 400 "), "{lengths}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answers}");
    }
}

/// HTTP/1.0 knows no chunks.
#[test]
fn an_old_version_has_no_chunks() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let head =
        "POST /v1/transit/cache-config HTTP/1.0\r\nX-Vault-Token: root\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    connection.write(format!("{head}{SMUGGLED}").as_bytes());
    let answers = String::from_utf8(connection.rest()).unwrap();
    assert!(answers.starts_with("HTTP/1.0 400 ") || answers.starts_with("HTTP/1.1 400 "), "{answers}");
    assert_eq!(answers.matches("HTTP/1.").count(), 1, "{answers}");
}

/// A refused request's body is not the next request, whatever it looks like.
#[test]
fn the_body_of_a_refused_request_is_not_served() {
    let server = TestServer::start();
    for path in ["transit/%zz", "nowhere/x", "sys/mounts/", "transit//keys"] {
        let mut connection = server.connect();
        let head = format!(
            "POST /v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            SMUGGLED.len()
        );
        connection.write(format!("{head}{SMUGGLED}").as_bytes());
        let answers = String::from_utf8(connection.rest()).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{path}: {answers}");
        assert!(!answers.contains("initialized"), "{path}: {answers}");
    }
}
