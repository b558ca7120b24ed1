//! One plaintext a request: 32 bytes, where all is overhead, and 1 MiB, where all is copying, base64 and AES.

use anyhow::Result;
use serde_json::json;

use crate::{
    client,
    server::Server,
    workloads::{LARGE_BYTES, Load, Measure, SMALL_BYTES, Script, Wanted, Workload, plaintext, text, verify_decrypts},
};

pub(super) const SMALL: Workload = Workload {
    name: "encrypt-32",
    about: "encrypt 32 bytes",
    measure: Measure::Load(Load { coffer: small, bare: small, items: 1, wanted: Wanted::Ratio(0.70) }),
};

pub(super) const LARGE: Workload = Workload {
    name: "encrypt-1m",
    about: "encrypt 1 MiB",
    measure: Measure::Load(Load { coffer: large, bare: large, items: 1, wanted: Wanted::Ratio(1.5) }),
};

pub(super) fn small(server: &Server) -> Result<Script> {
    let requests = vec![request(server, SMALL_BYTES)];
    let verify = |server: &Server, answer: &_| verify_decrypts(server, text(answer, "ciphertext")?, SMALL_BYTES);
    Ok(Script { requests, verify: Box::new(verify) })
}

fn large(server: &Server) -> Result<Script> {
    let requests = vec![request(server, LARGE_BYTES)];
    let verify = |server: &Server, answer: &_| verify_decrypts(server, text(answer, "ciphertext")?, LARGE_BYTES);
    Ok(Script { requests, verify: Box::new(verify) })
}

fn request(server: &Server, size: usize) -> Vec<u8> {
    client::request("POST", server.encrypt_path(), &json!({ "plaintext": plaintext(size) }).to_string())
}
