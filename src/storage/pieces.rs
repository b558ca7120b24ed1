//! How keys and values are laid out in sled, where no single value may be large: a long value is cut into pieces that
//! live in the same tree and change in the same batch. Knows the layout only, not sled.
//!
//! ```text
//! 'k' key              00 value                              a short value
//! 'k' key              01 stamp u64 | bytes u64              the head of a long one
//! 'p' key index u32    stamp u64 | part of the value         its pieces, 0, 1, ...
//! ```
//! All numbers are big-endian. The stamp is new for each long value, so that a reader who meets the pieces of two values,
//! because a writer came between, notices.

use super::Error;

/// The key under which `key` is stored. Only these are ever listed.
pub(super) fn head_key(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

/// What [`head_key`] was made from.
pub(super) fn key_of(head_key: &[u8]) -> &[u8] {
    head_key.get(1..).unwrap_or_default()
}

/// The key of a piece.
pub(super) fn piece_key(key: &[u8], index: u32) -> Vec<u8> {
    [PIECES, key, &index.to_be_bytes()].concat()
}

/// A parsed value under a head key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head<'v> {
    Short(&'v [u8]),
    Long { stamp: u64, bytes: u64 },
}

impl<'v> Head<'v> {
    pub(super) fn parse(stored: &'v [u8]) -> Result<Self, Error> {
        match stored.split_first() {
            Some((&SHORT, value)) => Ok(Head::Short(value)),
            Some((&LONG, rest)) => match rest.as_chunks() {
                ([stamp, bytes], []) => {
                    Ok(Head::Long { stamp: u64::from_be_bytes(*stamp), bytes: u64::from_be_bytes(*bytes) })
                }
                _ => Err(torn()),
            },
            _ => Err(torn()),
        }
    }

    /// How many pieces belong to the head.
    pub(super) fn pieces(self) -> u32 {
        match self {
            Head::Short(_) => 0,
            Head::Long { bytes, .. } => u32::try_from(bytes.div_ceil(PIECE_BYTES as u64)).unwrap_or(u32::MAX),
        }
    }
}

/// A value as it is stored: what goes under its head key, then the pieces in order.
pub(super) fn cut(value: &[u8], stamp: u64) -> (Vec<u8>, impl Iterator<Item = Vec<u8>>) {
    let stamp = stamp.to_be_bytes();
    let (head, long) = if value.len() <= PIECE_BYTES {
        ([&[SHORT], value].concat(), &[][..])
    } else {
        ([&[LONG][..], &stamp, &(value.len() as u64).to_be_bytes()].concat(), value)
    };
    (head, long.chunks(PIECE_BYTES).map(move |part| [&stamp, part].concat()))
}

/// The part of the value in a stored piece, if the piece belongs to the value with `stamp`.
pub(super) fn part(stored: &[u8], stamp: u64) -> Option<&[u8]> {
    stored.strip_prefix(&stamp.to_be_bytes())
}

pub(super) fn torn() -> Error {
    Error::Corrupt { what: "a value is not in the form in which it was written".into() }
}

/// What the keys of all pieces begin with.
pub(super) const PIECES: &[u8] = b"p";
const SHORT: u8 = 0;
const LONG: u8 = 1;
/// Longest part of a value under one key of sled, in bytes; see the rules in `sled.rs`.
pub(super) const PIECE_BYTES: usize = 64 << 10;
