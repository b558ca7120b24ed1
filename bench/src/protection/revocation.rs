//! How fast a customer's key is taken out of force while its transit keys are cached, and how fast data keys are only
//! wrapped anew.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use coffer::clock::{Clock, Timestamp};
use serde_json::Value;

use super::{Goal, KEY, Row, Stage, percentile};
use crate::{client, load};

pub(super) fn measure(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut given = stage.upload()?;
    for mount in ["transit", "secret"] {
        stage.order(mount, Goal::Customer { mode: "reencrypt" })?;
        stage.settled(mount)?;
        let mut took = Vec::new();
        for _ in 0..REWRAPS {
            given = stage.upload()?;
            let begin = Clock::System.now();
            stage.order(mount, Goal::Customer { mode: "rewrap" })?;
            let told = stage.settled(mount)?;
            let finished = told.pointer("/finished").and_then(Value::as_str).context("not finished")?;
            took.push(finished.parse::<Timestamp>()?.duration_since(begin).as_secs_f64() * 1e3);
        }
        let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
        rows.push(Row::told(format!("rewrap: {mount}, from the order to its end, p50"), p50, "ms"));
        rows.push(Row::below(format!("rewrap: {mount}, from the order to its end, p99"), p99, "ms", REWRAP_MS_MAX));
        if mount == "transit" {
            rows.extend(revoke(stage, &given)?);
        }
        stage.order(mount, Goal::Platform)?;
        stage.settled(mount)?;
    }
    Ok(rows)
}

/// Revokes and gives back, with every key cached each time.
fn revoke(stage: &Stage, given: &str) -> Result<Vec<Row>> {
    let (mut effective, mut whole) = (Vec::new(), Vec::new());
    let encrypt =
        |number| client::request("POST", &format!("/v1/transit/encrypt/k{number}"), r#"{"plaintext":"AAEC"}"#);
    let latest = client::request("GET", &format!("/v1/sys/customer-keys/{KEY}"), "");
    let latest = client::exchange(stage.server.address, &latest)?;
    let version = latest.pointer("/data/version").and_then(Value::as_u64).context("no version")?;
    let order = serde_json::json!({ "version": version }).to_string();
    for _ in 0..REVOCATIONS {
        load::finish(&stage.server, stage.plan.connections, stage.plan.keys, encrypt)?;
        let begin = Instant::now();
        let told = stage.server.post(&format!("/v1/sys/customer-keys/{KEY}/revoke"), &order)?;
        whole.push(begin.elapsed().as_secs_f64() * 1e3);
        let us = told.pointer("/data/effective_us").and_then(Value::as_u64).context("no effective_us")?;
        effective.push(f64::from(u32::try_from(us)?) / 1e3);
        ensure!(client::exchange(stage.server.address, &encrypt(0)).is_err(), "the key was not revoked");
        stage.server.post(&format!("/v1/sys/customer-keys/{KEY}/restore"), given)?;
    }
    let keys = stage.plan.keys;
    Ok(vec![
        Row::told(format!("revoke: {keys} keys cached, effective, p50"), percentile(&mut effective, 50), "ms"),
        Row::below(
            format!("revoke: {keys} keys cached, effective, p99"),
            percentile(&mut effective, 99),
            "ms",
            REVOKE_MS_MAX,
        ),
        Row::told("revoke: answered (durable and signed), p50", percentile(&mut whole, 50), "ms"),
        Row::told("revoke: answered (durable and signed), p99", percentile(&mut whole, 99), "ms"),
    ])
}

const REWRAPS: u32 = 50;
const REWRAP_MS_MAX: f64 = 10.0;
const REVOCATIONS: u32 = 300;
const REVOKE_MS_MAX: f64 = 5.0;
