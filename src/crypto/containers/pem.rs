//! PEM (RFC 7468): written in lines of 64 characters, read as leniently as Go's encoding/pem. Does not know what the
//! labels stand for, and does not wipe what it reads: private keys are only ever written.

use base64::prelude::{BASE64_STANDARD, Engine};
use der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

use super::Error;

/// What stands between a `BEGIN` and an `END`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The words after `BEGIN`.
    pub label: String,
    /// The decoded contents.
    pub contents: Vec<u8>,
}

/// The contents in PEM, with a newline after every line. Headers there are none.
pub fn encode(label: &'static str, contents: &[u8]) -> Result<Zeroizing<String>, Error> {
    encode_string(label, LineEnding::LF, contents).map(Zeroizing::new).map_err(|_| Error::TooLong)
}

/// The first block of a text, and the text behind it; `None` if there is no block.
///
/// What stands in front of a block is skipped, as are headers, blocks without an end and blocks with contents that are no
/// base64.
pub fn decode(text: &str) -> Option<(Block, &str)> {
    let mut open: Option<(&str, String)> = None;
    let mut rest = text;
    while let Some(line) = rest.split_inclusive('\n').next() {
        rest = rest.get(line.len()..).unwrap_or_default();
        let line = line.trim_end();
        if let Some(label) = line.strip_prefix("-----BEGIN ") {
            open = label.strip_suffix("-----").map(|label| (label, String::new()));
        } else if let Some(label) = line.strip_prefix("-----END ") {
            let ended = open.take().filter(|(begun, _)| label.strip_suffix("-----") == Some(begun));
            let decoded = ended.and_then(|(label, body)| Some((label, BASE64_STANDARD.decode(body).ok()?)));
            if let Some((label, contents)) = decoded {
                return Some((Block { label: label.to_owned(), contents }, rest));
            }
        } else if let Some((_, body)) = &mut open
            && !(body.is_empty() && line.contains(':'))
        {
            body.extend(line.split_ascii_whitespace());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "-----BEGIN A B-----\nYWJj\n-----END A B-----\n";

    #[test]
    fn blocks_are_found() {
        let check = |text: &str, expected: Option<(&str, &[u8], &str)>| {
            let found = decode(text);
            let found = found.as_ref().map(|(block, rest)| (&*block.label, &*block.contents, *rest));
            assert_eq!(found, expected, "{text:?}");
        };
        check(ABC, Some(("A B", b"abc", "")));
        check(&ABC.replace('\n', "\r\n"), Some(("A B", b"abc", "")));
        check(ABC.trim_end(), Some(("A B", b"abc", "")));
        check(&format!("{ABC} rest {ABC}"), Some(("A B", b"abc", &format!(" rest {ABC}"))));
        check(&format!("subject=x\n{ABC}"), Some(("A B", b"abc", "")));
        check(&ABC.replace("YWJj", "Proc-Type: 4\nB: c\n\nYW\tJ \nj"), Some(("A B", b"abc", "")));
        check(&format!("-----BEGIN A B-----\n?\n{ABC}"), Some(("A B", b"abc", "")));
        check(&format!("{}{ABC}", ABC.replace("YWJj", "YWJ")), Some(("A B", b"abc", "")));
        check(&format!("{}{ABC}", ABC.replace("END A B", "END B")), Some(("A B", b"abc", "")));
        check(&ABC.replace("YWJj\n", ""), Some(("A B", b"", "")));
        for text in ["", "hello", " -----BEGIN A-----\nYWJj\n-----END A-----", "-----END A B-----\n"] {
            check(text, None);
        }
        for (from, to) in [("-----BEGIN", "----BEGIN"), ("B-----\nY", "B----\nY"), ("END A B-----", "END A B")] {
            check(&ABC.replace(from, to), None);
        }
    }
}
