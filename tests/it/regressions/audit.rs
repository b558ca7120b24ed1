//! The audit trail on a disk that is full: no request is answered as failed that was applied.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Connection, request};
use crate::server::ROOT;

/// A server that writes its audit file to a little disk of its own, which only it and its children see.
struct Server {
    process: Child,
    connection: Connection,
    disk: PathBuf,
}

impl Server {
    /// `None` where the system lets nobody make disks.
    fn start(disk_bytes: u64) -> Option<Self> {
        let disk = std::env::temp_dir().join(format!("coffer-full-{}", std::process::id()));
        fs::create_dir_all(&disk).unwrap();
        let script = format!(
            "mount -t tmpfs -o size={disk_bytes} tmpfs '{}' && exec '{}' server -dev -dev-root-token-id={ROOT} \
             -dev-no-store-token -dev-listen-address=127.0.0.1:0 -log-level=off",
            disk.display(),
            env!("CARGO_BIN_EXE_coffer"),
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.split_once("VAULT_ADDR='http://")?.1.trim_end_matches('\'').to_owned()));
        let Some(address) = address else {
            let _ = process.wait();
            return None;
        };
        let address: SocketAddr = address.parse().unwrap();
        // The same disk, as the process sees it.
        let seen = PathBuf::from(format!("/proc/{}/root", process.id())).join(disk.strip_prefix("/").unwrap());
        Some(Self { process, connection: Connection::open(address), disk: seen })
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> u16 {
        self.connection.send(&request(method, path).json(body)).unwrap().status
    }

    fn trail(&self) -> PathBuf {
        self.disk.join("trail")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How many entries there are of the request for a path. That of its answer may say no more than which one it is.
fn entries_of(trail: &str, path: &str) -> usize {
    let entries = trail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let entries: Vec<_> = entries.map(|entry| entry["request"].clone()).collect();
    let asked = entries.iter().find(|request| request["path"] == path);
    asked.map_or(0, |asked| entries.iter().filter(|request| request["id"] == asked["id"]).count())
}

/// Regression R51: what could not be noted was done all the same. The disk is full at each byte of both entries in turn.
#[test]
fn no_byte_of_a_full_disk_leaves_a_request_in_doubt() {
    // What the device keeps free, and room for some entries.
    const DISK_BYTES: u64 = (1 << 20) + (8 << 10);
    // More than both entries of one request have.
    const OFFSETS: usize = 2_600;
    let Some(mut server) = Server::start(DISK_BYTES) else {
        eprintln!("not run: `unshare --user --mount` is not allowed here");
        return;
    };
    let file = json!({"file_path": std::env::temp_dir().join(format!("coffer-full-{}/trail", std::process::id()))});
    assert_eq!(server.send("POST", "sys/mounts/kv", &json!({"type": "kv"})), 204);
    assert_eq!(server.send("POST", "sys/audit/trail", &json!({"type": "file", "options": file})), 204);
    let (mut applied, mut refused) = (0, 0);
    for offset in 0..OFFSETS {
        fs::write(server.trail(), "x".repeat(offset) + "\n").unwrap();
        let mut answers = Vec::new();
        for number in 0.. {
            let status = server.send("POST", &format!("kv/{offset}-{number}"), &json!({"a": "b"}));
            answers.push(status);
            if status != 204 {
                break;
            }
        }
        let trail = fs::read_to_string(server.trail()).unwrap();
        for (number, status) in answers.into_iter().enumerate() {
            let path = format!("kv/{offset}-{number}");
            let entries = entries_of(&trail, &path);
            // There is room to look what became of it.
            fs::write(server.trail(), "").unwrap();
            let is_there = server.send("GET", &path, &Value::Null) == 200;
            assert_eq!(is_there, status == 204, "{path} was answered with {status}: {entries} entries");
            assert!(status != 204 || entries == 2, "{path} was answered with {status} and has {entries} entries");
            if is_there { applied += 1 } else { refused += 1 }
        }
        assert!(trail.lines().skip(1).all(|line| serde_json::from_str::<Value>(line).is_ok()), "{offset}: {trail}");
    }
    assert!(refused == OFFSETS && applied > OFFSETS, "{applied} requests were applied, {refused} refused");
}
