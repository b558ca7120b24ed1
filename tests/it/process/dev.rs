//! Dev mode as the suites of others start it, with the flags that they have for Vault.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{Process, Scratch, coffer, failure};
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
    let server =
        start(&scratch, &["-dev-ha=true", "-dev-plugin-dir", "/plugins", "-combine-logs=false", "-address=http://a"]);
    let log = server.log();
    for flag in ["-dev-ha", "-dev-plugin-dir", "-address"] {
        assert!(log.contains(&format!("{flag} has no effect on this server")), "{log}");
    }
    assert!(!log.contains("-combine-logs"), "{log}");
}

#[test]
fn secrets_may_begin_with_leases() {
    let scratch = Scratch::new();
    let server = start(&scratch, &["-dev-leased-kv"]);
    let mut root = server.connect(0);
    root.send(&request("POST", "secret/a").json(&json!({"ttl": "1h"}))).unwrap().expect(204);
    let read = root.send(&request("GET", "secret/a")).unwrap().expect(200).json();
    assert!(read["lease_id"].as_str().unwrap().starts_with("secret/a/"), "{read}");
    assert_eq!(read["lease_duration"], 3600);
}

#[test]
fn a_dev_server_may_begin_without_keys() {
    let scratch = Scratch::new();
    let file = scratch.path("cluster.json");
    let server = start_without_token(&scratch, &["-dev-skip-init", "-dev-cluster-json", file.to_str().unwrap()]);
    assert!(!server.said.contains("Root Token"), "{}", server.said);
    let mut anyone = server.connect(0);
    anyone.send(&request("GET", "sys/health").without_token()).unwrap().expect(501);
    let init = request("PUT", "sys/init").without_token().json(&json!({"secret_shares": 1, "secret_threshold": 1}));
    let made = anyone.send(&init).unwrap().expect(200).json();
    let unseal = request("PUT", "sys/unseal").without_token().json(&json!({"key": made["keys"][0]}));
    assert_eq!(anyone.send(&unseal).unwrap().expect(200).json()["sealed"], false);
    let mounts = request("GET", "sys/mounts").token(made["root_token"].as_str().unwrap());
    let mounts = anyone.send(&mounts).unwrap().expect(200).data();
    assert!(mounts.get("cubbyhole/").is_some() && mounts.get("secret/").is_none(), "{mounts}");
    let told: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&told["root_token"], &told["ca_cert_path"]), (&json!(""), &json!("")));
}

#[test]
fn suites_are_told_where_the_server_is() {
    let scratch = Scratch::new();
    let file = scratch.path("cluster.json");
    let server = start(&scratch, &["-dev-cluster-json", file.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let address = format!("http://{}", server.addresses[0]);
    assert_eq!(told, json!({"nodes": [{"api_address": address}], "ca_cert_path": "", "root_token": "root"}));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, said) = failure(coffer().args(["server", "-dev", "-dev-listen-address=127.0.0.1:0"]).args([
        "-dev-no-store-token",
        "-dev-cluster-json",
        "/nonexistent/cluster.json",
    ]));
    assert!(code == Some(1) && said.contains("-dev-cluster-json: cannot write /nonexistent/cluster.json"), "{said}");
}

/// A start that would not be what was asked for is none, and says what is.
#[test]
fn what_cannot_be_had_is_refused_with_the_way_to_something_else() {
    let check = |flags: &[&str], expected: &str| {
        let (code, said) = failure(coffer().arg("server").args(flags));
        assert!(code == Some(1) && said.contains(expected), "{flags:?}: {said}");
    };
    check(&["-dev", "-dev-auto-seal"], "-dev-auto-seal: a dev server has one unseal key");
    check(&["-dev", "-dev-consul=true"], "-dev-consul: nothing is kept in Consul");
    check(&["-dev", "-dev-three-node"], "-dev-three-node: there are no clusters of servers");
    check(&["-dev", "-dev-four-cluster"], "-dev-four-cluster: there are no clusters of servers");
    check(&["-recovery", "-config=/nonexistent"], "-recovery: there is no recovery mode");
    check(&["-dev", "-dev-skip-init", "-dev-seed=a"], "--dev-skip-init");
}

/// Suites verify configurations so, and start a server so that only shows that it can.
#[test]
fn a_server_that_only_shows_that_it_can_start_ends() {
    let scratch = Scratch::new();
    let config = scratch.write(
        "config.hcl",
        "storage \"inmem\" {}\ndisable_mlock = true\nlistener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\n",
    );
    let run = |flag: &str| {
        let mut command = coffer();
        command.arg("server").arg("-config").arg(&config).arg(flag).env("VAULT_EXPERIMENTS", "events.alpha1");
        let output = command.output().unwrap();
        let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{flag}: {texts:?}");
        texts
    };
    let [said, _] = run("-test-verify-only");
    assert!(said.ends_with("The configuration is valid.\n") && !said.contains("==> Vault server"), "{said}");
    let [said, logged] = run("-test-server-config");
    assert!(said.contains("==> Vault server started!"), "{said}");
    assert!(logged.contains("VAULT_EXPERIMENTS has no effect on this server"), "{logged}");
}

#[test]
fn memory_is_locked_as_the_environment_says() {
    let scratch = Scratch::new();
    let config = "storage \"inmem\" {}\nlistener \"tcp\" { address = \"127.0.0.1:0\" tls_disable = true }\ndisable_mlock = false\n";
    let file = scratch.write("config.hcl", config);
    let start = |value: &str| {
        let mut command = coffer();
        command.arg("server").arg("-config").arg(&file).env("VAULT_DISABLE_MLOCK", value);
        command
    };
    assert!(Process::run(&scratch, start("true")).said.contains("Mlock: disabled"));
    let (code, said) = failure(&mut start("maybe"));
    assert!(code == Some(1) && said.contains("disable_mlock"), "{said}");
}

fn start(scratch: &Scratch, flags: &[&str]) -> Process {
    start_without_token(scratch, &[&["-dev-root-token-id=root"], flags].concat())
}

fn start_without_token(scratch: &Scratch, flags: &[&str]) -> Process {
    let mut command = coffer();
    command.args(["server", "-dev=true", "-dev-listen-address=127.0.0.1:0"]).arg("-dev-no-store-token=1").args(flags);
    Process::run(scratch, command)
}
