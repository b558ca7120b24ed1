//! The root key as the platform keyring needs it: it encrypts that one record, and another key is told from it. Does not
//! know who holds it.

use zeroize::Zeroizing;

use super::record;
use super::{Error, RootKey};
use crate::crypto::kdf::hkdf_sha256;
use crate::crypto::record::RecordKey;
use crate::crypto::secret::Secret;

pub(super) struct Root {
    cipher: RecordKey,
    /// `HKDF-SHA-256["", "coffer: check root, 1"](key, 32)`: what is compared, in place of the key itself.
    check: Secret<[u8; 32]>,
}

impl Root {
    pub(super) fn new(key: &RootKey) -> Self {
        Self { cipher: RecordKey::new(key.expose()), check: check(key) }
    }

    /// Whether this is the key.
    pub(super) fn is(&self, key: &RootKey) -> bool {
        self.check == check(key)
    }

    pub(super) fn encrypt(&self, path: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        record::encrypt(&self.cipher, TERM, path, plaintext)
    }

    pub(super) fn decrypt(&self, path: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (term, body) = record::split(path, bytes)?;
        record::decrypt(&self.cipher, term, path, body).map_err(|_| Error::WrongRootKey)
    }
}

fn check(key: &RootKey) -> Secret<[u8; 32]> {
    Secret::made_by(|check: &mut [u8; 32]| {
        let derived = hkdf_sha256(key.expose(), b"", PURPOSE, check);
        debug_assert!(derived.is_ok(), "32 bytes are one block of HKDF");
    })
}

const PURPOSE: &[u8] = b"coffer: check root, 1";
/// The root key encrypts nothing but the platform keyring; its records name this term.
const TERM: u32 = 0;
