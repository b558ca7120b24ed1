//! Authenticated encryption in place, as transit's ciphertexts have it: nonce ‖ ciphertext ‖ tag. Does not know key
//! names, versions or the text around a ciphertext.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use thiserror::Error;

use super::arena::Hidden;
use super::lc::AeadKey;
use super::mac::HmacSha256;
use super::random::Random;
use super::secret::{on_wiped_stack, wipe};

/// One key, expanded once and shared between threads.
///
/// It lies in the [`arena`](super::arena). XChaCha20-Poly1305 derives a key from it for each message, on the stack, where the
/// crate wipes what it holds but not what a register was put aside in.
pub struct Cipher {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    AwsLc(AeadKey),
    XChaCha(Hidden<XChaCha20Poly1305>),
}

impl Cipher {
    /// Expands a key of [`Algorithm::key_len`] bytes.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        let key = match algorithm {
            Algorithm::XChaCha20Poly1305 => {
                let expanded = on_wiped_stack(|| XChaCha20Poly1305::new_from_slice(key).map(Hidden::new));
                Key::XChaCha(expanded.map_err(|_| Error::KeyLength)?)
            }
            _ => Key::AwsLc(AeadKey::new(algorithm, key).map_err(|_| Error::KeyLength)?),
        };
        Ok(Self { algorithm, key })
    }

    /// What this key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Encrypts what the draft holds under a random nonce: `nonce ‖ AEAD[key, nonce, aad](plaintext) ‖ tag`.
    ///
    /// The result lies in the draft's memory; the draft itself is empty again and can be filled anew.
    pub fn encrypt<'d>(&self, random: &mut impl Random, aad: &[u8], draft: &'d mut Draft) -> Result<&'d [u8], Error> {
        let parts = draft.parts(self.algorithm.nonce_len());
        random.fill(parts.nonce);
        self.encrypt_parts(aad, parts)?;
        Ok(draft.take(self.algorithm.nonce_len()))
    }

    /// Convergent encryption, versions 2 and 3: as [`encrypt`](Self::encrypt), with the beginning of
    /// `HMAC-SHA-256[nonce_key](plaintext)` for a nonce, so that equal plaintexts give equal ciphertexts.
    ///
    /// That a nonce comes twice only with the same plaintext holds as long as `nonce_key` belongs to this key alone. The
    /// AAD does not influence the nonce: the same plaintext with two AADs reveals that it is the same, and lets who sees
    /// both forge tags; that is the price of Vault's format.
    pub fn encrypt_convergent<'d>(
        &self,
        nonce_key: &HmacSha256,
        aad: &[u8],
        draft: &'d mut Draft,
    ) -> Result<&'d [u8], Error> {
        let mac = nonce_key.compute(draft.contents());
        self.encrypt_with_nonce(&mac[..self.algorithm.nonce_len()], aad, draft)
    }

    /// As [`encrypt`](Self::encrypt), with the caller's nonce of [`Algorithm::nonce_len`] bytes.
    ///
    /// The only function that takes a nonce. It is there for the first version of convergent encryption, whose nonces
    /// come from clients, and for known answers. Who calls it promises that under this key the nonce goes with this
    /// plaintext and with no other: two plaintexts under one nonce give away their difference, and the key to forge.
    pub fn encrypt_with_nonce<'d>(&self, nonce: &[u8], aad: &[u8], draft: &'d mut Draft) -> Result<&'d [u8], Error> {
        if nonce.len() != self.algorithm.nonce_len() {
            return Err(Error::NonceLength);
        }
        let parts = draft.parts(nonce.len());
        parts.nonce.copy_from_slice(nonce);
        self.encrypt_parts(aad, parts)?;
        Ok(draft.take(nonce.len()))
    }

    /// Decrypts `nonce ‖ ciphertext ‖ tag` in place and returns the plaintext, which lies between the other two.
    ///
    /// On an error nothing of the plaintext is left in the buffer.
    pub fn decrypt<'c>(&self, aad: &[u8], ciphertext: &'c mut [u8]) -> Result<&'c mut [u8], Error> {
        let (nonce, rest) = ciphertext.split_at_mut_checked(self.algorithm.nonce_len()).ok_or(Error::TooShort)?;
        self.decrypt_with_nonce(nonce, aad, rest)
    }

    /// Decrypts `ciphertext ‖ tag` in place and returns the plaintext: for the first version of convergent encryption,
    /// whose ciphertexts do not carry the nonce.
    pub fn decrypt_with_nonce<'c>(
        &self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &'c mut [u8],
    ) -> Result<&'c mut [u8], Error> {
        if nonce.len() != self.algorithm.nonce_len() {
            return Err(Error::NonceLength);
        }
        let refused = Error::Authentication(self.algorithm);
        let (message, tag) = ciphertext.split_last_chunk_mut::<TAG_LEN>().ok_or(refused)?;
        let authentic = match &self.key {
            Key::AwsLc(key) => key.open(nonce, aad, message, tag).is_ok(),
            Key::XChaCha(key) => XNonce::try_from(nonce).is_ok_and(|nonce| {
                key.decrypt_inout_detached(&nonce, aad, (&mut *message).into(), &Tag::from(*tag)).is_ok()
            }),
        };
        if !authentic {
            wipe(message);
            return Err(refused);
        }
        Ok(message)
    }

    /// As [`decrypt`](Self::decrypt), for a ciphertext in a draft, which then holds the plaintext and can be encrypted
    /// again where it lies. On an error the draft is empty.
    pub fn decrypt_draft<'d>(&self, aad: &[u8], draft: &'d mut Draft) -> Result<&'d [u8], Error> {
        match self.decrypt(aad, draft.contents_mut()) {
            Ok(_) => Ok(draft.strip(self.algorithm.nonce_len())),
            Err(error) => {
                draft.clear();
                Err(error)
            }
        }
    }

    fn encrypt_parts(&self, aad: &[u8], parts: Parts<'_>) -> Result<(), Error> {
        let Parts { nonce, message, tag } = parts;
        match &self.key {
            Key::AwsLc(key) => key.seal(nonce, aad, message, tag).map_err(|_| Error::TooLong),
            Key::XChaCha(key) => {
                let nonce = XNonce::try_from(&*nonce).map_err(|_| Error::NonceLength)?;
                let made = key.encrypt_inout_detached(&nonce, aad, message.into()).map_err(|_| Error::TooLong)?;
                tag.copy_from_slice(&made);
                Ok(())
            }
        }
    }
}

