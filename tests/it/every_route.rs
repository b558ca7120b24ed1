//! What holds for every row of the route table, for those to come without a word here.

use std::fmt;
use std::sync::OnceLock;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use coffer::api::Op;
use coffer::api::route::{Access, Row};

use crate::client::{Answer, Request, request};
use crate::remote::pem;
use crate::server::TestServer;

/// All rows with the path of their mount. Rows are the same on every server.
pub(crate) fn rows() -> &'static [(String, &'static Row)] {
    static ROWS: OnceLock<Vec<(String, &'static Row)>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mounts = TestServer::with_all_engines().core.route_table().unwrap();
        mounts.into_iter().flat_map(|(mount, rows)| rows.into_iter().map(move |row| (mount.clone(), row))).collect()
    })
}

/// A server with one of each thing that a row may change.
pub(crate) fn furnished() -> TestServer {
    let server = TestServer::with_all_engines();
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/k/rotate", &json!({})).expect(200);
    let config = json!({"min_decryption_version": 2, "min_encryption_version": 2, "deletion_allowed": true});
    server.post("transit/keys/k/config", &config).expect(200);
    server.post("secret/data/transit", &json!({"data": {"a": "b"}})).expect(200);
    server.post("auth/userpass/users/k", &json!({"password": "p"})).expect(204);
    server.post("auth/approle/role/k", &json!({"token_policies": "default"})).expect(204);
    let keys = json!({"jwt_validation_pubkeys": pem("rsa"), "default_role": "k"});
    server.post("auth/jwt/config", &keys).expect(204);
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s"});
    server.post("auth/jwt/role/k", &role).expect(204);
    server.post("auth/kubernetes/config", &json!({"kubernetes_host": "http://127.0.0.1:1"})).expect(204);
    let role = json!({"bound_service_account_names": "a", "bound_service_account_namespaces": "n"});
    server.post("auth/kubernetes/role/k", &role).expect(204);
    server.post("auth/cert/certs/k", &json!({"certificate": pem("ca")})).expect(204);
    server.post("auth/cert/crls/k", &json!({"crl": pem("crl")})).expect(204);
    server.post("sys/customer-keys/k", &json!({"key": KEY})).expect(200);
    for key in ["k", "of-role"] {
        server.post(&format!("identity/oidc/key/{key}"), &json!({"algorithm": "EdDSA"})).expect(204);
    }
    server.post("identity/oidc/role/k", &json!({"key": "of-role"})).expect(204);
    server.post("identity/oidc/client/k", &json!({"key": "of-role"})).expect(204);
    for thing in ["assignment", "scope", "provider"] {
        server.post(&format!("identity/oidc/{thing}/k"), &json!({})).expect(204);
    }
    server.post("sys/audit/transit", &json!({"type": "file", "options": {"file_path": "discard"}})).expect(204);
    server.post("sys/config/auditing/request-headers/k", &json!({})).expect(204);
    for path in ["cubbyhole/k", "cubbyhole/k/below", "kv/k", "kv/k/below"] {
        server.post(path, &json!({"a": "b"})).expect(204);
    }
    server
}

