//! How the store knows a token, and how a new one looks.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::Token;
use crate::crypto::hex;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// `HMAC-SHA-256[salt](token)`: how the store knows a token. Stored in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Id(pub(super) [u8; 32]);

impl Id {
    /// The hash in hexadecimal.
    pub fn hex(self) -> String {
        hex::encode(&self.0)
    }

    pub(super) fn from_hex(hex: &str) -> Option<Self> {
        let mut id = [0; 32];
        if hex.len() != 2 * id.len() {
            return None;
        }
        for (index, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(id))
    }

    pub(in crate::access) fn path(self) -> String {
        format!("{IDS}{}", self.hex())
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.hex()
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        Self::from_hex(&hex).ok_or("not the hash of a token")
    }
}

/// A new service token in Vault's format.
pub fn new_token() -> Token {
    Token::new(format!("hvs.{}", &*random_word(TOKEN_LEN)))
}

pub fn new_accessor() -> String {
    random_word(ACCESSOR_LEN).to_string()
}

/// Letters and digits with about 5.95 bits of entropy each. Bytes that would favour some of them are skipped.
pub fn random_word(len: usize) -> Zeroizing<String> {
    let mut word = Zeroizing::new(String::with_capacity(len));
    let mut bytes = Zeroizing::new([0; 32]);
    while word.len() < len {
        Entropy.fill(&mut *bytes);
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3f)));
        let missing = len - word.len();
        word.extend(letters.take(missing).map(|letter| char::from(*letter)));
    }
    word
}

pub(super) const IDS: &str = "token/id/";
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const TOKEN_LEN: usize = 24;
/// Letters of a new token, with what stands before the random ones.
pub const TOKEN_TEXT_LEN: usize = "hvs.".len() + TOKEN_LEN;
const ACCESSOR_LEN: usize = 24;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn new_tokens_look_like_vaults() {
        let (token, other) = (new_token(), new_token());
        let word = token.expose().strip_prefix("hvs.").unwrap();
        assert!(word.len() == TOKEN_LEN && word.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{word}");
        assert_ne!(token.expose(), other.expose());
        assert!(new_accessor().len() == ACCESSOR_LEN && new_accessor() != new_accessor());
        let long = random_word(20_000);
        assert_eq!(long.bytes().collect::<BTreeSet<_>>().len(), ALPHABET.len(), "every letter comes");
    }

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let id = Id([0xa5; 32]);
        assert!(Id::from_hex(&id.hex()) == Some(id));
        let check = |hex: String| assert!(Id::from_hex(&hex).is_none(), "{hex}");
        check(id.hex() + "00");
        check(id.hex()[2..].to_owned());
        check("g".repeat(64));
        check("é".repeat(32));
        check(String::new());
    }
}
