//! What is too large, too long or too many is refused by name, and nothing that comes next suffers.

use std::io::ErrorKind;

use serde_json::json;

use coffer::http;
use coffer::server::Limits;

use crate::client::request;
use crate::server::{TestServer, limits};

fn with_bodies(bodies: http::Limits) -> TestServer {
    TestServer::with_limits(Limits { http: bodies, ..limits() })
}

/// `{"plaintext":"","pad":"xx…"}` of so many bytes.
fn padded(bytes: usize) -> String {
    let (head, tail) = (r#"{"plaintext":"","pad":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[test]
fn a_body_of_32_mib_is_taken_and_one_byte_more_is_not() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let send = |bytes| server.send(&request("POST", "transit/encrypt/k").body(padded(bytes)));
    send(32 << 20).expect(200);
    send((32 << 20) + 1).refused(413, "http: request body too large");
    send(100).expect(200);
}

/// The announced length is enough to refuse: the bytes need not come.
#[test]
fn a_body_that_is_announced_too_long_is_refused_before_it_comes() {
    let server = TestServer::start();
    let head = |bytes: u64, more: &str| {
        format!(
            "POST /v1/transit/encrypt/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: {bytes}\r\n{more}\r\n"
        )
    };
    for (bytes, more) in [
        (33_554_433, "Expect: 100-continue\r\n"),
        (1 << 40, "Expect: 100-continue\r\n"),
        (1 << 40, ""),
        (u64::MAX - 2, ""),
    ] {
        let mut connection = server.connect();
        connection.write(head(bytes, more).as_bytes());
        connection.answer().unwrap().refused(413, "http: request body too large");
        assert!(connection.rest().is_empty(), "the connection has to close: what follows could be the body");
    }
}

/// A body in chunks has no announced length; its bytes count.
#[test]
fn chunks_are_counted() {
    let server = with_bodies(http::Limits { body_bytes_max: 1000, ..http::Limits::default() });
    server.post("transit/keys/k", &json!({})).expect(200);
    for (bytes, status) in [(1000, 200), (1001, 413), (5000, 413)] {
        let body = padded(bytes);
        let chunk = |text: &[u8]| format!("{:x};ext=1\r\n{}\r\n", text.len(), String::from_utf8_lossy(text));
        let chunks = body.as_bytes().chunks(300).map(chunk).collect::<Vec<_>>().concat();
        let mut connection = server.connect();
        connection.write(format!(
            "POST /v1/transit/encrypt/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nTrailer: x\r\n\r\n"
        ).as_bytes());
        assert_eq!(connection.answer().unwrap().status, status, "{bytes}");
    }
}

/// Regression R60: many senders of large bodies took all the memory.
#[test]
fn all_bodies_together_have_a_limit() {
    let server = with_bodies(http::Limits { bodies_bytes_max: 300_000, ..http::Limits::default() });
    server.post("transit/keys/k", &json!({})).expect(200);
    let head =
        "POST /v1/transit/encrypt/k HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: 250001\r\n\r\n";
    let large = request("POST", "transit/encrypt/k").body(padded(100_000));
    let is_held = || {
        let mut holder = server.connect();
        holder.write(&[head.as_bytes(), &padded(250_001).as_bytes()[..250_000]].concat());
        // As soon as the server has read what the holder sent, there is no room for another.
        let Some(refused) = (0..200).map(|_| server.send(&large)).find(|answer| answer.status != 200) else {
            return false;
        };
        refused.refused(503, "too many large requests at one time; try again");
        assert_eq!(refused.header("retry-after"), Some("1"));
        server.send(&request("POST", "transit/encrypt/k").body(padded(1000))).expect(200);
        holder.write(b"}");
        holder.answer().unwrap().status == 200
    };
    // One of the others may be there before all of the holder's has been read, and then it is the holder that is refused.
    assert!((0..20).any(|_| is_held()));
    server.send(&large).expect(200);
}

#[test]
fn heads_have_a_limit() {
    let server = TestServer::start();
    let long = |bytes: usize| request("GET", "sys/health").header("X-Long", &"x".repeat(bytes));
    assert_eq!(server.connect().send(&long(60_000)).unwrap().status, 200);
    assert_eq!(server.connect().send(&long(140_000)).unwrap().status, 431);
    let many =
        |count| (0..count).fold(request("GET", "sys/health"), |request, at| request.header(&format!("X-{at}"), "x"));
    assert_eq!(server.connect().send(&many(90)).unwrap().status, 200);
    assert_eq!(server.connect().send(&many(110)).unwrap().status, 431);
}

#[test]
fn tokens_and_paths_have_a_limit() {
    let server = TestServer::start();
    server.send(&request("GET", "sys/mounts").token(&"x".repeat(8192))).refused(403, "permission denied");
    server.send(&request("GET", "sys/mounts").token(&"x".repeat(8193))).refused(431, "the token is too long");
    let text = "the path is too long or has too many segments";
    server.get(&"x".repeat(4096)).expect(404);
    server.get(&"x".repeat(4097)).refused(414, text);
    server.get(&vec!["x"; 64].join("/")).expect(404);
    server.get(&vec!["x"; 65].join("/")).refused(414, text);
    let pairs = |count: usize| (0..count).map(|at| format!("p{at}=1")).collect::<Vec<_>>().join("&");
    server.get(&format!("sys/health?{}", pairs(1000))).expect(200);
    server.get(&format!("sys/health?{}", pairs(1001))).refused(400, "more than 1000 parameters");
}

#[test]
fn connections_have_a_limit() {
    let server = TestServer::with_limits(Limits { connections_max: 2, ..limits() });
    let mut second = server.connect();
    assert_eq!(second.send(&request("GET", "sys/health")).unwrap().status, 200);
    // The third is not served while there are two, and is when one has gone.
    let mut third = server.connect();
    third.write(&request("GET", "sys/health").bytes());
    assert_eq!(third.look(), Err(ErrorKind::WouldBlock));
    drop(second);
    assert_eq!(third.answer().unwrap().status, 200);
}

#[test]
fn one_address_has_its_share() {
    let server = TestServer::with_limits(Limits { connections_per_address_max: 2, ..limits() });
    let mut second = server.connect();
    assert_eq!(second.send(&request("GET", "sys/health")).unwrap().status, 200);
    let mut third = server.connect();
    third.write(&request("GET", "sys/health").bytes());
    assert!(third.rest().is_empty());
    drop(second);
    // The place is free again as soon as the server has seen the end of the second.
    while server.connect().send(&request("GET", "sys/health")).is_none() {}
}

/// All connections of a proxy were those of one address: behind it everybody together had what one client has.
#[test]
fn behind_a_proxy_each_of_its_clients_has_a_share() {
    let server = TestServer::behind_proxy(Limits { connections_per_address_max: 2, ..limits() });
    let of = |client: u8| {
        let mut connection = server.connect();
        connection.write(format!("PROXY TCP4 192.0.2.{client} 127.0.0.1 1 2\r\n").as_bytes());
        let status = connection.send(&request("GET", "sys/health").without_token()).map(|answer| answer.status);
        (connection, status)
    };
    let kept = [1, 2, 3, 1, 2, 3].map(of);
    assert!(kept.iter().all(|(_, status)| *status == Some(200)));
    assert_eq!(of(2).1, None, "the third of one client");
    drop(kept);
    while of(2).1.is_none() {}
}
