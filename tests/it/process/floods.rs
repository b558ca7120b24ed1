//! Strangers who send much of what costs them little: it costs the server no memory, and nobody else anything.

use std::fs;
use std::io::{self, Write};
use std::net::Shutdown;
use std::thread;

use serde_json::json;

use super::{Process, Scratch};
use crate::client::{PATIENCE, request};
use crate::http::h2::{DATA, END_HEADERS, GET, HEADERS, POST, PREFACE, SETTINGS, frame, headers};

impl Process {
    /// The memory that it has now.
    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }
}

/// Sends so many rounds of frames behind a greeting, while all that comes back is thrown away. Returns whether the server
/// closed the connection before the last.
fn flood(server: &Process, rounds: u32, round: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut stream = server.stream(0);
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut back = stream.try_clone().unwrap();
    let reader = thread::spawn(move || io::copy(&mut back, &mut io::sink()));
    let begun = stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    let closed = begun.is_err() || (0..rounds).any(|at| stream.write_all(&round(at)).is_err());
    let _ = stream.shutdown(Shutdown::Both);
    let _ = reader.join().unwrap();
    closed
}

/// Regression R70: frames of HTTP/2 that cost nothing to send kept a server busy, or were kept.
#[test]
fn floods_of_frames_end_their_own_connection_only() {
    const ROUNDS: u32 = 100;
    const FRAMES: u32 = 1000;
    const GROWTH_BYTES_MAX: usize = 20 << 20;
    const RST_STREAM: u8 = 3;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    let opened = |id: u32, flags: u8| frame(HEADERS, flags, id, &headers(POST, "/v1/sys/health", &[]));
    let repeated = |frame: Vec<u8>| frame.repeat(usize::try_from(FRAMES).unwrap());
    let before = server.resident_bytes();
    let check = |name: &str, closed: Option<bool>, round: &dyn Fn(u32) -> Vec<u8>| {
        let ended = flood(&server, ROUNDS, round);
        assert!(closed.is_none_or(|closed| closed == ended), "{name}: closed {ended}");
        server.connect(0).send(&request("GET", "sys/health").without_token()).unwrap().expect(200);
        let growth = server.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_BYTES_MAX, "{name}: {growth} bytes more");
    };
    check("headers that do not end", Some(true), &|at| match at {
        0 => opened(1, 0),
        _ => repeated(frame(CONTINUATION, 0, 1, &[0x00, 0x01, b'a', 0x01, b'b'].repeat(20))),
    });
    check("requests that are taken back at once", Some(true), &|at| {
        let ids = (0..FRAMES).map(|n| 1 + 2 * (at * FRAMES + n));
        let get = headers(GET, "/v1/sys/health", &[]);
        ids.flat_map(|id| [frame(HEADERS, END_HEADERS | 1, id, &get), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat())
            .collect()
    });
    check("data without data", None, &|at| match at {
        0 => opened(1, END_HEADERS),
        _ => repeated(frame(DATA, 0, 1, &[])),
    });
    check("settings", None, &|_| repeated(frame(SETTINGS, 0, 0, &[])));
    check("pings", None, &|_| repeated(frame(PING, 0, 0, &[0; 8])));
}

/// Regression R62: what strangers may ask for left something in memory each time.
#[test]
fn calls_of_strangers_leave_nothing_in_memory() {
    const CALLS: usize = 1000;
    const GROWTH_BYTES_MAX: usize = 10 << 20;
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    for method in ["approle", "jwt"] {
        let mount = request("POST", &format!("sys/auth/{method}")).json(&json!({"type": method}));
        server.connect(0).send(&mount).unwrap().expect(204);
    }
    let mut connection = server.connect(0);
    let mut call = |round: usize, calls: usize| {
        for at in 0..calls {
            let name = format!("{round}-{at}-{}", "x".repeat(1024));
            for (method, path, body) in [
                ("POST", "auth/approle/login", json!({"role_id": name, "secret_id": name})),
                ("POST", "auth/jwt/login", json!({"role": name, "jwt": name})),
                ("GET", "identity/oidc/.well-known/keys", json!({})),
                ("POST", "identity/oidc/provider/default/token", json!({"code": name, "client_id": name})),
                ("POST", "sys/decode-token", json!({"encoded_token": name, "otp": name})),
                ("POST", "sys/init", json!({"secret_shares": 1, "secret_threshold": 1})),
                ("GET", "sys/internal/ui/mounts/secret", json!({})),
                ("POST", "sys/mfa/validate", json!({"mfa_request_id": name, "mfa_payload": {(name.clone()): [name]}})),
                ("POST", "sys/unseal", json!({"key": name})),
                ("POST", "sys/wrapping/lookup", json!({"token": name})),
                ("POST", "sys/wrapping/unwrap", json!({"token": name})),
                ("POST", "sys/generate-root/update", json!({"key": name, "nonce": name})),
                ("POST", "sys/rekey/update", json!({"key": name, "nonce": name})),
            ] {
                let asked = request(method, path).without_token();
                let asked = if method == "GET" { asked } else { asked.json(&body) };
                let answer = connection.send(&asked).unwrap();
                assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
            }
        }
    };
    call(0, CALLS / 4);
    let before = server.resident_bytes();
    call(1, CALLS);
    let growth = server.resident_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more");
}
