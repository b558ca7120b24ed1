//! Says of the lines of an audit file, one after the other, whether the chain in them is whole. Knows nothing of files.

use std::fmt;

use super::chain::{Head, Link, broken_off, hash};
use crate::crypto::mac::HmacSha256;

/// Takes lines in the order in which they were written.
#[derive(Default)]
pub struct Verifier {
    /// Of the device, where it is known.
    key: Option<HmacSha256>,
    head: Option<Head>,
    /// A line that is no part of the chain, and may have been broken off.
    loose: Option<(Place, String)>,
    /// Sequence numbers are missing, and may stand further behind.
    gap: Option<Gap>,
    pub seen: Seen,
}

/// A line by the name of its file and its number, from 1.
pub type Place = (String, u64);

struct Gap {
    at: Place,
    expected: u64,
    found: u64,
}

/// What was seen until now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Lines that belong to a chain.
    pub lines: u64,
    /// Chains that begin: the first line has no predecessor.
    pub begun: u64,
    /// Lines from before the first chain, which nothing covers.
    pub uncovered: u64,
    /// Lines that a failing machine broke off, as the chain says.
    pub broken_off: Vec<Place>,
    /// The sequence of the first line.
    pub first: Option<u64>,
}

/// The first thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: Place,
    pub kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line is not what it was.
    Changed,
    /// The line has a chain that fits and was written by somebody without the key of the device.
    Forged,
    /// A line was never a part of the chain.
    Inserted,
    /// Two lines follow each other by their numbers, and the second one followed another.
    Replaced,
    /// A line stands a second time, or further behind than it stood.
    Moved { sequence: u64 },
    /// Lines are gone before this one.
    Removed { from: u64, to: u64 },
    /// Lines are gone at the end: the server has written up to this one.
    CutOff { to: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = &self.at;
        write!(out, "{file}:{line}: ")?;
        match &self.kind {
            Kind::Changed => out.write_str("this line was changed"),
            Kind::Forged => out.write_str("this line was written by somebody who has not the key of the device"),
            Kind::Inserted => out.write_str("this line was inserted: it is no part of the chain"),
            Kind::Replaced => out.write_str("this line followed another one: that before it was replaced"),
            Kind::Moved { sequence } => {
                write!(out, "line {sequence} of the chain does not belong here: it was moved or repeated")
            }
            Kind::Removed { from, to } if from == to => {
                write!(out, "before this line, line {from} of the chain was removed")
            }
            Kind::Removed { from, to } => {
                write!(out, "before this line, lines {from} to {to} of the chain were removed")
            }
            Kind::CutOff { to } => write!(out, "behind this line, those up to {to} of the chain were cut off"),
        }
    }
}

impl Verifier {
    pub fn new(key: Option<HmacSha256>) -> Self {
        Self { key, ..Self::default() }
    }

    /// Where the chain stands.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Takes the next line, without its line break.
    pub fn take(&mut self, at: &Place, text: &[u8]) -> Result<(), Fault> {
        let link = Link::read(text);
        if let Some(gap) = &self.gap {
            let is_lost = |link: &Link| (gap.expected..gap.found).contains(&link.sequence);
            return match link.filter(is_lost) {
                Some(_) => Err(Fault { at: gap.at.clone(), kind: Kind::Moved { sequence: gap.found } }),
                None => Ok(()),
            };
        }
        let Some(link) = link else { return self.take_loose(at, text) };
        self.take_linked(at, text, link)
    }

    /// Takes the end of a file that is no whole line: whoever wrote it was broken off, or is still writing.
    pub fn take_fragment(&mut self, at: Place) {
        self.seen.broken_off.push(at);
    }

