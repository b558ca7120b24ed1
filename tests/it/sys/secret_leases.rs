//! The leases of secrets, which a mount of KV gives that asks for it: they end with whatever they depend on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;

use crate::client::{Answer, request};
use crate::server::{ROOT, TestServer};

/// A server with a mount that gives leases, and in it a secret that names one and one that does not.
fn server() -> TestServer {
    let server = TestServer::start();
    let config = json!({"default_lease_ttl": "2h", "max_lease_ttl": "4h"});
    let mount = json!({"type": "kv", "options": {"leased_passthrough": "true"}, "config": config});
    server.post("sys/mounts/leased", &mount).expect(204);
    server.post("leased/a/named", &json!({"ttl": "1h"})).expect(204);
    server.post("leased/a/plain", &json!({"k": "v"})).expect(204);
    server.post("leased/other", &json!({"k": "v"})).expect(204);
    server
}

/// Reads a secret, and returns the name of its lease.
fn read(server: &TestServer, token: &str, path: &str) -> String {
    let answer = server.send(&request("GET", path).token(token)).expect(200).json();
    let id = answer["lease_id"].as_str().unwrap().to_owned();
    assert_eq!(id.rsplit_once('/').map(|(path, mark)| (path, mark.len())), Some((path, 24)));
    id
}

fn look_up(server: &TestServer, id: &str) -> Answer {
    server.post("sys/leases/lookup", &json!({"lease_id": id}))
}

fn is_there(server: &TestServer, id: &str) -> bool {
    let answer = look_up(server, id);
    if answer.status != 200 {
        answer.refused(400, "invalid lease");
    }
    answer.status == 200
}

/// What is stored of leases.
fn stored(server: &TestServer) -> usize {
    server.stored().keys().filter(|key| key.starts_with(b"platform/lease/")).count()
}

#[test]
fn every_read_has_a_lease_of_its_own() {
    let server = server();
    let told = |path: &str| {
        let answer = server.get(path).expect(200).json();
        (answer["lease_duration"].clone(), answer["renewable"].clone())
    };
    assert_eq!(told("leased/a/named"), (json!(3_600), json!(true)));
    assert_eq!(told("leased/a/plain"), (json!(7_200), json!(false)));
    let [one, other] = [(); 2].map(|()| read(&server, ROOT, "leased/a/named"));
    assert_ne!(one, other);
    let found = look_up(&server, &one).expect(200).data();
    assert_eq!(found["ttl"], 3_600);
    assert_eq!((&found["id"], &found["renewable"], &found["last_renewal"]), (&json!(one), &json!(true), &Value::Null));
    let keys = server.list("sys/leases/lookup/leased/a").data()["keys"].clone();
    assert_eq!(keys, json!(["named/", "plain/"]));
    let names = server.list("sys/leases/lookup/leased/a/named").data()["keys"].clone();
    assert_eq!(names.as_array().unwrap().len(), 3);
    // What is longer than the mount allows is cut.
    server.post("leased/long", &json!({"ttl": "100h"})).expect(204);
    let long = server.get("leased/long").expect(200).json();
    assert_eq!(long["lease_duration"], 14_400);
    let text = "TTL of \"100h\" exceeded the effective max_ttl of \"4h\"; TTL value is capped accordingly";
    assert_eq!(long["warnings"], json!([text]));
    // And no lease is of no time.
    server.post("leased/zero", &json!({"ttl": 0})).expect(204);
    assert_eq!(told("leased/zero"), (json!(7_200), json!(true)));
    // Other mounts give none.
    server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    server.post("kv/k", &json!({"ttl": "1h"})).expect(204);
    let plain = server.get("kv/k").expect(200).json();
    assert_eq!((&plain["lease_id"], &plain["renewable"]), (&json!(""), &json!(false)));
}

