//! A buffer for texts that may hold secrets, on their way from and to a socket. Does not know what they say.

use std::io::{self, Write};
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};

use zeroize::{Zeroizing, optimization_barrier};

/// Bytes that are wiped when they are dropped. They cannot be got at as a `Vec`, which leaves behind what it moves as it
/// grows.
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
            self.move_to(capacity.max(needed));
        }
        self.0.extend_from_slice(piece);
    }

    #[inline]
    pub fn extend_from_slice(&mut self, piece: &[u8]) {
        self.reserve(piece.len());
        self.0.extend_from_slice(piece);
    }

    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.reserve(1);
        self.0.push(byte);
    }

    /// Appends so many zeros, to be written over.
    pub fn room(&mut self, bytes: usize) -> &mut [u8] {
        self.reserve(bytes);
        let end = self.0.len();
        self.0.resize(end + bytes, 0);
        &mut self.0[end..]
    }

    /// Takes back what was appended since there were `bytes`.
    pub fn truncate(&mut self, bytes: usize) {
        self.0.truncate(bytes);
    }

    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    #[inline]
    pub fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed > self.0.capacity() {
            self.move_to(needed.max(2 * self.0.capacity()));
        }
    }

    #[cold]
    fn move_to(&mut self, capacity: usize) {
        let mut larger = Self::with_capacity(capacity);
        larger.0.extend_from_slice(&self.0);
        mem::swap(self, &mut larger);
    }
}

impl Write for Wiped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Wiped> for Zeroizing<Vec<u8>> {
    fn from(mut bytes: Wiped) -> Self {
        Self::new(mem::take(&mut bytes.0))
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut [u8] {
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
        self.0.clear();
        let place = self.0.spare_capacity_mut();
        place.fill(MaybeUninit::new(0));
        optimization_barrier(place);
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

    /// What grows as a vector does moves to another place, and what was in the first one can be wiped.
    #[test]
    fn grows_by_moving() {
        let mut bytes = Wiped::with_capacity(4);
        let mut expected = Vec::new();
        for (number, room) in (0..200_u8).zip([4, 4, 4, 4, 8, 8, 8, 8].into_iter().chain([16; 8]).chain([0; 200])) {
            bytes.push(number);
            expected.push(number);
            assert!(room == 0 || bytes.0.capacity() == room, "{number}");
        }
        bytes.extend_from_slice(&[1; 1_000]);
        bytes.write_all(&[2; 3]).unwrap();
        bytes.reserve(5_000);
        assert!(bytes.0.capacity() >= 6_203);
        bytes.room(4)[3] = 9;
        assert_eq!(*bytes, *[expected, vec![1; 1_000], vec![2; 3], vec![0, 0, 0, 9]].concat());
    }
}
