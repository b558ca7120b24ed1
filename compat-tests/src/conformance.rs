//! Judges a run of the recorded scenarios by `expected.txt`; knows nothing of what a scenario asks.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use crate::count::Count;
use crate::server::{Server, TOKEN};

/// What `expected.txt` says: the areas that must pass, and the scenarios in them that wait, each with its reason.
#[derive(Default)]
struct Expected {
    areas: Vec<String>,
    waiting: BTreeMap<String, String>,
}

/// Runs the areas. A scenario fails if it should pass and does not, and if it waits and does not need to any more.
pub(crate) fn run(folder: &Path, server: &Server, work: &Path) -> Result<Count, Box<dyn Error>> {
    let expected = Expected::parse(&fs::read_to_string(folder.join("expected.txt"))?)?;
    if let Err(error) = Command::new("python3").arg("--version").output() {
        println!("SKIP conformance: python3 did not start: {error}");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let replay = Replay { folder, report: work.join("report.json"), areas: &expected.areas };
    let mut scenarios = replay.run(server, &["--profile", "vault,openbao,dev"])?;
    // What is written to an audit device is of one server and one scenario.
    scenarios.extend(replay.run(&Server::start(&work.join("audit.log"))?, &["--profile", "audit", "--jobs", "1"])?);
    for scenario in fs::read_dir(folder.join("cases").join(LIFECYCLE))? {
        let name = format!("{LIFECYCLE}/{}", scenario?.file_name().display());
        scenarios.extend(replay.run(&Server::start_new(work)?, &["--profile", LIFECYCLE, "--only", &name])?);
    }
    let mut count: Count = scenarios.iter().map(|(name, scenario)| expected.judge(name, scenario)).sum();
    for name in expected.waiting.keys().filter(|name| !scenarios.contains_key(*name)) {
        println!("FAIL {name}: no scenario has this name: remove it from expected.txt");
        count.failed += 1;
    }
    expected.summarize();
    Ok(count)
}

/// One start of the runner.
struct Replay<'a> {
    folder: &'a Path,
    report: PathBuf,
    areas: &'a [String],
}

impl Replay<'_> {
    /// Runs the scenarios that the arguments choose. Returns what came of each, by name.
    fn run(&self, server: &Server, args: &[&str]) -> Result<Map<String, Value>, Box<dyn Error>> {
        fs::write(&self.report, "{}")?;
        let mut command = Command::new("python3");
        command.arg(self.folder.join("run")).args(["--addr", &server.url(), "--token", TOKEN, "--report"]);
        command.arg(&self.report).args(args);
        command.args(self.areas.iter().map(|area| self.folder.join("cases").join(area)));
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null());
        server.introduce(&mut command).status()?;
        let mut report: Value = serde_json::from_slice(&fs::read(&self.report)?)?;
        match report["scenarios"].take() {
            Value::Object(scenarios) => Ok(scenarios),
            _ => Err("the runner left no report".into()),
        }
    }
}

impl Expected {
    /// Lines are `area NAME`, `wait AREA/SCENARIO.json: REASON`, comments after `#`, or empty.
    fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut expected = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match (line.split_once(' '), line.split_once(": ")) {
                (Some(("area", area)), _) => expected.areas.push(area.to_owned()),
                (Some(("wait", _)), Some((name, reason))) => {
                    let name = name.trim_start_matches("wait ").to_owned();
                    if expected.waiting.insert(name, reason.to_owned()).is_some() {
                        return Err(format!("expected.txt: twice: {line}").into());
                    }
                }
                _ => return Err(format!("expected.txt: neither an area nor a waiting scenario: {line}").into()),
            }
        }
        Ok(expected)
    }

    fn judge(&self, name: &str, scenario: &Value) -> Count {
        match (scenario["status"].as_str(), self.waiting.get(name)) {
            (Some("passed"), None) => return Count { passed: 1, ..Count::default() },
            (Some("failed"), Some(_)) => return Count { skipped: 1, ..Count::default() },
            (Some("passed"), Some(reason)) => {
                println!("FAIL {name}: now passes, though it waits for {reason}: remove it from expected.txt");
            }
            (status, _) => {
                let problems = scenario["problems"].as_array().into_iter().flatten().filter_map(Value::as_str);
                problems.for_each(|problem| println!("{}", problem.replace('\n', " ")));
                if status == Some("skipped") {
                    return Count { skipped: 1, ..Count::default() };
                }
            }
        }
        Count { failed: 1, ..Count::default() }
    }

    fn summarize(&self) {
        let mut reasons = BTreeMap::<&str, usize>::new();
        self.waiting.values().for_each(|reason| *reasons.entry(reason).or_default() += 1);
        let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} for {reason}")).collect();
        println!("waiting: {}", reasons.join(", "));
    }
}

/// The area whose scenarios initialise their server, so that each has one of its own.
const LIFECYCLE: &str = "lifecycle";
