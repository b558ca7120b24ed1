//! What root finds of keys and plaintexts in the memory of a running server, and what a crash leaves of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use coffer::crypto::random::Random;
use coffer::entropy::Entropy;
use memchr::memmem;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Process, Scratch, coffer};
use crate::client::{Answer, b64, request};

const CONFIG: &str = "storage \"inmem\" {}\nlistener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n";

/// A server that was initialised and unsealed. Each request has a connection of its own: what a connection has read last
/// stays in its buffer while it is open.
struct Server {
    process: Process,
    unseal_key: String,
    token: String,
}

impl Server {
    fn start(scratch: &Scratch) -> Self {
        let process = Process::start(scratch, CONFIG);
        let init = request("PUT", "sys/init").without_token().json(&json!({"secret_shares": 1, "secret_threshold": 1}));
        let made = process.connect(0).send(&init).unwrap().expect(200).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (unseal_key, token) = (text(&made["keys_base64"][0]), text(&made["root_token"]));
        let server = Self { process, unseal_key, token };
        server.write("sys/unseal", &json!({"key": server.unseal_key}));
        server
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.process.connect(0).send(&request(method, path).token(&self.token).json(body)).unwrap();
        assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.text());
        answer
    }

    #[track_caller]
    fn write(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body)
    }

    /// Has the command line bring a key into transit: it comes wrapped.
    fn import(&self, name: &str, key: &[u8]) {
        let mut command = coffer();
        command.args(["transit", "import", &format!("transit/keys/{name}"), &b64(key), &format!("type={name}")]);
        command.env("VAULT_ADDR", format!("http://{}", self.process.addresses[0])).env("VAULT_TOKEN", &self.token);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Where root finds one of these in memory; an error where root may not look, or nobody is root.
    fn places(&self, wanted: &[Wanted]) -> io::Result<String> {
        let mut told = String::new();
        let visited = visit(self.process.child.id(), |mapping, start, bytes| {
            for Wanted { name, bytes: needle } in wanted {
                for at in memmem::find_iter(bytes, needle) {
                    let _ = writeln!(told, "{name} at {:x} of {mapping}", start + at as u64);
                }
            }
        });
        visited.map(|()| told)
    }

    /// Waits until none of these is in memory: what has just been answered is cleared away when its threads come to it, and
    /// what they left on their stacks when they do something else.
    #[track_caller]
    fn expect_none(&self, when: &str, wanted: &[Wanted]) {
        let mut told = String::new();
        for _ in 0..LOOKS_MAX {
            told = self.places(wanted).unwrap();
            if told.is_empty() {
                return;
            }
            for path in ["sys/health", "sys/seal-status", "sys/internal/ui/mounts"] {
                self.process.connect(0).send(&request("GET", path).without_token());
            }
            thread::sleep(PAUSE);
        }
        panic!("{when}:\n{told}");
    }
}

/// Bytes that should be nowhere.
struct Wanted {
    name: String,
    bytes: Vec<u8>,
}

fn wanted(name: &str, bytes: &[u8]) -> Wanted {
    Wanted { name: name.to_owned(), bytes: bytes.to_vec() }
}

/// A key, by any half of it: half a key that was overwritten tells the other half's place. And its text in base64, as it
/// came.
fn halves(name: &str, key: &[u8]) -> [Wanted; 3] {
    let (first, second) = key.split_at(key.len() / 2);
    let text = b64(key);
    [
        wanted(&format!("{name}, first half"), first),
        wanted(&format!("{name}, second half"), second),
        wanted(&format!("{name}, text"), text.trim_end_matches('=').as_bytes()),
    ]
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    Entropy.fill(&mut bytes);
    bytes
}

/// Shows all of a process's memory that root can read, in pieces that lie together. Pages that were never touched hold
/// nothing.
fn visit(process: u32, mut show: impl FnMut(&str, u64, &[u8])) -> io::Result<()> {
    let file = |name: &str| File::open(format!("/proc/{process}/{name}"));
    let (memory, pages) = (file("mem")?, file("pagemap")?);
    for mapping in fs::read_to_string(format!("/proc/{process}/maps"))?.lines() {
        let (range, rest) = mapping.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        if !rest.starts_with('r') || rest.ends_with("[vsyscall]") || rest.contains("[vvar") {
            continue;
        }
        let mut entries = vec![0; usize::try_from((to - from) / PAGE * 8).unwrap()];
        pages.read_exact_at(&mut entries, from / PAGE * 8)?;
        let present: Vec<bool> = entries.chunks_exact(8).map(|entry| entry[7] & (PRESENT | SWAPPED) != 0).collect();
        let mut start = from;
        for run in present.chunk_by(|a, b| a == b) {
            let len = run.len() as u64 * PAGE;
            let mut bytes = vec![0; if run[0] { usize::try_from(len).unwrap() } else { 0 }];
            // What cannot be read, nobody finds.
            if run[0] && memory.read_exact_at(&mut bytes, start).is_ok() {
                show(mapping, start, &bytes);
            }
            start += len;
        }
    }
    Ok(())
}

