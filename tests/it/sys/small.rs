//! Endpoints under `sys/` that tell little, or that there is nothing to tell.

use std::sync::Arc;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use crate::client::request;
use crate::server::{ROOT, TestServer, limits};

#[test]
fn the_version_is_known_since_it_first_ran_here() {
    let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    let version = server.get("sys/health").json()["version"].clone();
    let told = server.list("sys/version-history").data();
    assert_eq!(told["keys"], json!([version]));
    let expected = json!({
        "build_date": "", "previous_version": null, "timestamp_installed": "2026-11-22T00:00:00.123456789Z",
    });
    assert_eq!(told["key_info"][version.as_str().unwrap()], expected);
    drop(server);
    let server = TestServer::restarted(store, &key);
    server.clock.advance(std::time::Duration::from_hours(1));
    assert_eq!(server.get("sys/version-history?list=true").data(), told);
}

#[test]
fn clients_are_not_counted_and_that_is_said() {
    let server = TestServer::start();
    let answer = server.get("sys/internal/counters/activity?end_time=2026-11-01T00:00:00Z").expect(200).json();
    assert_eq!(answer["data"]["end_time"], "2026-11-01T00:00:00Z");
    assert_eq!((&answer["data"]["by_namespace"], &answer["data"]["total"]["clients"]), (&json!([]), &json!(0)));
    assert!(answer["warnings"][0].as_str().unwrap().contains("does not count"));
    server.get("sys/internal/counters/activity?start_time=yesterday").expect(400);
    server.get("sys/internal/counters/activity?start_time=1700000000").expect(200);
    server.get("sys/internal/counters/activity/monthly").expect(200);
    server.get("sys/internal/counters/requests").refused(404, "The functionality has been removed on this path");
}

#[test]
fn plugins_are_built_in() {
    let server = TestServer::start();
    server.post("sys/plugins/reload/backend", &json!({})).refused(400, "plugin or mounts must be provided");
    let both = json!({"plugin": "transit", "mounts": "transit/"});
    server.post("sys/plugins/reload/backend", &both).refused(400, "plugin and mounts cannot be set at the same time");
    let missing = json!({"mounts": ["transit/", "nosuch"]});
    server.post("sys/plugins/reload/backend", &missing).refused(400, "no matching mount entry for \"nosuch\"");
    assert!(server.post("sys/plugins/reload/backend", &json!({"mounts": "transit"})).data()["reload_id"].is_string());
    server.post("sys/plugins/catalog/secret/mine", &json!({"command": "mine", "sha256": "00"})).expect(400);
    server.delete("sys/plugins/catalog/secret/mine").expect(204);
    server.delete("sys/plugins/catalog/nosuch/mine").refused(400, "\"nosuch\" is not a supported plugin type");
}

#[test]
fn loggers_are_known_by_name() {
    let server = TestServer::start();
    let loggers = server.get("sys/loggers").data();
    assert!(["core", "core.audit", "http", "storage"].iter().all(|name| loggers[name].is_string()), "{loggers}");
    assert_eq!(server.get("sys/loggers/core").data().as_object().unwrap().len(), 1);
    for (path, body, text) in [
        ("sys/loggers", json!({}), "level is required"),
        ("sys/loggers/nosuch", json!({"level": "debug"}), "logger \"nosuch\" not found"),
    ] {
        server.post(path, &body).refused(400, text);
    }
    let refused = server.post("sys/loggers/core", &json!({"level": "loud"})).refused_with(400);
    assert!(refused.starts_with("invalid level provided: unknown log level"), "{refused}");
    server.get("sys/loggers/nosuch").refused(400, "logger \"nosuch\" not found");
    server.delete("sys/loggers/nosuch").expect(400);
    server.send(&request("GET", "sys/loggers").without_token()).expect(403);
}

#[test]
fn the_seal_needs_nobody_else() {
    let server = TestServer::start();
    let sealed = TestServer::over(server.store.clone(), limits());
    for server in [&server, &sealed] {
        let told: Value = server.send(&request("GET", "sys/seal-backend-status").without_token()).expect(200).json();
        assert_eq!((&told["healthy"], &told["backends"][0]["name"]), (&json!(true), &json!("shamir")));
    }
}
