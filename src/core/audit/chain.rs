//! The chain of an audit device: each line says which line it follows, so that nobody changes, removes, inserts or moves one
//! unnoticed. Knows nothing of what lines say, nor where they go.
//!
//! A line ends with `,"chain":{"sequence":…,"previous":…,"hash":…,"mac":…}}`. The hash is SHA-256 of everything that stands
//! before it in the line, which holds the hash of the line before; anyone can compute it. The MAC is HMAC-SHA-256 of the
//! hash with a key of the device's: whoever can write the file and has no such key cannot make a chain anew.

use std::fmt::Write as _;

use memchr::memchr_iter;
use serde::Deserialize;

use crate::crypto::hash::Hash;
use crate::crypto::hex;
use crate::crypto::mac::HmacSha256;

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the last line; the first has 1.
    pub sequence: u64,
    /// Of the last line, in hex.
    pub hash: String,
}

impl Head {
    /// What the first line of a chain follows.
    pub fn beginning() -> Self {
        Self { sequence: 0, hash: hex::encode(&[0; 32]) }
    }
}

/// What a line says of its place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub sequence: u64,
    /// The hash of the line before; zeros where there is none.
    pub previous: String,
    pub hash: String,
    pub mac: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    chain: Link,
}

impl Link {
    /// The link at the end of a line without its line break, unless it is written otherwise than `link` does.
    pub fn read(line: &[u8]) -> Option<Self> {
        let at = find_last(line, OPENING.as_bytes())?;
        let (body, member) = line.split_at_checked(at)?;
        let Member { chain } = serde_json::from_slice(&[b"{", member.get(1..)?].concat()).ok()?;
        let mut written = Vec::with_capacity(LINK_BYTES);
        chain.write_covered(&mut written);
        chain.write_rest(&mut written);
        (written == member && !body.is_empty()).then_some(chain)
    }

    /// Whether a line is what it was when it got this link.
    pub fn holds(&self, line: &[u8]) -> bool {
        let mut rest = Vec::with_capacity(LINK_BYTES);
        self.write_rest(&mut rest);
        let covered = line.len().checked_sub(rest.len()).and_then(|len| line.get(..len));
        covered.is_some_and(|covered| hash(covered) == self.hash)
    }

    /// Whether the device whose key this is has written the line.
    pub fn is_signed(&self, key: &HmacSha256) -> bool {
        hex::encode(&key.compute(self.hash.as_bytes())) == self.mac
    }

    pub fn into_head(self) -> Head {
        Head { sequence: self.sequence, hash: self.hash }
    }

    /// Writes the part of it that is hashed with the line.
    fn write_covered(&self, line: &mut Vec<u8>) {
        let sequence = self.sequence.to_string();
        for piece in [OPENING, &sequence, ",\"previous\":\"", &self.previous, "\""] {
            line.extend_from_slice(piece.as_bytes());
        }
    }

    fn write_rest(&self, line: &mut Vec<u8>) {
        for piece in [",\"hash\":\"", &self.hash, "\",\"mac\":\"", &self.mac, "\"}}"] {
            line.extend_from_slice(piece.as_bytes());
        }
    }
}

/// The chain of one device.
pub(super) struct Chain {
    key: HmacSha256,
    /// Unknown until the device is opened.
    head: Option<Head>,
}

