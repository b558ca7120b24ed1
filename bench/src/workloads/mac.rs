//! One HMAC of 32 bytes a request.

use std::hint::black_box;

use anyhow::{Result, ensure};
use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::{
    alone::Operation,
    client,
    server::Server,
    workloads::{SMALL_BYTES, Script, Workload, bytes, keyed, plaintext, text},
};

pub(super) const SMALL: Workload =
    Workload { name: "hmac-32", about: "make the HMAC of 32 bytes with SHA-256", measure: keyed(script, alone) };

/// The key that encrypts has a key for HMACs too.
fn script(_: &Server) -> Result<Script> {
    let body = json!({ "input": plaintext(SMALL_BYTES) }).to_string();
    Ok(Script { requests: vec![client::request("POST", "/v1/transit/hmac/k", &body)], verify: Box::new(verify) })
}

fn verify(server: &Server, answer: &Value) -> Result<()> {
    let question = json!({ "input": plaintext(SMALL_BYTES), "hmac": text(answer, "hmac")? });
    let answer = server.post("/v1/transit/verify/k", &question.to_string())?;
    ensure!(answer.pointer("/data/valid") == Some(&Value::Bool(true)), "not a valid HMAC: {answer}");
    Ok(())
}

fn alone() -> Result<Operation> {
    let (key, message) = (hmac::Key::new(hmac::HMAC_SHA256, &bytes(SMALL_BYTES)), bytes(SMALL_BYTES));
    Ok(Box::new(move |_| {
        black_box(hmac::sign(&key, black_box(&message)));
        Ok(())
    }))
}
