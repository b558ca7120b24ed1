//! One ciphertext of 32 bytes a request.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    client,
    server::Server,
    workloads::{Load, Measure, SMALL_BYTES, Script, Wanted, Workload, plaintext, text},
};

pub(super) const SMALL: Workload = Workload {
    name: "decrypt-32",
    about: "decrypt 32 bytes",
    measure: Measure::Load(Load { coffer: small, bare: small, items: 1, wanted: Wanted::Ratio(0.70) }),
};

fn small(server: &Server) -> Result<Script> {
    let requests = (0..CIPHERTEXTS).map(|_| request(server)).collect::<Result<_>>()?;
    let verify = |_: &Server, answer: &_| {
        ensure!(text(answer, "plaintext")? == plaintext(SMALL_BYTES), "another plaintext");
        Ok(())
    };
    Ok(Script { requests, verify: Box::new(verify) })
}

/// A request to decrypt what the server has just encrypted.
fn request(server: &Server) -> Result<Vec<u8>> {
    let answer = server.post(server.encrypt_path(), &json!({ "plaintext": plaintext(SMALL_BYTES) }).to_string())?;
    let body = json!({ "ciphertext": text(&answer, "ciphertext")? });
    Ok(client::request("POST", server.decrypt_path(), &body.to_string()))
}

const CIPHERTEXTS: usize = 8;
