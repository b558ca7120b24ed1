//! `coffer audit`: says whether the files of an audit device are whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Server, mount_path};
use super::output::{Failure, Output};
use crate::api::base64;
use crate::clock::Timestamp;
use crate::core::audit::chain::{Head, Link};
use crate::core::audit::verify::{Place, Seen, Verifier};
use crate::crypto::mac::HmacSha256;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Says whether files of an audit device with `hash_chain` are whole: the exit code is 0 if so, 2 with the first line that
    /// was changed, removed, inserted or moved if not, and 1 if they cannot be read.
    Verify(Verify),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(verify) => verify.run(),
    }
}

#[derive(clap::Args)]
pub(super) struct Verify {
    /// The files, in any order: they are read in that of their times.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Asks the server for the key of this device, and for its last line: without it nobody sees whether the chain was made
    /// anew by somebody who can write the files, nor whether lines were cut off at the end.
    #[arg(long, value_name = "PATH")]
    device: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

/// What the server says of a device.
#[derive(Deserialize)]
struct Told {
    sequence: u64,
    hash: String,
    key: String,
}

impl Verify {
    fn run(&self) -> Result<(), Failure> {
        // Before the files are read: what is written meanwhile is behind what the server has told.
        let told = self.device.as_deref().map(|device| ask(&self.server, device)).transpose()?;
        let key = told.as_ref().map(|(_, key)| HmacSha256::new(key));
        let mut verifier = Verifier::new(key);
        let mut last = (String::new(), 0);
        for file in in_order(&self.files)? {
            last = take(&mut verifier, file)?;
        }
        let written = told.as_ref().map(|(head, _)| head);
        verifier.end(&last, written).map_err(|fault| Failure::refused(fault.to_string()))?;
        let Some(head) = verifier.head().cloned() else {
            return Err(Failure::refused("there is no chain in these files: enable the device with hash_chain=true"));
        };
        self.tell(&verifier.seen, &head, told.is_some())
    }

    fn tell(&self, seen: &Seen, head: &Head, by_key: bool) -> Result<(), Failure> {
        let broken_off: Vec<_> = seen.broken_off.iter().map(|(file, line)| format!("{file}:{line}")).collect();
        let end = if by_key { "as the server has it" } else { NOT_KNOWN };
        let signatures = if by_key { "verified" } else { "not verified: say -device" };
        let facts: Value = json!({
            "lines": seen.lines, "first": seen.first, "last": head.sequence, "hash": head.hash, "end": end,
            "signatures": signatures, "chains_begun": seen.begun, "broken_off": broken_off, "not_covered": seen.uncovered,
        });
        self.output.print(&facts)
    }
}

/// Where the chain of a device stands, and its key.
fn ask(server: &Server, device: &str) -> Result<(Head, Vec<u8>), Failure> {
    let told = server.client()?.read(&format!("sys/audit-chain/{}", mount_path(device)))?;
    let unreadable = || Failure::refused("the server has told of no chain");
    let told: Told = serde_json::from_value(told).map_err(|_| unreadable())?;
    let key = base64::decode(&told.key).map_err(|_| unreadable())?;
    Ok((Head { sequence: told.sequence, hash: told.hash }, key.to_vec()))
}

/// The files in the order of the first times in them, and of the places in the chain where those are the same.
fn in_order(files: &[String]) -> Result<Vec<&String>, Failure> {
    let mut begun = Vec::with_capacity(files.len());
    for file in files {
        let mut lines = open(file)?;
        let (mut line, mut time, mut sequence) = (Vec::new(), None, None);
        while time.is_none() && read_line(&mut lines, &mut line, file)?.is_some() {
            time = time_of(&line);
            sequence = sequence.or_else(|| Link::read(&line).map(|link| link.sequence));
        }
        begun.push((time.is_none(), time, sequence, file));
    }
    begun.sort();
    Ok(begun.into_iter().map(|(.., file)| file).collect())
}

fn time_of(line: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed {
        time: Timestamp,
    }
    serde_json::from_slice::<Timed>(line).ok().map(|timed| timed.time)
}

/// Takes all lines of a file. Returns its last.
fn take(verifier: &mut Verifier, file: &str) -> Result<Place, Failure> {
    let mut lines = open(file)?;
    let mut at = (file.to_owned(), 0);
    let mut line = Vec::new();
    while let Some(is_whole) = read_line(&mut lines, &mut line, file)? {
        at.1 += 1;
        if !is_whole && Link::read(&line).is_none() {
            verifier.take_fragment(at.clone());
            break;
        }
        verifier.take(&at, &line).map_err(|fault| Failure::refused(fault.to_string()))?;
    }
    Ok(at)
}

fn open(file: &str) -> Result<BufReader<File>, Failure> {
    let open = File::open(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    Ok(BufReader::new(open))
}

/// Reads a line without its line break. Returns whether it had one; `None` at the end.
fn read_line(lines: &mut BufReader<File>, line: &mut Vec<u8>, file: &str) -> Result<Option<bool>, Failure> {
    line.clear();
    let read = lines.read_until(b'\n', line).map_err(|error| format!("cannot read {file}: {error}"))?;
    let is_whole = line.last() == Some(&b'\n');
    if is_whole {
        line.pop();
    }
    Ok((read > 0).then_some(is_whole))
}

const NOT_KNOWN: &str = "not known: lines cut off behind the last one leave no trace in the files; say -device";
