//! A mount of version 1 that becomes one of version 2 while it is used.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use super::patch;
use crate::client::request;
use crate::server::{ROOT, TestServer, limits};

fn start() -> (TestServer, UnsealKey) {
    let (key, store) = (UnsealKey::generate(), std::sync::Arc::new(Memory::new()));
    let server = TestServer::over(store, limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    server.post("sys/mounts/kv", &json!({"type": "kv", "options": {"version": "1"}})).expect(204);
    (server, key)
}

fn upgrade(server: &TestServer) {
    let answer = server.post("sys/mounts/kv/tune", &json!({"options": {"version": "2"}}));
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
}

/// Records that are still kept as version 1 keeps them.
fn unconverted(server: &TestServer) -> usize {
    server.stored().into_keys().filter(|key| String::from_utf8_lossy(key).contains("/v1/")).count()
}

#[test]
fn a_secret_reads_the_same_before_and_after_its_conversion() {
    let (server, _) = start();
    for path in ["a", "a/b", "dir/c"] {
        server.post(&format!("kv/{path}"), &json!({"of": path, "n": 1.50, "ttl": "1h"})).expect(204);
    }
    server.get("kv/a").expect(200);
    upgrade(&server);
    let told = || {
        let paths =
            ["data/a", "data/a/b", "data/dir/c", "data/a?version=1", "data/a?version=2", "metadata/a", "subkeys/a"];
        let read = paths.map(|path| server.get(&format!("kv/{path}")));
        let list = ["metadata", "metadata/a", "metadata/dir"].map(|path| server.list(&format!("kv/{path}")));
        let many = server.post("kv/data", &json!({"paths": ["a", "dir/c"]}));
        let all = read.into_iter().chain(list).chain([many]);
        all.map(|answer| (answer.status, answer.json()["data"].take())).collect::<Vec<_>>()
    };
    let before = told();
    assert_eq!(before[0].1["data"], json!({"of": "a", "n": 1.50, "ttl": "1h"}));
    assert_eq!(before[0].1["metadata"]["version"], 1);
    assert_eq!(before[7].1["keys"], json!(["a", "a/", "dir/"]));
    assert_eq!(unconverted(&server), 3, "reading converts nothing");
    server.core.tick();
    assert_eq!(unconverted(&server), 0);
    assert_eq!(told(), before);
    server.core.tick();
    assert_eq!(told(), before);
    let warning = &server.get("kv/a").expect(404).json()["warnings"][0];
    assert!(warning.as_str().unwrap().starts_with("Invalid path"));
}

#[test]
fn whatever_changes_a_secret_converts_it() {
    let (server, _) = start();
    for path in ["written", "patched", "deleted", "destroyed", "described", "removed", "left"] {
        server.post(&format!("kv/{path}"), &json!({"v": 1})).expect(204);
    }
    upgrade(&server);
    let cas = json!({"options": {"cas": 1}, "data": {"v": 2}});
    assert_eq!(server.post("kv/data/written", &cas).data()["version"], 2);
    server.send(&patch("kv/data/patched", &json!({"data": {"w": 2}}))).expect(200);
    server.delete("kv/data/deleted").expect(204);
    server.post("kv/destroy/destroyed", &json!({"versions": [1]})).expect(204);
    server.post("kv/metadata/described", &json!({"custom_metadata": {"a": "b"}})).expect(204);
    server.delete("kv/metadata/removed").expect(204);
    assert_eq!(unconverted(&server), 1);
    let check = || {
        let read = |path: &str| server.get(&format!("kv/data/{path}")).json()["data"]["data"].take();
        assert_eq!(read("written"), json!({"v": 2}));
        assert_eq!(read("written?version=1"), json!({"v": 1}));
        assert_eq!(read("patched"), json!({"v": 1, "w": 2}));
        assert_eq!(read("described"), json!({"v": 1}));
        assert_eq!(read("left"), json!({"v": 1}));
        server.get("kv/data/removed").refused(404, "");
        assert_eq!(server.get("kv/data/deleted").expect(404).json()["data"]["metadata"]["destroyed"], false);
        assert_eq!(server.get("kv/data/destroyed").expect(404).json()["data"]["metadata"]["destroyed"], true);
    };
    check();
    server.core.tick();
    check();
    server.post("kv/undelete/deleted", &json!({"versions": [1]})).expect(204);
    assert_eq!(server.get("kv/data/deleted").data()["data"], json!({"v": 1}));
}

/// The server ends in the middle of the conversion, twice, and each time the next one goes on.
#[test]
fn a_conversion_resumes_after_a_restart() {
    const SECRETS: usize = 11_000;
    let (mut server, key) = start();
    for number in 0..SECRETS {
        server.post(&format!("kv/{}/{number}", number % 7), &json!({"number": number})).expect(204);
    }
    upgrade(&server);
    let mut left = SECRETS;
    while left > 0 {
        server.core.tick();
        let before = std::mem::replace(&mut left, unconverted(&server));
        assert!(left < before, "{left} of {before} are left");
        server = TestServer::restarted(server.store.clone(), &key);
        for number in (0..SECRETS).step_by(97) {
            let read = server.get(&format!("kv/data/{}/{number}", number % 7)).data();
            assert_eq!((&read["data"]["number"], &read["metadata"]["version"]), (&json!(number), &json!(1)));
        }
        let names =
            |folder: usize| server.list(&format!("kv/metadata/{folder}")).data()["keys"].as_array().map(Vec::len);
        assert_eq!((0..7).filter_map(names).sum::<usize>(), SECRETS);
    }
}

/// Clients read and write all the time; nothing that was acknowledged is lost, by whatever version of the mount.
#[test]
fn nothing_is_lost_while_clients_go_on() {
    const CLIENTS: usize = 4;
    const PATHS: usize = 25;
    let (server, _) = start();
    let is_over = AtomicBool::new(false);
    let written: Vec<BTreeMap<String, u64>> = thread::scope(|scope| {
        let work = |client: usize| {
            let mut connection = server.connect();
            let mut written = BTreeMap::new();
            for number in 1_u64.. {
                let path = format!("{client}/{}", number % PATHS as u64);
                let plain = request("POST", &format!("kv/{path}")).json(&json!({"number": number}));
                let versioned = request("POST", &format!("kv/data/{path}")).json(&json!({"data": {"number": number}}));
                // A path of version 1 is none of version 2, and the other way round it is another secret: `data/…`.
                let upgraded = connection.send(&request("GET", "kv/config")).unwrap().status == 200;
                let answer = connection.send(if upgraded { &versioned } else { &plain }).unwrap();
                if matches!(answer.status, 200 | 204) {
                    written.insert(path.clone(), number);
                }
                let expected = written.get(&path).copied();
                let read = connection.send(&request("GET", &format!("kv/data/{path}"))).unwrap();
                if read.status == 200 && upgraded {
                    assert_eq!(read.data()["data"]["number"].as_u64(), expected, "{path}");
                }
                if is_over.load(Ordering::SeqCst) && upgraded {
                    break;
                }
            }
            written
        };
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
        while server.list("kv").status == 404 {}
        upgrade(&server);
        server.core.tick();
        server.core.tick();
        is_over.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for (path, number) in written.iter().flatten() {
        assert_eq!(server.get(&format!("kv/data/{path}")).data()["data"]["number"], *number, "{path}");
    }
    assert_eq!(unconverted(&server), 0);
}

#[test]
fn version_2_stays_version_2() {
    let (server, _) = start();
    upgrade(&server);
    let back = server.post("sys/mounts/kv/tune", &json!({"options": {"version": "1"}}));
    assert_eq!((back.status, back.error()), (400, "cannot downgrade mount from version 2".to_owned()));
    assert_eq!(server.get("kv/config").data()["max_versions"], Value::from(0));
}