/// The algorithms of transit's symmetric keys. All tags have 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// NIST SP 800-38D.
    Aes128Gcm,
    /// NIST SP 800-38D.
    Aes256Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
    /// draft-irtf-cfrg-xchacha-03: RFC 8439 with a nonce long enough to be random without counting.
    XChaCha20Poly1305,
}

impl Algorithm {
    /// Bytes of a key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of a nonce.
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 => 12,
            Self::XChaCha20Poly1305 => NONCE_LEN_MAX,
        }
    }
}

/// What went wrong. Of a failed authentication there is no more to say: wrong key, wrong AAD and altered bytes are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The key has not [`Algorithm::key_len`] bytes.
    #[error("the key has the wrong length")]
    KeyLength,
    /// The nonce has not [`Algorithm::nonce_len`] bytes.
    #[error("the nonce has the wrong length")]
    NonceLength,
    /// The ciphertext is shorter than a nonce.
    #[error("the ciphertext is shorter than a nonce")]
    TooShort,
    /// The plaintext is longer than one message may be: 64 GiB with AES-GCM, 256 GiB with the others.
    #[error("the plaintext is too long")]
    TooLong,
    /// The ciphertext is not what this key and AAD give.
    #[error("the ciphertext is not authentic")]
    Authentication(Algorithm),
}

/// A message that is encrypted or decrypted where it lies.
///
/// There is room for the longest nonce in front of the contents and for the tag behind, so that no byte moves, whatever
/// the algorithm turns out to be, and nothing is left behind in another place. Dropping and [`clear`](Self::clear) wipe
/// the contents. One draft serves a whole batch.
pub struct Draft {
    /// Nothing secret lies outside of `start..end`, and `end + TAG_LEN` is never beyond the end.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

struct Parts<'d> {
    nonce: &'d mut [u8],
    message: &'d mut [u8],
    tag: &'d mut [u8],
}

impl Draft {
    /// An empty draft with room for contents of `len` bytes.
    pub fn with_capacity(len: usize) -> Self {
        Self { buffer: vec![0; NONCE_LEN_MAX + len + TAG_LEN], start: NONCE_LEN_MAX, end: NONCE_LEN_MAX }
    }

