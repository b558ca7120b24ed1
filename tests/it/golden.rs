//! What clients see of the whole API, in files: routes, the `OpenAPI` document, texts of errors. A change is a diff that people read;
//! `UPDATE_GOLDEN=1` writes the files anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use coffer::api::route::{Access, Row, Shape, Work};

use crate::client::{b64, request};
use crate::server::TestServer;

/// One line a row. A row that needs no token shows in the third column.
#[test]
fn routes() {
    let server = TestServer::with_all_engines();
    let mut lines = Vec::new();
    for (mount, rows) in server.core.route_table().unwrap() {
        lines.extend(rows.iter().map(|row| line(&mount, row)));
    }
    lines.sort();
    check("routes.txt", &(lines.join("\n") + "\n"));
}

fn line(mount: &str, row: &Row) -> String {
    let path = format!("{mount}{}", row.path);
    let access = match row.access {
        Access::Token => "token",
        Access::Sudo => "sudo",
        Access::Open => "open",
        Access::Shares => "shares",
    };
    let sealed = if row.while_sealed { "while-sealed" } else { "unsealed" };
    let shape = match row.shape {
        Shape::Enveloped => "enveloped",
        Shape::Echoed => "echoed",
        Shape::Bare => "bare",
    };
    let work = match row.work {
        Work::Quick => "quick",
        Work::Slow => "slow",
    };
    format!("{path:<42} {:<7}{access:<7}{sealed:<14}{shape:<11}{work}", row.op.name())
}

#[test]
fn openapi() {
    let server = TestServer::with_all_engines();
    let mut document = server.get("sys/internal/specs/openapi").expect(200).json();
    // A release is no change of the API.
    document["info"]["version"] = Value::Null;
    check("openapi.json", &(serde_json::to_string_pretty(&document).unwrap() + "\n"));
}

/// Requests that provoke an error each, in this order, and what clients read then.
#[test]
fn errors() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/derived", &json!({"derived": true})).expect(200);
    let mut text = String::new();
    for (line, body) in provocations(&server) {
        let (method, path) = line.split_once(' ').unwrap();
        let (path, token) = path.split_once(" as ").unwrap_or((path, "root"));
        let answer = server.send(&request(method, path).token(token).body(body.as_str()));
        // Ciphertexts are others in every run.
        let shown = if body.len() > 50 && body.contains("vault:v") { "{\"ciphertext\":\"...\"}" } else { &body };
        write!(text, "{line} {shown}\n{} {}\n", answer.status, answer.text()).unwrap();
        assert!(answer.text().is_empty() || answer.text().ends_with('\n'), "{line}");
    }
    check("errors.txt", &text);
}

fn provocations(server: &TestServer) -> Vec<(String, String)> {
    let ciphertext = server.post("transit/encrypt/k", &json!({"plaintext": "YQ=="})).text_of("ciphertext");
    let broken = format!("{}AA", &ciphertext[..ciphertext.len() - 2]);
    let aged = json!({"ciphertext": ciphertext.replace(":v1:", ":v2:")}).to_string();
    let tampered = json!({"ciphertext": broken}).to_string();
    server.post("auth/token/create", &json!({"id": "poor", "policies": ["default"]})).expect(200);
    let input = b64("input");
    let own = |(line, body): &(&str, &str)| ((*line).to_owned(), body.replace("INPUT", &input));
    let fixed = PROVOCATIONS.iter().map(own);
    let made = [("POST transit/decrypt/k", aged), ("POST transit/decrypt/k", tampered)];
    fixed.chain(made.map(|(line, body)| (line.to_owned(), body))).collect()
}

