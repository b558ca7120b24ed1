//! From a configuration to a server that serves, and to its end.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use super::{Process, Scratch, coffer, failure, unix};
use crate::client::request;

const PLAIN: &str = "listener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n";

#[test]
fn a_server_begins_uninitialised_and_ends_when_it_is_asked_to() {
    let scratch = Scratch::new();
    let config = "storage \"sled\" { path = \"DIR/data\" }\npid_file = \"DIR/pid\"\ndisable_mlock = true\n";
    let mut server = Process::start(&scratch, &format!("{config}{PLAIN}"));
    assert!(server.said.starts_with("==> Vault server configuration:\n"), "{}", server.said);
    let health = server.connect(0).send(&request("GET", "sys/health").without_token()).unwrap();
    assert_eq!((health.status, &health.json()["initialized"]), (501, &json!(false)));
    let status = server.connect(0).send(&request("GET", "sys/seal-status").without_token()).unwrap();
    assert_eq!(status.json()["storage_type"], "sled");
    let pid = fs::read_to_string(scratch.path("pid")).unwrap();
    assert_eq!(pid.trim(), server.child.id().to_string());
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "R-M2: memory is dumped: {core}");
    assert_eq!(server.end().code(), Some(0));
    assert!(!scratch.path("pid").exists());
}

#[test]
fn a_configured_server_is_initialised_unsealed_and_used() {
    let scratch = Scratch::new();
    let config = "storage \"sled\" { path = \"DIR/data\" }\ncluster_name = \"here\"\nmax_lease_ttl = \"900h\"\n";
    let mut server = Process::start(&scratch, &format!("{config}{PLAIN}"));
    let init = json!({"secret_shares": 1, "secret_threshold": 1});
    let made =
        server.connect(0).send(&request("PUT", "sys/init").without_token().json(&init)).unwrap().expect(200).json();
    let (key, token) = (made["keys"][0].clone(), made["root_token"].as_str().unwrap().to_owned());
    let unseal = request("PUT", "sys/unseal").without_token().json(&json!({"key": key}));
    let status = server.connect(0).send(&unseal).unwrap().expect(200).json();
    assert_eq!((&status["sealed"], &status["cluster_name"]), (&json!(false), &json!("here")));
    let mount = request("POST", "sys/mounts/kv").token(&token).json(&json!({"type": "kv"}));
    server.connect(0).send(&mount).unwrap().expect(204);
    let write = request("POST", "kv/a").token(&token).json(&json!({"b": "c"}));
    server.connect(0).send(&write).unwrap().expect(204);
    assert_eq!(server.end().code(), Some(0));
    let server = Process::start(&scratch, &format!("{config}{PLAIN}"));
    server.connect(0).send(&request("GET", "kv/a").token(&token)).unwrap().refused(503, "Vault is sealed");
    server.connect(0).send(&unseal).unwrap().expect(200);
    let read = server.connect(0).send(&request("GET", "kv/a").token(&token)).unwrap().data();
    assert_eq!(read, json!({"b": "c"}));
    let tune = server.connect(0).send(&request("GET", "sys/mounts/kv/tune").token(&token)).unwrap().data();
    assert_eq!(tune["max_lease_ttl"], 3_240_000);
}

