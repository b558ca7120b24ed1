//! HTTP/2 without TLS, known beforehand (RFC 9113, 3.3), byte by byte.

use serde_json::Value;

use crate::client::Connection;
use crate::server::TestServer;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

fn write(connection: &mut Connection, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    connection.write(&frame(kind, flags, stream, payload));
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn read(connection: &mut Connection) -> Frame {
    let head = connection.take(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload = connection.take(usize::try_from(length).unwrap());
    Frame { kind: head[3], flags: head[4], stream, payload }
}

fn greet(server: &TestServer) -> Connection {
    let mut connection = server.connect();
    connection.write(PREFACE);
    write(&mut connection, SETTINGS, 0, 0, &[]);
    let settings = read(&mut connection);
    assert_eq!((settings.kind, settings.flags & 1, settings.stream), (SETTINGS, 0, 0));
    write(&mut connection, SETTINGS, 1, 0, &[]);
    connection
}

/// HPACK (RFC 7541) without a table: `:method`, `:scheme` by index, all else literally.
pub(crate) fn headers(method: u8, path: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut block = [&[method, 0x86, 0x04][..], &text(path), &[0x01], &text("coffer")].concat();
    for (name, value) in others {
        block.extend([&[0][..], &text(name), &text(value)].concat());
    }
    block
}

pub(crate) const GET: u8 = 0x82;
pub(crate) const POST: u8 = 0x83;

/// The first byte of the answer's headers, and its body.
fn answer(connection: &mut Connection, stream: u32) -> (u8, Vec<u8>) {
    let (mut status, mut body) = (0, Vec::new());
    loop {
        let frame = read(connection);
        if frame.stream != stream {
            assert_ne!(frame.kind, GOAWAY, "{:?}", frame.payload);
            continue;
        }
        match frame.kind {
            HEADERS => status = frame.payload[0],
            DATA => body.extend(&frame.payload),
            other => panic!("a frame of type {other}"),
        }
        if frame.flags & END_STREAM != 0 {
            return (status, body);
        }
    }
}

#[test]
fn requests_share_a_connection() {
    let server = TestServer::start();
    let mut connection = greet(&server);
    write(&mut connection, HEADERS, END_STREAM | END_HEADERS, 1, &headers(GET, "/v1/sys/health", &[]));
    let (status, body) = answer(&mut connection, 1);
    // Index 8 of the static table: `:status: 200`.
    assert_eq!(status, 0x88);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["initialized"], true);

    let block = headers(POST, "/v1/transit/encrypt/k", &[("x-vault-token", "root")]);
    write(&mut connection, HEADERS, END_HEADERS, 3, &block);
    write(&mut connection, DATA, END_STREAM, 3, br#"{"plaintext":""}"#);
    let (status, body) = answer(&mut connection, 3);
    assert_eq!(status, 0x88, "{}", String::from_utf8_lossy(&body));
    let ciphertext = serde_json::from_slice::<Value>(&body).unwrap()["data"]["ciphertext"].take();
    assert!(ciphertext.as_str().unwrap().starts_with("vault:v1:"));
}

/// One stream that ends badly ends nothing else, and one that breaks the protocol ends its connection only.
#[test]
fn a_broken_stream_is_no_matter_for_others() {
    let server = TestServer::start();
    let mut connection = greet(&server);
    write(&mut connection, HEADERS, END_HEADERS, 1, &headers(POST, "/v1/transit/keys/k", &[("x-vault-token", "root")]));
    let (reset, cancel) = (3, 8_u32.to_be_bytes());
    write(&mut connection, reset, 0, 1, &cancel);
    write(&mut connection, HEADERS, END_STREAM | END_HEADERS, 3, &headers(GET, "/v1/sys/health", &[]));
    assert_eq!(answer(&mut connection, 3).0, 0x88);
    // Data for a stream that was never opened.
    write(&mut connection, DATA, END_STREAM, 99, b"{}");
    while read(&mut connection).kind != GOAWAY {}
    server.get("sys/health").expect(200);
    server.get("transit/keys/k").expect(404);
}

#[test]
fn what_only_begins_like_http_2_is_nothing() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.write(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxx");
    connection.finish();
    connection.rest();
    server.get("sys/health").expect(200);
}
