//! Dev mode as the suites of others start it, with the flags that they have for Vault.

use serde_json::json;

use super::{Process, Scratch, coffer};
use crate::client::request;

/// A suite of `go-fsimpl` starts its server so; `-dev-kv-v1` was unknown.
#[test]
fn secret_may_begin_without_versions() {
    let scratch = Scratch::new();
    let server = start(&scratch, &["-dev-kv-v1", "-log-level=error"]);
    let mut root = server.connect(0);
    root.send(&request("POST", "secret/a").json(&json!({"value": "foo"}))).unwrap().expect(204);
    assert_eq!(root.send(&request("GET", "secret/a")).unwrap().expect(200).data(), json!({"value": "foo"}));
}

#[test]
fn what_would_change_nothing_is_told_and_the_server_starts() {
    let scratch = Scratch::new();
    let server = start(&scratch, &["-dev-ha=true", "-dev-plugin-dir", "/plugins", "-combine-logs=false"]);
    let log = server.log();
    for flag in ["-dev-ha", "-dev-plugin-dir"] {
        assert!(log.contains(&format!("{flag} has no effect on this server")), "{log}");
    }
    assert!(!log.contains("-combine-logs"), "{log}");
}

fn start(scratch: &Scratch, flags: &[&str]) -> Process {
    let mut command = coffer();
    command.args(["server", "-dev=true", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0"]);
    command.arg("-dev-no-store-token=1").args(flags);
    Process::run(scratch, command)
}
