//! Audit files whose lines are a chain: they go on over everything that happens to files and servers, and
//! `coffer audit verify` tells what somebody did to them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use super::audit::Folder;
use crate::server::{ROOT, TestServer, limits};

/// What the command says of files, in the order of its arguments.
fn verify(server: Option<&TestServer>, files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(["audit", "verify", "-format=json"]).env("VAULT_TOKEN", ROOT);
    if let Some(server) = server {
        command.arg("-device=trail").env("VAULT_ADDR", format!("http://{}", server.address));
    }
    command.args(files).output().unwrap()
}

#[track_caller]
fn whole(server: Option<&TestServer>, files: &[&Path]) -> Value {
    let output = verify(server, files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn broken(server: Option<&TestServer>, file: &Path, expected: &str) {
    let output = verify(server, &[file]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(expected), "{said}");
}

fn with_chain(name: &str) -> (TestServer, Folder) {
    let (server, folder) = (TestServer::with_all_engines(), Folder::new(name));
    folder.enable(&server, "trail", &json!({"hash_chain": true}));
    (server, folder)
}

#[test]
fn a_chain_goes_on_over_moved_files_and_restarts() {
    let (store, key, folder) = (Arc::new(Memory::new()), UnsealKey::generate(), Folder::new("chain-restart"));
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    folder.enable(&server, "trail", &json!({"hash_chain": "true"}));
    let (first, second) = (folder.file().with_extension("1"), folder.file().with_extension("2"));
    server.get("sys/mounts").expect(200);
    fs::rename(folder.file(), &first).unwrap();
    server.core.reopen_audit();
    server.get("sys/mounts").expect(200);
    fs::rename(folder.file(), &second).unwrap();
    server.core.reopen_audit();
    // Nothing but what says where the chain stands.
    assert_eq!(folder.text().lines().count(), 1);
    drop(server);

    let server = TestServer::restarted(store.clone(), &key);
    server.get("sys/mounts").expect(200);
    drop(server);
    // As if the machine had failed in the middle of a line.
    let broken_off = folder.text() + "{\"time\":\"2026";
    fs::write(folder.file(), &broken_off).unwrap();
    let server = TestServer::restarted(store, &key);
    server.get("sys/mounts").expect(200);
    let told = whole(Some(&server), &[&folder.file(), &first, &second]);
    let lines = [&folder.file(), &first, &second].map(|file| fs::read_to_string(file).unwrap().lines().count());
    assert_eq!((&told["first"], &told["chains_begun"], &told["not_covered"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(told["broken_off"].as_array().unwrap().len(), 1);
    // The line that was broken off is none of the chain; the entries of the command are, and were written meanwhile.
    assert_eq!(told["last"], json!(lines.iter().sum::<usize>() - 1));
    assert_eq!((&told["end"], &told["signatures"]), (&json!("as the server has it"), &json!("verified")));
    let told = whole(None, &[&first]);
    assert!(told["end"].as_str().unwrap().contains("not known"), "{told}");
    // Every line is still an entry for those who know nothing of chains.
    assert!(fs::read_to_string(&first).unwrap().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn what_somebody_did_to_a_file_is_told() {
    let (server, folder) = with_chain("chain-broken");
    for number in 0..4 {
        server.get(&format!("kv/{number}")).expect(404);
    }
    let text = folder.text();
    let lines: Vec<&str> = text.lines().collect();
    let copy = folder.file().with_extension("copy");
    let check = |lines: &[&str], expected: &str| {
        fs::write(&copy, lines.join("\n") + "\n").unwrap();
        broken(None, &copy, expected);
    };
    whole(Some(&server), &[&folder.file()]);
    let changed = lines[3].replace("\"read\"", "\"list\"");
    check(&[&lines[..3], &[changed.as_str()], &lines[4..]].concat(), ":4: this line was changed");
    check(&[&lines[..3], &lines[5..]].concat(), ":4: before this line, lines 4 to 5 of the chain were removed");
    check(&[&lines[..3], &["{\"type\":\"request\"}"], &lines[3..]].concat(), ":4: this line was inserted");
    let swapped = [&lines[..2], &[lines[4], lines[3], lines[2]], &lines[5..]].concat();
    check(&swapped, ":3: line 5 of the chain does not belong here");

    // Whoever cuts the end off leaves no trace in the file; the server knows.
    fs::write(&copy, lines[..5].join("\n") + "\n").unwrap();
    whole(None, &[&copy]);
    broken(Some(&server), &copy, ":5: behind this line, those up to ");
    // A chain of somebody who has not the key holds by itself.
    let other = Folder::new("chain-forged");
    let guessing = TestServer::start();
    other.enable(&guessing, "trail", &json!({"hash_chain": true}));
    guessing.get("kv/a").expect(404);
    whole(None, &[&other.file()]);
    broken(Some(&server), &other.file(), ":1: this line was written by somebody who has not the key");
    let output = verify(None, &[Path::new("nonexistent")]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_chain_is_told_to_who_may_know() {
    let (server, folder) = with_chain("chain-told");
    let told = server.get("sys/audit-chain/trail").data();
    assert!(told["sequence"].as_u64().unwrap() > 1 && told["key"].is_string());
    assert!(folder.text().contains(told["hash"].as_str().unwrap()));
    let plain = Folder::new("chain-none");
    plain.enable(&server, "plain", &json!({}));
    server.get("sys/audit-chain/plain").refused(400, "the device \"plain/\" has no hash_chain");
    server.get("sys/audit-chain/none").refused(400, "unknown audit backend \"none/\"");
    assert!(!plain.text().contains("\"chain\":{"));
    assert_eq!(verify(None, &[&plain.file()]).status.code(), Some(2));
}
