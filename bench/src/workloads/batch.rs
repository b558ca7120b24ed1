//! Many plaintexts in one request: what an item costs when the request is shared.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    client,
    server::Server,
    workloads::{Load, Measure, SMALL_BYTES, Script, Wanted, Workload, encrypt, plaintext, verify_decrypts},
};

/// An item may cost a twentieth of the bare server's whole request: 0.5 µs where that costs 10 µs.
pub(super) const SMALL: Workload = Workload {
    name: "batch-400",
    about: "encrypt 400 items of 32 bytes in one request (bare: one item in one request)",
    measure: Measure::Load(Load { coffer: small, bare: encrypt::small, items: ITEMS, wanted: Wanted::Ratio(20.0) }),
};

fn small(server: &Server) -> Result<Script> {
    let items: Vec<_> = (0..ITEMS).map(|_| json!({ "plaintext": plaintext(SMALL_BYTES) })).collect();
    let body = json!({ "batch_input": items }).to_string();
    Ok(Script { requests: vec![client::request("POST", server.encrypt_path(), &body)], verify: Box::new(verify) })
}

fn verify(server: &Server, answer: &Value) -> Result<()> {
    let results = answer.pointer("/data/batch_results").and_then(Value::as_array).context("no batch_results")?;
    ensure!(results.len() == ITEMS as usize, "{} results", results.len());
    for result in results.iter().step_by(results.len() / 4) {
        let ciphertext = result.get("ciphertext").and_then(Value::as_str).context("no ciphertext")?;
        verify_decrypts(server, ciphertext, SMALL_BYTES)?;
    }
    Ok(())
}

const ITEMS: u32 = 400;
