//! A server that another one unseals, over TLS and with a client certificate.

use serde_json::json;

use super::{Process, Scratch};
use crate::client::request;
use crate::remote::pem;

/// A server with a key named `seal`, which over TLS lets only clients of its authority in.
fn keeper() -> (Scratch, Process) {
    let scratch = Scratch::new();
    for (file, name) in [("cert.pem", "server"), ("key.pem", "server-key"), ("ca.pem", "ca"), ("own.pem", "own")] {
        scratch.write(file, &pem(name));
    }
    for (file, name) in [("alice.pem", "alice"), ("alice-key.pem", "alice-key"), ("own-key.pem", "own-key")] {
        scratch.write(file, &pem(name));
    }
    let listener = "listener \"tcp\" {\n address = \"127.0.0.1:0\"\n tls_cert_file = \"DIR/cert.pem\"\n\
        tls_key_file = \"DIR/key.pem\"\n tls_client_ca_file = \"DIR/ca.pem\"\n\
        tls_require_and_verify_client_cert = true\n}\n";
    let server = Process::start_dev(&scratch, listener);
    let mut connection = server.connect(0);
    for (path, body) in [("sys/mounts/transit", json!({"type": "transit"})), ("transit/keys/seal", json!({}))] {
        let answer = connection.send(&request("POST", path).json(&body)).unwrap();
        assert!(matches!(answer.status, 200 | 204), "{path}: {}", answer.text());
    }
    (scratch, server)
}

#[test]
fn a_transit_seal_speaks_tls_as_it_is_told() {
    let (scratch, keeper) = keeper();
    let config = |more: &str| {
        let port = keeper.addresses[1].port();
        format!(
            "storage \"inmem\" {{}}\ndisable_mlock = true\nlistener \"tcp\" {{ address = \"127.0.0.1:0\" tls_disable = true }}\n\
             seal \"transit\" {{\n address = \"https://127.0.0.1:{port}\"\n token = \"root\"\n key_name = \"seal\"\n{more}\n}}\n"
        )
    };
    let init = request("PUT", "sys/init").without_token().json(&json!({"recovery_shares": 1, "recovery_threshold": 1}));
    let check = |more: &str, unsealed: bool| {
        let server = Process::start(&scratch, &config(more));
        let answer = server.connect(0).send(&init).unwrap();
        assert_eq!(answer.status == 200, unsealed, "{more}: {}", answer.text());
        server.log()
    };
    let ca = "tls_ca_cert = \"DIR/ca.pem\"";
    let alice = "tls_client_cert = \"DIR/alice.pem\"\n tls_client_key = \"DIR/alice-key.pem\"";
    let own = "tls_client_cert = \"DIR/own.pem\"\n tls_client_key = \"DIR/own-key.pem\"";
    check(&format!("{ca}\n{alice}"), true);
    check(ca, false);
    check(&format!("{ca}\n{own}"), false);
    check(&format!("{ca}\n{alice}\ntls_server_name = \"localhost\""), true);
    check(&format!("{ca}\n{alice}\ntls_server_name = \"elsewhere\""), false);
    check(&format!("tls_ca_cert = \"DIR/own.pem\"\n{alice}"), false);
    let log = check(&format!("{alice}\ntls_skip_verify = \"true\""), true);
    assert!(log.contains("anybody on the way can unseal this server"), "{log}");
}
