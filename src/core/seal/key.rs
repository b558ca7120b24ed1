//! The key that people hold, whole or in shares. Does not know what it opens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::api::Error;
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::shamir::{self, Share};
use crate::entropy::Entropy;

/// The 256-bit key that the shares make.
pub struct UnsealKey(Secret<[u8; 32]>);

impl UnsealKey {
    pub fn generate() -> Self {
        Self(Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key)))
    }

    /// Reads a share as it was printed.
    pub fn from_base64(text: &str) -> Option<Self> {
        Self::from_bytes(&Zeroizing::new(BASE64_STANDARD.decode(text.trim()).ok()?))
    }

    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.0.expose()))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = bytes.as_array::<32>()?;
        Some(Self(Secret::made_by(|own: &mut [u8; 32]| own.copy_from_slice(key))))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The shares of the key; the only one is the key itself.
    pub(in super::super) fn split(&self, Split { shares, threshold }: Split) -> Vec<Share> {
        match shares {
            1 => vec![Zeroizing::new(self.0.expose().to_vec())],
            _ => shamir::split(self.0.expose(), shares, threshold, &mut Entropy),
        }
    }
}

impl PartialEq for UnsealKey {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Into how many shares a key is split, and how many of them make it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub shares: u8,
    pub threshold: u8,
}

impl Split {
    /// The key itself is its only share.
    pub const WHOLE: Self = Self { shares: 1, threshold: 1 };

    /// Nobody has a share.
    pub const NOBODY: Self = Self { shares: 0, threshold: 0 };

    /// What somebody wants, if it can be had. The refusals are Vault's.
    pub fn new(shares: i64, threshold: i64) -> Result<Self, &'static str> {
        match (shares, threshold) {
            (..=0, _) => Err("shares must be at least one"),
            (_, ..=0) => Err("threshold must be at least one"),
            (2.., 1) => Err("threshold must be greater than one for multiple shares"),
            (256.., _) => Err("shares must be less than 256"),
            (_, 256..) => Err("threshold must be less than 256"),
            _ if threshold > shares => Err("threshold cannot be larger than shares"),
            _ => match (u8::try_from(shares), u8::try_from(threshold)) {
                (Ok(shares), Ok(threshold)) => Ok(Self { shares, threshold }),
                _ => Err("shares must be less than 256"),
            },
        }
    }
}

/// The shares that have come so far.
#[derive(Default)]
pub(super) struct Gathering(Vec<Share>);

impl Gathering {
    /// Takes a share. False: it is there already.
    pub(super) fn add(&mut self, share: Share) -> bool {
        let is_new = !self.0.iter().any(|known| bool::from(known.as_slice().ct_eq(&share)));
        if is_new {
            self.0.push(share);
        }
        is_new
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What the shares make, once enough have come. They are forgotten then: whatever comes of it, the next ones begin
    /// anew.
    pub(super) fn key(&mut self, threshold: u8) -> Option<Result<UnsealKey, Error>> {
        if self.0.len() < usize::from(threshold) {
            return None;
        }
        let shares = std::mem::take(&mut self.0);
        let bytes = match shares.as_slice() {
            [whole] => Ok(whole.clone()),
            shares => shamir::combine(shares)
                .map_err(|error| Error::invalid(format!("failed to compute combined key: {error}"))),
        };
        Some(bytes.and_then(|bytes| UnsealKey::from_bytes(&bytes).ok_or_else(|| Error::invalid(WRONG_LENGTH))))
    }
}

/// Refuses what cannot be a share.
pub(crate) fn check_length(share: &Share) -> Result<(), Error> {
    match share.len() {
        ..SHARE_LEN_MIN => {
            Err(Error::invalid(format!("invalid key: key is shorter than minimum {SHARE_LEN_MIN} bytes")))
        }
        len if len > SHARE_LEN_MAX => {
            Err(Error::invalid(format!("invalid key: key is longer than maximum {SHARE_LEN_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

const SHARE_LEN_MIN: usize = 16;
const SHARE_LEN_MAX: usize = 32 + shamir::OVERHEAD;
const WRONG_LENGTH: &str = "invalid key: the shares do not make a key of 32 bytes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseal_keys_are_32_bytes_of_base64() {
        let check =
            |text: &str, expected: bool| assert_eq!(UnsealKey::from_base64(text).is_some(), expected, "{text:?}");
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true);
        check(" AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", true);
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", false);
        check("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", false);
        check("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false);
        check("", false);
    }

    #[test]
    fn what_can_be_split_is_what_vault_splits() {
        let check = |shares: i64, threshold: i64, expected: Result<(u8, u8), &str>| {
            let split = Split::new(shares, threshold).map(|split| (split.shares, split.threshold));
            assert_eq!(split, expected, "{threshold} of {shares}");
        };
        check(1, 1, Ok((1, 1)));
        check(2, 2, Ok((2, 2)));
        check(255, 255, Ok((255, 255)));
        check(0, 0, Err("shares must be at least one"));
        check(-1, 1, Err("shares must be at least one"));
        check(1, 0, Err("threshold must be at least one"));
        check(2, 1, Err("threshold must be greater than one for multiple shares"));
        check(300, 3, Err("shares must be less than 256"));
        check(1, i64::MAX, Err("threshold must be less than 256"));
        check(3, 4, Err("threshold cannot be larger than shares"));
    }

    #[test]
    fn shares_are_gathered_once_each() {
        let key = UnsealKey::generate();
        let shares = key.split(Split { shares: 3, threshold: 2 });
        let mut gathering = Gathering::default();
        assert!(gathering.add(shares[2].clone()));
        assert!(!gathering.add(shares[2].clone()));
        assert!(gathering.count() == 1 && gathering.key(2).is_none());
        assert!(gathering.add(shares[0].clone()));
        assert!(gathering.key(2).unwrap().unwrap() == key);
        assert_eq!(gathering.count(), 0, "they are forgotten");

        gathering.add(shares[0].clone());
        gathering.add(Zeroizing::new([&[7; 32][..], &[*shares[0].last().unwrap()]].concat()));
        let error = gathering.key(2).unwrap().err().unwrap();
        assert_eq!(error.to_string(), "failed to compute combined key: duplicate part detected");
        assert_eq!(gathering.count(), 0, "also where they make nothing");
    }

    #[test]
    fn shares_have_a_length() {
        let check = |len: usize, expected: bool| {
            assert_eq!(check_length(&Zeroizing::new(vec![1; len])).is_ok(), expected, "{len}");
        };
        check(0, false);
        check(15, false);
        check(16, true);
        check(33, true);
        check(34, false);
    }
}
