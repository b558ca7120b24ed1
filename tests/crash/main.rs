//! Nothing that was acknowledged is lost, whatever ends the server: clients write to it, it is killed or its power is cut,
//! and after the next start they look whether it kept its word.
//!
//! `COFFER_CRASH_PROGRAM` names another server than the one of this build.
//! `COFFER_CRASH_KILLS` and `COFFER_POWER_CUTS` say how often, `COFFER_CRASH_SEED` repeats what the clients chose and when
//! the blows fell; where in the server they fell, nothing can repeat.

#![allow(clippy::print_stdout, reason = "the figures of a run are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures starts, and its size comes from the environment")]

use std::collections::hash_map::RandomState;
use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use campaign::{Campaign, Fault, Plan};

mod campaign;
mod client;
mod http;
mod oracle;
mod random;
mod registers;
mod sabotage;
mod scan;
mod scratch;
mod seal;
mod server;
mod session;
mod volume;

#[test]
fn kills_lose_nothing_on_sled() {
    survive(plan("kill-sled", "sled", Fault::Kill), kills() - kills() / 4);
}

#[test]
fn kills_lose_nothing_on_redb() {
    survive(plan("kill-redb", "redb", Fault::Kill), kills() / 4);
}

#[test]
fn power_cuts_lose_nothing_on_sled() {
    survive(plan("powercut-sled", "sled", Fault::PowerCut), cuts() - cuts() / 3);
}

#[test]
fn power_cuts_lose_nothing_on_redb() {
    survive(plan("powercut-redb", "redb", Fault::PowerCut), cuts() / 3);
}

#[test]
fn kills_in_changes_of_protection_lose_nothing() {
    let plan = plan("protection-kill-sled", "sled", Fault::Kill);
    survive(Plan { kinds: registers::PROTECTION, ..plan }, kills() + kills() / 2);
}

#[test]
fn kills_in_changes_of_the_seal_leave_the_old_shares_or_the_new_ones() {
    let _turn = turn();
    for engine in ENGINES {
        let setup = |scratch: &scratch::Scratch| server::Setup {
            program: program(),
            engine,
            sabotage: None,
            root_token: "root".to_owned(),
            store: scratch.path().join("store"),
            log: scratch.path().join("log"),
        };
        let (acknowledged, cut_off) = seal::strike(&format!("seal-{engine}"), setup, *SEED, kills());
        println!("seal-{engine}, seed {}: {acknowledged} changes acknowledged, {cut_off} cut off", *SEED);
        assert!(acknowledged > 0, "no change of the seal came to its end: seed {}", *SEED);
    }
}

#[test]
fn the_files_of_a_store_show_no_secret() {
    let _turn = turn();
    for engine in ENGINES {
        let mut campaign = Campaign::new(plan("secrets", engine, Fault::Kill)).unwrap();
        campaign.strike();
        campaign.check();
        campaign.scan();
        assert_eq!(campaign.tally.failures(), [""; 0], "{engine}");

        // The same scan finds what lies there in the open, whatever file it is in.
        let key = fs::read(campaign.store().with_file_name("store.unseal-key")).unwrap();
        fs::write(campaign.store().join("careless"), [key.as_slice(), b" ", registers::CANARY.as_bytes()].concat())
            .unwrap();
        campaign.scan();
        let exposed = campaign.tally.exposed.join("\n");
        assert!(exposed.contains("the unseal key in") && exposed.contains("a plaintext in"), "{engine}: {exposed:?}");
    }
}

#[test]
fn the_program_under_test_cannot_be_sabotaged() {
    let program = fs::read(program()).unwrap();
    let asks = program.windows(SWITCH.len()).any(|window| window == SWITCH.as_bytes());
    assert_eq!(asks, cfg!(feature = "sabotage"));
}

/// Strikes a store until `blows` have fallen, prints the figures, and fails if anything was wrong.
fn survive(plan: Plan<'_>, blows: u32) {
    let _turn = turn();
    let name = plan.name;
    match Campaign::new(plan) {
        Ok(mut campaign) => {
            campaign.run(blows);
            println!("{name}, seed {}: {}", *SEED, campaign.tally);
            let failures = campaign.tally.failures();
            assert!(failures.is_empty(), "seed {}:\n{}", *SEED, failures.join("\n"));
        }
        Err(lacking) => println!("skipped: {name}: {lacking}"),
    }
}

fn plan<'a>(name: &'a str, engine: &'static str, fault: Fault) -> Plan<'a> {
    Plan { name, program: program(), engine, sabotage: None, fault, seed: *SEED, kinds: registers::ALL }
}

fn program() -> PathBuf {
    named_program().unwrap_or_else(|| env!("CARGO_BIN_EXE_coffer").into())
}

fn named_program() -> Option<PathBuf> {
    env::var_os("COFFER_CRASH_PROGRAM").map(PathBuf::from)
}

/// Runs take turns, so that the figures of one do not tell of another.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kills() -> u32 {
    number("COFFER_CRASH_KILLS").unwrap_or(20)
}

fn cuts() -> u32 {
    number("COFFER_POWER_CUTS").unwrap_or(3)
}

fn number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}

static SEED: LazyLock<u64> =
    LazyLock::new(|| number("COFFER_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one("seed") >> 16));
const ENGINES: [&str; 2] = ["sled", "redb"];
/// What only a build that can be sabotaged asks the environment for.
const SWITCH: &str = "COFFER_SABOTAGE";
