//! Bytes that may hold secrets on their way to or from a socket. Does not know what they say.

use std::mem;

use zeroize::Zeroizing;

use crate::crypto::secret::wipe;

/// A buffer that is wiped when it is dropped, and leaves nothing behind when it grows.
///
/// `Zeroizing<Vec<u8>>` wipes byte by byte, which for a body of a mebibyte takes longer than to encrypt it. Hence what
/// was one is taken over into this before it is dropped.
#[derive(Default)]
pub(super) struct Wiped(Vec<u8>);

impl Wiped {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// All pieces in one buffer.
    pub(super) fn joined<'p>(pieces: impl Iterator<Item = &'p [u8]> + Clone) -> Self {
        let mut whole = Self::with_capacity(pieces.clone().map(<[u8]>::len).sum());
        pieces.for_each(|piece| whole.0.extend_from_slice(piece));
        whole
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends `piece`. If there is no room for it, all moves to a buffer of `capacity` bytes, or more if that is too few.
    pub(super) fn append(&mut self, piece: &[u8], capacity: usize) {
        let needed = self.0.len() + piece.len();
        if needed > self.0.capacity() {
            let mut larger = Self::with_capacity(capacity.max(needed));
            larger.0.extend_from_slice(&self.0);
            mem::swap(self, &mut larger);
        }
        self.0.extend_from_slice(piece);
    }

    /// The bytes as the rest of the product keeps them.
    pub(super) fn into_zeroizing(mut self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(mem::take(&mut self.0))
    }
}

impl From<&mut Zeroizing<Vec<u8>>> for Wiped {
    fn from(bytes: &mut Zeroizing<Vec<u8>>) -> Self {
        Self(mem::take(&mut **bytes))
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

    #[test]
    fn takes_over_and_gives_away() {
        let mut theirs = Zeroizing::new(b"abc".to_vec());
        let ours = Wiped::from(&mut theirs);
        assert_eq!((theirs.len(), ours.as_ref()), (0, b"abc".as_slice()));
        assert_eq!(*ours.into_zeroizing(), b"abc");
    }
}