    /// What was appended, or what a decryption left.
    pub fn contents(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Lets `write` put up to `len_max` bytes behind the contents and say how many they are, as a decoder does. What it
    /// wrote is wiped if it fails.
    pub fn append<E>(&mut self, len_max: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let spare = self.spare(len_max);
        match write(spare) {
            Ok(len) => self.end += len.min(len_max),
            Err(error) => {
                wipe(spare);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Wipes the contents.
    pub fn clear(&mut self) {
        wipe(self.contents_mut());
        (self.start, self.end) = (NONCE_LEN_MAX, NONCE_LEN_MAX);
    }

    fn contents_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// The `len` bytes behind the contents. A buffer that is too small is replaced and wiped, for growing it in place
    /// could leave a copy of the contents behind.
    fn spare(&mut self, len: usize) -> &mut [u8] {
        let needed = self.end + len + TAG_LEN;
        if needed > self.buffer.len() {
            let mut larger = vec![0; needed.max(2 * self.buffer.len())];
            larger[self.start..self.end].copy_from_slice(self.contents());
            wipe(self.contents_mut());
            self.buffer = larger;
        }
        &mut self.buffer[self.end..][..len]
    }

    fn parts(&mut self, nonce_len: usize) -> Parts<'_> {
        let (before, rest) = self.buffer.split_at_mut(self.start);
        let (message, after) = rest.split_at_mut(self.end - self.start);
        Parts { nonce: &mut before[self.start - nonce_len..], message, tag: &mut after[..TAG_LEN] }
    }

    /// The contents with their nonce and tag, now that they are no secret any more; leaves the draft empty.
    fn take(&mut self, nonce_len: usize) -> &[u8] {
        let (start, end) = (self.start - nonce_len, self.end + TAG_LEN);
        (self.start, self.end) = (NONCE_LEN_MAX, NONCE_LEN_MAX);
        &self.buffer[start..end]
    }

    /// Drops the nonce and the tag around a decrypted plaintext from the contents.
    fn strip(&mut self, nonce_len: usize) -> &[u8] {
        self.start += nonce_len;
        self.end -= TAG_LEN;
        self.contents()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        wipe(self.contents_mut());
    }
}

/// Bytes of the longest nonce, XChaCha20-Poly1305's.
pub const NONCE_LEN_MAX: usize = 24;

/// Bytes of every tag.
pub const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHMS: [Algorithm; 4] =
        [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305, Algorithm::XChaCha20Poly1305];

    /// Counts up, so that no two nonces of a test are alike.
    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            self.0 += 1;
            out.fill(self.0);
        }
    }

    fn cipher(algorithm: Algorithm) -> Cipher {
        Cipher::new(algorithm, &[7; 32][..algorithm.key_len()]).unwrap()
    }

    fn encrypted(algorithm: Algorithm, plaintext: &[u8]) -> Vec<u8> {
        let mut draft = Draft::with_capacity(0);
        draft.extend_from_slice(plaintext);
        cipher(algorithm).encrypt(&mut Counting(0), b"aad", &mut draft).unwrap().to_vec()
    }

