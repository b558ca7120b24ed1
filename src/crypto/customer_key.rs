//! The key that a customer brings: which 32 bytes are one, and what shows that two sides hold the same. Does not know what
//! it is called, what it protects, where it is kept, or whether another key has the same bytes.
//!
//! What shows a key can be computed by its owner from the backup, with openssl alone:
//!
//! - the check value: the first 5 bytes of `AES-256-CMAC[key](16 zero bytes)`;
//! - the fingerprint: the first 16 bytes of `HMAC-SHA-256[key](label)`, with [`FINGERPRINT_LABEL`];
//! - the proof of a backup: `HMAC-SHA-256[key](nonce)`, for a nonce that the asker made.
//!
//! They are MACs under the key, hence tell nothing of it. Nonces have another length than the label, so that no proof is
//! a fingerprint.

use zeroize::Zeroizing;

use super::cmac::{self, Cmac};
use super::mac::HmacSha256;
use super::random::Random;
use super::secret::Secret;

mod formats;
mod refused;
mod weak;

pub use refused::Refused;

/// A customer's key: 32 bytes that nothing speaks against.
pub struct CustomerKey(Secret<[u8; KEY_LEN]>);

impl CustomerKey {
    /// Takes the raw bytes of a key, and refuses what only stands for one, or was not made at random.
    ///
    /// Of keys that were made at random, one in 2^43 is refused for being readable text; see `weak` and `formats`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.is_empty() {
            return Err(Refused::Empty);
        }
        if let Some(refused) = formats::recognise(bytes) {
            return Err(refused);
        }
        let key: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| wrong_length(bytes))?;
        match weak::weakness(key) {
            None => Ok(Self(Secret::made_by(|secret| *secret = *key))),
            Some(refused) => Err(refused),
        }
    }

    /// Takes a key in base64: standard or URL-safe, with or without padding and line breaks.
    pub fn parse_text(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Refused::Empty);
        }
        if let Some(bytes) = formats::hex_len(text).filter(|len| HEX_LENGTHS.contains(len)) {
            return Err(Refused::HexNotBase64 { bytes });
        }
        match formats::from_base64(text) {
            Some(bytes) => Self::parse(&bytes),
            None => Err(formats::of_text(text).filter(|refused| !refused.is_any_text()).unwrap_or(Refused::NotBase64)),
        }
    }

    /// A new key. What by chance looks like text is thrown away.
    pub fn generate(random: &mut impl Random) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; KEY_LEN]);
            random.fill(bytes.as_mut());
            if let Ok(key) = Self::parse(bytes.as_ref()) {
                return key;
            }
        }
    }

    /// The bytes, for the one operation that needs them.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }

    /// The first bytes of `AES-256-CMAC[key](16 zero bytes)`: short enough to be read out over the phone, and shown as hex.
    /// It fails only when memory runs out.
    pub fn check_value(&self) -> Result<[u8; CHECK_VALUE_LEN], cmac::Error> {
        Ok(beginning(&Cmac::new(self.expose())?.compute(&[0; 16])?))
    }

    /// The first bytes of `HMAC-SHA-256[key](FINGERPRINT_LABEL)`: keys with the same one are the same key. Shown as hex.
    pub fn fingerprint(&self) -> [u8; FINGERPRINT_LEN] {
        beginning(&self.proof(FINGERPRINT_LABEL))
    }

    /// `HMAC-SHA-256[key](nonce)`, which only a holder of the key can make.
    pub fn proof(&self, nonce: &[u8]) -> [u8; 32] {
        HmacSha256::new(self.expose()).compute(nonce)
    }

    /// Whether `proof` is that of the nonce, whole and unshortened; in constant time.
    pub fn proves(&self, nonce: &[u8], proof: &[u8]) -> bool {
        HmacSha256::new(self.expose()).verify(nonce, proof)
    }
}

/// The first bytes of a MAC, which is longer.
fn beginning<const N: usize>(mac: &[u8]) -> [u8; N] {
    let mut start = [0; N];
    start.iter_mut().zip(mac).for_each(|(to, from)| *to = *from);
    start
}

/// What bytes are that are neither text nor a container, and no 32.
fn wrong_length(bytes: &[u8]) -> Refused {
    match (bytes.len(), bytes) {
        (33, [.., b'\n']) | (34, [.., b'\r', b'\n']) => Refused::TrailingNewline,
        (len, _) if len < KEY_LEN => Refused::TooShort { bytes: len },
        (len, _) => Refused::TooLong { bytes: len },
    }
}

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of a check value.
pub const CHECK_VALUE_LEN: usize = 5;
/// Bytes of a fingerprint.
pub const FINGERPRINT_LEN: usize = 16;
/// What a fingerprint is the MAC of.
pub const FINGERPRINT_LABEL: &[u8] = b"coffer customer key fingerprint v1";
/// Bytes of keys of AES, which a text of hex digits is taken for although it is good base64 as well.
const HEX_LENGTHS: [usize; 3] = [16, 24, 32];

#[cfg(test)]
mod tests;
