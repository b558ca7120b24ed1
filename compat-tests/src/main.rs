//! Runs the suites beside it against the release binary, a fresh server for each; knows no client and no scenario.
//!
//! A suite is a folder with an executable `run`. It gets `VAULT_ADDR`, `VAULT_TOKEN`, `COFFER`, the binary, and
//! `COMPAT_WORK`, a folder under `target` for what it builds, and says what it did as `report.rs` reads it. Two more servers
//! are at `COMPAT_TLS_ADDR`, whose authority is in the file `COMPAT_TLS_CACERT`, and at `COMPAT_SEALED_ADDR`. What a server
//! of its own was asked a suite may leave there in `*.prom`, as the server's metrics tell it. `conformance`
//! alone is run by other rules: its `expected.txt` says what must pass. What is called `…-slow` takes minutes to build.
#![allow(clippy::print_stdout, reason = "what it prints is its product")]

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use count::Count;
use coverage::Coverage;
use report::{Client, Report};
use server::{Others, Server};

mod conformance;
mod count;
mod coverage;
mod readme;
mod report;
mod server;

const USAGE: &str = "usage: compat [conformance | clients | slow | NAME]...   (without arguments: everything)";

/// What came of a suite.
struct Run {
    suite: String,
    report: Report,
    took: Duration,
}

/// What all suites share.
struct Common {
    others: Others,
    coverage: Coverage,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let known = suites()?;
    let is_known = |name: &String| known.contains(name) || GROUPS.iter().any(|group| group.name == name);
    if let Some(unknown) = asked.iter().find(|name| !is_known(name)) {
        println!("no suite {unknown:?}\n{USAGE}\nsuites: {}", known.join(" "));
        return Ok(ExitCode::from(2));
    }
    let is_asked = |group: &Group| asked.is_empty() || asked.iter().any(|name| name == group.name);
    let wanted =
        |suite: &String| asked.contains(suite) || GROUPS.iter().any(|group| is_asked(group) && group.has(suite));
    let mut runs = Vec::new();
    let mut common = Common { others: Others::start(&work("others")?)?, coverage: Coverage::default() };
    for suite in known.iter().filter(|suite| wanted(suite)) {
        println!("\n-- {suite}");
        runs.push(run(suite.clone(), &mut common));
    }
    let mut total = summarize(&runs);
    for group in GROUPS {
        total += group.check(&runs, is_asked(group).then_some(&common.coverage))?;
    }
    println!("\n{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Suites that are asked for together.
struct Group {
    name: &'static str,
    has: fn(&str) -> bool,
    /// The part of the README that says what its clients did.
    part: Option<&'static str>,
    /// Whether every row of the route table is theirs to touch.
    covers: bool,
}

const GROUPS: &[Group] = &[
    Group { name: "conformance", has: |suite| suite == "conformance", part: None, covers: false },
    Group {
        name: "clients",
        has: |suite| suite != "conformance" && !is_slow(suite),
        part: Some("clients"),
        covers: true,
    },
    Group { name: "slow", has: is_slow, part: Some("slow clients"), covers: false },
];

fn is_slow(suite: &str) -> bool {
    suite.ends_with("-slow")
}

impl Group {
    fn has(&self, suite: &str) -> bool {
        (self.has)(suite)
    }

    /// Prints what each of its clients did. If it was all of them, it holds the README and the list of rows to it.
    fn check(&self, runs: &[Run], all: Option<&Coverage>) -> Result<Count, Box<dyn Error>> {
        let runs: Vec<&Run> = runs.iter().filter(|run| self.has(&run.suite)).collect();
        let clients: Vec<&Client> = runs.iter().flat_map(|run| &run.report.clients).collect();
        let mut checked = Count::default();
        let (Some(part), false) = (self.part, clients.is_empty()) else { return Ok(checked) };
        let table = report::table(&clients);
        println!("\n{table}");
        let done: Count = runs.iter().map(|run| run.report.count).sum();
        // What suites that failed, or that lacked a tool, would have done is not known.
        if let Some(coverage) = all.filter(|_| done.failed == 0 && done.skipped == 0) {
            checked += readme::check(&home().with_file_name("README.md"), part, &table)?;
            if self.covers {
                let routes = home().with_file_name("tests").join("golden/routes.txt");
                checked += coverage.check(&routes, &home().join("coverage.txt"))?;
            }
        }
        Ok(checked)
    }
}

/// Prints what each suite did.
fn summarize(runs: &[Run]) -> Count {
    println!("\n{:<16}{:>8}{:>8}{:>8}{:>9}", "suite", "passed", "failed", "skipped", "seconds");
    for Run { suite, report: Report { count, .. }, took } in runs {
        let Count { passed, failed, skipped } = count;
        println!("{suite:<16}{passed:>8}{failed:>8}{skipped:>8}{:>9.1}", took.as_secs_f64());
    }
    runs.iter().map(|run| run.report.count).sum()
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
fn run(suite: String, common: &mut Common) -> Run {
    let start = Instant::now();
    let report = try_run(&suite, common).unwrap_or_else(|error| {
        println!("FAIL {suite}: {error}");
        Report { count: Count { failed: 1, ..Count::default() }, ..Report::default() }
    });
    Run { suite, report, took: start.elapsed() }
}

fn try_run(suite: &str, common: &mut Common) -> Result<Report, Box<dyn Error>> {
    let work = work(suite)?;
    let mut server = Server::start(&work.join("server.log"))?;
    let mut report = if suite == "conformance" {
        Report { count: conformance::run(&home().join(suite), &server, &work)?, ..Report::default() }
    } else {
        let report = run_script(&home().join(suite), &server, &common.others, &work)?;
        // A row that only a slow client touches would be untouched where these are not run.
        if !is_slow(suite) {
            common.coverage.take(&server, &work)?;
        }
        report
    };
    if let Some(complaint) = server.complaint()? {
        println!("FAIL {suite}: {complaint}");
        report.count.failed += 1;
    }
    Ok(report)
}

/// Runs a suite's `run`, showing what it says.
fn run_script(folder: &Path, server: &Server, others: &Others, work: &Path) -> Result<Report, Box<dyn Error>> {
    let mut command = Command::new(folder.join("run"));
    others.introduce(server.introduce(&mut command)).env("COMPAT_WORK", work).env("COFFER", server::binary()?);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut report = Report::default();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line?;
        report.take(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    if report.count.failed == 0 && (!status.success() || report.count == Count::default()) {
        println!("FAIL {}: {status} after {}", folder.display(), report.count);
        report.count.failed += 1;
    }
    Ok(report)
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