impl Chain {
    pub(super) fn new(key: HmacSha256) -> Self {
        Self { key, head: None }
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Lines as they follow in the chain, and where it stands then. Each line is an object and ends with a line break.
    pub(super) fn link(&self, lines: &[u8]) -> (Vec<u8>, Head) {
        let mut head = self.head.clone().unwrap_or_else(Head::beginning);
        // Entries are mostly more than twice as long as what is added to them.
        let mut linked = Vec::with_capacity(lines.len() + lines.len() / 2);
        let mut start = 0;
        for end in memchr_iter(b'\n', lines) {
            let entry = lines.get(start..end).unwrap_or_default();
            start = end + 1;
            let Head { sequence, hash: previous } = head;
            let mut link =
                Link { sequence: sequence.saturating_add(1), previous, hash: String::new(), mac: String::new() };
            let begin = linked.len();
            linked.extend_from_slice(entry.strip_suffix(b"}").unwrap_or(entry));
            link.write_covered(&mut linked);
            link.hash = hash(linked.get(begin..).unwrap_or_default());
            link.mac = hex::encode(&self.key.compute(link.hash.as_bytes()));
            link.write_rest(&mut linked);
            linked.push(b'\n');
            head = link.into_head();
        }
        (linked, head)
    }

    /// Notes that lines were written which lead here.
    pub(super) fn advance(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// Goes on where a file ends, unless it is known where the chain stands. Returns a line that says so in the file, to be
    /// linked as others are; a line that a failing machine broke off is a part of what it says.
    pub(super) fn resume(&mut self, last_lines: &[Vec<u8>]) -> Vec<u8> {
        let mut text = "{\"type\":\"chain\"".to_owned();
        let broken = last_lines.first().filter(|line| Link::read(line).is_none());
        if let Some(line) = broken {
            let _ = write!(text, ",\"broken_off\":\"{}\"", hash(line));
        }
        if self.head.is_none() {
            self.head = last_lines.iter().find_map(|line| Link::read(line)).map(Link::into_head);
        }
        text.push_str("}\n");
        text.into_bytes()
    }
}

/// The hash of a line that was broken off, if this line tells of one.
pub(super) fn broken_off(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        broken_off: String,
    }
    let is_told = line.starts_with(b"{\"type\":\"chain\",\"broken_off\":");
    is_told.then(|| serde_json::from_slice::<Told>(line).ok()).flatten().map(|told| told.broken_off)
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(&Hash::Sha2_256.digest(bytes))
}

fn find_last(text: &[u8], part: &[u8]) -> Option<usize> {
    let start = text.len().saturating_sub(LINK_BYTES);
    let tail = text.get(start..)?;
    tail.windows(part.len()).rposition(|window| window == part).map(|at| start + at)
}

const OPENING: &str = ",\"chain\":{\"sequence\":";
/// More than a link has.
const LINK_BYTES: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> HmacSha256 {
        HmacSha256::new(b"a key")
    }

    #[test]
    fn a_line_says_what_it_follows() {
        let chain = Chain::new(key());
        let (text, head) = chain.link(b"{\"a\":1}\n{\"b\":\"}\"}\n");
        let written: Vec<_> = text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
        let links: Vec<_> = written.iter().map(|line| Link::read(line).unwrap()).collect();
        assert_eq!((links[0].sequence, &links[0].previous), (1, &Head::beginning().hash));
        assert_eq!((links[1].sequence, &links[1].previous), (2, &links[0].hash));
        assert_eq!(head, links[1].clone().into_head());
        for (text, link) in written.iter().zip(&links) {
            assert!(link.holds(text) && link.is_signed(&key()) && !link.is_signed(&HmacSha256::new(b"another")));
            let parsed: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(parsed["chain"]["sequence"], link.sequence);
        }
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed() {
        let (text, _) = Chain::new(key()).link(b"{\"a\":\"xyz\"}\n");
        let line = text.strip_suffix(b"\n").unwrap();
        for place in 0..line.len() {
            for flip in [1, 0x20, 0x80] {
                let mut other = line.to_vec();
                other[place] ^= flip;
                let holds = Link::read(&other).is_some_and(|link| link.holds(&other) && link.is_signed(&key()));
                assert!(!holds, "byte {place}");
            }
            let shorter = [&line[..place], &line[place + 1..]].concat();
            assert!(!Link::read(&shorter).is_some_and(|link| link.holds(&shorter) && link.is_signed(&key())));
        }
    }

    #[test]
    fn a_chain_goes_on_where_the_file_ends() {
        let first = Chain::new(key());
        let (text, head) = first.link(b"{\"a\":1}\n");
        let line = text.strip_suffix(b"\n").unwrap().to_vec();
        let check = |last_lines: &[Vec<u8>], expected: Option<&Head>, told: Option<&[u8]>| {
            let mut chain = Chain::new(key());
            let said = chain.resume(last_lines);
            assert_eq!((chain.head(), broken_off(&said)), (expected, told.map(hash)), "{last_lines:?}");
        };
        check(&[], None, None);
        check(std::slice::from_ref(&line), Some(&head), None);
        check(&[b"{\"to".to_vec(), line.clone()], Some(&head), Some(b"{\"to"));
        check(&[b"{\"b\":2}".to_vec(), b"{\"c\":2}".to_vec()], None, Some(b"{\"b\":2}"));
        let mut known = Chain::new(key());
        known.advance(Head { sequence: 7, hash: "00".to_owned() });
        known.resume(&[line]);
        assert_eq!(known.head().map(|head| head.sequence), Some(7));
        // Whoever can write the file says how far the chain is, and does not stop it by that.
        known.advance(Head { sequence: u64::MAX, hash: "00".to_owned() });
        assert_eq!(known.link(b"{\"a\":1}\n").1.sequence, u64::MAX);
    }
}
