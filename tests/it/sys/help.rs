//! `?help=1` and HELP: descriptions for those who may ask.

use crate::client::request;
use crate::server::TestServer;

#[test]
fn help_describes_and_does_nothing() {
    let server = TestServer::start();
    let before = server.stored();
    for asked in [
        request("GET", "transit/encrypt/new?help=1"),
        request("HELP", "transit/encrypt/new"),
        request("POST", "transit/encrypt/new?help=1").body(r#"{"plaintext":""}"#),
        request("DELETE", "sys/mounts/transit?help=1"),
        request("GET", "transit?help=1"),
        request("GET", "sys?help=1"),
        request("GET", "sys/?help=1"),
    ] {
        let answer = server.send(&asked);
        // Without an envelope.
        assert!(!answer.json()["help"].as_str().unwrap().is_empty(), "{}", answer.text());
        assert!(answer.json()["openapi"]["paths"].is_object());
    }
    assert_eq!(server.stored(), before);
}

#[test]
fn help_is_no_way_in() {
    let server = TestServer::start();
    let poor = server.token(&serde_json::json!({"policies": ["default"]}));
    let asked = request("GET", "transit/keys/k?help=1");
    server.send(&asked.clone().without_token()).refused(403, "permission denied");
    server.send(&asked.token(&poor)).refused_wrapped(403, "permission denied");
    server.get("transit/nowhere?help=1").refused_wrapped(404, "unsupported path");
    server.get("nowhere?help=1").refused(404, "no handler for route \"nowhere\". route entry not found.");
}
