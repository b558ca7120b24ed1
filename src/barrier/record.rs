//! The bytes of one record at rest, and what binds them to their place.
//!
//! `format 1 byte | term u32 big-endian | nonce 12 | ciphertext | tag 16`, AES-256-GCM. The associated data is the format,
//! the term and the full storage key: a record that is moved, or said to be of another term, does not open.

use zeroize::Zeroizing;

use super::Error;
use crate::crypto::record::{OVERHEAD, RecordKey};
use crate::entropy::Entropy;

/// Encrypts a record for one storage key.
pub(super) fn encrypt(key: &RecordKey, term: u32, path: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let mut record = Vec::with_capacity(HEADER_LEN + plaintext.len() + OVERHEAD);
    record.push(FORMAT);
    record.extend_from_slice(&term.to_be_bytes());
    let aad = aad(term, path);
    key.encrypt(&mut Entropy, &aad, &mut record, plaintext).map_err(|_| damaged(path, "it is too long to encrypt"))?;
    Ok(record)
}

/// The term that a record names, and what follows the name.
pub(super) fn split<'r>(path: &str, record: &'r [u8]) -> Result<(u32, &'r [u8]), Error> {
    let (format, rest) = record.split_first().ok_or_else(|| damaged(path, "it is empty"))?;
    let (term, body) = rest.split_first_chunk().ok_or_else(|| damaged(path, "it is truncated"))?;
    match *format {
        FORMAT => Ok((u32::from_be_bytes(*term), body)),
        _ => Err(damaged(path, "its format is unknown to this version")),
    }
}

/// Decrypts what `split` returned.
pub(super) fn decrypt(key: &RecordKey, term: u32, path: &str, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    key.decrypt(&aad(term, path), body).map_err(|_| damaged(path, "it was altered, moved or made with another key"))
}

pub(super) fn damaged(path: &str, reason: &'static str) -> Error {
    Error::Damaged { path: path.to_owned(), reason }
}

fn aad(term: u32, path: &str) -> Vec<u8> {
    let mut aad = Vec::with_capacity(HEADER_LEN + path.len());
    aad.push(FORMAT);
    aad.extend_from_slice(&term.to_be_bytes());
    aad.extend_from_slice(path.as_bytes());
    aad
}

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 1 + size_of::<u32>();