#[test]
fn a_lease_is_renewed_up_to_the_longest_that_its_mount_gives() {
    let server = server();
    let id = read(&server, ROOT, "leased/a/named");
    let renew = |body: Value| server.post("sys/leases/renew", &body);
    let check = |after: u64, increment: Value, expected: u64, warnings: usize| {
        server.clock.advance(Duration::from_secs(after));
        let answer = renew(json!({"lease_id": id, "increment": increment})).expect(200).json();
        assert_eq!(
            (&answer["lease_id"], &answer["renewable"], &answer["data"]),
            (&json!(id), &json!(true), &Value::Null)
        );
        assert_eq!(answer["lease_duration"], expected, "{increment}");
        assert_eq!(answer["warnings"].as_array().map_or(0, Vec::len), warnings, "{increment}");
        assert_eq!(look_up(&server, &id).data()["ttl"], expected);
    };
    check(1_800, json!(null), 3_600, 0);
    check(0, json!("30m"), 1_800, 0);
    check(0, json!("3h"), 10_800, 0);
    check(1_800, json!("3h30m"), 10_800, 1);
    assert_ne!(look_up(&server, &id).data()["last_renewal"], Value::Null);
    let plain = read(&server, ROOT, "leased/a/plain");
    renew(json!({"lease_id": plain})).refused(400, "lease is not renewable");
    server.clock.advance(Duration::from_hours(3));
    renew(json!({"lease_id": id})).refused(400, "lease not found");
    assert!(!is_there(&server, &id));
    server.core.tick();
    assert_eq!(stored(&server), 0);
}

#[test]
fn a_lease_ends_with_what_it_depends_on() {
    let check = |what: &str, end: fn(&TestServer, &str, &str)| {
        let server = server();
        let token = server.token(&json!({"policies": ["root"], "ttl": "30m"}));
        let id = read(&server, &token, "leased/a/named");
        let other = read(&server, ROOT, "leased/other");
        assert!(is_there(&server, &id), "{what}");
        end(&server, &token, &id);
        assert!(!is_there(&server, &id), "{what}");
        server.core.tick();
        let all = server.list("sys/leases/lookup/leased").text();
        assert!(!all.contains("a/"), "{what}: {all}");
        let is_other_there = !matches!(what, "disable" | "remount" | "all");
        assert_eq!(is_there(&server, &other), is_other_there, "{what}");
        assert_eq!(stored(&server) > 0, is_other_there, "{what}");
    };
    check("revoke", |server, _, id| drop(server.post("sys/leases/revoke", &json!({"lease_id": id})).expect(204)));
    check("in the path", |server, _, id| drop(server.post(&format!("sys/leases/revoke/{id}"), &json!({})).expect(204)));
    check("prefix", |server, _, _| drop(server.post("sys/leases/revoke-prefix/leased/a", &json!({})).expect(204)));
    check("force", |server, _, _| drop(server.post("sys/leases/revoke-force/leased/a", &json!({})).expect(204)));
    check("all", |server, _, _| drop(server.post("sys/leases/revoke-prefix/leased", &json!({})).expect(204)));
    check("token", |server, token, _| {
        server.send(&request("POST", "auth/token/revoke-self").token(token)).expect(204);
    });
    check("expired token", |server, _, _| server.clock.advance(Duration::from_mins(30)));
    check("disable", |server, _, _| drop(server.delete("sys/mounts/leased").expect(204)));
    check("remount", |server, _, _| {
        drop(server.post("sys/remount", &json!({"from": "leased", "to": "moved"})).expect(200));
    });
}

/// The lease of a batch token has nothing to end with but time.
#[test]
fn a_batch_token_gets_no_longer_lease_than_it_has_itself() {
    let server = server();
    let policy = json!({"policy": r#"path "leased/*" { capabilities = ["read"] }"#});
    server.post("sys/policies/acl/reader", &policy).expect(204);
    let token = server.token(&json!({"type": "batch", "policies": ["reader"], "ttl": "10m"}));
    let id = read(&server, &token, "leased/a/named");
    assert_eq!(look_up(&server, &id).data()["ttl"], 600);
}

#[test]
fn leases_outlive_a_restart() {
    let server = TestServer::over(Arc::new(coffer::storage::Memory::new()), crate::server::limits());
    let key = UnsealKey::generate();
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    let mount = json!({"type": "kv", "options": {"leased_passthrough": "true"}});
    server.post("sys/mounts/leased", &mount).expect(204);
    server.post("leased/k", &json!({"ttl": "1h"})).expect(204);
    let id = read(&server, ROOT, "leased/k");
    let server = TestServer::restarted(server.store.clone(), &key);
    assert!(is_there(&server, &id));
    server.clock.advance(Duration::from_hours(2));
    server.core.tick();
    assert_eq!(stored(&server), 0);
}
