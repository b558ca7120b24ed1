//! `OpenPGP` (RFC 9580) as far as it takes to encrypt a few bytes for somebody's public key: certificates of version 4 with
//! RSA, Curve25519 or the curves of NIST, and messages that every implementation reads. It decrypts and signs nothing, and
//! does not know whose keys these are.
//!
//! The kept crates for this bring the `rsa` crate, whose private operations leak their timing, or a second cryptographic
//! library; what is needed here is small enough to stand on AWS-LC.

use thiserror::Error;

use super::random::Random;

mod certificate;
mod message;
mod packet;

pub use certificate::has_private;
pub use packet::unarmored;

/// Somebody's public key.
#[derive(Clone)]
pub struct PgpKey {
    /// Of the certificate's primary key.
    fingerprint: [u8; 20],
    recipient: message::Recipient,
}

/// Why a key is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    #[error("it is no OpenPGP certificate")]
    Malformed,
    #[error("it is a private key: send the public one, and consider the private one known to others")]
    Private,
    #[error("its version of OpenPGP keys is not supported: version 4 is")]
    Version,
    #[error("it was revoked")]
    Revoked,
    #[error("it is too large: export it without what others have signed (gpg --export-options export-minimal)")]
    TooLarge,
    #[error(
        "it has no key to encrypt for that is in force, is bound to it, and is of RSA, Curve25519 or a curve of NIST"
    )]
    NoEncryptionKey,
    #[error("the encryption failed")]
    Failed,
}

impl PgpKey {
    /// Takes a certificate, binary or armored, and finds the key in it to encrypt for: the newest one that the certificate's
    /// owner has bound to it for that purpose, and that is in force now. Bytes that others have added are left out.
    pub fn parse(certificate: &[u8], now_s: u64) -> Result<Self, Error> {
        certificate::parse(certificate, now_s)
    }

    /// The fingerprint of the primary key, in hex.
    pub fn fingerprint(&self) -> String {
        super::hex::encode(&self.fingerprint)
    }

    /// A message to the owner of the key: encrypted with AES-256, in binary.
    pub fn encrypt(&self, random: &mut impl Random, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.recipient.encrypt(random, plaintext)
    }
}

#[cfg(test)]
mod tests;
