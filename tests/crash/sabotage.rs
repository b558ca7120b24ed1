//! The proof that these tests can fail: builds that break their word on purpose are caught.
//!
//! They are built as this test was, whose dependencies are there anyway, and copied away, so that they replace nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::campaign::{Campaign, Fault, Plan};
use crate::registers::{ALL, PROTECTION};
use crate::scratch::Scratch;
use crate::{ENGINES, SEED, SWITCH, named_program, turn};

#[test]
#[ignore = "builds a server"]
fn broken_builds_are_caught() {
    assert!(named_program().is_some(), "it replaces the server of this build: let COFFER_CRASH_PROGRAM name another");
    let scratch = Scratch::new("sabotaged");
    let program = build(scratch.path());
    let _turn = turn();
    let proofs = [
        ("ack-before-flush", Fault::Kill, ALL),
        ("ack-before-flush", Fault::PowerCut, ALL),
        ("no-fdatasync", Fault::PowerCut, ALL),
        ("retire-before-walk", Fault::Kill, PROTECTION),
        ("forget-terms", Fault::Kill, PROTECTION),
    ];
    for ((way, fault, kinds), engine) in proofs.into_iter().flat_map(|proof| ENGINES.map(|engine| (proof, engine))) {
        let name = format!("{way}-{fault:?}-{engine}").to_lowercase();
        let (program, sabotage) = (program.clone(), Some(way));
        let plan = Plan { name: &name, program, engine, sabotage, fault, seed: *SEED, kinds };
        match Campaign::new(plan) {
            Ok(campaign) => println!("{name}, seed {}: caught after {} rounds", *SEED, rounds_until_caught(campaign)),
            Err(lacking) => println!("skipped: {name}: {lacking}"),
        }
    }
}

fn rounds_until_caught(mut campaign: Campaign) -> u32 {
    campaign.check();
    assert!(!campaign.tally.durability_is_broken(), "without a blow nothing is lost: {:?}", campaign.tally.failures());
    campaign.renew();
    for round in 1..=ROUNDS_MAX {
        campaign.strike();
        campaign.check();
        if campaign.tally.durability_is_broken() {
            println!("{}", campaign.tally);
            return round;
        }
        campaign.renew();
    }
    panic!("{ROUNDS_MAX} rounds did not catch it: {}", campaign.tally);
}

/// Builds a server that can be sabotaged, and copies it to `dir`.
fn build(dir: &Path) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let copy = dir.join("coffer");
    // Another build may replace the program before it is copied; then it is built again, from what is still there.
    for _ in 0..BUILDS_MAX {
        let mut build = Command::new(env!("CARGO"));
        // With a test, for what tests depend on asks for more of what the server depends on.
        build.args(["build", "--quiet", "--features", "sabotage", "--bin", "coffer", "--test", "crash"]);
        build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        let status = build.status().unwrap();
        assert!(status.success(), "the build that can be sabotaged failed");
        fs::copy(target.join("debug/coffer"), &copy).unwrap();
        if fs::read(&copy).unwrap().windows(SWITCH.len()).any(|window| window == SWITCH.as_bytes()) {
            return copy;
        }
    }
    panic!("the build that can be sabotaged is not there");
}

/// It takes one or two, seldom more than five.
const ROUNDS_MAX: u32 = 200;
const BUILDS_MAX: usize = 5;