    /// Nothing follows. `written`: what the server has written last, if that is known.
    pub fn end(&mut self, last: &Place, written: Option<&Head>) -> Result<(), Fault> {
        if let Some(Gap { at, expected, found }) = self.gap.take() {
            return Err(Fault { at, kind: Kind::Removed { from: expected, to: found - 1 } });
        }
        if let Some((at, _)) = self.loose.take() {
            return Err(Fault { at, kind: Kind::Inserted });
        }
        let is_behind = |written: &&Head| self.head.as_ref().is_none_or(|head| head.sequence < written.sequence);
        match written.filter(is_behind) {
            Some(Head { sequence, .. }) => Err(Fault { at: last.clone(), kind: Kind::CutOff { to: *sequence } }),
            None => Ok(()),
        }
    }

    fn take_loose(&mut self, at: &Place, text: &[u8]) -> Result<(), Fault> {
        if self.head.is_none() {
            self.seen.uncovered += 1;
            return Ok(());
        }
        match self.loose.replace((at.clone(), hash(text))) {
            Some((at, _)) => Err(Fault { at, kind: Kind::Inserted }),
            None => Ok(()),
        }
    }

    fn take_linked(&mut self, at: &Place, text: &[u8], link: Link) -> Result<(), Fault> {
        let fault = |kind| Err(Fault { at: at.clone(), kind });
        if !link.holds(text) {
            return fault(Kind::Changed);
        }
        if self.key.as_ref().is_some_and(|key| !link.is_signed(key)) {
            return fault(Kind::Forged);
        }
        if let Some((at, hash)) = self.loose.take() {
            if broken_off(text) != Some(hash) {
                return Err(Fault { at, kind: Kind::Inserted });
            }
            self.seen.broken_off.push(at);
        }
        let begins = link.sequence == 1 && link.previous == Head::beginning().hash;
        match &self.head {
            Some(head) if !begins => {
                let expected = head.sequence.saturating_add(1);
                if link.sequence > expected {
                    self.gap = Some(Gap { at: at.clone(), expected, found: link.sequence });
                    return Ok(());
                }
                if link.sequence < expected {
                    return fault(Kind::Moved { sequence: link.sequence });
                }
                if link.previous != head.hash {
                    return fault(Kind::Replaced);
                }
            }
            Some(_) | None => self.seen.begun += u64::from(begins),
        }
        self.seen.first.get_or_insert(link.sequence);
        self.seen.lines += 1;
        self.head = Some(link.into_head());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::Chain;
    use super::*;

    const KEY: &[u8] = b"a key";

    /// Lines of a chain, as many as are wanted.
    fn lines(count: usize) -> Vec<Vec<u8>> {
        let entries: String = (0..count).map(|number| format!("{{\"n\":{number}}}\n")).collect();
        let (text, _) = Chain::new(HmacSha256::new(KEY)).link(entries.as_bytes());
        text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// What is wrong with these lines, and in which.
    fn verdict(lines: &[Vec<u8>], written: Option<u64>) -> Result<Seen, (u64, Kind)> {
        let mut verifier = Verifier::new(Some(HmacSha256::new(KEY)));
        let place = |number: usize| ("f".to_owned(), number as u64);
        let mut taken = (1..).zip(lines).map(|(number, line)| verifier.take(&place(number), line));
        let taken = taken.find(Result::is_err).unwrap_or(Ok(()));
        let written = written.map(|sequence| Head { sequence, hash: String::new() });
        let ended = taken.and_then(|()| verifier.end(&place(lines.len()), written.as_ref()));
        ended.map(|()| verifier.seen).map_err(|Fault { at: (_, line), kind }| (line, kind))
    }

    #[test]
    fn what_is_whole_is_said_to_be() {
        let seen = verdict(&lines(5), Some(5)).unwrap();
        assert_eq!(seen, Seen { lines: 5, begun: 1, first: Some(1), ..Seen::default() });
        // Older files may be gone.
        let seen = verdict(&lines(5)[2..], None).unwrap();
        assert_eq!(seen, Seen { lines: 3, first: Some(3), ..Seen::default() });
        let again = [lines(2), lines(3)].concat();
        assert_eq!(verdict(&again, None).unwrap().begun, 2);
        let before = [vec![b"{\"n\":0}".to_vec(); 2], lines(3)].concat();
        assert_eq!(verdict(&before, None).unwrap().uncovered, 2);
        assert_eq!(verdict(&[], None).unwrap(), Seen::default());
    }

    #[test]
    fn the_first_wrong_line_is_told() {
        let whole = lines(8);
        let edited = |edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut lines = whole.clone();
            edit(&mut lines);
            verdict(&lines, None).unwrap_err()
        };
        assert_eq!(edited(&|lines| lines[3][5] = b'9'), (4, Kind::Changed));
        assert_eq!(edited(&|lines| drop(lines.remove(3))), (4, Kind::Removed { from: 4, to: 4 }));
        assert_eq!(edited(&|lines| drop(lines.drain(2..5))), (3, Kind::Removed { from: 3, to: 5 }));
        assert_eq!(edited(&|lines| lines.insert(3, b"{\"n\":3}".to_vec())), (4, Kind::Inserted));
        assert_eq!(edited(&|lines| lines.insert(3, lines[1].clone())), (4, Kind::Moved { sequence: 2 }));
        assert_eq!(edited(&|lines| lines.swap(3, 4)), (4, Kind::Moved { sequence: 5 }));
        assert_eq!(edited(&|lines| lines.push(b"{\"n\":9}".to_vec())), (9, Kind::Inserted));
        assert_eq!(verdict(&whole[..6], Some(8)), Err((6, Kind::CutOff { to: 8 })));
    }

    #[test]
    fn a_chain_made_anew_is_told_by_its_key() {
        let entries: String = (0..4).map(|number| format!("{{\"n\":{number}}}\n")).collect();
        let (text, _) = Chain::new(HmacSha256::new(b"guessed")).link(entries.replace('0', "7").as_bytes());
        let forged: Vec<_> =
            text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(verdict(&forged, None), Err((1, Kind::Forged)));
        // One line of it among the others fits nowhere.
        let mixed = [&lines(4)[..2], &forged[2..]].concat();
        assert_eq!(verdict(&mixed, None), Err((3, Kind::Forged)));
        let mut keyless = Verifier::new(None);
        let place = ("f".to_owned(), 1);
        mixed[..2].iter().for_each(|line| keyless.take(&place, line).unwrap());
        assert_eq!(keyless.take(&place, &mixed[2]).unwrap_err().kind, Kind::Replaced);
    }

    #[test]
    fn a_line_that_was_broken_off_is_no_fault() {
        let mut chain = Chain::new(HmacSha256::new(KEY));
        let (first, head) = chain.link(b"{\"n\":0}\n");
        chain.advance(head);
        let first = first.strip_suffix(b"\n").unwrap().to_vec();
        let fragment = b"{\"time\":\"20".to_vec();
        let said = chain.resume(&[fragment.clone(), first.clone()]);
        let (said, _) = chain.link(&said);
        let said = said.strip_suffix(b"\n").unwrap().to_vec();
        let seen = verdict(&[first.clone(), fragment, said.clone()], None).unwrap();
        assert_eq!((seen.lines, seen.broken_off.len()), (2, 1));
        assert_eq!(verdict(&[first, b"{\"another".to_vec(), said], None), Err((2, Kind::Inserted)));
    }

    #[test]
    fn a_chain_that_counts_to_the_end_is_no_reason_to_panic() {
        let mut chain = Chain::new(HmacSha256::new(KEY));
        chain.advance(Head { sequence: u64::MAX - 1, hash: "00".to_owned() });
        let (last, head) = chain.link(b"{\"n\":0}\n");
        chain.advance(head);
        let (behind, _) = chain.link(b"{\"n\":1}\n");
        let lines = [last, behind].map(|line| line.strip_suffix(b"\n").unwrap().to_vec());
        assert_eq!(verdict(&lines[..1], None).unwrap().first, Some(u64::MAX));
        assert_eq!(verdict(&lines, None).unwrap().lines, 2);
    }
}
