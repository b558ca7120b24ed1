//! Proxies in front of the server: whom it believes about the addresses of clients.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::json;

use super::{Process, Scratch};
use crate::client::request;

/// Listeners behind the one of dev mode, and a token for the address 192.0.2.1 only.
fn start(scratch: &Scratch, attributes: &[&str]) -> (Process, String) {
    let listeners = attributes.iter().map(|attributes| {
        format!("listener \"tcp\" {{\n address = \"127.0.0.1:0\"\n tls_disable = true\n {attributes}\n}}\n")
    });
    let server = Process::start_dev(scratch, &listeners.collect::<String>());
    let bound = json!({"type": "service", "policies": ["default"], "allowed_policies": ["default"]});
    let mut connection = server.connect(0);
    let role = json!({"token_bound_cidrs": ["192.0.2.1/32"], "allowed_policies": ["default"]});
    connection.send(&request("POST", "auth/token/roles/bound").json(&role)).unwrap().expect(204);
    let made = connection.send(&request("POST", "auth/token/create/bound").json(&bound)).unwrap().expect(200);
    (server, made.json()["auth"]["client_token"].as_str().unwrap().to_owned())
}

#[test]
fn a_proxy_tells_the_address_of_its_client_in_front_of_all_else() {
    let scratch = Scratch::new();
    let (server, token) = start(
        &scratch,
        &[
            "proxy_protocol_behavior = \"use_always\"",
            "proxy_protocol_behavior = \"allow_authorized\"\n proxy_protocol_authorized_addrs = \"10.0.0.0/8\"",
            "proxy_protocol_behavior = \"deny_unauthorized\"\n proxy_protocol_authorized_addrs = \"10.0.0.0/8\"",
        ],
    );
    let look_up = request("GET", "auth/token/lookup-self").token(&token);
    let through = |listener: usize, prelude: &[u8]| {
        let mut connection = server.connect(listener);
        connection.write(prelude);
        connection.send(&look_up).map(|answer| answer.status)
    };
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x7f\0\0\x01\0\x01\0\x02";
    assert_eq!(through(1, b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"), Some(200));
    assert_eq!(through(1, v2), Some(200));
    assert_eq!(through(1, b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), Some(200), "it is the same address");
    assert_eq!(through(1, b"PROXY TCP4 192.0.2.2 127.0.0.1 1 2\r\n"), Some(403));
    assert_eq!(through(1, b""), Some(403), "one that has no header speaks for itself");
    assert_eq!(through(2, b""), Some(403));
    let mut connection = server.connect(2);
    connection.write(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n");
    let answer = connection.send(&look_up);
    assert_eq!(answer.map(|answer| answer.status), Some(400), "it is not asked for here");
    assert!(server.connect(3).rest().is_empty(), "only proxies may connect");
}

/// Regression R61: one malformed header of a proxy stopped the listener.
#[test]
fn a_malformed_header_of_a_proxy_ends_its_own_connection_only() {
    let scratch = Scratch::new();
    let (server, _) = start(&scratch, &["proxy_protocol_behavior = \"use_always\""]);
    let mut witness = server.connect(1);
    assert_eq!(witness.send(&request("GET", "sys/health")).unwrap().status, 200);
    let signature = b"\r\n\r\n\0\r\nQUIT\n".as_slice();
    let mut malformed: Vec<Vec<u8>> = [
        b"PROXY TCP4 1 2 3 4\r\n".as_slice(),
        b"PROXY TCP9 192.0.2.1 127.0.0.1 1 2\r\n",
        b"PROXY \r\n\r\n\r\n\r\n\r\n\r\n",
        b"PROXY UNKNOWN\n",
        b"PROXY",
    ]
    .map(<[u8]>::to_vec)
    .into();
    malformed.push([b"PROXY ".as_slice(), &[b'x'; 500]].concat());
    for tail in
        [[0_u8, 0, 0, 0].as_slice(), &[0x21, 0x11, 0xff, 0xff], &[0x21, 0x11, 0, 4, 1, 2, 3, 4], &[0x21], &[0xff; 8]]
    {
        malformed.push([signature, tail].concat());
    }
    malformed
        .extend((0..=255).map(|byte| [signature, &[byte, 0x12, 0, 1, 7]].concat()).filter(|head| head[12] != 0x20));
    for header in &malformed {
        let mut stream = server.stream(1);
        // The server may be faster, and have ended it.
        let _ = stream.write_all(header).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(witness.send(&request("GET", "sys/health")).unwrap().status, 200);
    assert_eq!(server.connect(1).send(&request("GET", "sys/health")).unwrap().status, 200);
}

#[test]
fn x_forwarded_for_is_believed_of_those_who_may_say_it() {
    let scratch = Scratch::new();
    let (server, token) = start(
        &scratch,
        &[
            "x_forwarded_for_authorized_addrs = \"127.0.0.1\"\n x_forwarded_for_hop_skips = 1",
            "x_forwarded_for_authorized_addrs = \"10.0.0.1\"",
            "x_forwarded_for_authorized_addrs = \"10.0.0.1\"\n x_forwarded_for_reject_not_authorized = false",
        ],
    );
    let look_up = request("GET", "auth/token/lookup-self").token(&token);
    let from = |listener: usize, chain: &str| {
        server.connect(listener).send(&look_up.clone().header("X-Forwarded-For", chain)).unwrap()
    };
    from(1, "192.0.2.1, 10.1.1.1").expect(200);
    from(1, "192.0.2.2, 10.1.1.1").expect(403);
    from(0, "192.0.2.1, 10.1.1.1").expect(403);
    let missing = "missing x-forwarded-for header and configured to reject when not present";
    server.connect(1).send(&look_up).unwrap().refused(400, missing);
    let stranger = "client address not authorized for x-forwarded-for and configured to reject connection";
    from(2, "192.0.2.1").refused(400, stranger);
    from(3, "192.0.2.1").expect(403);
}
