//! AES key wrap with padding under a 256-bit key (RFC 5649, NIST SP 800-38F's KWP). Does not know what the keys are for,
//! nor how they travel. What it unwraps is wiped by its owner; the library may leave the schedule of the key-encryption
//! key on the stack.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use thiserror::Error;
use zeroize::Zeroizing;

/// Wraps a key of [`KEY_LEN_MIN`] to [`KEY_LEN_MAX`] bytes. The result has the next multiple of 8, and 8 more.
pub fn wrap(kek: &[u8; 32], key: &[u8]) -> Result<Vec<u8>, Error> {
    check_len(key.len(), 0)?;
    let mut wrapped = vec![0; key.len().next_multiple_of(BLOCK_LEN) + BLOCK_LEN];
    let kek = AesKek::new(&AES_256, kek).map_err(|_| Error::Integrity)?;
    kek.wrap_with_padding(key, &mut wrapped).map_err(|_| Error::Integrity)?;
    Ok(wrapped)
}

/// Unwraps what [`wrap`] wrapped.
pub fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    check_len(wrapped.len(), BLOCK_LEN)?;
    if !wrapped.len().is_multiple_of(BLOCK_LEN) {
        return Err(Error::NotMultipleOf8);
    }
    let mut key = Zeroizing::new(vec![0; wrapped.len()]);
    let kek = AesKek::new(&AES_256, kek).map_err(|_| Error::Integrity)?;
    let len = kek.unwrap_with_padding(wrapped, &mut key).map_err(|_| Error::Integrity)?.len();
    key.truncate(len);
    Ok(key)
}

fn check_len(len: usize, overhead: usize) -> Result<(), Error> {
    if len < KEY_LEN_MIN + overhead {
        return Err(Error::TooSmall);
    }
    if len > KEY_LEN_MAX + overhead { Err(Error::TooLarge) } else { Ok(()) }
}

/// Bytes of the shortest key.
pub const KEY_LEN_MIN: usize = 16;

/// Bytes of the longest key.
pub const KEY_LEN_MAX: usize = 8192;

/// Bytes of the half blocks that the algorithm moves about.
const BLOCK_LEN: usize = 8;

/// What went wrong, in the words of the library that Vault wraps keys with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Shorter than any key may be, wrapped or not.
    #[error("kwp: wrapped key size too small")]
    TooSmall,
    /// Longer than any key may be, wrapped or not.
    #[error("kwp: wrapped key size too large")]
    TooLarge,
    /// No wrapped key has such a length.
    #[error("kwp: wrapped key size must be a multiple of 8 bytes")]
    NotMultipleOf8,
    /// Not what this key-encryption key gives.
    #[error("kwp: unwrap failed integrity check")]
    Integrity,
}
