//! Audit devices over the wire: who has an entry, what it shows, and what happens when it cannot be written.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use coffer::api::Op;
use coffer::api::route::{Access, Row};
use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use crate::client::{b64, request};
use crate::every_route::{furnished, rows, sample};
use crate::server::{ROOT, TestServer, limits};

/// The folder of one device's file, removed with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("coffer-audit-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("trail")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn entries(&self) -> Vec<Value> {
        self.entries_after(0)
    }

    fn entries_after(&self, lines: usize) -> Vec<Value> {
        self.text().lines().skip(lines).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The entries of requests for a path, and of their answers.
    fn of(&self, path: &str) -> Vec<Value> {
        self.entries().into_iter().filter(|entry| entry["request"]["path"] == path).collect()
    }

    /// Enables a device that writes here.
    pub(crate) fn enable(&self, server: &TestServer, device: &str, options: &Value) {
        let mut options = options.clone();
        options["file_path"] = self.file().to_str().unwrap().into();
        server.post(&format!("sys/audit/{device}"), &json!({"type": "file", "options": options})).expect(204);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn with_device(name: &str, options: &Value) -> (TestServer, Folder) {
    let (server, folder) = (TestServer::with_all_engines(), Folder::new(name));
    folder.enable(&server, "trail", options);
    (server, folder)
}

#[test]
fn every_row_has_an_entry_before_and_after() {
    let (server, folder) = (furnished(), Folder::new("every-row"));
    folder.enable(&server, "trail", &json!({}));
    let is_audited = |row: &Row| !row.while_sealed || row.access != Access::Open || row.op != Op::Read;
    let check = |mount: &str, row: &Row| {
        let before = folder.text().lines().count();
        server.send(&sample(mount, row).without_token());
        server.send(&sample(mount, row));
        let entries = folder.entries_after(before);
        let types: Vec<_> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["request", "response", "request", "response"], "{mount}{} {entries:?}", row.path);
        for pair in entries.chunks(2) {
            assert_eq!(pair[0]["request"]["id"], pair[1]["request"]["id"]);
        }
    };
    // After the seal there is no trail.
    let (last, first): (Vec<_>, Vec<_>) =
        rows().iter().filter(|(_, row)| is_audited(row)).partition(|(_, row)| row.path == "seal");
    for (mount, row) in first {
        check(mount, row);
    }
    let before = folder.text();
    server.get("sys/health").expect(200);
    server.get("sys/seal-status").expect(200);
    assert_eq!(folder.text(), before, "what is answered while sealed, too, is nobody's secret");
    for (mount, row) in last {
        check(mount, row);
    }
}

#[test]
fn a_device_begins_with_the_answer_to_who_enabled_it() {
    let (server, folder) = with_device("first", &json!({}));
    let types_of = |folder: &Folder, device: &str| -> Vec<String> {
        let entries = folder.of(&format!("sys/audit/{device}"));
        entries.iter().map(|entry| entry["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((types_of(&folder, "trail"), folder.entries().len()), (vec!["response".to_owned()], 1));
    assert_eq!(folder.entries()[0]["auth"]["policies"], json!(["root"]));
    let second = Folder::new("second");
    second.enable(&server, "second", &json!({}));
    assert_eq!(types_of(&folder, "second"), ["request", "response"]);
    assert_eq!(types_of(&second, "second"), ["response"]);
    server.post("sys/audit/second", &json!({"type": "file", "options": {}})).refused_with(400);
    assert_eq!((folder.entries().len(), second.entries().len()), (5, 3), "both are told of what failed");
}

/// Regressions R46 and R48: tokens, accessors and raw bodies stood in the clear.
#[test]
fn nothing_secret_is_shown() {
    let (server, folder) = with_device("secret", &json!({}));
    server.post("secret/data/a", &json!({"data": {"b": "CANARY-1", "c": ["CANARY-2", {"d": "CANARY-3"}]}})).expect(200);
    server.get("secret/data/a").expect(200);
    server.get("secret/data/a?q=CANARY-4").expect(200);
    server.post("auth/userpass/users/u", &json!({"password": "CANARY-5"})).expect(204);
    let login = request("POST", "auth/userpass/login/u").without_token();
    let login = server.send(&login.json(&json!({"password": "CANARY-5"}))).expect(200).json();
    let wrong = request("POST", "auth/userpass/login/u").without_token().json(&json!({"password": "CANARY-9"}));
    server.send(&wrong).expect(400);
    server.get("secret/data/none").expect(404);
    let wrapped = server.send(&request("GET", "secret/data/a").header("X-Vault-Wrap-TTL", "60")).expect(200).json();
    let unwrap = json!({"token": wrapped["wrap_info"]["token"]});
    server.post("sys/wrapping/unwrap", &unwrap).expect(200);
    let token = server.token(&json!({"policies": ["default"]}));
    server.send(&request("GET", "secret/data/a").token(&token)).expect(403);
    server.send(&request("GET", "secret/data/a").token("CANARY-6")).expect(403);
    server.send(&request("POST", "secret/data/a").body("{\"data\": \"CANARY-7")).expect(400);
    let octets = request("POST", "sys/customer-keys/k").header("Content-Type", "application/octet-stream");
    let key = b"CANARY-8-\x01\x7f 0123456789abcdefgh\xfe\xfd";
    server.send(&octets.body(key.to_vec()));
    server.send(&request("POST", "transit/encrypt/k").json(&json!({"plaintext": b64("CANARY-9")}))).expect(200);

    let text = folder.text();
    assert!(!text.contains("CANARY") && !text.contains(&b64("CANARY-9")));
    assert_eq!(folder.of("sys/customer-keys/k")[0]["request"]["data"], json!({"octets": key.len()}));
    let secrets = [&login["auth"]["client_token"], &login["auth"]["accessor"], &wrapped["wrap_info"]["token"]];
    for secret in secrets.into_iter().chain([&wrapped["wrap_info"]["accessor"], &json!(token)]) {
        assert!(!text.contains(secret.as_str().unwrap()));
    }

    let hash =
        |value: &Value| server.post("sys/audit-hash/trail", &json!({"input": value})).expect(200).text_of("hash");
    let entries = folder.of("secret/data/a");
    assert_eq!(entries[0]["request"]["data"]["data"]["b"], hash(&json!("CANARY-1")));
    assert_eq!(entries[0]["request"]["operation"], "create");
    assert_eq!(entries[0]["request"]["client_token"], hash(&json!(ROOT)));
    assert_eq!(entries[1]["response"]["data"]["version"], 1);
    assert_eq!(entries[3]["response"]["data"]["data"]["c"][1]["d"], hash(&json!("CANARY-3")));
    assert_eq!(entries[3]["response"]["mount_type"], "kv");
    let entries = folder.of("auth/userpass/login/u");
    assert_eq!(entries[1]["response"]["auth"]["client_token"], hash(&login["auth"]["client_token"]));
    let denied =
        folder.of("secret/data/a").into_iter().find(|entry| entry["request"]["client_token"] == hash(&json!(token)));
    let denied = denied.unwrap();
    assert_eq!((&denied["error"], &denied["auth"]["policy_results"]["allowed"]), (&json!(DENIED), &json!(false)));
    assert_eq!(denied["auth"]["policies"], json!(["default"]));
    // What was wrong with a request may quote it.
    let refused = folder.of("auth/userpass/login/u").pop().unwrap();
    let text = hash(&json!("invalid username or password"));
    assert_eq!((&refused["error"], &refused["response"]["data"]), (&json!("invalid request"), &json!({"error": text})));
    let missing = folder.of("secret/data/none").pop().unwrap();
    assert_eq!(
        (&missing["type"], &missing["error"]),
        (&json!("response"), &Value::Null),
        "that there is nothing is no error"
    );
}

const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

/// Regression R47: what one device was to show raw, the others showed raw, too.
#[test]
fn what_one_device_shows_the_other_does_not() {
    let (server, hidden) = with_device("hidden", &json!({"elide_list_responses": true}));
    let raw = Folder::new("raw");
    raw.enable(&server, "raw", &json!({"log_raw": "true"}));
    let accessors = Folder::new("accessors");
    accessors.enable(&server, "accessors", &json!({"hmac_accessor": false}));
    server.post("kv/a", &json!({"b": "CANARY"})).expect(204);
    server.list("kv").expect(200);
    assert_eq!(raw.of("kv/a")[0]["request"]["data"], json!({"b": "CANARY"}));
    assert!(!hidden.text().contains("CANARY") && !accessors.text().contains("CANARY"));
    assert_eq!(hidden.of("kv/")[1]["response"]["data"], json!({"keys": 1}));
    assert_eq!(raw.of("kv/")[1]["response"]["data"], json!({"keys": ["a"]}));
    let accessor = server.get("auth/token/lookup-self").text_of("accessor");
    assert_eq!(accessors.of("kv/a")[0]["auth"]["accessor"], accessor);
    assert!(!hidden.text().contains(&accessor));
}

#[test]
fn each_entry_shows_its_sender_as_he_is() {
    let (server, folder) = with_device("senders", &json!({}));
    let other = Folder::new("senders-too");
    other.enable(&server, "other", &json!({}));
    let allow = |path: &str| {
        let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        server.post("sys/policies/acl/reads", &json!({"policy": policy})).expect(204);
    };
    allow("kv/*");
    server.post("auth/userpass/users/u", &json!({"password": "p", "token_policies": "reads"})).expect(204);
    let login = request("POST", "auth/userpass/login/u").without_token().json(&json!({"password": "p"}));
    let login = &server.send(&login).expect(200).json()["auth"];
    let token = login["client_token"].as_str().unwrap();
    let ask = |method: &str, status: u16| server.send(&request(method, "kv/a").token(token)).expect(status);
    ask("GET", 404);
    ask("GET", 404);
    ask("DELETE", 403);
    ask("GET", 404);
    let entity = format!("identity/entity/id/{}", login["entity_id"].as_str().unwrap());
    server.post(&entity, &json!({"policies": ["more"]})).expect(204);
    ask("GET", 404);
    allow("other");
    ask("GET", 403);
    for (folder, device) in [(&folder, "trail"), (&other, "other")] {
        let hash = server.post(&format!("sys/audit-hash/{device}"), &json!({"input": token})).expect(200);
        let hash = json!(hash.text_of("hash"));
        let entries = folder.of("kv/a");
        for pair in entries.chunks(2) {
            assert_eq!((&pair[0]["auth"], &pair[0]["request"]), (&pair[1]["auth"], &pair[1]["request"]));
            assert_eq!((&pair[0]["auth"]["client_token"], &pair[0]["request"]["client_token"]), (&hash, &hash));
            assert_eq!(pair[0]["auth"]["display_name"], "userpass-u");
        }
        let senders = || entries.iter().step_by(2).map(|entry| &entry["auth"]);
        let allowed: Vec<_> = senders().map(|sender| sender["policy_results"]["allowed"].as_bool()).collect();
        assert_eq!(allowed, [true, true, false, true, true, false].map(Some));
        let more: Vec<_> = senders().map(|sender| sender["identity_policies"] == json!(["more"])).collect();
        assert_eq!(more, [false, false, false, false, true, true]);
    }
}

#[test]
fn a_mount_says_which_of_its_values_are_shown() {
    let (server, folder) = with_device("tuned", &json!({}));
    let tune = json!({"audit_non_hmac_request_keys": "shown", "audit_non_hmac_response_keys": ["told"]});
    server.post("sys/mounts/kv/tune", &tune).expect(204);
    server.post("kv/a", &json!({"shown": "x", "told": "y"})).expect(204);
    server.get("kv/a").expect(200);
    let entries = folder.of("kv/a");
    assert_eq!(entries[0]["request"]["data"]["shown"], "x");
    assert!(entries[0]["request"]["data"]["told"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert_eq!(entries[3]["response"]["data"]["told"], "y");
    assert!(entries[3]["response"]["data"]["shown"].as_str().unwrap().starts_with("hmac-sha256:"));
}

/// Regression R50: headers that let somebody in were shown.
#[test]
fn headers_are_told_that_were_asked_for() {
    let (server, folder) = with_device("headers", &json!({}));
    for (name, hmac) in [("X-Shown", false), ("X-Hidden", true), ("X-Vault-Token", false), ("Authorization", false)] {
        server.post(&format!("sys/config/auditing/request-headers/{name}"), &json!({"hmac": hmac})).expect(204);
    }
    let headers = &server.get("sys/config/auditing/request-headers").data()["headers"];
    assert_eq!(headers["authorization"], json!({"hmac": true}));
    let sent = request("GET", "kv/a").header("X-Shown", "a").header("x-shown", "b").header("X-Hidden", "c");
    server.send(&sent.header("X-Other", "d").header("Authorization", "Basic CANARY"));
    let told = &folder.of("kv/a")[0]["request"]["headers"];
    assert_eq!(told["x-shown"], json!(["a", "b"]));
    assert_eq!(told.as_object().unwrap().len(), 4);
    for hidden in ["x-hidden", "authorization", "x-vault-token"] {
        assert!(told[hidden][0].as_str().unwrap().starts_with("hmac-sha256:"), "{hidden}");
    }
}

#[test]
fn devices_stay_after_a_restart() {
    let (store, key, folder) = (Arc::new(Memory::new()), UnsealKey::generate(), Folder::new("restart"));
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    folder.enable(&server, "a/b", &json!({}));
    server.post("sys/config/auditing/request-headers/x-a", &json!({})).expect(204);
    let hash = server.post("sys/audit-hash/a/b", &json!({"input": "x"})).text_of("hash");
    let devices = server.get("sys/audit").data();
    drop(server);
    // As if the machine had failed in the middle of a line.
    fs::write(folder.file(), "{\"torn").unwrap();

    let server = TestServer::restarted(store, &key);
    assert_eq!(server.get("sys/audit").data(), devices);
    assert_eq!(server.post("sys/audit-hash/a/b", &json!({"input": "x"})).text_of("hash"), hash);
    assert_eq!(server.get("sys/config/auditing/request-headers").data()["headers"], json!({"x-a": {"hmac": false}}));
    let text = folder.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("{\"torn", 7));
    assert!(lines[1..].iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn without_an_entry_nothing_is_done() {
    let (server, folder) = with_device("unable", &json!({}));
    server.get("sys/health").expect(200);
    fs::remove_dir_all(&folder.0).unwrap();
    server.post("kv/a", &json!({"b": "c"})).expect(500);
    server.send(&request("GET", "kv/a").without_token()).expect(500);
    server.get("sys/health").expect(503);
    fs::create_dir(&folder.0).unwrap();
    server.get("kv/a").expect(404);
    server.get("sys/health").expect(200);
    assert_eq!(folder.of("kv/a").len(), 2);

    // Health comes back by itself, too.
    fs::remove_dir_all(&folder.0).unwrap();
    server.post("kv/a", &json!({"b": "c"})).expect(500);
    server.get("sys/health").expect(503);
    fs::create_dir(&folder.0).unwrap();
    server.core.tick();
    server.get("sys/health").expect(200);
}

#[test]
fn one_device_that_works_is_enough() {
    let (server, broken) = with_device("broken", &json!({}));
    let folder = Folder::new("works");
    folder.enable(&server, "works", &json!({}));
    fs::remove_dir_all(&broken.0).unwrap();
    server.post("kv/a", &json!({"b": "c"})).expect(204);
    server.get("sys/health").expect(200);
    assert_eq!(folder.of("kv/a").len(), 2);
    server.delete("sys/audit/trail").expect(204);
    assert_eq!(server.get("sys/audit").data().as_object().unwrap().len(), 1);
}

#[test]
fn files_are_the_operators_and_can_be_moved_away() {
    let (server, folder) = with_device("moved", &json!({}));
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder.file()), 0o600);
    let moved = folder.0.join("moved");
    fs::rename(folder.file(), &moved).unwrap();
    server.get("kv/a").expect(404);
    server.core.reopen_audit();
    server.get("kv/b").expect(404);
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 3);
    assert_eq!((folder.entries().len(), mode(&folder.file())), (2, 0o600));
    fs::remove_file(folder.file()).unwrap();
    server.get("kv/c").expect(404);
    assert_eq!((folder.of("kv/c").len(), folder.entries().len()), (2, 2));
    folder.enable(&TestServer::start(), "other", &json!({"mode": "0640"}));
    assert_eq!(mode(&folder.file()), 0o640);
}

#[test]
fn no_line_is_lost_while_files_are_moved_away() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 50;
    const MOVES: usize = 20;
    let (server, folder) = with_device("moves", &json!({}));
    let before = folder.text().lines().count();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut connection = server.connect();
            scope.spawn(move || {
                for number in 0..REQUESTS {
                    connection.send(&request("GET", &format!("kv/{client}/{number}"))).unwrap().expect(404);
                }
            });
        }
        for number in 0..MOVES {
            let _ = fs::rename(folder.file(), folder.0.join(number.to_string()));
            server.core.reopen_audit();
        }
    });
    let files = fs::read_dir(&folder.0).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines: Vec<_> = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(lines.len() - before, 2 * CLIENTS * REQUESTS);
    assert!(lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn a_socket_gets_the_entries() {
    let server = TestServer::with_all_engines();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let device = |options: Value| json!({"type": "socket", "options": options});
    server.post("sys/audit/s", &device(json!({"address": address, "prefix": "coffer "}))).expect(204);
    let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
    server.get("kv/a").expect(404);
    for (kind, path) in [("response", "sys/audit/s"), ("request", "kv/a"), ("response", "kv/a")] {
        let line = lines.next().unwrap().unwrap();
        let entry: Value = serde_json::from_str(line.strip_prefix("coffer ").unwrap()).unwrap();
        assert_eq!((&entry["type"], &entry["request"]["path"]), (&json!(kind), &json!(path)));
    }
    drop((lines, listener));
    // The first line may still be taken by a connection whose end nobody has noticed.
    let failed = (0..10).any(|_| server.get("kv/a").status == 500);
    assert!(failed);
    server.get("sys/health").expect(503);
    let listener = TcpListener::bind(&address).unwrap();
    server.core.tick();
    server.get("sys/health").expect(200);
    server.get("kv/a").expect(404);
    drop(listener);
}

#[test]
fn a_socket_that_nobody_reads_counts_as_failed() {
    let server = TestServer::with_all_engines();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options =
        json!({"address": listener.local_addr().unwrap().to_string(), "write_timeout": "50ms", "log_raw": true});
    server.post("sys/audit/s", &json!({"type": "socket", "options": options})).expect(204);
    let _unread = listener.accept().unwrap();
    server.post("kv/a", &json!({"b": "c".repeat(24 << 20)})).expect(500);
    server.get("kv/a").expect(500);
    server.get("sys/health").expect(503);
}

#[test]
fn the_same_place_is_not_written_twice() {
    let (server, folder) = with_device("taken", &json!({}));
    let path = folder.file();
    let path = path.to_str().unwrap();
    let enable = |device: &str, options: Value| {
        server.post(&format!("sys/audit/{device}"), &json!({"type": "file", "options": options}))
    };
    enable("trail", json!({"file_path": "discard"})).refused(400, "path already in use");
    enable("trail/below", json!({"file_path": "discard"})).refused(400, "path already in use");
    let text = "the file is already in use by the audit device \"trail/\"";
    enable("other", json!({"file_path": path})).refused(400, text);
    server.delete("sys/audit/nosuch").expect(204);
    let text = "unknown audit backend \"nosuch/\"";
    server.post("sys/audit-hash/nosuch", &json!({"input": "x"})).refused(400, text);
}

#[test]
fn a_request_that_a_quota_refuses_has_an_entry_where_that_is_wanted() {
    let (server, folder) = with_device("quota", &json!({}));
    server.post("sys/quotas/rate-limit/q", &json!({"rate": 1, "path": "kv"})).expect(204);
    server.get("kv/a").expect(404);
    server.get("kv/a").expect(429);
    assert_eq!(folder.of("kv/a").len(), 2, "nobody has asked for entries of refusals");
    server.post("sys/quotas/config", &json!({"enable_rate_limit_audit_logging": true})).expect(204);
    let secret = request("POST", "kv/a").token("CANARY").json(&json!({"a": "CANARY"}));
    server.send(&secret).expect(429);
    let entry = &folder.of("kv/a")[2];
    assert_eq!((&entry["type"], &entry["request"]["operation"]), (&json!("request"), &json!("update")));
    assert_eq!(entry["error"], "request path \"kv/a\": rate limit quota exceeded");
    assert_eq!((&entry["request"]["mount_type"], &entry["request"]["data"]), (&json!("kv"), &Value::Null));
    assert!(!folder.text().contains("CANARY"));
}
