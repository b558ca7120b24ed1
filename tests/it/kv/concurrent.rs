//! Many clients at the same secret.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::{patch, read, write};
use crate::client::request;
use crate::server::TestServer;

/// Regression R18: of all who write for the same version exactly one succeeds, and no number is left out.
#[test]
fn check_and_set_lets_one_win() {
    const WRITERS: u64 = 16;
    const ROUNDS: u64 = 20;
    let server = TestServer::with_all_engines();
    server.post("secret/metadata/k", &json!({"max_versions": 1000})).expect(204);
    let won: Vec<Vec<u64>> = thread::scope(|scope| {
        let compete = |writer: u64| {
            let mut connection = server.connect();
            let mut won = Vec::new();
            for round in 0..ROUNDS {
                let body = json!({"options": {"cas": round}, "data": {"writer": writer}});
                let answer = connection.send(&request("POST", "secret/data/k").json(&body)).unwrap();
                if answer.status == 200 {
                    assert_eq!(answer.data()["version"], round + 1);
                    won.push(round + 1);
                } else {
                    answer.refused(400, "check-and-set parameter did not match the current version");
                    // Another one has won this round, or has not begun it: wait until it is over.
                    while connection.send(&request("GET", "secret/metadata/k")).unwrap().data()["current_version"]
                        .as_u64()
                        .unwrap()
                        <= round
                    {}
                }
            }
            won
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || compete(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let all: Vec<u64> = won.iter().flatten().copied().collect();
    assert_eq!(all.len() as u64, ROUNDS);
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (1..=ROUNDS).collect());
    for (writer, versions) in won.iter().enumerate() {
        for version in versions {
            let read = server.get(&format!("secret/data/k?version={version}")).data();
            assert_eq!(read["data"]["writer"], writer, "version {version} is its writer's");
        }
    }
}

#[test]
fn no_write_and_no_patch_is_lost() {
    const WRITERS: usize = 8;
    const WRITES: usize = 10;
    let server = TestServer::with_all_engines();
    server.post("secret/metadata/k", &json!({"max_versions": 1000})).expect(204);
    write(&server, "k", &json!({}));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in 0..WRITES {
                    let body = json!({"data": {format!("{writer}-{number}"): true}});
                    let answer = connection.send(&patch("secret/data/k", &body)).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    let data = read(&server, "k");
    assert_eq!(data.as_object().unwrap().len(), WRITERS * WRITES);
    let shown = server.get("secret/metadata/k").data();
    assert_eq!(shown["versions"].as_object().unwrap().len(), 1 + WRITERS * WRITES);
}

/// What was deleted, or written, is not served from a cache to a request that begins after the change was answered.
#[test]
fn a_change_is_seen_by_every_later_request() {
    for change in ["write", "delete", "destroy", "metadata"] {
        let server = TestServer::with_all_engines();
        write(&server, "k", &json!({"secret": "old"}));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    for late in 0.. {
                        let began_after = is_over.load(Ordering::SeqCst);
                        let answer = connection.send(&request("GET", "secret/data/k")).unwrap();
                        assert!(!(began_after && answer.text().contains("old")), "read after {change}");
                        if began_after && late > 50 {
                            break;
                        }
                    }
                });
            }
            match change {
                "write" => drop(write(&server, "k", &json!({"secret": "new"}))),
                "delete" => drop(server.delete("secret/data/k").expect(204)),
                "destroy" => drop(server.post("secret/destroy/k", &json!({"versions": [1]})).expect(204)),
                _ => drop(server.delete("secret/metadata/k").expect(204)),
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }
}

/// A secret that is made anew has nothing of its predecessor, whatever readers saw in between.
#[test]
fn a_secret_made_anew_is_never_mixed_with_its_predecessor() {
    let server = TestServer::with_all_engines();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = server.connect();
                while !is_over.load(Ordering::SeqCst) {
                    for path in ["secret/data/k?version=1", "secret/data/k", "secret/subkeys/k"] {
                        let answer = connection.send(&request("GET", path)).unwrap();
                        assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
                        if answer.status == 200 && !path.contains("subkeys") {
                            let (data, version) = (&answer.data()["data"], &answer.data()["metadata"]["version"]);
                            assert_eq!(data["version"], *version, "{path}");
                        }
                    }
                }
            });
        }
        for _ in 0..100 {
            write(&server, "k", &json!({"version": 1}));
            write(&server, "k", &json!({"version": 2}));
            server.delete("secret/metadata/k").expect(204);
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

/// What writers put into the slot of a version is never served as that version, and no reader is turned away for it.
#[test]
fn a_version_is_never_served_with_the_data_of_another() {
    const WRITERS: usize = 4;
    const WRITES: usize = 50;
    for versions_max in [1, 2, 3] {
        let server = TestServer::with_all_engines();
        server.post("secret/config", &json!({"max_versions": versions_max})).expect(204);
        write(&server, "k", &json!({"version": 1}));
        let left = AtomicUsize::new(WRITERS);
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    let mut number = 1;
                    for _ in 0..WRITES {
                        // Who writes version n says so, and only he does.
                        loop {
                            let body = json!({"options": {"cas": number}, "data": {"version": number + 1}});
                            let answer = connection.send(&request("POST", "secret/data/k").json(&body)).unwrap();
                            if answer.status == 200 {
                                break;
                            }
                            answer.refused(400, "check-and-set parameter did not match the current version");
                            let shown = connection.send(&request("GET", "secret/metadata/k")).unwrap().data();
                            number = shown["current_version"].as_u64().unwrap();
                        }
                    }
                    left.fetch_sub(1, Ordering::SeqCst);
                });
            }
            for back in 0..4 {
                let (server, left) = (&server, &left);
                scope.spawn(move || {
                    let mut connection = server.connect();
                    let mut newest = 1_u64;
                    while left.load(Ordering::SeqCst) > 0 {
                        // The latest, by its number or without, and those that go next.
                        let wanted = if back == 0 { 0 } else { (newest + 1).saturating_sub(back) };
                        let path = format!("secret/data/k?version={wanted}");
                        let answer = connection.send(&request("GET", &path)).unwrap();
                        if answer.status == 404 && wanted > 0 {
                            newest = connection.send(&request("GET", "secret/data/k")).unwrap().data()["metadata"]["version"]
                                .as_u64()
                                .unwrap();
                            continue;
                        }
                        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                        let data = answer.data();
                        assert_eq!(data["data"]["version"], data["metadata"]["version"], "{path}");
                        assert!(wanted == 0 || data["metadata"]["version"] == wanted, "{path}");
                    }
                });
            }
        });
        let shown = server.get("secret/metadata/k").data();
        assert_eq!(shown["current_version"], 1 + WRITERS * WRITES);
    }
}

/// A patch that meets a write which takes the slot of what it patches is tried again, and not refused.
#[test]
fn a_patch_outlives_the_version_that_it_read() {
    let server = TestServer::with_all_engines();
    server.post("secret/config", &json!({"max_versions": 1})).expect(204);
    write(&server, "k", &json!({}));
    thread::scope(|scope| {
        for client in ["a", "b", "c", "d"] {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for number in 1..=100 {
                    let answer = connection.send(&patch("secret/data/k", &json!({"data": {client: number}}))).unwrap();
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    assert_eq!(read(&server, "k"), json!({"a": 100, "b": 100, "c": 100, "d": 100}));
    assert_eq!(server.get("secret/metadata/k").data()["current_version"], 401);
}
