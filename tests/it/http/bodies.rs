//! Bodies: JSON and forms, well formed and not.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::{b64, request};
use crate::server::TestServer;
use crate::transit::decrypt;

/// Regression R13: what a malformed request held was told back, or written to the log.
#[test]
fn what_a_malformed_body_holds_is_told_to_nobody() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    subscriber.init();
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    tracing::info!("the log is on");
    let canary = "CANARY-7b1de0a4-03c8";
    let values = [
        format!("\"{canary}\""),
        format!("[\"{canary}\"]"),
        format!("{{\"{canary}\":1}}"),
        format!("{{\"x\":\"{canary}\"}}"),
        format!("[[\"{canary}\"]]"),
        format!("[{{\"plaintext\":[\"{canary}\"]}}]"),
        format!("[{{\"ciphertext\":{{\"{canary}\":1}}}}]"),
        format!("[{{\"key_version\":\"{canary}\"}}]"),
        format!("[{{\"context\":[\"{canary}\"]}}]"),
        format!("[{{\"{canary}\":1}}]"),
    ];
    let fields =
        ["plaintext", "ciphertext", "context", "associated_data", "batch_input", "key_version", "bits", "derived"];
    let mut refused = 0;
    for path in
        ["transit/encrypt/k", "transit/decrypt/k", "transit/rewrap/k", "transit/datakey/plaintext/k", "transit/keys/n"]
    {
        for field in fields {
            for value in &values {
                let whole = format!("{{\"{field}\":{value}}}");
                // The names of members that nobody knows are told back, in a warning; what they hold is not.
                let alone = if value.starts_with('{') { "7" } else { value };
                for body in [&whole[..], &whole[..whole.len() - 1], &whole[..whole.len() - 3], alone] {
                    let answer = server.send(&request("POST", path).body(body));
                    refused += u32::from(answer.status >= 400);
                    assert!(!answer.text().contains(canary), "{path} {body}: {}", answer.text());
                }
            }
        }
    }
    assert!(refused > 1000, "only {refused} were refused");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is on") && !log.contains(canary));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Regression R58: small bodies that cost much to read. The deepest end on a stack, the widest in memory.
#[test]
fn costly_json_is_refused_and_the_server_lives() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let members = |count: usize| (0..count).map(|at| format!("\"m{at}\":0")).collect::<Vec<_>>().join(",");
    let size = 4 << 20;
    for (what, body, status) in [
        ("brackets", "[".repeat(size), 400),
        ("objects", r#"{"a":"#.repeat(size / 5), 400),
        ("brackets in a member", format!(r#"{{"plaintext":{}"#, "[".repeat(size)), 400),
        ("closed brackets", format!("{{\"x\":{}{}}}", "[".repeat(size / 2), "]".repeat(size / 2)), 400),
        ("closed brackets in a field", format!("{{\"plaintext\":{}{}}}", "[".repeat(5000), "]".repeat(5000)), 400),
        ("closed brackets in an item", format!("{{\"batch_input\":[{}{}]}}", "[".repeat(5000), "]".repeat(5000)), 500),
        ("members", format!("{{{}}}", members(10_001)), 400),
        ("zeros", format!("{{\"key_version\":{}}}", "0".repeat(size)), 400),
        ("digits", format!("{{\"key_version\":1{}}}", "0".repeat(size)), 400),
        ("NULs", format!("{{\"plaintext\":\"{}\"}}", "\\u0000".repeat(size / 6)), 400),
        ("a large exponent", r#"{"key_version":1e400}"#.to_owned(), 400),
    ] {
        let answer = server.send(&request("POST", "transit/encrypt/k").body(body));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.text().len() < 1000, "{what}: {}", answer.text().len());
        server.get("sys/health").expect(200);
    }
}

/// What other servers take, this one takes.
#[test]
fn what_is_deep_or_long_within_reason_works() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let deep = format!("{{\"plaintext\":\"\",\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
    server.send(&request("POST", "transit/encrypt/k").body(deep)).expect(200);
    let mut wide = json!({"plaintext": ""});
    for at in 0..2000 {
        wide[format!("m{at}")] = at.into();
    }
    server.post("transit/encrypt/k", &wide).expect(200);
    server.post("transit/encrypt/k", &json!({"plaintext": b64(vec![0; 2 << 20])})).expect(200);
}

#[test]
fn a_body_is_read_by_what_it_looks_like() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let form = "application/x-www-form-urlencoded";
    let send = |kind: &str, body: &str| {
        let asked = request("POST", "transit/encrypt/k").body(body);
        server.send(&if kind.is_empty() { asked } else { asked.header("Content-Type", kind) })
    };
    for (kind, body) in [
        ("", r#"{"plaintext":"YQ=="}"#),
        ("text/plain", r#"{"plaintext":"YQ=="}"#),
        (form, r#" {"plaintext":"YQ=="}"#),
        ("application/json; charset=utf-8", r#"{"plaintext":"YQ=="}"#),
        (form, "plaintext=YQ%3D%3D"),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "plaintext=YQ%3d%3d&key_version=1"),
        ("", r#"{"plaintext":"YQ=="} trailing"#),
        ("", r#"{"plaintext":"*","plaintext":"YQ=="}"#),
        ("", r#"{"plaintext":"\u0059Q=="}"#),
        ("", "{\"plaintext\":\"YQ==\\r\\n\"}"),
    ] {
        let answer = send(kind, body);
        // What follows the first value may be refused; whoever is strict there breaks no client.
        if body.ends_with("trailing") && answer.status == 400 {
            continue;
        }
        let ciphertext = answer.text_of("ciphertext");
        assert_eq!(decrypt(&server, "k", &ciphertext), b"a", "{kind} {body}");
    }
    for body in ["null", "{}", "", " "] {
        send("", body).refused(400, "missing plaintext to encrypt");
    }
    for body in [
        "plaintext=YQ==",
        "[1]",
        "\"x\"",
        "7",
        "{\"a\"}",
        "{\"a\":1,}",
        "{'a':1}",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}x",
    ] {
        let answer = send("", body).expect(400);
        assert!(answer.error().starts_with("failed to decode JSON input: "), "{body}: {}", answer.text());
    }
    for body in [&b"\xff\xfe"[..], b"{\"a\":\"\xff\"}", b"{\"\xff\":1}", b"{\"a\":\"\x00\"}", b"{\"a\":\"\n\"}"] {
        let answer = server.send(&request("POST", "transit/encrypt/k").body(body)).expect(400);
        assert!(answer.error().starts_with("failed to decode JSON input: "), "{body:?}: {}", answer.text());
    }
}

/// Some clients send a body with every method.
#[test]
fn a_body_that_nobody_wants_is_ignored() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    for body in [json!({"list": true}), json!([1]), Value::from("x".repeat(100_000))] {
        server.send(&request("GET", "transit/keys/k").json(&body)).expect(200);
        server.send(&request("LIST", "transit/keys").json(&body)).expect(200);
        server.send(&request("DELETE", "sys/mounts/none").json(&body)).expect(204);
    }
    server.send(&request("GET", "transit/keys/k").body("{")).expect(200);
}