#[test]
fn a_seal_of_the_configuration_unseals_the_server() {
    let scratch = Scratch::new();
    scratch.write("seal.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let config = "storage \"redb\" { path = \"DIR/data\" }\n\
        seal \"static\" { current_key_id = \"1\" current_key = \"file://DIR/seal.key\" }\n";
    let mut server = Process::start(&scratch, &format!("{config}{PLAIN}"));
    let init = request("PUT", "sys/init").without_token().json(&json!({"recovery_shares": 1, "recovery_threshold": 1}));
    let made = server.connect(0).send(&init).unwrap().expect(200).json();
    let mounts = request("GET", "sys/mounts").token(made["root_token"].as_str().unwrap());
    assert_eq!(server.end().code(), Some(0));
    let server = Process::start(&scratch, &format!("{config}{PLAIN}"));
    while server.connect(0).send(&mounts).unwrap().status == 503 {
        std::thread::yield_now();
    }
    server.connect(0).send(&mounts).unwrap().expect(200);
}

#[test]
fn the_whole_comes_from_files_a_directory_and_the_environment() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("conf")).unwrap();
    scratch.write("conf/1.hcl", PLAIN);
    scratch.write("conf/2.json", r#"{"storage": {"inmem": {}}, "log_level": "error"}"#);
    let mut command = coffer();
    command.arg("server").arg("-config").arg(scratch.path("conf"));
    command.env("VAULT_LOCAL_CONFIG", r#"{"cluster_name": "here", "api_addr": "http://file"}"#);
    command.env("VAULT_API_ADDR", "http://environment").env("VAULT_LOG_LEVEL", "warn");
    let server = Process::run(&scratch, command);
    assert!(server.said.contains("Api Address: http://environment\n"), "{}", server.said);
    assert!(server.said.contains("Log Level: warn\n"), "{}", server.said);
    assert!(server.log().contains("2.json:1: storage \"inmem\" is memory"), "{}", server.log());
}

#[test]
fn dev_mode_takes_listeners_of_a_configuration() {
    let scratch = Scratch::new();
    let custom = "listener \"tcp\" {\n address = \"127.0.0.1:0\"\n tls_disable = true\n max_request_size = 100\n
        custom_response_headers { \"default\" = { \"X-A\" = [\"b\"] } }\n}\n";
    let unix_socket = "listener \"unix\" { address = \"DIR/socket\" socket_mode = \"640\" }\nmax_lease_ttl = \"900h\"";
    let mut server = Process::start_dev(&scratch, &format!("{custom}{unix_socket}"));
    let body = json!({"data": {"a": "x".repeat(100)}});
    let write = request("POST", "secret/data/a").json(&body);
    assert_eq!(server.connect(0).send(&write).unwrap().expect(200).header("x-a"), None);
    assert_eq!(server.connect(1).send(&write).unwrap().expect(413).header("x-a"), Some("b"));
    let path = scratch.path("socket");
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    let state = unix(&path).send(&request("GET", "sys/config/state/sanitized")).unwrap().data();
    assert_eq!((&state["max_lease_ttl"], &state["storage"]["type"]), (&json!(3_240_000), &json!("inmem")));
    let kinds: Vec<_> = state["listeners"].as_array().unwrap().iter().map(|listener| &listener["type"]).collect();
    assert_eq!(kinds, ["tcp", "tcp", "unix"]);
    assert_eq!(state["listeners"][1]["config"]["max_request_size"], 100);
    assert_eq!(server.end().code(), Some(0));
    assert!(!path.exists(), "the socket goes with the server");
}

#[test]
fn a_wrong_configuration_is_told_in_one_line_and_ends_in_1() {
    let scratch = Scratch::new();
    let check = |config: &str, more: &[&str], expected: &str| {
        let file = scratch.write("wrong.hcl", config);
        let (code, said) = failure(coffer().arg("server").arg("-config").arg(&file).args(more));
        let expected = expected.replace("FILE", &file.display().to_string());
        assert_eq!((code, said.as_str()), (Some(1), format!("coffer: {expected}\n").as_str()));
    };
    check("storage \"sled\" {", &[], "FILE:1:17: expected: IDENT | STRING | ASSIGN | LBRACE got: EOF");
    check(
        "storage \"consul\" {}",
        &[],
        "FILE:1: storage \"consul\" is not there, for the server keeps its data itself: \
         write storage \"sled\" { path = \"/var/lib/coffer\" }",
    );
    check(PLAIN, &[], "the configuration has no storage: write storage \"sled\" { path = \"/var/lib/coffer\" }");
    let tls =
        "\nlistener \"tcp\" {\n tls_cert_file = \"/no/such/file\"\n tls_key_file = \"/k\" }\nstorage \"inmem\" {}";
    check(tls, &["-test-config"], "FILE:2: cannot read /no/such/file: No such file or directory (os error 2)");
    check(
        "log_level = \"loud\"",
        &["-test-config"],
        "unknown log level \"loud\": use trace, debug, info, warn, error or off",
    );
    let (code, said) = failure(coffer().arg("server"));
    assert_eq!(code, Some(1));
    assert!(said.contains("Must specify at least one config path using -config"), "{said}");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!(
        "listener \"tcp\" {{ address = \"{}\" tls_disable = true }}\nstorage \"inmem\" {{}}",
        busy.local_addr().unwrap()
    );
    let file = scratch.write("busy.hcl", &listener);
    let (code, said) = failure(coffer().arg("server").arg("-config").arg(&file));
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("{}:1: cannot listen on {}: ", file.display(), busy.local_addr().unwrap())),
        "{said}"
    );
}

#[test]
fn a_configuration_is_tested_without_a_start() {
    let scratch = Scratch::new();
    let file = scratch.write("good.hcl", &format!("{PLAIN}storage \"sled\" {{ path = \"DIR/data\" }}\nwrong = 1"));
    let output = coffer().arg("server").arg("-config").arg(&file).arg("-test-config").output().unwrap();
    let expected = format!("{}:3: \"wrong\" is unknown and ignored\nThe configuration is valid.\n", file.display());
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), expected));
    assert!(!scratch.path("data").exists());
}

