//! `sys/mounts`: a table of paths that never overlap.

use std::thread;

use serde_json::{Value, json};

use crate::client::request;
use crate::server::TestServer;

fn transit() -> Value {
    json!({"type": "transit"})
}

/// Regression R57: a mount at a path that another one serves, or that is the server's own.
#[test]
fn no_mount_is_inside_another_or_in_a_reserved_place() {
    let server = TestServer::start();
    server.post("sys/mounts/a/b", &transit()).expect(204);
    let before = server.stored();
    for (path, text) in [
        ("transit", "path is already in use at transit/"),
        ("transit/below", "path is already in use at transit/"),
        ("a", "path is already in use at a/b/"),
        ("a/b", "path is already in use at a/b/"),
        ("a/b/c", "path is already in use at a/b/"),
        ("sys", "cannot mount \"sys/\""),
        ("sys/x", "cannot mount \"sys/x/\""),
        ("auth", "cannot mount \"auth/\""),
        ("auth/x", "cannot mount \"auth/x/\""),
        ("identity/x", "cannot mount \"identity/x/\""),
        ("cubbyhole", "cannot mount \"cubbyhole/\""),
    ] {
        server.post(&format!("sys/mounts/{path}"), &transit()).refused(400, text);
    }
    assert_eq!(server.stored(), before);
    for beside in ["transit2", "a/bb", "a/c", "system", "authority"] {
        server.post(&format!("sys/mounts/{beside}"), &transit()).expect(204);
        server.post(&format!("{beside}/keys/k"), &json!({})).expect(200);
    }
}

#[test]
fn a_path_is_given_once_however_many_ask() {
    let server = TestServer::start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let enable = || server.connect().send(&request("POST", "sys/mounts/new").json(&transit())).unwrap().status;
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(enable)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 204 | 400)), "{statuses:?}");
    let records = server.stored().into_keys().filter(|key| key.starts_with(b"platform/mount/"));
    assert_eq!(records.count(), 2);
}

#[test]
fn what_is_tuned_is_told_and_kept() {
    let server = TestServer::start();
    let tune = json!({
        "description": "<new>", "default_lease_ttl": "2h", "max_lease_ttl": 86400, "listing_visibility": "unauth",
        "audit_non_hmac_request_keys": "a,b", "passthrough_request_headers": ["X-One"], "options": {"k": 1},
    });
    server.post("sys/mounts/transit/tune", &tune).expect(204);
    let told = server.get("sys/mounts/transit/tune");
    let data = told.data();
    assert_eq!((&data["default_lease_ttl"], &data["max_lease_ttl"]), (&json!(7200), &json!(86400)));
    assert_eq!(data["description"], "<new>");
    assert_eq!(data["audit_non_hmac_request_keys"], json!(["a", "b"]));
    assert_eq!(data["options"], json!({"k": "1"}));
    assert_eq!(told.json()["description"], "<new>", "told beside the envelope, too");
    let entry = server.get("sys/mounts").data()["transit/"].take();
    assert_eq!(entry["config"]["default_lease_ttl"], 7200);
    server.post("sys/mounts/transit/tune", &json!({"default_lease_ttl": "system", "max_lease_ttl": "0"})).expect(204);
    let data = server.get("sys/mounts/transit/tune").data();
    assert_eq!((&data["default_lease_ttl"], &data["max_lease_ttl"]), (&json!(2_764_800), &json!(2_764_800)));
    assert_eq!(server.get("sys/mounts/transit").data()["config"]["default_lease_ttl"], 0);
}

/// Regression: a tune that is refused at its last parameter kept those before.
#[test]
fn a_refused_tune_changes_nothing() {
    let server = TestServer::start();
    let before = server.stored();
    for tune in [
        json!({"description": "new", "listing_visibility": "zz"}),
        json!({"description": "new", "max_lease_ttl": "1h", "default_lease_ttl": "2h"}),
        json!({"description": "new", "default_lease_ttl": "abc"}),
        json!({"description": "new", "token_type": "batch"}),
    ] {
        server.post("sys/mounts/transit/tune", &tune).expect(400);
        assert_eq!(server.stored(), before, "{tune}");
    }
}

#[test]
fn a_removed_mount_leaves_nothing_behind() {
    let server = TestServer::start();
    let before = server.stored().into_keys().collect::<Vec<_>>();
    server.post("sys/mounts/new", &transit()).expect(204);
    for at in 0..20 {
        server.post(&format!("new/keys/k{at}"), &json!({})).expect(200);
    }
    server.delete("sys/mounts/new").expect(204);
    server.get("new/keys/k1").refused(404, "no handler for route \"new/keys/k1\". route entry not found.");
    server.core.tick();
    assert_eq!(server.stored().into_keys().collect::<Vec<_>>(), before);
    server.delete("sys/mounts/new").expect(204);
}
