//! What a server costs before anybody asks it for anything.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    server::{Kind, Server},
    workloads::{Measure, Probe, Workload},
};

pub(super) const IDLE: Workload = Workload {
    name: "idle",
    about: "resident memory of a server that has just started and settled",
    measure: Measure::Probe(Probe { sample: idle_mib, unit: "MiB", limit: 20.0 }),
};

pub(super) const START: Workload = Workload {
    name: "start",
    about: "from making the process to its first successful answer",
    measure: Measure::Probe(Probe { sample: start_ms, unit: "ms", limit: 100.0 }),
};

fn idle_mib(kind: &Kind) -> Result<f64> {
    let server = Server::start(kind)?;
    thread::sleep(SETTLING);
    Ok(f64::from(server.resident_kib()?) / 1024.0)
}

fn start_ms(kind: &Kind) -> Result<f64> {
    Ok(Server::start(kind)?.started_in.as_secs_f64() * 1000.0)
}

const SETTLING: Duration = Duration::from_millis(500);
