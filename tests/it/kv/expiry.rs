//! Versions that are deleted by time.

use std::time::Duration;

use serde_json::json;

use super::{read, write};
use crate::server::TestServer;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_version_ends_to_the_second_and_stays_restorable() {
    let server = TestServer::with_all_engines();
    server.post("secret/metadata/k", &json!({"delete_version_after": "30s"})).expect(204);
    write(&server, "k", &json!({"v": 1}));
    server.clock.advance(20 * SECOND);
    write(&server, "k", &json!({"v": 2}));
    let first = server.get("secret/data/k?version=1").data();
    assert_eq!(first["metadata"]["created_time"], "2026-11-22T00:00:00.123456789Z");
    assert_eq!(first["metadata"]["deletion_time"], "2026-11-22T00:00:30.123456789Z");
    server.clock.advance(9 * SECOND);
    server.get("secret/data/k?version=1").expect(200);
    server.clock.advance(SECOND);
    let gone = server.get("secret/data/k?version=1").expect(404).json();
    assert_eq!(gone["data"]["data"], json!(null));
    assert_eq!(gone["data"]["metadata"], first["metadata"]);
    assert_eq!(read(&server, "k"), json!({"v": 2}), "the latest is younger");
    // From the cache, too.
    server.clock.advance(20 * SECOND);
    server.get("secret/data/k").expect(404);
    server.get("secret/subkeys/k").expect(404);
    server.post("secret/undelete/k", &json!({"versions": [2]})).expect(204);
    assert_eq!(read(&server, "k"), json!({"v": 2}));
    server.clock.advance(30 * SECOND);
    server.get("secret/data/k").expect(404);
}

#[test]
fn a_mount_can_forbid_expiry() {
    let server = TestServer::with_all_engines();
    server.post("secret/config", &json!({"delete_version_after": "-5s"})).expect(204);
    assert_eq!(server.get("secret/config").data()["delete_version_after"], "-1s");
    server.post("secret/metadata/k", &json!({"delete_version_after": 1})).expect(204);
    write(&server, "k", &json!({}));
    server.clock.advance(1_000_000 * SECOND);
    assert_eq!(server.get("secret/data/k").data()["metadata"]["deletion_time"], "");
}