/// A request that the handler of a row would carry out.
pub(crate) fn sample(mount: &str, row: &Row) -> Request {
    let path = match (row.op, row.path) {
        (Op::Write, "mounts/{path..}") => "mounts/new".to_owned(),
        (Op::Write, "audit/{path..}") => "audit/new".to_owned(),
        // The answer to any other does not end.
        (_, "monitor") => "monitor?log_level=loud".to_owned(),
        (_, pattern) => pattern.split('/').map(filled).collect::<Vec<_>>().join("/"),
    };
    let body = match row.path {
        "encrypt/{name}" => json!({"plaintext": ""}),
        "decrypt/{name}" | "rewrap/{name}" => json!({"ciphertext": "vault:v2:AAAA"}),
        "keys/{name}/trim" => json!({"min_available_version": 2}),
        "mounts/{path..}" => json!({"type": "transit"}),
        "mounts/{path..}/tune" => json!({"description": "changed"}),
        "mounts/{path..}/protection" => json!({"protector": "platform"}),
        "customer-keys/{name}" => json!({"key": OTHER_KEY}),
        "customer-keys/{name}/restore" => json!({"key": KEY}),
        "audit/{path..}" => json!({"type": "file", "options": {"file_path": "discard"}}),
        "audit-hash/{path..}" => json!({"input": "a"}),
        "config/keys" => json!({"disable_upsert": true}),
        "cache-config" => json!({"size": 10}),
        "data/{path..}" => json!({"data": {"c": "d"}}),
        "data" => json!({"paths": ["transit"]}),
        "users/{username}/password" => json!({"password": "q"}),
        "role/{role_name}/secret-id/lookup" => json!({"secret_id": "s"}),
        "delete/{path..}" | "undelete/{path..}" | "destroy/{path..}" => json!({"versions": [1]}),
        _ => json!({}),
    };
    let request = request(method(row.op), &format!("{mount}{path}"));
    match row.op {
        Op::Read | Op::List | Op::Scan | Op::Delete => request,
        Op::Write => request.json(&body),
        Op::Patch => request.header("Content-Type", "application/merge-patch+json").json(&body),
    }
}

/// Two customers' keys.
const KEY: &str = "Lx5m0o1PYUmZ7uR2bVtKc3hQJ9wXyAaEfDgHsTnUeIo=";
const OTHER_KEY: &str = "q8Vt2LxJ5mRk7ZpYwN3sBd9fHcG1uAoE4iTjXyQeKr0=";

/// A part of a path that fits into a part of a pattern.
fn filled(part: &str) -> &str {
    match part {
        "{path..}" => "transit",
        "{plaintext}" => "plaintext",
        "{source?}" => "platform",
        "{urlbytes?..}" => "16",
        "{urlalgorithm?..}" => "sha2-256",
        part if part.starts_with('{') => "k",
        part => part,
    }
}

fn method(op: Op) -> &'static str {
    match op {
        Op::Read => "GET",
        Op::List => "LIST",
        Op::Scan => "SCAN",
        Op::Write => "POST",
        Op::Patch => "PATCH",
        Op::Delete => "DELETE",
    }
}

/// Without this the refusals of strangers could have any reason.
#[test]
fn root_is_admitted_to_every_row() {
    for (mount, row) in rows() {
        let asked = sample(mount, row);
        let answer = furnished().send(&asked);
        // What is not there has no words, what is not served has.
        let lost = answer.status == 404 && !NOT_SERVED.contains(&answer.error_if_any().as_str());
        assert!(!lost && !matches!(answer.status, 403 | 405), "{}: {} {}", asked.title(), answer.status, answer.text());
    }
}

const NOT_SERVED: [&str; 3] = ["", "enterprise-only feature", "The functionality has been removed on this path"];

/// Rows that ask for a response-wrapping token, or for a proof of another kind, see to it themselves.
const OTHERWISE_PROVEN: [&str; 7] =
    ["wrapping/", "login", "mfa/", "oidc/auth_url", "oidc/callback", "unseal", "decode-token"];

#[test]
fn open_rows_need_no_token() {
    let server = furnished();
    let open = |row: &Row| {
        row.access == Access::Open
            && !row.path.contains('{')
            && (row.op, row.path) != (Op::Write, "init")
            && !OTHERWISE_PROVEN.iter().any(|start| row.path.starts_with(start))
    };
    for (mount, row) in rows().iter().filter(|(_, row)| open(row)) {
        server.send(&sample(mount, row).without_token()).expect(200);
    }
}

