//! Where the time goes: Coffer under one load with `perf` watching. The figures are never taken while it does.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    figures::{Plan, Stage},
    load,
    workloads::{Measure, Workload},
};

/// Loads the contender once more and writes the functions that took its CPU time to `DIRECTORY/WORKLOAD.txt`. The raw
/// record stays beside it, for call graphs. Does nothing for a probe.
pub(crate) fn record(workload: &Workload, plan: &Plan, directory: &Path) -> Result<()> {
    let Measure::Load(load) = workload.measure else { return Ok(()) };
    fs::create_dir_all(directory)?;
    let raw = directory.join(format!("{}.data", workload.name));
    let Stage { server, .. } = &Stage::set(&plan.contender, &load)?;
    let (script, _) = load.prepare(&plan.contender, server)?;
    let mut perf = Command::new("perf")
        .args(["record", "--quiet", "--event", "cpu-clock", "--freq", "1999", "--call-graph", "fp", "--pid"])
        .arg(server.process_id().to_string())
        .arg("--output")
        .arg(&raw)
        .args(["sleep", &plan.shape.window.as_secs_f64().to_string()])
        .spawn()
        .context("cannot start perf")?;
    load::run(server, &script, load.shape(plan.shape))?;
    ensure!(perf.wait()?.success(), "perf record failed");
    let report = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "--call-graph", "none", "--percent-limit", "0.3", "--input"])
        .arg(&raw)
        .stderr(Stdio::null())
        .output()?;
    ensure!(report.status.success(), "perf report failed");
    fs::write(directory.join(format!("{}.txt", workload.name)), report.stdout)?;
    Ok(())
}