    #[test]
    fn a_cipher_is_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Cipher>();
    }

    #[test]
    fn a_key_has_one_length() {
        for algorithm in ALGORITHMS {
            for len in [0, 15, 16, 17, 24, 31, 32, 33] {
                let made = Cipher::new(algorithm, &vec![7; len]).map(|cipher| cipher.algorithm());
                let expected = if len == algorithm.key_len() { Ok(algorithm) } else { Err(Error::KeyLength) };
                assert_eq!(made, expected, "{algorithm:?} {len}");
            }
        }
    }

    #[test]
    fn the_layout_is_nonce_ciphertext_tag() {
        for algorithm in ALGORITHMS {
            let made = encrypted(algorithm, b"hello");
            assert_eq!(made.len(), algorithm.nonce_len() + 5 + TAG_LEN);
            assert_eq!(made[..algorithm.nonce_len()], vec![1; algorithm.nonce_len()]);
        }
    }

    #[test]
    fn whatever_differs_is_refused_and_leaves_nothing() {
        for algorithm in ALGORITHMS {
            let (good, nonce_len) = (encrypted(algorithm, b"hello"), algorithm.nonce_len());
            assert_eq!(cipher(algorithm).decrypt(b"aad", &mut good.clone()).unwrap(), b"hello");
            let refused = Err(Error::Authentication(algorithm));
            for at in 0..good.len() {
                let mut altered = good.clone();
                altered[at] ^= 0x80;
                assert_eq!(cipher(algorithm).decrypt(b"aad", &mut altered).map(|_| ()), refused, "altered at {at}");
                assert_eq!(altered[nonce_len..nonce_len + 5], [0; 5]);
            }
            assert_eq!(cipher(algorithm).decrypt(b"", &mut good.clone()).map(|_| ()), refused);
            for len in 0..good.len() {
                let expected = if len < nonce_len { Err(Error::TooShort) } else { refused };
                let cut = cipher(algorithm).decrypt(b"aad", &mut good[..len].to_vec()).map(|_| ());
                assert_eq!(cut, expected, "cut at {len}");
            }
        }
    }

    #[test]
    fn convergent_nonces_follow_the_plaintext() {
        let encrypt = |plaintext: &[u8]| {
            let mut draft = Draft::with_capacity(plaintext.len());
            draft.extend_from_slice(plaintext);
            let nonce_key = HmacSha256::new(b"nonce key");
            cipher(Algorithm::Aes256Gcm).encrypt_convergent(&nonce_key, b"", &mut draft).unwrap().to_vec()
        };
        assert_eq!(encrypt(b"hello"), encrypt(b"hello"));
        assert_ne!(encrypt(b"hello")[..12], encrypt(b"hellp")[..12]);
    }

    #[test]
    fn a_draft_serves_again() {
        let (cipher, mut random) = (cipher(Algorithm::Aes256Gcm), Counting(0));
        let mut draft = Draft::with_capacity(5);
        for plaintext in [&b"hello"[..], b"", b"a longer one, for which the draft must grow", b"x"] {
            draft.extend_from_slice(plaintext);
            let mut made = cipher.encrypt(&mut random, b"", &mut draft).unwrap().to_vec();
            assert_eq!(cipher.decrypt(b"", &mut made).unwrap(), plaintext);
            assert_eq!(draft.contents(), b"");
        }
    }

    #[test]
    fn a_draft_is_rewrapped_where_it_lies() {
        for from in ALGORITHMS {
            for to in ALGORITHMS {
                let mut draft = Draft::with_capacity(0);
                draft.extend_from_slice(&encrypted(from, b"hello"));
                assert_eq!(cipher(from).decrypt_draft(b"aad", &mut draft).unwrap(), b"hello");
                assert_eq!(draft.contents(), b"hello");
                let mut made = cipher(to).encrypt(&mut Counting(9), b"", &mut draft).unwrap().to_vec();
                assert_eq!(cipher(to).decrypt(b"", &mut made).unwrap(), b"hello");
            }
        }
    }

    #[test]
    fn a_draft_forgets() {
        let secret = |draft: &Draft| draft.buffer.windows(5).any(|bytes| bytes == b"hello");
        let mut draft = Draft::with_capacity(100);
        draft.extend_from_slice(b"hello");
        assert!(secret(&draft));
        draft.clear();
        assert!(!secret(&draft));

        let failed = draft.append(100, |spare| {
            spare[..5].copy_from_slice(b"hello");
            Err::<usize, _>("no")
        });
        assert_eq!(failed, Err("no"));
        assert!(!secret(&draft));

        let mut forged = encrypted(Algorithm::Aes256Gcm, b"hello");
        forged[0] ^= 1;
        draft.extend_from_slice(&forged);
        assert!(cipher(Algorithm::Aes256Gcm).decrypt_draft(b"aad", &mut draft).is_err());
        assert_eq!(draft.contents(), b"");
        assert!(draft.buffer.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn append_takes_what_was_written() {
        let mut draft = Draft::with_capacity(3);
        draft.extend_from_slice(b"abc");
        let write = |spare: &mut [u8]| {
            assert_eq!(spare.len(), 50);
            spare[..3].copy_from_slice(b"def");
            Ok::<_, ()>(3)
        };
        draft.append(50, write).unwrap();
        assert_eq!(draft.contents(), b"abcdef");
    }
}
