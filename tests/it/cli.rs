//! The commands that work on a running server, as their users type them.

mod desk;
mod key;
mod key_server;
mod operator;
mod prompt;

use std::fs;
use std::process::{Command, Output};

use serde_json::json;

use crate::server::{ROOT, TestServer};

/// Runs the binary against a server.
fn coffer(server: &TestServer, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
    command.args(args).env_remove("COFFER_ADDR").env_remove("COFFER_TOKEN");
    command.env("VAULT_ADDR", format!("http://{}", server.address)).env("VAULT_TOKEN", ROOT);
    command.output().unwrap()
}

fn fails(server: &TestServer, args: &[&str], expected: &str) {
    let output = coffer(server, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{args:?}: {said}");
}

/// Made for this test; it protects nothing.
const EC_KEY: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIIzviZeVcmwdL5cYwMY1VMjNDvd/hfs1YDI+S2u3GPNdoAoGCCqGSM49
AwEHoUQDQgAEa42wkobeziQrtcXQXLbHJCqorimy7Q61tKnHs95op+K6Jm+cgn3w
7TKAjn3JnF/3ygWurF2V3BENk/oUxJ6Igw==
-----END EC PRIVATE KEY-----";

#[test]
fn keys_are_imported_in_one_command() {
    let server = TestServer::start();
    let file = std::env::temp_dir().join(format!("coffer-import-{}.pem", std::process::id()));
    fs::write(&file, EC_KEY).unwrap();
    let at_file = format!("@{}", file.display());
    let output = coffer(&server, &["transit", "import", "transit/keys/ec", &at_file, "exportable=true"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Success! Imported transit/keys/ec as a key of type ecdsa-p256\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let exported = server.get("transit/export/signing-key/ec").data();
    assert_eq!(exported["keys"]["1"], EC_KEY);

    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert!(coffer(&server, &["transit", "import", "transit/keys/aes", key, "exportable=true"]).status.success());
    let other = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    assert!(coffer(&server, &["transit", "import-version", "transit/keys/aes", other]).status.success());
    let exported = server.get("transit/export/encryption-key/aes").data();
    assert_eq!(exported["keys"], json!({"1": key, "2": other}));
}

#[test]
fn what_cannot_be_imported_is_told_in_one_line() {
    let server = TestServer::start();
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let import = |path, key| ["transit", "import", path, key];
    fails(&server, &import("transit/mine", key), "it has the form MOUNT/keys/NAME");
    fails(&server, &import("transit/keys/k", "@/no/such/file"), "cannot read /no/such/file");
    fails(&server, &import("transit/keys/k", "mine.pem"), "put an @ before the name of a file");
    fails(&server, &import("elsewhere/keys/k", key), "the server answers 404");
    fails(&server, &["transit", "import", "transit/keys/k", key, "type=ecdsa-p256"], "error parsing asymmetric key");
    fails(&server, &["transit", "import", "transit/keys/k", key, "exportable"], "write NAME=VALUE");
    server.post("transit/keys/k", &json!({})).expect(200);
    fails(&server, &import("transit/keys/k", key), "the import path cannot be used with an existing key");
}