/// Regression R52: files of the database could be read by everybody on the machine.
#[test]
fn nobody_else_can_read_the_files_of_a_server_whatever_the_umask() {
    let scratch = Scratch::new();
    let socket = "listener \"unix\" { address = \"DIR/files/socket\" }\n";
    for engine in ["sled", "redb"] {
        fs::create_dir_all(scratch.path("files")).unwrap();
        let storage = format!("storage \"{engine}\" {{ path = \"DIR/files/data\" }}\nlog_file = \"DIR/files/log\"\n");
        let file = scratch.write("config.hcl", &format!("{storage}{socket}{PLAIN}"));
        let mut command = std::process::Command::new("sh");
        command
            .arg("-c")
            .arg("umask 000; exec \"$0\" server -config \"$1\"")
            .arg(env!("CARGO_BIN_EXE_coffer"))
            .arg(file);
        let mut server = Process::run(&scratch, command);
        let mut seen = Vec::new();
        expect_private(&scratch.path("files"), &mut seen);
        assert!(["data", "socket", "log"].iter().all(|name| seen.iter().any(|path| path.ends_with(name))), "{seen:?}");
        server.end();
        fs::remove_dir_all(scratch.path("files")).unwrap();
    }
}

#[test]
fn a_socket_is_taken_over_from_the_dead_only() {
    let scratch = Scratch::new();
    let (config, path) =
        ("listener \"unix\" { address = \"DIR/socket\" }\nstorage \"inmem\" {}\n", scratch.path("socket"));
    let is_up = || unix(&path).send(&request("GET", "sys/health").without_token()).unwrap().status == 501;
    let second = || failure(coffer().arg("server").arg("-config").arg(scratch.path("config.hcl")));
    let server = Process::start(&scratch, config);
    let (code, said) = second();
    assert!(code == Some(1) && said.contains("cannot listen on "), "{said}");
    assert!(is_up(), "the first one goes on");
    drop(server);
    assert!(path.exists(), "whoever is killed tidies nothing up");
    let mut server = Process::start(&scratch, config);
    assert!(is_up());
    server.end();
    assert!(!path.exists());
    fs::write(&path, "somebody's file").unwrap();
    let (code, said) = second();
    assert!(code == Some(1) && said.contains("cannot listen on "), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's file");
}

fn expect_private(dir: &Path, seen: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
        if metadata.is_dir() {
            expect_private(&path, seen);
        }
        seen.push(path);
    }
}

/// Regression R53: secrets stood in the log.
#[test]
fn secrets_are_not_logged_at_any_level() {
    let scratch = Scratch::new();
    let config = format!("{PLAIN}log_level = \"trace\"\nlog_format = \"json\"");
    let mut server = Process::start_dev(&scratch, &config);
    let mut connection = server.connect(1);
    let canary = "canary-5d1f";
    let mut send = |method: &str, path: &str, body: serde_json::Value| {
        connection.send(&request(method, path).header("X-Vault-Mfa", canary).json(&body)).unwrap()
    };
    send("POST", "secret/data/a", json!({"data": {"a": canary}})).expect(200);
    send("POST", "auth/token/create", json!({"id": format!("{canary}-token")})).expect(200);
    send("POST", "auth/token/lookup", json!({"token": format!("{canary}-none")})).expect(403);
    send("POST", "sys/auth/userpass", json!({"type": "userpass"})).expect(204);
    send("POST", "auth/userpass/users/u", json!({"password": canary})).expect(204);
    send("POST", "auth/userpass/login/u", json!({"password": canary})).expect(200);
    send("POST", "auth/userpass/login/u", json!({"password": format!("{canary}-wrong")})).expect(400);
    send("POST", "sys/mounts/x", json!({"type": canary, "options": 7})).expect(400);
    connection.send(&request("GET", "secret/data/a").token(&format!("{canary}-bad"))).unwrap().expect(403);
    connection.write(format!("GET /v1/secret HTTP/1.1\r\nX-Vault-Token: {canary}\0\r\n\r\n").as_bytes());
    connection.rest();
    server.end();
    let log = server.log();
    assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    assert!(log.contains("\"@level\":\"debug\""), "trace was not on: {log}");
    assert!(!log.contains(canary), "{log}");
}

