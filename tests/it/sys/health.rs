//! `sys/health`: the state by its status, whatever the state.

use std::sync::Arc;

use serde_json::json;

use coffer::storage::Memory;

use crate::client::request;
use crate::server::{TestServer, limits};

fn sealed() -> TestServer {
    TestServer::over(TestServer::start().store.clone(), limits())
}

fn uninitialised() -> TestServer {
    TestServer::over(Arc::new(Memory::new()), limits())
}

#[test]
fn every_state_has_its_status_and_its_members() {
    for (server, status, initialised, is_sealed, replication) in [
        (TestServer::start(), 200, true, false, "disabled"),
        (sealed(), 503, true, true, "unknown"),
        (uninitialised(), 501, false, true, "unknown"),
    ] {
        let answer = server.send(&request("GET", "sys/health").without_token()).expect(status);
        let health = answer.json();
        assert_eq!(health["initialized"], initialised);
        assert_eq!((&health["sealed"], &health["standby"]), (&json!(is_sealed), &json!(is_sealed)));
        assert_eq!(health["performance_standby"], false, "some clients do without everything but this");
        assert_eq!(health["replication_performance_mode"], replication);
        assert_eq!(health["replication_dr_mode"], replication);
        assert_eq!(health["cluster_id"].is_string(), !is_sealed);
        assert_eq!(health["server_time_utc"], 1_795_305_600);
    }
}

#[test]
fn codes_are_the_callers_to_choose() {
    let (active, sealed, uninitialised) = (TestServer::start(), sealed(), uninitialised());
    let all = "activecode=299&sealedcode=298&uninitcode=999";
    for (server, status) in [(&active, 299), (&sealed, 298), (&uninitialised, 999)] {
        server.get(&format!("sys/health?{all}")).expect(status);
        assert!(server.send(&request("HEAD", &format!("sys/health?{all}"))).expect(status).body.is_empty());
    }
    assert!(active.get("sys/health?activecode=204").expect(204).body.is_empty());
    for odd in ["x", "-1", "0", "99", "100", "199", "1000", "65736", "2e2", "0x1f4"] {
        active.get(&format!("sys/health?activecode={odd}")).refused(400, "");
    }
    active.get("sys/health?standbyok=true&unknown=7").expect(200);
    // Of states that this server is never in, a typing error shows all the same.
    for odd in [
        "activecode=",
        "standbycode=x",
        "performancestandbycode=x",
        "drsecondarycode=",
        "standbyok=x",
        "perfstandbyok=x",
    ] {
        for server in [&active, &sealed, &uninitialised] {
            server.get(&format!("sys/health?{odd}")).refused(400, "");
        }
    }
    active.get("sys/health?standbyok=&perfstandbyok=1&standbycode=299&drsecondarycode=299").expect(200);
}

/// Probes send what they like; nothing of it matters.
#[test]
fn nothing_in_a_probe_is_wrong() {
    let server = TestServer::start();
    for (name, value) in [("X-Vault-Namespace", "other"), ("Accept", "text/html"), ("X-Vault-Token", "wrong")] {
        server.send(&request("GET", "sys/health").without_token().header(name, value)).expect(200);
    }
    server.send(&request("GET", "sys/health").json(&json!({"ignored": true}))).expect(200);
}
