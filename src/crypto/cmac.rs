//! AES-CMAC (RFC 4493, NIST SP 800-38B). Does not know what is authenticated, nor how keys and MACs are spelled.

use aws_lc_rs::cmac;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::secret::Secret;

/// One key, shared between threads. It is expanded for each MAC anew, in memory of AWS-LC, which wipes all that it frees:
/// kept, it would lie where the [`arena`](super::arena) is not.
pub struct Cmac {
    algorithm: cmac::Algorithm,
    key: Secret<[u8]>,
}

impl Cmac {
    /// Takes a key of 16, 24 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, Error> {
        let algorithm = match key.len() {
            16 => cmac::AES_128,
            24 => cmac::AES_192,
            32 => cmac::AES_256,
            _ => return Err(Error::KeyLength),
        };
        Ok(Self { algorithm, key: Secret::copy_of(key) })
    }

    /// `CMAC[key](message)`.
    pub fn compute(&self, message: &[u8]) -> Result<[u8; MAC_LEN], Error> {
        let key = cmac::Key::new(self.algorithm, self.key.expose()).map_err(|_| Error::Internal)?;
        let tag = cmac::sign(&key, message).map_err(|_| Error::Internal)?;
        tag.as_ref().try_into().map_err(|_| Error::Internal)
    }

    /// Whether `mac` is the MAC of `message` or the beginning of it, at least one byte; in constant time.
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> Result<bool, Error> {
        let whole = self.compute(message)?;
        let beginning = whole.get(..mac.len()).filter(|beginning| !beginning.is_empty());
        Ok(beginning.is_some_and(|beginning| beginning.ct_eq(mac).into()))
    }
}

/// Bytes of a whole MAC.
pub const MAC_LEN: usize = 16;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The key has not 16, 24 or 32 bytes.
    #[error("the key has the wrong length")]
    KeyLength,
    /// The library failed, as when memory runs out.
    #[error("the cryptographic library failed")]
    Internal,
}
