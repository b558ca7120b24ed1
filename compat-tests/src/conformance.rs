//! Judges a run of the recorded scenarios by `expected.txt`; knows nothing of what a scenario asks.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

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
    let report = work.join("report.json");
    fs::write(&report, "{}")?;
    let mut command = Command::new("python3");
    command.arg(folder.join("run")).args(["--addr", &server.url(), "--token", TOKEN, "--report"]).arg(&report);
    command.args(expected.areas.iter().map(|area| folder.join("cases").join(area)));
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null());
    if let Err(error) = server.introduce(&mut command).status() {
        println!("SKIP conformance: python3 did not start: {error}");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let report: Value = serde_json::from_slice(&fs::read(&report)?)?;
    let scenarios = report["scenarios"].as_object().ok_or("the runner left no report")?;
    let mut count: Count = scenarios.iter().map(|(name, scenario)| expected.judge(name, scenario)).sum();
    for name in expected.waiting.keys().filter(|name| !scenarios.contains_key(*name)) {
        println!("FAIL {name}: no scenario has this name: remove it from expected.txt");
        count.failed += 1;
    }
    expected.summarize();
    Ok(count)
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
