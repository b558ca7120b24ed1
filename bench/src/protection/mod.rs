//! What customers' keys cost: a durable store of secrets and keys that is brought under a customer's key, rotated and
//! brought back, alone and under load; and how fast a key is taken out of force. There is no bare server beside it.

mod online;
mod revocation;
mod speed;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    client,
    load::{self, cores},
    report::{number, processor, table},
    scratch::Scratch,
    server::{Kind, Server},
};

/// How much there is, and how hard it is used.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) secrets: u32,
    pub(crate) keys: u32,
    pub(crate) connections: u32,
    /// How long the load runs without any change, for comparison.
    pub(crate) window: Duration,
}

/// One figure, and what is wanted of it.
struct Row {
    what: String,
    value: String,
    target: String,
    passed: Option<bool>,
}

/// Measures everything on one store, and returns the table.
pub(crate) fn measure(program: &Path, plan: Plan) -> Result<String> {
    let scratch = Scratch::make()?;
    let kind = Kind::Coffer { program: program.to_owned(), data: Some(scratch.data()), config: None };
    let stage = Stage { server: Server::start(&kind)?, plan };
    eprintln!("{} secrets of 1 KiB and {} keys", plan.secrets, plan.keys);
    stage.fill()?;
    let fsync_ms = scratch.fsync_ms()?;
    let mut rows = Vec::new();
    for (name, workload) in WORKLOADS {
        eprintln!("{name}");
        let found = workload(&stage).context(*name)?;
        for row in &found {
            eprintln!("  {}: {}", row.what, row.value);
        }
        rows.extend(found);
    }
    let Plan { secrets, keys, connections, .. } = plan;
    let (processor, cores, fsync) = (processor(), cores(), number(fsync_ms));
    let titles = ["figure", "value", "target", "verdict"].map(str::to_owned).to_vec();
    let lines: Vec<_> = [titles].into_iter().chain(rows.into_iter().map(Row::cells)).collect();
    Ok(format!(
        "{processor}, {cores} cores; {secrets} secrets of 1 KiB, {keys} transit keys; {connections} connections; fsync \
         {fsync} ms\n\n{}",
        table(&lines)
    ))
}

type Measure = fn(&Stage) -> Result<Vec<Row>>;

/// In this order: each leaves the mounts under the platform.
const WORKLOADS: &[(&str, Measure)] =
    &[("protect", speed::measure), ("protect-online", online::measure), ("revoke", revocation::measure)];

/// A server with secrets and keys on disk.
struct Stage {
    server: Server,
    plan: Plan,
}

impl Stage {
    fn fill(&self) -> Result<()> {
        self.server.post("/v1/sys/mounts/transit", r#"{"type":"transit"}"#)?;
        load::finish(&self.server, FILLERS, self.plan.secrets, write_secret)?;
        load::finish(&self.server, FILLERS, self.plan.keys, |number| {
            client::request("POST", &format!("/v1/transit/keys/k{number}"), "{}")
        })?;
        Ok(())
    }

    /// Uploads the next version of the customer's key. Returns what to give back after a revocation.
    fn upload(&self) -> Result<String> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("no randomness")?;
        let body = json!({ "key": STANDARD.encode(bytes) }).to_string();
        self.server.post(&format!("/v1/sys/customer-keys/{KEY}"), &body)?;
        Ok(body)
    }

    fn order(&self, mount: &str, to: Goal) -> Result<Value> {
        let order = match to {
            Goal::Platform => json!({ "protector": "platform" }),
            Goal::Customer { mode } => {
                json!({ "protector": "customer", "customer_key": KEY, "skip_proof": true, "mode": mode })
            }
        };
        self.server.post(&format!("/v1/sys/mounts/{mount}/protection"), &order.to_string())
    }

    /// Waits until nothing is under way, and returns what is told then.
    fn settled(&self, mount: &str) -> Result<Value> {
        let request = client::request("GET", &format!("/v1/sys/mounts/{mount}/protection"), "");
        let begin = Instant::now();
        while begin.elapsed() < CHANGE_MAX {
            let mut told = client::exchange(self.server.address, &request)?;
            let data = told.pointer_mut("/data").map(Value::take).context("no data")?;
            if ["platform", "active"].iter().any(|state| data.pointer("/state") == Some(&json!(state))) {
                return Ok(data);
            }
            thread::sleep(POLL);
        }
        bail!("{mount} is not done after {CHANGE_MAX:?}")
    }
}

/// Where a change of protection leads.
#[derive(Clone, Copy)]
enum Goal {
    Platform,
    /// The latest version of the key.
    Customer {
        mode: &'static str,
    },
}

impl Row {
    fn told(what: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { what: what.into(), value: cell(value, unit), target: "–".to_owned(), passed: None }
    }

    fn at_least(what: impl Into<String>, value: f64, unit: &str, least: f64) -> Self {
        let target = format!("≥ {}", cell(least, unit));
        Self { target, passed: Some(value >= least), ..Self::told(what, value, unit) }
    }

    fn below(what: impl Into<String>, value: f64, unit: &str, limit: f64) -> Self {
        let target = format!("< {}", cell(limit, unit));
        Self { target, passed: Some(value < limit), ..Self::told(what, value, unit) }
    }

    fn cells(self) -> Vec<String> {
        let verdict = match self.passed {
            None => "",
            Some(true) => "pass",
            Some(false) => "missed",
        };
        vec![self.what, self.value, self.target, verdict.to_owned()]
    }
}

fn cell(value: f64, unit: &str) -> String {
    format!("{} {unit}", number(value)).trim_end().to_owned()
}

/// One of 1 KiB; the same request makes a new version.
fn write_secret(number: u32) -> Vec<u8> {
    let body = json!({ "data": { "number": number, "text": "x".repeat(SECRET_BYTES) } }).to_string();
    client::request("POST", &secret(number), &body)
}

fn secret(number: u32) -> String {
    format!("/v1/secret/data/app/{number}")
}

/// The value that so many of 100 are at or below.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

/// Name of the customer's key.
const KEY: &str = "tenant";
/// More than the entry of a secret has room for: each is two records.
const SECRET_BYTES: usize = 1024;
/// Connections over which secrets and keys are made.
const FILLERS: u32 = 64;
const CHANGE_MAX: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(20);