const PAGE: u64 = 4096;
/// Bits 63 and 62 of an entry in `/proc/PID/pagemap`.
const PRESENT: u8 = 0x80;
const SWAPPED: u8 = 0x40;
const LOOKS_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// What it lacks, if anything, to see something: an arena of `memfd_secret`, and the right to look at the rest.
fn lacking(server: &Server) -> Option<String> {
    let log = server.process.log();
    if log.contains("no memfd_secret") {
        return Some("this kernel has no memfd_secret".to_owned());
    }
    assert!(log.contains("(memfd_secret)"), "{log}");
    let mut mounts_seen = false;
    let looked = visit(server.process.child.id(), |_, _, bytes| {
        mounts_seen |= memmem::find(bytes, b"planted-mount").is_some();
    });
    if let Err(error) = looked {
        return Some(format!("the memory of another process cannot be read: {error}"));
    }
    assert!(mounts_seen, "what is no secret is found");
    None
}

#[test]
fn keys_are_nowhere_but_in_the_arena_and_plaintexts_go_with_their_requests() {
    let scratch = Scratch::new();
    let server = Server::start(&scratch);
    server.write("sys/mounts/planted-mount", &json!({"type": "kv"}));
    server.write("sys/mounts/transit", &json!({"type": "transit"}));
    if let Some(lacking) = lacking(&server) {
        println!("skipped: {lacking}");
        return;
    }
    let unseal_key = halves("the unseal key", &base64(&server.unseal_key));
    server.expect_none("unsealed", &unseal_key);

    let customer_key = random::<32>();
    let customer = halves("the customer's key", &customer_key);
    server.write("sys/customer-keys/planted", &json!({"key": b64(customer_key)}));
    server.expect_none("uploaded", &customer);
    let order = json!({"protector": "customer", "customer_key": "planted", "skip_proof": true});
    server.write("sys/mounts/planted-mount/protection", &order);
    let value = b64(random::<24>());
    server.write("planted-mount/secret", &json!({"value": value}));
    assert_eq!(server.send("GET", "planted-mount/secret", &json!({})).json()["data"]["value"], value);
    server.expect_none("the customer's key is in use", &customer);
    // The engine remembers secrets that were read, until the key is taken away.
    let secret = [wanted("the secret", value.as_bytes())];

    let transit: Vec<_> = KEY_TYPES.iter().map(|(kind, len)| (*kind, random::<32>()[..*len].to_vec())).collect();
    let mut wanted_keys = Vec::new();
    for (kind, key) in &transit {
        server.import(kind, key);
        use_key(&server, kind);
        server.expect_none("a key of transit is in use", &halves(kind, key));
        wanted_keys.extend(halves(kind, key));
    }
    for (kind, _) in &transit {
        server.write(&format!("transit/keys/{kind}/config"), &json!({"deletion_allowed": true}));
        server.send("DELETE", &format!("transit/keys/{kind}"), &json!({}));
    }
    server.expect_none("deleted", &wanted_keys);
    server.write("sys/customer-keys/planted/revoke", &json!({"confirm": "planted"}));
    server.expect_none("revoked", &customer);
    server.expect_none("revoked", &secret);
    server.write("sys/seal", &json!({}));
    server.expect_none("sealed", &unseal_key);
}

/// With the bytes of a key.
const KEY_TYPES: [(&str, usize); 6] = [
    ("aes128-gcm96", 16),
    ("aes256-gcm96", 32),
    ("chacha20-poly1305", 32),
    ("xchacha20-poly1305", 32),
    ("aes256-cmac", 32),
    ("hmac", 32),
];

/// Does with a key what it is for. What it is done to does not stay.
#[track_caller]
fn use_key(server: &Server, kind: &str) {
    let plaintext = random::<24>();
    let text = b64(plaintext);
    match kind {
        "hmac" | "aes256-cmac" => {
            let function = if kind == "hmac" { kind } else { "cmac" };
            server.write(&format!("transit/{function}/{kind}"), &json!({"input": text}));
        }
        _ => {
            let answer = server.write(&format!("transit/encrypt/{kind}"), &json!({"plaintext": text})).json();
            let again = json!({"ciphertext": answer["data"]["ciphertext"]});
            let answer = server.write(&format!("transit/decrypt/{kind}"), &again).json();
            assert_eq!(answer["data"]["plaintext"], text);
        }
    }
    server.expect_none(kind, &[wanted("the plaintext", &plaintext), wanted("the plaintext's text", text.as_bytes())]);
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.decode(text).unwrap()
}

/// The pages of the arena are there, and refused to whoever asks from outside.
#[test]
fn nobody_reads_the_arena_from_outside() {
    let scratch = Scratch::new();
    let server = Server::start(&scratch);
    server.write("sys/mounts/planted-mount", &json!({"type": "kv"}));
    if let Some(lacking) = lacking(&server) {
        println!("skipped: {lacking}");
        return;
    }
    let process = server.process.child.id();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let arena = maps.lines().find(|line| line.contains("secretmem")).unwrap();
    let start = u64::from_str_radix(arena.split('-').next().unwrap(), 16).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    assert!(memory.read_exact_at(&mut [0; 32], start).is_err(), "{arena}");
}

#[test]
fn a_crash_leaves_no_dump() {
    let scratch = Scratch::new();
    let mut server = Process::start(&scratch, CONFIG);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    server.signal(Signal::ABORT);
    let status = server.child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
