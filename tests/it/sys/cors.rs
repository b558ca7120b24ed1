//! `sys/config/cors` over the wire, and what browsers' requests come to.

use std::sync::Arc;

use serde_json::json;

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use crate::client::{Answer, Request, request};
use crate::server::{ROOT, TestServer, limits};

const PAGE: &str = "http://a.com";

fn from_page(request: Request, origin: &str) -> Request {
    request.header("Origin", origin)
}

fn preflight(path: &str, origin: &str, method: &str) -> Request {
    from_page(request("OPTIONS", path).without_token(), origin).header("Access-Control-Request-Method", method)
}

#[track_caller]
fn allows(answer: &Answer, origin: Option<&str>) {
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("vary"), origin.map(|_| "Origin"));
}

#[test]
fn without_a_setting_nothing_is_said_of_origins() {
    let server = TestServer::start();
    assert_eq!(server.get("sys/config/cors").data(), json!({"enabled": false}));
    let answer = server.send(&from_page(request("GET", "sys/health"), PAGE)).expect(200);
    allows(&answer, None);
    server.send(&preflight("sys/health", PAGE, "GET")).expect(405);
}

#[test]
fn pages_of_allowed_origins_are_told_so_and_others_are_refused() {
    let server = TestServer::start();
    let setting = json!({"allowed_origins": ["http://a.com", "https://b.com"], "allowed_headers": "X-Zed"});
    server.post("sys/config/cors", &setting).expect(204);
    for origin in ["http://a.com", "https://b.com"] {
        allows(&server.send(&from_page(request("GET", "sys/health"), origin)).expect(200), Some(origin));
        // Refusals can be read by the page, too.
        allows(
            &server.send(&from_page(request("GET", "sys/mounts").without_token(), origin)).expect(403),
            Some(origin),
        );
    }
    for (origin, path) in [("http://c.com", "sys/health"), ("null", "sys/mounts"), ("http://a.com:80", "nosuch")] {
        let answer = server.send(&from_page(request("GET", path), origin));
        answer.refused(403, "origin not allowed");
        allows(&answer, None);
    }
    // What no browser sends has no origin.
    allows(&server.get("sys/health").expect(200), None);

    let answer = server.send(&preflight("secret/data/a", PAGE, "LIST")).expect(200);
    allows(&answer, Some(PAGE));
    assert_eq!(answer.text(), "");
    assert_eq!(answer.header("access-control-allow-methods"), Some("DELETE,GET,OPTIONS,POST,PUT,LIST"));
    assert_eq!(answer.header("access-control-max-age"), Some("300"));
    let headers = answer.header("access-control-allow-headers").unwrap();
    assert!(headers.starts_with("Content-Type,") && headers.ends_with(",X-Vault-Token,X-Zed"), "{headers}");
    server.send(&preflight("secret/data/a", PAGE, "BREW")).expect(405);
    server.send(&from_page(request("OPTIONS", "secret/data/a"), PAGE)).expect(405);
    server.send(&preflight("secret/data/a", "http://c.com", "GET")).refused(403, "origin not allowed");
}

#[test]
fn the_wildcard_is_every_origin() {
    let server = TestServer::start();
    server.post("sys/config/cors", &json!({"allowed_origins": "*"})).expect(204);
    allows(&server.send(&from_page(request("GET", "sys/health"), "null")).expect(200), Some("null"));
    let told = server.get("sys/config/cors").data();
    assert_eq!((&told["enabled"], &told["allowed_origins"]), (&json!(true), &json!(["*"])));
    assert_eq!(told["allowed_headers"].as_array().unwrap().len(), 10);
    server.delete("sys/config/cors").expect(204);
    allows(&server.send(&from_page(request("GET", "sys/health"), "null")).expect(200), None);
}

#[test]
fn the_setting_needs_sudo_and_sense_and_stays() {
    let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    server.post("sys/policies/acl/c", &json!({"policy": "path \"sys/config/cors\" { capabilities = [\"update\"] }"}));
    let token = server.token(&json!({"policies": ["c"]}));
    let allow = json!({"allowed_origins": PAGE});
    server.send(&request("POST", "sys/config/cors").token(&token).json(&allow)).expect(403);
    server.post("sys/config/cors", &json!({})).expect(500);
    server.post("sys/config/cors", &json!({"allowed_origins": [PAGE, "*"]})).expect(500);
    assert_eq!(server.get("sys/config/cors").data(), json!({"enabled": false}));
    server.post("sys/config/cors", &allow).expect(204);
    drop(server);
    let server = TestServer::restarted(store, &key);
    allows(&server.send(&from_page(request("GET", "sys/health"), PAGE)).expect(200), Some(PAGE));
    server.send(&from_page(request("GET", "sys/health"), "http://c.com")).refused(403, "origin not allowed");
}
