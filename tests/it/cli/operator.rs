//! What operators type: the state of a server, over HTTP and TLS, and which version a program claims to be.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use serde_json::{Value, json};

use super::desk::Desk;
use crate::remote::{Remote, pem};
use crate::server::{TestServer, limits};
use coffer::storage::Memory;

#[test]
fn the_exit_code_of_status_says_it_all() {
    let server = TestServer::start();
    let desk = Desk::with_server("status", &server);
    let text = desk.said(&["status"]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split("    ").map(str::trim).collect()).collect();
    let find = |title: &str| rows.iter().find(|row| row[0] == title).map(|row| row[row.len() - 1]);
    assert_eq!(
        ["Seal Type", "Initialized", "Sealed", "Total Shares", "Threshold", "HA Enabled"].map(find),
        [Some("shamir"), Some("true"), Some("false"), Some("1"), Some("1"), Some("false")],
        "{text}"
    );
    let told = desk.json(&["status"]);
    assert_eq!((&told["sealed"], &told["ha_enabled"]), (&json!(false), &json!(false)));

    let sealed = TestServer::over(Arc::new(Memory::new()), limits());
    let desk = Desk::with_server("status-sealed", &sealed);
    let output = desk.coffer(&["status", "--format=json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &told["sealed"], output.stderr.len()), (Some(2), &json!(true), 0));

    let nobody = Desk::new("status-nobody").at("http://127.0.0.1:1");
    nobody.fails(&["status"], 1, "cannot reach http://127.0.0.1:1");
    let address = format!("-address=http://{}", server.address);
    nobody.said(&["status", &address]);
}

#[test]
fn over_tls_the_server_is_known_by_its_authority() {
    let status = json!({"type": "shamir", "initialized": true, "sealed": false, "t": 1, "n": 1});
    let remote = Remote::with_tls(move |asked| match asked.line.as_str() {
        "GET /v1/sys/seal-status HTTP/1.1" => (200, status.to_string()),
        _ => (404, json!({"errors": []}).to_string()),
    });
    let desk = Desk::new("trust").at(&remote.url());
    desk.put("ca.pem", pem("ca").as_bytes());
    desk.fails(&["status"], 1, "invalid peer certificate");
    assert_eq!(desk.json(&["status", "-ca-cert=ca.pem", "-namespace=team"])["sealed"], false);
    assert_eq!(
        remote.asked().last().map(|asked| asked.header("x-vault-namespace").to_owned()),
        Some("team".to_owned())
    );
    desk.fails(&["status", "-ca-cert=ca.pem", "-tls-server-name=other.example"], 1, "invalid peer certificate");
    assert_eq!(desk.json(&["status", "-tls-skip-verify", "-tls-server-name=other.example"])["sealed"], false);
}

#[test]
fn an_address_over_tls_needs_tls() {
    let server = TestServer::start();
    let desk = Desk::new("tls").at(&format!("https://{}", server.address));
    desk.fails(&["status"], 1, "cannot reach https://");
    desk.fails(&["status", "-ca-cert=/no/such/file"], 1, "cannot read /no/such/file");
    desk.fails(&["status", "-client-cert=only"], 1, "both -client-cert and -client-key");
}

#[test]
fn a_program_called_vault_says_which_vault() {
    let desk = Desk::new("version");
    let vault = desk.dir.join("vault");
    symlink(env!("CARGO_BIN_EXE_coffer"), &vault).unwrap();
    let said = |program: &str, arg: &str| String::from_utf8(desk.run(program, &[arg], b"").stdout).unwrap();
    for arg in ["version", "-version", "--version", "-v"] {
        let text = said(vault.to_str().unwrap(), arg);
        let second = text.split_whitespace().nth(1).unwrap().trim_start_matches('v').to_owned();
        assert!(text.starts_with("Vault v") && second.split('.').count() == 3, "{text}");
        assert!(said(env!("CARGO_BIN_EXE_coffer"), arg).starts_with("Coffer v"));
    }
    fs::remove_file(vault).unwrap();
}

#[test]
fn a_root_token_is_decoded_without_a_server() {
    let desk = Desk::new("decode");
    assert_eq!(desk.said(&["operator", "generate-root", "-decode=AwQ", "-otp=bc"]), "ag\n");
    assert_eq!(desk.json(&["operator", "generate-root", "-decode=AwQ", "-otp=bc"]), json!({"token": "ag"}));
    desk.fails(&["operator", "generate-root", "-decode=AwQ", "-otp=b"], 1, "the password has 1 characters");
}

#[test]
fn a_server_from_its_initialisation_to_a_new_root_token() {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    let desk = Desk::with_server("operator", &server);
    let output = desk.coffer(&["operator", "init", "-status"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"Vault is not initialized\n".as_slice()));
    let made = desk.json(&["operator", "init", "-n", "3", "-t=2"]);
    assert_eq!((&made["unseal_shares"], &made["unseal_threshold"]), (&json!(3), &json!(2)));
    let key = |at: usize| made["unseal_keys_b64"][at].as_str().unwrap().to_owned();
    desk.said(&["operator", "init", "-status"]);
    desk.fails(&["operator", "init"], 2, "Vault is already initialized");

    assert_eq!(desk.json(&["operator", "unseal", &key(0)])["progress"], 1);
    assert_eq!(desk.json(&["operator", "unseal", "-reset"])["progress"], 0);
    desk.said(&["operator", "unseal", &key(0)]);
    let typed = desk.run(env!("CARGO_BIN_EXE_coffer"), &["operator", "unseal"], format!("{}\n", key(2)).as_bytes());
    assert!(String::from_utf8(typed.stdout).unwrap().contains("Sealed          false"), "{:?}", typed.stderr);
    let desk = desk.with_token(made["root_token"].as_str().unwrap());

    assert!(desk.said(&["operator", "rotate"]).starts_with("Success! Rotated key\n\nKey Term            2\n"));
    assert_eq!(desk.json(&["operator", "key-status"])["term"], 2);

    // Nothing is asked of the server, which is a mistake in what was typed.
    desk.fails(&["operator", "rekey", &key(0)], 1, "no rekeying is in progress: begin one with -init");
    desk.fails(&["operator", "generate-root", &key(0)], 1, "no root generation is in progress: begin one with -init");
    let begun = desk.json(&["operator", "rekey", "-init", "-key-shares=2", "-key-threshold=2"]);
    let nonce = format!("-nonce={}", begun["nonce"].as_str().unwrap());
    desk.fails(&["operator", "rekey", &key(0)], 1, "needs -nonce too");
    assert_eq!(desk.json(&["operator", "rekey", &nonce, &key(0)])["progress"], 1);
    let new = desk.json(&["operator", "rekey", &nonce, &key(1)]);
    let key = |at: usize| new["keys_base64"][at].as_str().unwrap().to_owned();

    let begun = desk.json(&["operator", "generate-root", "-init"]);
    let (nonce, otp) = (format!("-nonce={}", begun["nonce"].as_str().unwrap()), begun["otp"].as_str().unwrap());
    desk.said(&["operator", "generate-root", &nonce, &key(0)]);
    let done = desk.json(&["operator", "generate-root", &nonce, &key(1)]);
    let (encoded, otp) = (format!("-decode={}", done["encoded_token"].as_str().unwrap()), format!("-otp={otp}"));
    let token = desk.said(&["operator", "generate-root", &encoded, &otp]);
    let desk = desk.with_token(token.trim());
    assert_eq!(desk.said(&["operator", "seal"]), "Success! Vault is sealed.\n");
    assert_eq!(desk.coffer(&["status"]).status.code(), Some(2));
}

#[test]
fn approvals_are_listed_and_given() {
    let server = TestServer::with_all_engines();
    let desk = Desk::with_server("approvals", &server);
    assert_eq!(desk.said(&["key", "approvals"]), "Nothing waits for approval.\n");
    assert_eq!(desk.json(&["key", "approvals"]), json!([]));
    desk.fails(&["key", "approve", "nothing"], 2, "there is no approval");

    for (name, policy) in [("ann", ADMIN), ("bob", ADMIN)] {
        server.post(&format!("sys/policies/acl/{name}"), &json!({"policy": policy})).expect(204);
        server
            .post(&format!("auth/userpass/users/{name}"), &json!({"password": "pw", "token_policies": name}))
            .expect(204);
    }
    let log_in = |name: &str| {
        let told = server.post(&format!("auth/userpass/login/{name}"), &json!({"password": "pw"})).expect(200).json();
        told["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    server.post("sys/config/customer-keys", &json!({"approvals_required": 2})).expect(200);
    desk.said(&["key", "generate", "-out=key"]);
    desk.said(&["key", "upload", "acme", "key"]);
    let (ann, bob) = (desk.with_token(&log_in("ann")), log_in("bob"));
    ann.said(&["key", "activate", "kv/", "acme", "-skip-proof"]);
    let waiting = ann.json(&["key", "approvals"]);
    let id = waiting[0]["id"].as_str().unwrap();
    assert_eq!((&waiting[0]["operation"], &waiting[0]["state"]), (&json!("activate"), &json!("pending")));
    let listed = ann.said(&["key", "approvals"]);
    assert!(listed.ends_with(&format!("{id}    activate kv acme, asked for by userpass-ann: pending\n")), "{listed}");
    assert_eq!(ann.json(&["key", "approvals", id])["required"], 2);
    ann.fails(&["key", "approve", id], 2, "has approved this already");
    let done = ann.with_token(&bob).json(&["key", "approve", id]);
    assert_eq!(done["approval"]["state"], "done");
}

const ADMIN: &str = r#"path "sys/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"#;
