//! Ed25519 and its variants (RFC 8032). Does not know key names, containers, or how keys are derived.

use thiserror::Error;
use zeroize::Zeroizing;

use super::arena::Hidden;
use super::lc;

/// A private key, expanded once and shared between threads; wiped when dropped.
pub struct PrivateKey {
    public: [u8; 32],
    private: Hidden<Zeroizing<[u8; 64]>>,
}

impl PrivateKey {
    /// The key that RFC 8032 makes of a seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (public, private) = lc::ed25519_keys(seed);
        Self { public, private }
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// Signs a message, or for [`Variant::Prehashed`] the digest of one. Deterministic.
    pub fn sign(&self, variant: Variant<'_>, message: &[u8]) -> Result<[u8; 64], Error> {
        variant.check(message)?;
        lc::ed25519_sign(variant, &self.private, message).map_err(|_| Error::Internal)
    }
}

/// A public key. That it is a point of the curve is found out at verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self).map_err(|_| Error::KeyLength)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is the signature of the message, or for [`Variant::Prehashed`] of the digest. A signature of a wrong
    /// length is none, and neither is any under a variant or digest with which nothing can be signed.
    pub fn verify(&self, variant: Variant<'_>, message: &[u8], signature: &[u8]) -> bool {
        variant.check(message).is_ok()
            && signature.try_into().is_ok_and(|signature| lc::ed25519_verify(variant, &self.0, message, signature))
    }
}

/// What exactly is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant<'c> {
    /// Ed25519: the message.
    Pure,
    /// Ed25519ctx: the message and a context of 1 to 255 bytes.
    Context(&'c [u8]),
    /// Ed25519ph: the SHA-512 digest of the message, and a context of 0 to 255 bytes.
    Prehashed(&'c [u8]),
}

impl Variant<'_> {
    fn check(self, message: &[u8]) -> Result<(), Error> {
        match self {
            Self::Context(context) if context.is_empty() || context.len() > CONTEXT_LEN_MAX => {
                Err(Error::ContextLength)
            }
            Self::Prehashed(context) if context.len() > CONTEXT_LEN_MAX => Err(Error::ContextLength),
            Self::Prehashed(_) if message.len() != 64 => Err(Error::DigestLength),
            _ => Ok(()),
        }
    }
}

/// Bytes of the longest context.
pub const CONTEXT_LEN_MAX: usize = 255;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A public key has 32 bytes.
    #[error("the key has the wrong length")]
    KeyLength,
    /// The context is longer than [`CONTEXT_LEN_MAX`], or empty where the variant must have one.
    #[error("the context has the wrong length")]
    ContextLength,
    /// A SHA-512 digest has 64 bytes.
    #[error("the digest has the wrong length")]
    DigestLength,
    /// The library failed, as when memory runs out.
    #[error("the cryptographic library failed")]
    Internal,
}