#[rustfmt::skip]
const PROVOCATIONS: &[(&str, &str)] = &[
    // Who asks.
    ("GET transit/keys/k as nobody", ""),
    ("GET transit/keys/k as poor", ""),
    ("GET nowhere/x as poor", ""),
    ("GET sys/internal/ui/mounts/transit/x as nobody", ""),
    ("GET sys/internal/ui/mounts/transit/x as poor", ""),
    ("GET sys/internal/ui/mounts/nowhere/x", ""),
    // Where.
    ("GET nowhere/x", ""),
    ("GET ", ""),
    ("GET transit/nowhere", ""),
    ("GET sys/nowhere", ""),
    ("GET transit/keys/no@name", ""),
    ("GET transit/keys/missing", ""),
    ("LIST transit/nowhere", ""),
    ("GET transit/keys/%2e%2e/x", ""),
    ("GET transit/keys/%zz", ""),
    // How.
    ("GET transit/keys", ""),
    ("GET transit/encrypt/k", ""),
    ("PATCH transit/keys/k", "{}"),
    ("OPTIONS transit/keys/k", ""),
    ("GET transit/keys?list=maybe", ""),
    ("POST transit/keys/k/", "{}"),
    // With what.
    ("POST transit/keys/x", "[]"),
    ("POST transit/keys/x", "{"),
    ("POST transit/keys/x", "7"),
    ("POST transit/keys/x", "{\"type\":[]}"),
    ("POST transit/keys/x", "{\"type\":null}"),
    ("POST transit/keys/x", "{\"type\":\"rot13\"}"),
    ("POST transit/keys/x", "{\"derived\":\"maybe\"}"),
    ("POST transit/keys/x", "{\"derived\":[1]}"),
    ("POST transit/keys/x", "{\"convergent_encryption\":true}"),
    ("POST transit/keys/x", "{\"auto_rotate_period\":\"1m\"}"),
    ("POST transit/keys/x", "{\"auto_rotate_period\":-1}"),
    ("POST transit/keys/x", "{\"auto_rotate_period\":\"3600.5\"}"),
    ("POST transit/keys/x", "{\"auto_rotate_period\":\"bogus\"}"),
    ("POST transit/keys/x", "{\"key_size\":\"many\"}"),
    ("POST transit/keys/x", "{\"key_size\":32}"),
    // Keys.
    ("DELETE transit/keys/k", ""),
    ("DELETE transit/keys/missing", ""),
    ("POST transit/keys/missing/rotate", ""),
    ("POST transit/keys/missing/config", ""),
    ("POST transit/keys/missing/trim", ""),
    ("POST transit/keys/k/trim", ""),
    ("POST transit/keys/k/trim", "{\"min_available_version\":1}"),
    ("POST transit/keys/k/config", "{\"min_decryption_version\":2}"),
    ("POST transit/keys/k/config", "{\"min_decryption_version\":-1}"),
    ("POST transit/keys/k/config", "{\"min_encryption_version\":2}"),
    ("POST transit/keys/k/config", "{\"min_encryption_version\":-1}"),
    ("POST transit/keys/k/config", "{\"auto_rotate_period\":60}"),
    // Encrypting and decrypting.
    ("POST transit/encrypt/k", ""),
    ("POST transit/encrypt/k", "{\"plaintext\":\"*\"}"),
    ("POST transit/encrypt/k", "{\"plaintext\":[]}"),
    ("POST transit/encrypt/k", "{\"plaintext\":\"INPUT\",\"key_version\":2}"),
    ("POST transit/encrypt/k", "{\"plaintext\":\"INPUT\",\"key_version\":-1}"),
    ("POST transit/encrypt/k", "{\"plaintext\":\"INPUT\",\"key_version\":\"one\"}"),
    ("POST transit/encrypt/k", "{\"plaintext\":\"INPUT\",\"associated_data\":\"*\"}"),
    ("POST transit/encrypt/derived", "{\"plaintext\":\"INPUT\"}"),
    ("POST transit/encrypt/derived", "{\"plaintext\":\"INPUT\",\"context\":\"*\"}"),
    ("POST transit/encrypt/new", "{\"plaintext\":\"INPUT\",\"type\":\"rsa-2048\"}"),
    ("POST transit/encrypt/new", "{\"plaintext\":\"INPUT\",\"type\":\"ecdsa-p256\"}"),
    ("POST transit/encrypt/new", "{\"plaintext\":\"INPUT\",\"convergent_encryption\":true}"),
    ("POST transit/decrypt/missing", "{\"ciphertext\":\"vault:v1:AAAA\"}"),
    ("POST transit/decrypt/k", ""),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"\"}"),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"AAAA\"}"),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"vault:AAAA\"}"),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"vault:vx:AAAA\"}"),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"vault:v1:*\"}"),
    ("POST transit/decrypt/k", "{\"ciphertext\":\"vault:v1:AAAA\"}"),
    ("POST transit/rewrap/k", ""),
    ("POST transit/rewrap/missing", "{\"ciphertext\":\"vault:v1:AAAA\"}"),
    // Batches.
    ("POST transit/encrypt/k", "{\"batch_input\":[]}"),
    ("POST transit/encrypt/k", "{\"batch_input\":\"INPUT\"}"),
    ("POST transit/encrypt/k", "{\"batch_input\":[7]}"),
    ("POST transit/encrypt/k", "{\"batch_input\":[{}]}"),
    ("POST transit/encrypt/k", "{\"batch_input\":[{\"plaintext\":7}]}"),
    ("POST transit/encrypt/k", "{\"batch_input\":[{\"plaintext\":\"\",\"key_version\":\"1\"}]}"),
    ("POST transit/encrypt/k", "{\"batch_input\":[{\"plaintext\":\"\",\"context\":\"YQ==\"},{\"plaintext\":\"\"}]}"),
    ("POST transit/rewrap/k", "{\"batch_input\":{}}"),
    ("POST transit/rewrap/k", "{\"batch_input\":[{\"ciphertext\":true}]}"),
    // Data keys, randomness, hashes.
    ("POST transit/datakey/other/k", ""),
    ("POST transit/datakey/plaintext/k", "{\"bits\":192}"),
    ("POST transit/datakey/plaintext/missing", ""),
    ("POST transit/random/0", ""),
    ("POST transit/random/131073", ""),
    ("POST transit/random/many", ""),
    ("POST transit/random", "{\"format\":\"octal\"}"),
    ("POST transit/random/moon/32", ""),
    ("POST transit/hash", ""),
    ("POST transit/hash", "{\"input\":\"*\"}"),
    ("POST transit/hash/md5", "{\"input\":\"INPUT\"}"),
    ("POST transit/hash", "{\"input\":\"INPUT\",\"format\":\"octal\"}"),
    ("POST transit/restore", ""),
    ("POST transit/restore", "{\"backup\":\"INPUT\"}"),
    ("POST transit/cache-config", "{\"size\":9}"),
    // Mounts.
    ("GET sys/mounts/nowhere", ""),
    ("GET sys/mounts/nowhere/tune", ""),
    ("POST sys/mounts/nowhere/tune", "{}"),
    ("POST sys/mounts/transit/tune", "{\"token_type\":\"batch\"}"),
    ("POST sys/mounts/transit/tune", "{\"default_lease_ttl\":\"abc\"}"),
    ("POST sys/mounts/transit/tune", "{\"default_lease_ttl\":\"2h\",\"max_lease_ttl\":\"1h\"}"),
    ("POST sys/mounts/transit/tune", "{\"listing_visibility\":\"zz\"}"),
    ("POST sys/mounts/transit", "{\"type\":\"transit\"}"),
    ("POST sys/mounts/transit/below", "{\"type\":\"transit\"}"),
    ("POST sys/mounts/other", "{}"),
    ("POST sys/mounts/other", "{\"type\":\"nosuch\"}"),
    ("POST sys/mounts/sys/x", "{\"type\":\"transit\"}"),
    ("POST sys/mounts/auth/x", "{\"type\":\"transit\"}"),
    ("DELETE sys/mounts/sys", ""),
    // Tokens.
    ("POST auth/token/create", "{\"ttl\":\"abc\"}"),
    ("POST auth/token/create", "{\"type\":\"other\"}"),
    ("POST auth/token/create", "{\"id\":\"a.b\"}"),
    ("POST auth/token/create", "{\"id\":\"root\"}"),
    ("POST auth/token/create", "{\"num_uses\":-1}"),
    ("POST auth/token/create", "{\"entity_alias\":\"x\"}"),
    ("POST auth/token/create as poor", "{}"),
    ("POST auth/token/renew-self", ""),
    // Health.
    ("GET sys/health?activecode=x", ""),
    ("GET sys/health?activecode=99", ""),
    ("POST sys/health", ""),
];

/// Compares with the file, or writes it.
#[track_caller]
pub(crate) fn check(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    #[expect(clippy::disallowed_methods, reason = "no part of the product")]
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(&file, found).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    if let Some((number, (kept, found))) = first_difference(&kept, found) {
        panic!("tests/golden/{name}, line {number}:\n  was {kept}\n  is  {found}\n`just golden` takes over what is");
    }
}

fn first_difference<'t>(kept: &'t str, found: &'t str) -> Option<(usize, (&'t str, &'t str))> {
    let length = kept.lines().count().max(found.lines().count());
    let padded = |text: &'t str| text.lines().chain(std::iter::repeat("(nothing)"));
    (1..=length).zip(padded(kept).zip(padded(found))).find(|(_, (kept, found))| kept != found)
}
