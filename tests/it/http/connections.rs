//! Connections: kept, waited for, given up, and ended in order.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use coffer::http;
use coffer::server::Limits;

use crate::client::{Connection, Request, request};
use crate::server::{TestServer, limits};

const SHORT: Duration = Duration::from_millis(100);
/// Time enough for a head that comes at once.
const LESS_SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(10);

/// Limits of which none but those that a test sets are ever reached.
fn patient() -> Limits {
    Limits { head_time_max: LONG, idle_time_max: LONG, stall_time_max: LONG, ..limits() }
}

#[test]
fn a_connection_serves_many_requests_also_when_they_come_at_once() {
    let server = TestServer::start();
    let mut connection = server.connect();
    for _ in 0..100 {
        assert_eq!(connection.send(&request("GET", "sys/health")).unwrap().status, 200);
    }
    let both = [request("GET", "sys/mounts"), request("GET", "sys/nowhere"), request("GET", "sys/init")];
    connection.write(&both.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    assert_eq!([200, 404, 200].map(|_| connection.answer().unwrap().status), [200, 404, 200]);
}

#[test]
fn a_client_may_say_that_it_is_done() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.write(&request("GET", "sys/health").bytes());
    connection.finish();
    assert_eq!(connection.answer().unwrap().status, 200);
    assert!(connection.rest().is_empty());
    let answer = server.connect().send(&request("GET", "sys/health").header("Connection", "close")).unwrap();
    assert_eq!(answer.header("connection"), Some("close"));
}

/// Slowloris: a head that never ends.
#[test]
fn a_slow_head_is_given_up() {
    let server = TestServer::with_limits(Limits { head_time_max: SHORT, ..patient() });
    for begun in ["", "G", "GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut connection = server.connect();
        connection.write(begun.as_bytes());
        assert!(connection.rest().is_empty(), "{begun}");
    }
    // Also the head of a later request.
    let mut connection = server.connect();
    assert_eq!(connection.send(&request("GET", "sys/health")).unwrap().status, 200);
    connection.write(b"GET /v1/sys/he");
    assert!(connection.rest().is_empty());
}

#[test]
fn an_idle_connection_is_given_up() {
    let server = TestServer::with_limits(Limits { idle_time_max: SHORT, head_time_max: LESS_SHORT, ..patient() });
    let mut connection = server.connect();
    assert_eq!(connection.send(&request("GET", "sys/health")).unwrap().status, 200);
    assert!(connection.rest().is_empty());
}

#[test]
fn a_slow_body_is_given_up_and_its_sender_told() {
    let bodies = http::Limits { body_grace: SHORT, body_time_max: SHORT, ..http::Limits::default() };
    let server = TestServer::with_limits(Limits { http: bodies, ..patient() });
    server.post("transit/keys/k", &json!({})).expect(200);
    let head = "POST /v1/transit/encrypt/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: 18\r\n\r\n";
    for begun in ["", "{\"plain"] {
        let mut connection = server.connect();
        connection.write([head, begun].concat().as_bytes());
        connection.answer().unwrap().refused(408, "the request body did not arrive in time");
        assert!(connection.rest().is_empty(), "what comes late could be taken for a request");
    }
}

/// The rest of an answer that nobody reads stays in memory until its reader is given up.
#[test]
fn a_client_that_does_not_read_is_given_up() {
    let stall = Limits { stall_time_max: SHORT, drain_time_max: LONG, ..patient() };
    let mut server = TestServer::with_limits(stall);
    let mut deaf = server.connect();
    // More than the buffers on the way hold.
    let asked = request("POST", "transit/random/131072").body("{}").bytes();
    deaf.write(&asked.repeat(200));
    assert_eq!(deaf.look(), Ok(1));
    server.drain();
    server.join();
}

#[test]
fn a_body_that_breaks_off_runs_nothing() {
    let server = TestServer::start();
    let before = server.stored();
    let mut connection = server.connect();
    connection
        .write(b"POST /v1/transit/keys/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: 10\r\n\r\n{}");
    connection.finish();
    if let Some(answer) = connection.answer() {
        answer.refused(400, "");
    }
    assert!(connection.rest().is_empty());
    assert_eq!(server.stored(), before);
}

#[test]
fn a_client_that_waits_to_be_invited_is() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let mut connection = invited(&server);
    connection.write(b"{\"plaintext\":\"\"}");
    assert_eq!(connection.answer().unwrap().status, 200);
    // Who is refused anyway is not invited.
    let mut connection = server.connect();
    connection.write(HEAD.replace("transit/encrypt/k", "transit/encrypt/%2e%2e/k").as_bytes());
    connection.answer().unwrap().refused(400, "relative paths not supported");
}

const HEAD: &str = "POST /v1/transit/encrypt/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: 16\r\n\
                    Expect: 100-continue\r\n\r\n";

/// A connection with a request that the server has begun with: it waits for the body.
fn invited(server: &TestServer) -> Connection {
    let mut connection = server.connect();
    connection.write(HEAD.as_bytes());
    assert_eq!(connection.answer().unwrap().status, 100);
    connection
}

#[test]
fn a_server_that_ends_finishes_what_it_has_begun() {
    let mut server = TestServer::with_limits(Limits { drain_time_max: LONG, ..limits() });
    server.post("transit/keys/k", &json!({})).expect(200);
    let mut idle = server.connect();
    assert_eq!(idle.send(&request("GET", "sys/health")).unwrap().status, 200);
    let mut busy = invited(&server);
    server.drain();
    // The idle one ends, and with it the listener has gone; the busy one is not in a hurry.
    assert!(idle.rest().is_empty());
    assert!(TcpStream::connect(server.address).is_err());
    busy.write(b"{\"plaintext\":\"\"}");
    let answer = busy.answer().unwrap();
    assert!(answer.text_of("ciphertext").starts_with("vault:v1:"));
    assert!(busy.rest().is_empty());
    server.join();
}

#[test]
fn a_server_that_ends_does_not_wait_for_ever() {
    let mut server = TestServer::with_limits(Limits { drain_time_max: SHORT, ..patient() });
    server.post("transit/keys/k", &json!({})).expect(200);
    let mut stuck = invited(&server);
    server.drain();
    server.join();
    assert!(stuck.rest().is_empty());
}
