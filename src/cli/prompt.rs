//! Secrets that people type: asked for on the terminal without showing them, or read as a line of standard input.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
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
    let line = match &hidden {
        Some(hidden) => hidden.line(),
        None => line(),
    };
    // Before a word of what went wrong: nobody reads it who cannot see what is typed next.
    drop(hidden);
    let line = line.map_err(|error| Failure::from(format!("cannot read standard input: {error}")))?;
    let line = line.ok_or_else(|| Failure::from("interrupted".to_owned()))?;
    if line.is_empty() { Err(format!("{question}: nothing was given").into()) } else { Ok(line) }
}

/// A line of standard input.
fn line() -> io::Result<Option<Zeroizing<String>>> {
    gather(|byte, bytes| {
        if byte == b'\n' {
            return Next::End;
        }
        bytes.push(byte);
        Next::More
    })
}

/// What follows a byte.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    More,
    End,
    /// There is to be no line.
    Stop,
}

/// A line, read byte by byte: a buffer would keep a copy, and take what the next question is to read. `None`: stopped.
fn gather(mut take: impl FnMut(u8, &mut Vec<u8>) -> Next) -> io::Result<Option<Zeroizing<String>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let mut byte = Zeroizing::new([0]);
    let mut input = std::fs::File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
    while bytes.len() < LINE_BYTES_MAX && input.read(&mut *byte)? > 0 {
        let [read] = *byte;
        match take(read, &mut bytes) {
            Next::More => {}
            Next::End => break,
            Next::Stop => return Ok(None),
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(Zeroizing::new(text.trim().to_owned())))
}

/// The terminal shows nothing of what is typed while this lives, and hands over each key at once: those that would end the
/// process, too, which must not leave the terminal as it is.
struct Hidden {
    before: Termios,
    keys: Keys,
}

impl Hidden {
    fn now(question: &str) -> Option<Self> {
        print_aside(&format!("{question} (will be hidden): "));
        let before = tcgetattr(io::stdin()).ok()?;
        let mut during = before.clone();
        during.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        (during.special_codes[SpecialCodeIndex::VMIN], during.special_codes[SpecialCodeIndex::VTIME]) = (1, 0);
        let keys = Keys::of(&before);
        tcsetattr(io::stdin(), OptionalActions::Now, &during).ok()?;
        Some(Self { before, keys })
    }

    fn line(&self) -> io::Result<Option<Zeroizing<String>>> {
        gather(|byte, bytes| self.keys.press(byte, bytes))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        print_aside("\n");
    }
}

/// What keys do that do not stand for themselves. Zero is none, as a terminal has it that was told to have none.
struct Keys {
    interrupt: u8,
    quit: u8,
    suspend: u8,
    end: u8,
    erase: u8,
    kill: u8,
}

impl Keys {
    fn of(terminal: &Termios) -> Self {
        let code = |index| terminal.special_codes[index];
        Self {
            interrupt: code(SpecialCodeIndex::VINTR),
            quit: code(SpecialCodeIndex::VQUIT),
            suspend: code(SpecialCodeIndex::VSUSP),
            end: code(SpecialCodeIndex::VEOF),
            erase: code(SpecialCodeIndex::VERASE),
            kill: code(SpecialCodeIndex::VKILL),
        }
    }

    /// Does what a terminal does that reads a line.
    fn press(&self, byte: u8, bytes: &mut Vec<u8>) -> Next {
        match byte {
            b'\n' | b'\r' => return Next::End,
            0 => {}
            _ if byte == self.interrupt || byte == self.quit => return Next::Stop,
            // Whoever came back would find the terminal as the shell left it.
            _ if byte == self.suspend => {}
            _ if byte == self.end => return Next::End,
            _ if byte == self.erase => {
                // A character may be several bytes, of which only the first begins one.
                while bytes.pop().is_some_and(|gone| gone & 0b1100_0000 == 0b1000_0000) {}
            }
            _ if byte == self.kill => bytes.clear(),
            _ => bytes.push(byte),
        }
        Next::More
    }
}

/// Bytes of a line: more than any key in hex.
const LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { interrupt: 3, quit: 0x1c, suspend: 0x1a, end: 4, erase: 0x7f, kill: 0x15 };

    #[test]
    fn keys_do_what_they_do_at_a_terminal() {
        let check = |typed: &str, expected: Option<&str>| {
            let mut bytes = Vec::new();
            let goes_on = typed.bytes().all(|byte| KEYS.press(byte, &mut bytes) == Next::More);
            let line = goes_on.then(|| String::from_utf8(bytes).unwrap());
            assert_eq!(line.as_deref(), expected, "{typed:?}");
        };
        check("abc", Some("abc"));
        check("abd\u{7f}c", Some("abc"));
        check("a\u{fc}\u{7f}\u{7f}\u{7f}b", Some("b"));
        check("wrong\u{15}right\u{1a}\0", Some("right"));
        check("ab\u{3}", None);
        check("\u{1c}", None);
        assert_eq!(KEYS.press(3, &mut Vec::new()), Next::Stop);
        for end in [b'\n', b'\r', 4] {
            assert_eq!(KEYS.press(end, &mut Vec::new()), Next::End);
        }
    }
}
