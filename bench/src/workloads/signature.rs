//! One signature of a message of 32 bytes a request, made or checked as each type of key does by default.

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    client,
    server::Server,
    workloads::{
        SMALL_BYTES, Script, Workload, keyed, plaintext,
        signer::{ecdsa_p256, ed25519, rsa_2048, signing, verification},
        text,
    },
};

pub(super) const SIGN_ED25519: Workload = Workload {
    name: "sign-ed25519",
    about: "sign 32 bytes with Ed25519",
    measure: keyed(|server| sign(server, "ed25519"), || Ok(signing(ed25519()?))),
};

pub(super) const SIGN_ECDSA_P256: Workload = Workload {
    name: "sign-ecdsa-p256",
    about: "sign 32 bytes with ECDSA on P-256 and SHA-256",
    measure: keyed(|server| sign(server, "ecdsa-p256"), || Ok(signing(ecdsa_p256()?))),
};

pub(super) const SIGN_RSA_2048: Workload = Workload {
    name: "sign-rsa-2048",
    about: "sign 32 bytes with RSA-2048, PSS and SHA-256",
    measure: keyed(|server| sign(server, "rsa-2048"), || Ok(signing(rsa_2048()?))),
};

pub(super) const VERIFY_ED25519: Workload = Workload {
    name: "verify-ed25519",
    about: "verify a signature of 32 bytes with Ed25519",
    measure: keyed(|server| verify(server, "ed25519"), || verification(&ed25519()?)),
};

pub(super) const VERIFY_ECDSA_P256: Workload = Workload {
    name: "verify-ecdsa-p256",
    about: "verify a signature of 32 bytes with ECDSA on P-256 and SHA-256",
    measure: keyed(|server| verify(server, "ecdsa-p256"), || verification(&ecdsa_p256()?)),
};

pub(super) const VERIFY_RSA_2048: Workload = Workload {
    name: "verify-rsa-2048",
    about: "verify a signature of 32 bytes with RSA-2048, PSS and SHA-256",
    measure: keyed(|server| verify(server, "rsa-2048"), || verification(&rsa_2048()?)),
};

/// Messages that signatures are checked of. How long that takes differs a little from one to the next.
pub(super) fn messages() -> impl Iterator<Item = Vec<u8>> {
    (0..MESSAGES).map(|number| vec![number; SMALL_BYTES])
}

/// Signs with a key of the type, which it is named after.
fn sign(server: &Server, key: &'static str) -> Result<Script> {
    make(server, key)?;
    let input = plaintext(SMALL_BYTES);
    let request = client::request("POST", &format!("/v1/transit/sign/{key}"), &json!({ "input": input }).to_string());
    let verify = move |server: &Server, answer: &Value| {
        let question = question(&input, text(answer, "signature")?);
        check(&server.post(&format!("/v1/transit/verify/{key}"), &question)?)
    };
    Ok(Script { requests: vec![request], verify: Box::new(verify) })
}

/// Checks what a key of the type, which it is named after, has signed.
fn verify(server: &Server, key: &'static str) -> Result<Script> {
    make(server, key)?;
    let request = |message| {
        let input = STANDARD.encode::<Vec<u8>>(message);
        let answer = server.post(&format!("/v1/transit/sign/{key}"), &json!({ "input": input }).to_string())?;
        let question = question(&input, text(&answer, "signature")?);
        Ok(client::request("POST", &format!("/v1/transit/verify/{key}"), &question))
    };
    let requests = messages().map(request).collect::<Result<_>>()?;
    Ok(Script { requests, verify: Box::new(|_: &Server, answer: &Value| check(answer)) })
}

fn make(server: &Server, key: &str) -> Result<()> {
    server.post(&format!("/v1/transit/keys/{key}"), &json!({ "type": key }).to_string()).map(drop)
}

fn question(input: &str, signature: &str) -> String {
    json!({ "input": input, "signature": signature }).to_string()
}

fn check(answer: &Value) -> Result<()> {
    ensure!(answer.pointer("/data/valid") == Some(&Value::Bool(true)), "not a valid signature: {answer}");
    Ok(())
}

const MESSAGES: u8 = 8;
