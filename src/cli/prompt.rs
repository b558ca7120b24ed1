//! Secrets that people type: asked for on the terminal without showing them, or read as a line of standard input.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::output::{Failure, print_aside};

/// What was given, or else what is typed: nothing given asks for it, `-` reads standard input.
pub(super) fn secret(given: Option<String>, question: &str) -> Result<Zeroizing<String>, Failure> {
    match given.filter(|given| given != "-") {
        Some(given) => Ok(Zeroizing::new(given)),
        None => ask(question),
    }
}

fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    let hidden = if io::stdin().is_terminal() { Hidden::now(question) } else { None };
    let line = line();
    drop(hidden);
    let line = line.map_err(|error| Failure::from(format!("cannot read standard input: {error}")))?;
    if line.is_empty() { Err(format!("{question}: nothing was given").into()) } else { Ok(line) }
}

/// A line, read byte by byte: a buffer would keep a copy, and take what the next question is to read.
fn line() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let mut byte = Zeroizing::new([0]);
    let mut input = std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
    while bytes.len() < LINE_BYTES_MAX && input.read(&mut *byte)? > 0 && *byte != *b"\n" {
        bytes.extend_from_slice(&*byte);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// The terminal shows nothing of what is typed while this lives.
struct Hidden(Termios);

impl Hidden {
    fn now(question: &str) -> Option<Self> {
        print_aside(&format!("{question} (will be hidden): "));
        let before = tcgetattr(io::stdin()).ok()?;
        let mut during = before.clone();
        during.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &during).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        print_aside("\n");
    }
}

/// Bytes of a line: more than any key in hex.
const LINE_BYTES_MAX: usize = 4096;
