//! `cubbyhole/`: what is a token's own, and ends with it.

use std::thread;

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn ask(server: &TestServer, token: &str, method: &str, path: &str) -> Answer {
    server.send(&request(method, path).token(token))
}

fn keep(server: &TestServer, token: &str, path: &str, body: &Value) {
    server.send(&request("POST", path).token(token).json(body)).expect(204);
}

/// Keys of the store that belong to cubbyholes.
fn kept(server: &TestServer) -> Vec<String> {
    let keys = server.stored().into_keys().filter_map(|key| String::from_utf8(key).ok());
    keys.filter(|key| key.starts_with("platform/cubbyhole")).collect()
}

#[test]
fn nothing_of_it_outlives_its_token() {
    let server = TestServer::start();
    let maker = server.token(&json!({"policies": ["default", "root"], "ttl": "2h"}));
    let made = request("POST", "auth/token/create").token(&maker).json(&json!({"id": "child", "ttl": "1h"}));
    let before: Vec<_> = server.stored().into_keys().collect();
    for way in ["revoked", "expired", "its maker is revoked"] {
        server.send(&made).expect(200);
        for path in ["cubbyhole/a", "cubbyhole/a/b", "cubbyhole/deep/er/still"] {
            keep(&server, "child", path, &json!({"way": way}));
        }
        ask(&server, "child", "DELETE", "cubbyhole/a").expect(204);
        match way {
            "revoked" => drop(ask(&server, "child", "POST", "auth/token/revoke-self").expect(204)),
            "expired" => server.clock.advance(std::time::Duration::from_hours(1)),
            _ => drop(ask(&server, &maker, "POST", "auth/token/revoke-self").expect(204)),
        }
        ask(&server, "child", "GET", "cubbyhole/a/b").refused(403, "permission denied");
        server.core.tick();
        assert_eq!(kept(&server), Vec::<String>::new(), "{way}");
        if way == "revoked" {
            assert_eq!(server.stored().into_keys().collect::<Vec<_>>(), before);
        }
    }
}

/// A token that is made later is another one, even before the old one's cubbyhole is deleted.
#[test]
fn a_token_of_the_same_name_begins_with_nothing() {
    let server = TestServer::start();
    let make = || server.token(&json!({"id": "same", "policies": ["default"]}));
    make();
    keep(&server, "same", "cubbyhole/x", &json!({"of": "the first"}));
    ask(&server, "same", "POST", "auth/token/revoke-self").expect(204);
    make();
    ask(&server, "same", "GET", "cubbyhole/x").expect(404);
    keep(&server, "same", "cubbyhole/x", &json!({"of": "the second"}));
    server.core.tick();
    assert_eq!(ask(&server, "same", "GET", "cubbyhole/x").data(), json!({"of": "the second"}));
    ask(&server, "same", "POST", "auth/token/revoke-self").expect(204);
    server.core.tick();
    assert_eq!(kept(&server), Vec::<String>::new());
}

#[test]
fn what_is_written_while_the_token_ends_does_not_stay() {
    let server = TestServer::start();
    for _ in 0..20 {
        let token = server.token(&json!({"policies": ["default"]}));
        let write = |writer: usize| {
            let mut connection = server.connect();
            for number in 0.. {
                let path = format!("cubbyhole/{writer}/{number}");
                let write = request("POST", &path).token(&token).json(&json!({"n": number}));
                match connection.send(&write).unwrap().status {
                    204 => {}
                    403 => return number,
                    other => panic!("{other}"),
                }
            }
            0
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || write(writer))).collect();
            // Not before something is there to be left behind.
            while kept(&server).is_empty() {}
            ask(&server, &token, "POST", "auth/token/revoke-self").expect(204);
            let written: i32 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
            assert!(written > 0);
        });
        server.core.tick();
        assert_eq!(kept(&server), Vec::<String>::new());
    }
}

#[test]
fn a_slash_at_the_end_makes_a_folder() {
    let server = TestServer::start();
    keep(&server, "root", "cubbyhole/a/b", &json!({"v": 1}));
    for path in ["cubbyhole/a", "cubbyhole/a/", "cubbyhole/a/b/"] {
        server.get(path).expect(404);
        server.delete(path).expect(204);
    }
    assert_eq!(server.get("cubbyhole/a/b").data(), json!({"v": 1}));
    for path in ["cubbyhole", "cubbyhole/"] {
        server.get(path).refused_wrapped(500, "missing path");
        server.delete(path).refused_wrapped(500, "missing path");
    }
    server.post("cubbyhole", &json!({"v": 1})).refused_wrapped(500, "missing path");
    server.post("cubbyhole/x", &json!({})).refused_wrapped(500, "missing data fields");
    let patch = request("PATCH", "cubbyhole/a/b").header("Content-Type", "application/merge-patch+json");
    server.send(&patch.json(&json!({"v": 2}))).refused_wrapped(405, "unsupported operation");
}

#[test]
fn lists_can_be_read_in_parts() {
    let server = TestServer::start();
    for name in ["a", "b", "c/x", "c/y", "d"] {
        keep(&server, "root", &format!("cubbyhole/{name}"), &json!({"v": 1}));
    }
    let check = |query: &str, expected: &[&str]| {
        let list = server.get(&format!("cubbyhole?list=true{query}"));
        if expected.is_empty() {
            assert_eq!(list.expect(404).json(), json!({"errors": []}), "{query}");
        } else {
            assert_eq!(list.expect(200).data()["keys"], json!(expected), "{query}");
        }
    };
    check("", &["a", "b", "c/", "d"]);
    check("&limit=2", &["a", "b"]);
    check("&after=b&limit=1", &["c/"]);
    check("&after=c/", &["d"]);
    check("&after=d", &[]);
    check("&limit=-1", &["a", "b", "c/", "d"]);
}

#[test]
fn secrets_are_told_as_they_came() {
    let server = TestServer::start();
    let body = r#"{"big":123456789012345678901234567890,"float":1.0,"e":1e400,"path":"of its own","x":{"<":"&"}}"#;
    server.send(&request("POST", "cubbyhole/x").body(body)).expect(204);
    let told = server.get("cubbyhole/x").expect(200).text();
    for part in ["123456789012345678901234567890", "\"float\":1.0", "1e400", "\"path\":\"of its own\""] {
        assert!(told.contains(part), "{told}");
    }
}
