//! `sys/monitor`: the log, read along while the server runs.

use std::net::TcpStream;

use super::{Process, Scratch};
use crate::client::{Connection, request};

/// Reads the log along, at a level and in a format; the head of the answer is read.
fn monitor(server: &Process, query: &str) -> Connection {
    let mut connection = server.connect(0);
    connection.write(&request("GET", &format!("sys/monitor?{query}")).bytes());
    assert_eq!(connection.line().unwrap(), "HTTP/1.1 200 OK", "{query}");
    while !connection.line().unwrap().is_empty() {}
    connection
}

/// The next line of the log that has a text in it.
#[track_caller]
fn line_with(connection: &mut Connection, text: &str) -> String {
    loop {
        let line = connection.line().unwrap();
        if line.contains(text) {
            return line;
        }
    }
}

/// Has the server log a line, at the level `debug`.
fn break_off(server: &Process) {
    let mut connection = Connection::<TcpStream>::over(server.stream(0));
    connection.write(b"no HTTP\r\n\r\n");
    connection.rest();
}

#[test]
fn the_log_is_read_along_at_another_level_than_its_own() {
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "log_level = \"info\"");
    let mut standard = monitor(&server, "log_level=debug");
    let mut json = monitor(&server, "log_level=DEBUG&log_format=json");
    break_off(&server);
    let line = line_with(&mut standard, "broke off");
    assert!(line.contains("Z [DEBUG] server: a connection broke off: error="), "{line}");
    let line: serde_json::Value = serde_json::from_str(&line_with(&mut json, "broke off")).unwrap();
    assert_eq!((&line["@level"], &line["remote"]), (&"debug".into(), &"127.0.0.1".into()));
    assert!(!server.log().contains("broke off"), "the log itself keeps its level");
}

#[test]
fn what_cannot_be_read_along_is_refused() {
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    for (query, text) in [
        ("log_level=loud", "unknown log level"),
        ("log_level=warning", "unknown log level"),
        ("log_level=1", "unknown log level"),
        ("log_format=xml", "unknown log format"),
        ("log_level=debug&log_format=text", "unknown log format"),
    ] {
        server.connect(0).send(&request("GET", &format!("sys/monitor?{query}"))).unwrap().refused(400, text);
    }
    server.connect(0).send(&request("GET", "sys/monitor").without_token()).unwrap().expect(403);
}

/// A client that has gone is noticed when it is written to, and its place is free again.
#[test]
fn readers_that_go_leave_nothing_behind() {
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    let mut read = 0;
    while read < 40 {
        let mut connection = server.connect(0);
        connection.write(&request("GET", "sys/monitor?log_level=debug").bytes());
        match connection.line().unwrap().as_str() {
            "HTTP/1.1 200 OK" => read += 1,
            "HTTP/1.1 503 Service Unavailable" => {}
            other => panic!("{other}"),
        }
        drop(connection);
        break_off(&server);
    }
}

/// What is read along did not end, so that the server did not either.
#[test]
fn the_end_of_the_server_ends_what_is_read_along() {
    let scratch = Scratch::new();
    let mut server = Process::start_dev(&scratch, "");
    let mut readers = [monitor(&server, "log_level=trace"), monitor(&server, "log_format=json")];
    assert_eq!(server.end().code(), Some(0));
    for reader in &mut readers {
        assert!(reader.rest().ends_with(b"0\r\n\r\n"), "the answer is whole");
    }
    assert!(!server.log().contains("requests were still running"), "{}", server.log());
}