/// A sealed server and one that is not initialised keep nothing, so that nothing but their state is told.
#[test]
fn a_sealed_server_answers_only_rows_that_say_so() {
    let sealed = TestServer::over(furnished().store.clone(), crate::server::limits());
    for (mount, row) in rows() {
        let asked = sample(mount, row);
        let answer = sealed.send(&asked);
        // What takes shares is not served by a sealed server; of rekeying it sends whoever asks to the one that leads.
        if row.access == Access::Shares && row.path.starts_with("rekey") {
            answer.refused(503, "node is not active");
        } else if row.while_sealed && row.access != Access::Shares {
            assert_ne!(answer.error_if_any(), "Vault is sealed", "{}", asked.title());
        } else {
            answer.refused(503, "Vault is sealed");
        }
    }
}

#[test]
fn every_row_is_described() {
    let server = furnished();
    let openapi = server.get("sys/internal/specs/openapi").expect(200).json();
    for (mount, row) in rows() {
        let at = format!("{mount}{}", row.path);
        let path = row.path.split('/').map(filled).collect::<Vec<_>>().join("/");
        let help = server.get(&format!("{mount}{path}?help=1")).json()["help"].as_str().unwrap().to_owned();
        let described = help.lines().skip_while(|line| *line != format!("{} {}", row.op.name(), row.path)).nth(1);
        assert!(described.is_some_and(|text| text.trim().len() > 10), "help on {} {at} says {help}", row.op.name());

        let verb = if row.op.is_of_folders() { "get".to_owned() } else { method(row.op).to_ascii_lowercase() };
        let documented = format!("/{}", at.replace(['.', '?'], ""));
        let operation = &openapi["paths"][&documented][&verb];
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "OpenAPI of {verb} {documented}");
        for (name, field) in fields(row) {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 5), "{at}: {name} is not described");
        }
    }
}

fn fields(row: &Row) -> Vec<(String, Value)> {
    let schema = (row.schema)(&mut SchemaGenerator::default());
    let properties = schema.get("properties").and_then(Value::as_object).cloned();
    properties.unwrap_or_default().into_iter().collect()
}

// === arbitrary requests ===

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_breaks_the_server(throws in vec(throw(), 1..10)) {
        let server = furnished();
        for throw in &throws {
            check(&server.send(&throw.0), throw);
        }
        server.send(&request("GET", "sys/health").without_token()).expect(200);
    }
}

/// Never the server's fault, unless it is one that Vault's clients know as such.
fn check(answer: &Answer, throw: &Throw) {
    let body: Value = match &answer.body[..] {
        [] => Value::Null,
        _ if answer.status == 307 => return,
        // What is not JSON says so, and is no failure either.
        _ if answer.status == 400 && answer.header("content-type") == Some("text/plain") => return,
        _ => answer.json(),
    };
    let chosen = body["data"]["batch_results"].is_array() || body["initialized"].is_boolean();
    let bare = |text: &Value| text.as_str().is_some_and(|text| text.starts_with("1 error occurred:\n\t* "));
    let known = match answer.status {
        200..=499 => true,
        500 => chosen || body["errors"].as_array().is_some_and(|texts| texts.iter().any(bare)),
        501.. => chosen,
        _ => false,
    };
    assert!(known, "{throw:?}\n{answer:?}");
}

struct Throw(Request);

impl fmt::Debug for Throw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0.bytes()))
    }
}

/// A request to a row, in which some parts are what they should be and others are not.
fn throw() -> impl Strategy<Value = Throw> {
    // A server that is sealed would answer nothing else, and what is monitored does not end.
    let rows: Vec<_> = rows().iter().filter(|(_, row)| !["seal", "monitor"].contains(&row.path)).collect();
    let of_row = (0..rows.len()).prop_flat_map(move |row| {
        let (mount, row) = rows[row];
        let parts: Vec<_> = row.path.split('/').map(part).collect();
        let names: Vec<_> = fields(row).into_iter().map(|(name, _)| name).chain(["other".to_owned()]).collect();
        let method = prop_oneof![4 => Just(method(row.op)), 1 => select(METHODS)];
        (method, Just(mount), parts, query(names.clone()), body(names))
    });
    let parts = (of_row, select(TYPES), prop_oneof![8 => Just("root"), 1 => Just("other")]);
    parts.prop_map(|((method, mount, parts, query, body), content_type, token)| {
        let request = request(method, &format!("{mount}{}{query}", parts.join("/"))).token(token).body(body);
        Throw(if content_type.is_empty() { request } else { request.header("Content-Type", content_type) })
    })
}

