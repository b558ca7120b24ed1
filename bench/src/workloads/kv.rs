//! Secrets: one that everybody reads, and many that are written to disk.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    bare, client, load,
    server::Server,
    workloads::{Load, Measure, Script, Wanted, Workload, encrypt},
};

pub(super) const READ: Workload = Workload {
    name: "kv2-read",
    about: "read a secret of four members (bare: an equal JSON text)",
    measure: Measure::Load(Load { coffer: read, bare: read_bare, items: 1, wanted: Wanted::Ratio(0.65) }),
};

pub(super) const WRITE: Workload = Workload {
    name: "kv2-write",
    about: "write a new version of one of many secrets to disk (bare: encrypt 32 bytes)",
    measure: Measure::Load(Load {
        coffer: write,
        bare: encrypt::small,
        items: 1,
        wanted: Wanted::Durable { connections: 64, rate_min: 12_000.0, cost_max: 60.0 },
    }),
};

fn read(server: &Server) -> Result<Script> {
    let expected: Value = serde_json::from_str(bare::SECRET)?;
    let data = expected.pointer("/data/data").context("no data")?.clone();
    server.post("/v1/secret/data/x", &json!({ "data": data }).to_string())?;
    let verify = move |_: &Server, answer: &Value| {
        ensure!(answer.pointer("/data/data") == Some(&data), "another secret: {answer}");
        let (length, expected) = (answer.to_string().len(), expected.to_string().len());
        ensure!(length.abs_diff(expected) <= DIGITS_LEFT_OUT_MAX, "{length} bytes, not {expected}: {answer}");
        Ok(())
    };
    Ok(Script { requests: vec![client::request("GET", "/v1/secret/data/x", "")], verify: Box::new(verify) })
}

fn read_bare(_: &Server) -> Result<Script> {
    let verify = |_: &Server, answer: &Value| {
        ensure!(*answer == serde_json::from_str::<Value>(bare::SECRET)?, "another text");
        Ok(())
    };
    Ok(Script { requests: vec![client::request("GET", "/secret", "")], verify: Box::new(verify) })
}

/// Every secret is there before: what is measured adds a version and, from the eleventh on, takes the oldest away.
fn write(server: &Server) -> Result<Script> {
    load::finish(server, CONNECTIONS, SECRETS, request)?;
    let verify = |_: &Server, answer: &Value| {
        let version = answer.pointer("/data/version").and_then(Value::as_u64).context("no version")?;
        ensure!(version > 1, "version {version}");
        Ok(())
    };
    Ok(Script { requests: (0..SECRETS).map(request).collect(), verify: Box::new(verify) })
}

fn request(number: u32) -> Vec<u8> {
    let data = json!({ "username": "app", "password": "correct horse battery staple", "port": 5432, "number": number });
    client::request("POST", &format!("/v1/secret/data/app/{number}"), &json!({ "data": data }).to_string())
}

/// Secrets that are written by turns.
const SECRETS: u32 = 10_000;
/// Over which they are made.
const CONNECTIONS: u32 = 64;
/// Zeros at the end of a time are left out.
const DIGITS_LEFT_OUT_MAX: usize = 9;
