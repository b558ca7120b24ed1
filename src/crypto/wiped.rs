//! A buffer for texts that may hold secrets, on their way from and to a socket. Does not know what they say.

use std::mem;
use std::ops::{Deref, DerefMut};

use super::secret::wipe;

/// Bytes that are wiped when they are dropped.
///
/// `Zeroizing<Vec<u8>>` wipes byte by byte, which for a body of a mebibyte takes longer than to encrypt it.
#[derive(Default)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// An empty buffer with room for `bytes`. As long as it need not grow, it leaves no copies behind.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// All pieces in one buffer.
    pub fn joined<'p>(pieces: impl Iterator<Item = &'p [u8]> + Clone) -> Self {
        let mut whole = Self::with_capacity(pieces.clone().map(<[u8]>::len).sum());
        pieces.for_each(|piece| whole.0.extend_from_slice(piece));
        whole
    }

    /// Appends `piece`. If there is no room for it, all moves to a buffer of `capacity` bytes, or more if that is too few,
    /// and nothing stays behind.
    pub fn append(&mut self, piece: &[u8], capacity: usize) {
        let needed = self.0.len() + piece.len();
        if needed > self.0.capacity() {
            let mut larger = Self::with_capacity(capacity.max(needed));
            larger.0.extend_from_slice(&self.0);
            mem::swap(self, &mut larger);
        }
        self.0.extend_from_slice(piece);
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // What lies behind the end may be a longer text of before.
        self.0.resize(self.0.capacity(), 0);
        wipe(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_what_was_asked_for_or_needed() {
        let mut bytes = Wiped::with_capacity(4);
        for (piece, capacity, expected) in [("abcd", 0, 4), ("e", 100, 100), ("fgh", 1000, 100)] {
            bytes.append(piece.as_bytes(), capacity);
            assert_eq!(bytes.0.capacity(), expected, "{piece}");
        }
        bytes.append(&[b'i'; 200], 150);
        assert_eq!(bytes.len(), 208);
        assert!(bytes.as_ref().starts_with(b"abcdefghiii"));
    }
}