/// A part of a path, percent-encoded, or something that is no part at all.
fn part(pattern: &'static str) -> BoxedStrategy<String> {
    if !pattern.starts_with('{') {
        return Just(pattern.to_owned()).boxed();
    }
    let encoded = any::<String>().prop_map(|text| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string());
    let odd =
        select(&["", "..", "%2e%2e", "%00", "%", "a//b", "a/", "k%2Fk", "%ff", "vault", "-1", "99999999999999999999"]);
    prop_oneof![4 => Just(filled(pattern).to_owned()), 1 => encoded, 1 => odd.prop_map(str::to_owned)].boxed()
}

fn query(names: Vec<String>) -> impl Strategy<Value = String> {
    let value = prop_oneof![select(TEXTS).prop_map(str::to_owned), any::<String>()];
    let pair = (prop_oneof![select(names), select(&["list", "help", "after", "limit"]).prop_map(str::to_owned)], value);
    let pairs = vec(pair, 1..4).prop_map(|pairs| {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        format!("?{}", pairs.join("&"))
    });
    prop_oneof![4 => Just(String::new()), 1 => pairs, 1 => "\\?[a-z0-9%&=;+./]{0,20}"]
}

/// A body: mostly an object with the members that the row knows, and anything at all.
fn body(names: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let member = (any::<Index>(), json_text())
        .prop_map(move |(name, value)| format!("{:?}:{value}", names[name.index(names.len())]));
    let object = vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))).boxed();
    let cut =
        (object.clone(), any::<Index>()).prop_map(|(text, at)| text.as_bytes()[..at.index(text.len() + 1)].to_vec());
    prop_oneof![
        8 => object.prop_map(String::into_bytes),
        1 => json_text().prop_map(String::into_bytes),
        1 => cut,
        1 => vec(any::<u8>(), 0..200),
        1 => "[a-z_]{1,10}=[ -~]{0,20}(&[a-z_]{1,10}=[ -~]{0,20}){0,3}".prop_map(String::into_bytes),
    ]
}

/// The text of a JSON value.
fn json_text() -> impl Strategy<Value = String> {
    let quoted = |text: &str| Value::from(text).to_string();
    let leaf = prop_oneof![
        3 => select(TEXTS).prop_map(quoted),
        1 => any::<String>().prop_map(move |text| quoted(&text)),
        1 => "\"(\\\\u[0-9a-f]{4}){0,3}\"",
        2 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?",
        1 => select(&["null", "true", "false", "0", "1", "2", "-1"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member = (select(MEMBERS), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

const METHODS: &[&str] = &["GET", "LIST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HELP", "SCAN", "TRACE", "X"];
const TYPES: &[&str] =
    &["", "application/json", "application/x-www-form-urlencoded", "application/merge-patch+json", "/"];
const MEMBERS: &[&str] =
    &["plaintext", "ciphertext", "context", "associated_data", "key_version", "reference", "size", "x", "cas", "path"];
/// Texts that some field takes.
const TEXTS: &[&str] = &[
    "",
    "YQ==",
    "YQ",
    "*",
    "vault:v1:AAAA",
    "vault:v2:",
    "vault:v0:YQ==",
    "vault:v99999999999:YQ==",
    "k",
    "new",
    "1h",
    "-1h",
    "1e9h",
    "0x10",
    "true",
    "1",
    "-1",
    "9223372036854775808",
    "hex",
    "base64",
    "sha2-512",
    "seal",
    "transit",
    "system",
    "unauth",
    "aes128-gcm96",
    "chacha20-poly1305",
    "rsa-2048",
    "hmac",
    "default",
    "root,default",
    "a=b",
    "{}",
    "service",
];
