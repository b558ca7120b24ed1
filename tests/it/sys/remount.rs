//! `sys/remount`: a mount goes to another path while it is used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::client::{Connection, b64, request};
use crate::server::TestServer;

fn status(connection: &mut Connection, mount: &str) -> u16 {
    connection.send(&request("GET", &format!("{mount}/keys/k"))).unwrap().status
}

/// Whoever no longer finds the mount at the old path finds it at the new one.
#[test]
fn a_mount_is_at_one_of_its_two_paths_all_the_time() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let mut paths = ["transit".to_owned(), "a/b".to_owned()];
    for round in 0..20 {
        let [from, to] = &paths;
        let moved = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut connection = server.connect();
                        loop {
                            let ends = moved.load(Ordering::Acquire);
                            match status(&mut connection, from) {
                                200 => assert!(!ends, "it was moved, and is there"),
                                404 => {
                                    assert_eq!(status(&mut connection, to), 200);
                                    assert_eq!(status(&mut connection, from), 404);
                                }
                                other => panic!("{other}"),
                            }
                            if ends {
                                return;
                            }
                        }
                    })
                })
                .collect();
            server.post("sys/remount", &json!({"from": from, "to": to})).expect(200);
            moved.store(true, Ordering::Release);
            for reader in readers {
                reader.join().unwrap();
            }
        });
        assert_eq!(server.get("sys/mounts").data().as_object().unwrap().len(), 4, "round {round}");
        paths.reverse();
    }
}

#[test]
fn it_keeps_everything_and_is_told_of() {
    let server = TestServer::start();
    let ciphertext = server.post("transit/encrypt/k", &json!({"plaintext": b64("kept")})).text_of("ciphertext");
    let tune = json!({"description": "mine", "default_lease_ttl": "1h"});
    server.post("sys/mounts/transit/tune", &tune).expect(204);
    let before = server.get("sys/mounts/transit").data();
    let answer = server.send(&request("PUT", "sys/remount").json(&json!({"from": "/transit/", "to": "team/transit"})));
    let answer = answer.expect(200).json();
    let id = answer["data"]["migration_id"].as_str().unwrap();
    assert_eq!(answer["migration_id"], id, "told beside the envelope, too");
    assert_eq!(
        answer["warnings"],
        json!([
            "Mount move has been queued. Progress will be reported in Vault's server log, tagged with the returned migration_id"
        ])
    );
    assert_eq!(
        server.get(&format!("sys/remount/status/{id}")).data(),
        json!({"migration_id": id, "migration_info":
            {"source_mount": "transit/", "target_mount": "team/transit/", "status": "success"}})
    );
    for unknown in ["00000000-0000-0000-0000-000000000000", "x"] {
        let answer = server.get(&format!("sys/remount/status/{unknown}"));
        assert_eq!(answer.expect(404).json(), json!({"errors": []}));
    }
    assert_eq!(server.get("sys/mounts/team/transit").data(), before);
    let decrypted = server.post("team/transit/decrypt/k", &json!({"ciphertext": ciphertext}));
    assert_eq!(decrypted.text_of("plaintext"), b64("kept"));
    // The old path is free.
    server.post("sys/mounts/transit", &json!({"type": "transit"})).expect(204);
    server.get("transit/keys/k").expect(404);
}

#[test]
fn what_cannot_be_moved_is_refused_and_stays() {
    let server = TestServer::start();
    server.post("sys/mounts/a/b", &json!({"type": "transit"})).expect(204);
    let before = server.stored();
    for (from, to, text) in [
        ("", "x", "both 'from' and 'to' path must be specified as a string"),
        ("transit", "", "both 'from' and 'to' path must be specified as a string"),
        ("nosuch", "x", "no matching mount at \"nosuch/\""),
        ("transit", "a/b", "path already in use at \"a/b/\""),
        ("transit", "a", "path already in use at \"a/b/\""),
        ("transit", "transit/below", "path already in use at \"transit/\""),
        ("transit", "sys/x", "cannot remount to destination sys/x/"),
        ("transit", "auth/x", "cannot remount to destination auth/x/"),
        ("cubbyhole", "x", "cannot remount \"cubbyhole/\""),
        ("sys", "x", "cannot remount \"sys/\""),
        ("auth/token", "auth/x", "cannot remount \"auth/token/\""),
        ("transit", "x//y", "invalid destination mount: path 'x//y/' does not match cleaned path 'x/y/'"),
        ("transit", "x ", "'to' path cannot contain trailing whitespace"),
    ] {
        server.post("sys/remount", &json!({"from": from, "to": to})).refused(400, text);
    }
    assert_eq!(server.stored(), before);
    let poor = server.token(&json!({"policies": ["default"]}));
    let asked = request("POST", "sys/remount").token(&poor).json(&json!({"from": "transit", "to": "x"}));
    server.send(&asked).refused_wrapped(403, "permission denied");
}
