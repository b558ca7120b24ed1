//! AES-256-GCM for records at rest and for wrapped keys. Does not know formats, terms or paths.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use thiserror::Error;
use zeroize::Zeroizing;

use super::arena::Hidden;
use super::random::Random;
use super::secret::{on_wiped_stack, wipe};

/// One AES-256-GCM key (NIST SP 800-38D), expanded once. It lies in the [`arena`](super::arena), so that moving it copies
/// no key bytes, and is wiped when dropped.
///
/// With random nonces, one key is good for 2^32 encryptions; counting them is the owner's duty.
pub struct RecordKey(Hidden<Aes256Gcm>);

impl RecordKey {
    /// Expands the key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(on_wiped_stack(|| Hidden::new(Aes256Gcm::new(key.into()))))
    }

    /// Appends `nonce(12) ‖ AES-256-GCM[key, nonce, aad](plaintext) ‖ tag(16)` to `out`, with a random nonce. On an
    /// error, `out` is as it was.
    pub fn encrypt(
        &self,
        random: &mut impl Random,
        aad: &[u8],
        out: &mut Vec<u8>,
        plaintext: &[u8],
    ) -> Result<(), TooLong> {
        let mut nonce = Nonce::default();
        random.fill(&mut nonce);
        let start = out.len();
        // One reservation, for a vector that grows leaves the plaintext behind in the old place.
        out.reserve(plaintext.len() + OVERHEAD);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plaintext);
        let message = &mut out[start + nonce.len()..];
        let Ok(tag) = self.0.encrypt_inout_detached(&nonce, aad, message.into()) else {
            wipe(&mut out[start..]);
            out.truncate(start);
            return Err(TooLong);
        };
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// The plaintext of `nonce(12) ‖ ciphertext ‖ tag(16)`, if key and AAD are the ones that it was encrypted with.
    pub fn decrypt(&self, aad: &[u8], record: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let (nonce, rest) = record.split_first_chunk::<NONCE_LEN>().ok_or(NotAuthentic)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(NotAuthentic)?;
        let mut message = Zeroizing::new(ciphertext.to_vec());
        self.0
            .decrypt_inout_detached(&Nonce::from(*nonce), aad, message.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| NotAuthentic)?;
        Ok(message)
    }
}

/// Bytes that a record is longer than its plaintext.
pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// A plaintext above the 64 GiB that one GCM message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the plaintext is too long for AES-GCM")]
pub struct TooLong;

/// A record that this key and AAD do not open: altered, moved, cut short, or another key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the record does not open with this key")]
pub struct NotAuthentic;

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up from zero, so that the nonces of a test are known.
    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    fn record(aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        RecordKey::new(&[1; 32]).encrypt(&mut Counting(0), aad, &mut out, plaintext).unwrap();
        out
    }

    #[test]
    fn opens_what_it_encrypted() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let plaintext = vec![0xcd; len];
            let record = record(b"path", &plaintext);
            assert_eq!(record.len(), OVERHEAD + len);
            assert_eq!(record[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
            assert_eq!(*RecordKey::new(&[1; 32]).decrypt(b"path", &record).unwrap(), plaintext);
        }
    }

    #[test]
    fn appends() {
        let mut out = b"header".to_vec();
        RecordKey::new(&[1; 32]).encrypt(&mut Counting(0), b"path", &mut out, b"hello").unwrap();
        assert_eq!(out[..6], *b"header");
        assert_eq!(out[6..], record(b"path", b"hello"));
    }

    #[test]
    fn refuses_whatever_differs() {
        let key = RecordKey::new(&[1; 32]);
        let good = record(b"path", b"hello");
        assert_eq!(key.decrypt(b"other path", &good), Err(NotAuthentic));
        assert_eq!(RecordKey::new(&[2; 32]).decrypt(b"path", &good), Err(NotAuthentic));
        for at in 0..good.len() {
            assert_eq!(key.decrypt(b"path", &good[..at]), Err(NotAuthentic), "cut at {at}");
            let mut altered = good.clone();
            altered[at] ^= 1;
            assert_eq!(key.decrypt(b"path", &altered), Err(NotAuthentic), "altered at {at}");
        }
    }
}
