//! Runs the suites beside it against the release binary, a fresh server for each; knows no client and no scenario.
//!
//! A suite is a folder with an executable `run`. It gets `VAULT_ADDR`, `VAULT_TOKEN`, `COFFER`, the binary, and
//! `COMPAT_WORK`, a folder under `target` for what it builds, and ends with a line like ours: `N passed, N failed,
//! N skipped`. `conformance` alone is run by other rules: its `expected.txt` says what must pass.
#![allow(clippy::print_stdout, reason = "what it prints is its product")]

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use count::Count;
use server::Server;

mod conformance;
mod count;
mod server;

const USAGE: &str = "usage: compat [conformance | clients | NAME]...   (without arguments: everything)";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let known = suites()?;
    if let Some(unknown) = asked.iter().find(|name| *name != "clients" && !known.contains(name)) {
        println!("no suite {unknown:?}\n{USAGE}\nsuites: {}", known.join(" "));
        return Ok(ExitCode::from(2));
    }
    let wanted = |suite: &String| {
        let client = suite != "conformance" && asked.iter().any(|name| name == "clients");
        asked.is_empty() || client || asked.contains(suite)
    };
    let mut table = Vec::new();
    for suite in known.iter().filter(|suite| wanted(suite)) {
        println!("\n-- {suite}");
        let failed = |error| {
            println!("FAIL {suite}: {error}");
            (Count { failed: 1, ..Count::default() }, Duration::ZERO)
        };
        table.push((suite, run(suite).unwrap_or_else(failed)));
    }
    println!("\n{:<14}{:>8}{:>8}{:>8}{:>9}", "suite", "passed", "failed", "skipped", "seconds");
    for (suite, (count, took)) in &table {
        let Count { passed, failed, skipped } = count;
        println!("{suite:<14}{passed:>8}{failed:>8}{skipped:>8}{:>9.1}", took.as_secs_f64());
    }
    let total: Count = table.iter().map(|(_, (count, _))| *count).sum();
    println!("\n{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The names of all suites, `conformance` first.
fn suites() -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home())? {
        let entry = entry?;
        if entry.path().join("run").is_file() {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort_by_key(|name| (name != "conformance", name.clone()));
    Ok(found)
}

#[allow(clippy::disallowed_methods, reason = "how long a suite takes is shown to people")]
fn run(suite: &str) -> Result<(Count, Duration), Box<dyn Error>> {
    let start = Instant::now();
    let work = work(suite)?;
    let mut server = Server::start(&work.join("server.log"))?;
    let mut count = if suite == "conformance" {
        conformance::run(&home().join(suite), &server, &work)?
    } else {
        run_script(&home().join(suite), &server, &work)?
    };
    if let Some(complaint) = server.complaint()? {
        println!("FAIL {suite}: {complaint}");
        count.failed += 1;
    }
    Ok((count, start.elapsed()))
}

/// Runs a suite's `run`, showing what it says, and takes the count from its last line.
fn run_script(folder: &Path, server: &Server, work: &Path) -> Result<Count, Box<dyn Error>> {
    let mut command = Command::new(folder.join("run"));
    server.introduce(&mut command).env("COMPAT_WORK", work).env("COFFER", server::binary()?);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut count: Option<Count> = None;
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line?;
        match line.parse() {
            Ok(found) => count = Some(found),
            Err(()) => println!("{line}"),
        }
    }
    let status = child.wait()?;
    let mut count = count.unwrap_or_default();
    if count.failed == 0 && (!status.success() || count == Count::default()) {
        println!("FAIL {}: {status} after {count}", folder.display());
        count.failed += 1;
    }
    Ok(count)
}

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for what a suite builds, kept from run to run: `target/compat/SUITE`.
fn work(suite: &str) -> Result<PathBuf, Box<dyn Error>> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(2).ok_or("this program is in no target folder")?;
    let work = target.join("compat").join(suite);
    fs::create_dir_all(&work)?;
    Ok(work)
}