#[test]
fn the_level_of_the_log_is_read_anew() {
    let scratch = Scratch::new();
    let config =
        |level: &str| format!("{PLAIN}storage \"inmem\" {{}}\nlog_level = \"{level}\"\nlog_file = \"DIR/log\"");
    let mut server = Process::start(&scratch, &config("error"));
    let log = || fs::read_to_string(scratch.path("log")).unwrap_or_default();
    assert_eq!(log(), "");
    scratch.write("config.hcl", &config("debug"));
    server.reload();
    fs::rename(scratch.path("log"), scratch.path("log.1")).unwrap();
    scratch.write("config.hcl", &config("loud"));
    server.reload();
    assert!(log().contains("the level of the log stays, for unknown log level \"loud\""), "{}", log());
    let mut connection = server.connect(0);
    connection.write(b"nonsense\r\n\r\n");
    connection.rest();
    server.end();
    assert!(log().contains("a connection broke off"), "{}", log());
}

#[test]
fn levels_of_loggers_are_set_and_given_back() {
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    let mut connection = server.connect(0);
    let mut check = |method: &str, path: &str, level: &str, expected: [&str; 2]| {
        connection.send(&request(method, path).json(&json!({"level": level}))).unwrap().expect(204);
        let levels = connection.send(&request("GET", "sys/loggers")).unwrap().data();
        assert_eq!([&levels["http"], &levels["core"]], expected, "{method} {path}");
    };
    check("POST", "sys/loggers/http", "debug", ["debug", "info"]);
    check("POST", "sys/loggers", "error", ["error", "error"]);
    check("DELETE", "sys/loggers/http", "", ["info", "error"]);
    check("DELETE", "sys/loggers", "", ["info", "info"]);
}

/// One listener is enough: whoever may not come in by it comes in by another.
#[test]
fn shares_take_a_token_where_a_listener_says_so() {
    for setting in ["disable_unauthed_rekey_endpoints", "disable_unauthed_generate_root_endpoints"] {
        let scratch = Scratch::new();
        let own = format!("tls_disable = true\n {setting} = true");
        let server = Process::start_dev(&scratch, &PLAIN.replace("tls_disable = true", &own));
        for path in ["sys/rekey/init", "sys/generate-root/attempt"] {
            let mut connection = server.connect(0);
            connection.send(&request("GET", path).without_token()).unwrap().refused(403, "permission denied");
            connection.send(&request("GET", path)).unwrap().expect(200);
        }
    }
}

#[test]
fn whoever_supervises_the_server_hears_of_it() {
    let scratch = Scratch::new();
    let path = scratch.path("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    let file = scratch.write("config.hcl", &format!("{PLAIN}storage \"inmem\" {{}}"));
    let mut command = coffer();
    command.arg("server").arg("-config").arg(file).env("NOTIFY_SOCKET", &path);
    let mut server = Process::run(&scratch, command);
    let heard = |expected: &str| {
        let mut heard = [0; 100];
        let len = supervisor.recv(&mut heard).unwrap();
        let heard = String::from_utf8_lossy(&heard[..len]);
        assert!(heard.starts_with(expected), "{heard}");
    };
    heard("READY=1");
    server.reload();
    heard("RELOADING=1\nMONOTONIC_USEC=");
    heard("READY=1");
    assert_eq!(server.end().code(), Some(0));
    heard("STOPPING=1");
}

#[test]
fn requests_that_run_end_before_the_server_does() {
    let scratch = Scratch::new();
    let mut server = Process::start_dev(&scratch, "");
    let bytes = request("POST", "secret/data/a").json(&json!({"data": {"a": "b"}})).bytes();
    let (first, last) = bytes.split_at(bytes.len() - 5);
    let mut connection = server.connect(0);
    // The answer to the first shows that the second is being read.
    connection.write(&[request("GET", "sys/health").bytes().as_slice(), first].concat());
    connection.answer().unwrap().expect(200);
    server.signal(Signal::TERM);
    server.read_until("==> Vault shutdown triggered");
    connection.write(last);
    connection.answer().unwrap().expect(200);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_signal_has_it_say_what_it_does() {
    let scratch = Scratch::new();
    let mut server = Process::start_dev(&scratch, "");
    server.signal(Signal::USR2);
    server.read_until("==> Vault state logged");
    let log = server.log();
    assert!(log.contains("what is being worked on, as SIGUSR2 asks requests=0"), "{log}");
    server.connect(0).send(&request("GET", "sys/health")).unwrap().expect(200);
}

#[test]
fn a_second_signal_does_not_wait_for_requests() {
    let scratch = Scratch::new();
    let mut server = Process::start_dev(&scratch, "");
    let bytes = request("POST", "secret/data/a").json(&json!({"data": {"a": "b"}})).bytes();
    let mut connection = server.connect(0);
    connection.write(&bytes[..bytes.len() - 5]);
    server.signal(Signal::INT);
    server.read_until("==> Vault shutdown triggered");
    server.signal(Signal::INT);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
