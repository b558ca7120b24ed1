//! Coffer beside a bare hyper server, in one run on one machine: flags, and the order of work. What is measured stands in
//! `workloads`, how in `figures`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table on stdout and progress on stderr are its job")]
#![allow(clippy::disallowed_methods, reason = "it measures time, and under cargo it asks what cargo started it")]

mod alone;
mod bare;
mod client;
mod figures;
mod growth;
mod load;
mod profile;
mod protection;
mod report;
mod scratch;
mod server;
mod tls;
mod workloads;

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, builder::PossibleValuesParser, value_parser};

use crate::{figures::Plan, load::Shape, server::Kind, workloads::Workload};

/// Measures Coffer beside a bare hyper server that does the same JSON, base64 and AES-GCM and nothing else.
#[derive(Parser)]
#[command(name = "coffer-bench")]
struct Flags {
    #[command(subcommand)]
    role: Option<Role>,
    /// Measure only this workload; may be repeated
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(workloads::ALL.iter().map(|it| it.name)))]
    workload: Vec<String>,
    /// Coffer's binary [default: `coffer` beside this program, built first under cargo]
    #[arg(long, value_name = "PATH", global = true)]
    coffer: Option<PathBuf>,
    /// Kept-alive connections
    #[arg(long, value_name = "COUNT", default_value_t = 32, global = true, value_parser = value_parser!(u32).range(1..))]
    connections: u32,
    /// Length of the window of one side in one round
    #[arg(long, default_value_t = 1.0, global = true, value_parser = seconds)]
    seconds: f64,
    /// Rounds of both sides by turns, and starts for the probes
    #[arg(long, value_name = "COUNT", default_value_t = 9, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Also write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also profile Coffer under each load with `perf`, one text file a workload
    #[arg(long, value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Measure the bare server against itself: every ratio should be 1, and what it is shows the noise of this machine
    #[arg(long)]
    calibrate: bool,
}

#[derive(Subcommand)]
enum Role {
    /// Be the bare server
    #[command(hide = true)]
    Bare { address: SocketAddr },
    /// Measure how costs grow with the number of keys, or of secrets, in a durable store
    Growth {
        /// Numbers of keys
        #[arg(long, value_name = "COUNT,…", value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
        keys: Vec<u32>,
        /// Secrets instead of keys, and numbers of them [default: as of keys]
        #[arg(long, value_name = "COUNT,…", value_delimiter = ',', num_args = 0.., conflicts_with = "keys")]
        secrets: Option<Vec<u32>>,
    },
    /// Measure what TLS costs on kept-alive connections
    Tls,
    /// Measure what customers' keys cost: changes of protection, alone and under load, and revocations
    Protection {
        /// Secrets in the store
        #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..))]
        secrets: u32,
        /// Keys of transit in the store
        #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..))]
        keys: u32,
    },
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if let Some(Role::Bare { address }) = flags.role {
        return bare::serve(address);
    }
    ensure!(!cfg!(debug_assertions), "a debug build measures nothing; use `cargo run --release -p coffer-bench`");
    match &flags.role {
        Some(Role::Growth { keys, secrets }) => {
            let (subject, sizes) = match secrets {
                Some(secrets) if secrets.is_empty() => (&growth::SECRETS, keys),
                Some(secrets) => (&growth::SECRETS, secrets),
                None => (&growth::KEYS, keys),
            };
            println!("{}", growth::measure(&coffer(&flags)?, subject, sizes, flags.connections)?);
            Ok(())
        }
        Some(Role::Protection { secrets, keys }) => {
            let (connections, window) = (flags.connections, Duration::from_secs_f64(10.0 * flags.seconds));
            let plan = protection::Plan { secrets: *secrets, keys: *keys, connections, window };
            println!("{}", protection::measure(&coffer(&flags)?, plan)?);
            Ok(())
        }
        Some(Role::Tls) => {
            let shape = Shape { connections: flags.connections, window: Duration::from_secs_f64(flags.seconds) };
            println!("{}", tls::measure(&coffer(&flags)?, shape, flags.rounds)?);
            Ok(())
        }
        _ => bench(&flags),
    }
}

/// Measures what the flags chose. A target that is missed is a result, not an error.
fn bench(flags: &Flags) -> Result<()> {
    let contender =
        if flags.calibrate { Kind::Bare } else { Kind::Coffer { program: coffer(flags)?, data: None, config: None } };
    let shape = Shape { connections: flags.connections, window: Duration::from_secs_f64(flags.seconds) };
    let plan = Plan { contender, rounds: flags.rounds, shape };
    let chosen: Vec<_> = workloads::ALL.iter().filter(|it| flags.chose(it)).collect();
    let mut figures = Vec::new();
    for workload in &chosen {
        eprintln!("{}: {}", workload.name, workload.about);
        figures.push(figures::measure(workload, &plan)?);
    }
    println!("{}\n\n{}", report::heading(&plan), report::tables(&figures));
    if let Some(caution) = report::caution(&figures) {
        println!("{caution}");
    }
    if let Some(file) = &flags.json {
        fs::write(file, report::document(&figures, &plan)?).with_context(|| file.display().to_string())?;
    }
    if let Some(directory) = &flags.profile {
        chosen.iter().try_for_each(|workload| profile::record(workload, &plan, directory))?;
    }
    Ok(())
}

impl Flags {
    /// Beside itself the bare server has nothing to add to operations that it does not know, and it has no disk.
    fn chose(&self, workload: &Workload) -> bool {
        if self.calibrate && !workload.is_comparison() {
            return false;
        }
        self.workload.is_empty() || self.workload.iter().any(|name| name == workload.name)
    }
}

/// The binary to measure. Without a flag it is the one that cargo builds beside this one, brought up to date first where
/// cargo started us, so that one command is enough and nobody measures yesterday's code.
fn coffer(flags: &Flags) -> Result<PathBuf> {
    if let Some(program) = &flags.coffer {
        return Ok(program.clone());
    }
    if let (Some(cargo), Some(package)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR")) {
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "--package", "coffer", "--bin", "coffer"]).current_dir(package);
        ensure!(build.status()?.success(), "Coffer does not build");
    }
    let program = env::current_exe()?.parent().unwrap_or(Path::new(".")).join("coffer");
    ensure!(program.exists(), "no {}: build it, or name one with --coffer", program.display());
    Ok(program)
}

fn seconds(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse()?;
    ensure!((0.1..=3600.0).contains(&seconds), "between 0.1 and 3600");
    Ok(seconds)
}
