//! How fast records are encrypted anew when nobody else wants the server.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Goal, Row, Stage};
use crate::figures::micros;

/// The secrets to the customer, rotated, and back.
pub(super) fn measure(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, to) in CHANGES {
        if let Goal::Customer { .. } = to {
            stage.upload()?;
        }
        let (begin, cpu) = (Instant::now(), stage.server.cpu_time()?);
        stage.order("secret", *to)?;
        let told = stage.settled("secret")?;
        let (elapsed, cpu) = (begin.elapsed(), stage.server.cpu_time()?.saturating_sub(cpu));
        let records = told.pointer("/records_total").and_then(Value::as_u64).context("no records")?;
        // A secret is its metadata and its version.
        ensure!(records >= 2 * u64::from(stage.plan.secrets), "only {records} records");
        let records = f64::from(u32::try_from(records)?);
        let rate = records / elapsed.as_secs_f64();
        rows.push(Row::at_least(format!("protect: {what}, alone"), rate, "records/s", RATE_MIN));
        rows.push(Row::told(format!("protect: {what}, CPU"), micros(cpu) / records, "µs/record"));
    }
    Ok(rows)
}

const CHANGES: &[(&str, Goal)] = &[
    ("platform to customer", Goal::Customer { mode: "reencrypt" }),
    ("rotation", Goal::Customer { mode: "reencrypt" }),
    ("customer to platform", Goal::Platform),
];
const RATE_MIN: f64 = 25_000.0;
