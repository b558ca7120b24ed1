//! `sys/mounts`: a table of paths that never overlap.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::{Batch, Memory};

use crate::client::request;
use crate::server::{ROOT, TestServer, limits};

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

/// Clients send all that they know, empty where nobody said anything.
#[test]
fn what_is_empty_asks_for_nothing() {
    let server = TestServer::start();
    let config = json!({"user_lockout_config": {}, "audit_non_hmac_request_keys": null});
    for config in [json!([]), json!({}), json!(null), config] {
        server.post("sys/mounts/new", &json!({"type": "kv", "config": config, "options": []})).expect(204);
        let entry = server.get("sys/mounts/new").data();
        let expected = json!({"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0});
        assert_eq!((&entry["config"], &entry["options"]), (&expected, &Value::Null), "{config}");
        server.delete("sys/mounts/new").expect(204);
    }
    let before = server.get("sys/mounts/transit").data();
    for lockout in [json!({}), json!([]), json!(null)] {
        server.post("sys/mounts/transit/tune", &json!({"user_lockout_config": lockout})).expect(204);
    }
    assert_eq!(server.get("sys/mounts/transit").data(), before);
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
        json!({"description": "new", "plugin_version": "v1.0.0"}),
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

#[test]
fn what_is_enabled_is_told_with_all_its_settings() {
    let server = TestServer::start();
    let asked = json!({
        "type": "transit", "description": "all of it", "local": "true", "seal_wrap": 1, "external_entropy_access": true,
        "options": {"a": 1}, "plugin_name": "", "plugin_version": "",
        "config": {
            "default_lease_ttl": "90m", "max_lease_ttl": 7200, "force_no_cache": true, "listing_visibility": "hidden",
            "audit_non_hmac_request_keys": "a, b", "audit_non_hmac_response_keys": ["c"],
            "passthrough_request_headers": ["X-One", "X-Two"], "allowed_response_headers": "X-Three",
            "plugin_version": "", "unknown": {"is": "ignored"},
        },
    });
    server.post("sys/mounts/all", &asked).expect(204);
    let mut entry = server.get("sys/mounts/all").data();
    assert!(entry["accessor"].take().as_str().unwrap().starts_with("transit_"));
    assert!(entry["uuid"].take().is_string() && entry["running_plugin_version"].take().is_string());
    let config = json!({
        "default_lease_ttl": 5400, "max_lease_ttl": 7200, "force_no_cache": true, "listing_visibility": "hidden",
        "audit_non_hmac_request_keys": ["a", "b"], "audit_non_hmac_response_keys": ["c"],
        "passthrough_request_headers": ["X-One", "X-Two"], "allowed_response_headers": ["X-Three"],
    });
    assert_eq!(
        entry,
        json!({
            "accessor": null, "config": config, "deprecation_status": "supported", "description": "all of it",
            "external_entropy_access": true, "local": true, "options": {"a": "1"}, "plugin_version": "",
            "running_plugin_version": null, "running_sha256": "", "seal_wrap": true, "type": "transit", "uuid": null,
        })
    );
    let tune = server.get("sys/mounts/all/tune").data();
    let shared = config.as_object().unwrap();
    assert!(shared.iter().all(|(name, value)| tune[name] == *value), "{tune}");
    assert_eq!((&tune["options"], &tune["external_entropy_access"]), (&json!({"a": "1"}), &json!(true)));
}

#[test]
fn what_cannot_be_enabled_is_refused_in_known_words() {
    let server = TestServer::start();
    let before = server.stored();
    let ttls = |default: &str, max: &str| json!({"type": "transit", "config": {"default_lease_ttl": default, "max_lease_ttl": max}});
    for (body, text) in [
        (json!({}), "backend type must be specified as a string"),
        (json!({"type": "nosuch"}), "plugin not found in the catalog: nosuch"),
        (json!({"type": "plugin"}), "plugin_name must be provided for plugin backend"),
        (json!({"type": "plugin", "plugin_name": "mine"}), "plugin not found in the catalog: mine"),
        (json!({"type": "cubbyhole"}), "mount type of \"cubbyhole\" is not mountable"),
        (json!({"type": "system"}), "mount type of \"system\" is not mountable"),
        (json!({"type": "kv", "options": {"version": "7"}}), "nil backend of type \"kv\" returned from factory"),
        (json!({"type": "kv-v3"}), "plugin not found in the catalog: kv-v3"),
        (
            json!({"type": "transit", "options": {"version": 2}}),
            "secrets engine \"transit\" does not allow setting a version",
        ),
        (ttls("2h", "1h"), "given default lease TTL greater than given max lease TTL"),
        (ttls("99999h", ""), "given default lease TTL greater than system max lease TTL of 2764800"),
        (ttls("x", ""), "unable to parse default TTL of x: time: invalid duration \"x\""),
        (ttls("", "-1"), "unable to parse max TTL of -1: cannot provide negative value '-1'"),
        (json!({"type": "transit", "config": {"listing_visibility": "maybe"}}), "invalid listing_visibility maybe"),
        (
            json!({"type": "kv", "config": {"plugin_version": "v1.0.0"}}),
            "cannot select non-builtin version of secrets plugin kv",
        ),
    ] {
        server.post("sys/mounts/new", &body).refused(400, text);
    }
    assert_eq!(server.stored(), before);
}

#[test]
fn what_every_server_has_is_told_and_cannot_be_changed() {
    let server = TestServer::start();
    let list = server.get("sys/mounts").data();
    for (path, kind, local, seal_wrap, headers) in [
        ("cubbyhole", "cubbyhole", true, false, Value::Null),
        ("identity", "identity", false, false, json!(["Authorization"])),
        ("sys", "system", false, true, json!(["Accept"])),
    ] {
        let entry = server.get(&format!("sys/mounts/{path}")).data();
        assert_eq!(list[format!("{path}/")], entry);
        assert_eq!(
            (&entry["type"], &entry["local"], &entry["seal_wrap"]),
            (&json!(kind), &json!(local), &json!(seal_wrap))
        );
        assert_eq!(entry["config"]["passthrough_request_headers"], headers);
        assert_eq!(server.get(&format!("sys/mounts/{path}/tune")).data()["description"], entry["description"]);
        server.delete(&format!("sys/mounts/{path}")).refused(400, &format!("cannot unmount \"{path}/\""));
        let tune = server.post(&format!("sys/mounts/{path}/tune"), &json!({"description": "mine"}));
        tune.refused(400, &format!("cannot tune \"{path}/\""));
    }
    assert_eq!(server.get("sys/mounts").data(), list);
    server.get("identity/nosuch").refused_wrapped(404, "unsupported path");
}

/// A large mount is removed at once, and its records by and by; others do not notice, nor does a restart lose any.
#[test]
fn records_of_a_removed_mount_go_in_the_background() {
    const RECORDS: usize = 40_000;
    let key = UnsealKey::generate();
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    for path in ["large", "kept"] {
        server.post(&format!("sys/mounts/{path}"), &transit()).expect(204);
        server.post(&format!("{path}/keys/k"), &json!({})).expect(200);
    }
    let prefix = format!("scope/{}/", server.get("sys/mounts/large").data()["uuid"].as_str().unwrap());
    let filling = (0..RECORDS).fold(Batch::new(), |batch, number| batch.put(format!("{prefix}{number}"), "x"));
    server.store.commit(filling).unwrap();
    let left =
        |server: &TestServer| server.stored().into_keys().filter(|key| key.starts_with(prefix.as_bytes())).count();
    server.delete("sys/mounts/large").expect(204);
    server.get("large/keys/k").expect(404);
    assert!(left(&server) >= RECORDS, "who removes a mount does not wait for its records");
    server.core.tick();
    let after_one = left(&server);
    assert!(after_one > 0 && after_one < RECORDS, "{after_one}");

    let store = server.store.clone();
    drop(server);
    let server = TestServer::restarted(store, &key);
    thread::scope(|scope| {
        let purging = scope.spawn(|| {
            while left(&server) > 0 {
                server.core.tick();
            }
        });
        let mut connection = server.connect();
        loop {
            assert_eq!(connection.send(&request("GET", "kept/keys/k")).unwrap().status, 200);
            if purging.is_finished() {
                break;
            }
        }
        purging.join().unwrap();
    });
    server.core.tick();
    let removed = server.stored().into_keys().filter(|key| key.starts_with(b"platform/removed-mount/"));
    assert_eq!(removed.count(), 0);
}

#[test]
fn the_version_of_kv_only_rises() {
    let server = TestServer::start();
    let config = json!({"plugin_name": "kv"});
    for (path, body, version) in [
        ("plain", json!({"type": "kv"}), 0),
        ("generic", json!({"type": "generic"}), 0),
        ("one", json!({"type": "kv-v1"}), 1),
        ("named", json!({"type": "plugin", "plugin_name": "kv", "options": {"version": 1}}), 1),
        ("configured", json!({"type": "plugin", "plugin_name": "mine", "config": config}), 0),
    ] {
        server.post(&format!("sys/mounts/{path}"), &body).expect(204);
        server.post(&format!("{path}/a"), &json!({"v": 1})).expect(204);
        let tune = format!("sys/mounts/{path}/tune");
        server.post(&tune, &json!({"options": {"version": "3"}})).refused(400, "invalid version provided: 3");
        let upgrade = |from: i32, to: i32| {
            let answer = server.post(&tune, &json!({"options": {"version": to}}));
            if from == to {
                return drop(answer.expect(204));
            }
            let answer = answer.expect(200).json();
            let warning = format!(
                "Upgrading mount from version {from} to version {to}. This mount will be unavailable for a brief period \
                 and will resume service shortly."
            );
            assert_eq!((&answer["data"], &answer["warnings"]), (&Value::Null, &json!([warning])), "{path}");
        };
        upgrade(version, 1);
        assert_eq!(server.get(&format!("{path}/a")).data(), json!({"v": 1}));
        upgrade(1, 2);
        assert_eq!(server.get(&format!("{path}/data/a")).data()["data"], json!({"v": 1}));
        assert_eq!(server.get(&tune).data()["options"], json!({"version": "2"}));
        let down = server.post(&tune, &json!({"options": {"version": "1"}}));
        down.refused(400, "cannot downgrade mount from version 2");
        server.post(&tune, &json!({"options": {"version": ""}})).refused(400, "invalid version provided: 0");
    }
    server.post("sys/mounts/two", &json!({"type": "kv-v2"})).expect(204);
    let entry = server.get("sys/mounts/two").data();
    assert_eq!((&entry["type"], &entry["options"]), (&json!("kv"), &json!({"version": "2"})));
}
