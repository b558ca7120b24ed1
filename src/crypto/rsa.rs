//! RSA (RFC 8017): signatures and encryption with the paddings that Vault has. Does not know key names or containers
//! other than PKCS#1, nor who hashed what is signed.

use thiserror::Error;
use zeroize::Zeroizing;

use super::hash::Hash;
use super::lc::{Failure, Key};

/// A private key with two primes, expanded once and shared between threads. It lives in memory of AWS-LC, which wipes all
/// that it frees, does its arithmetic in constant time and blinds it.
pub struct PrivateKey(Key);

impl PrivateKey {
    /// A new key with a modulus of `bits`, a multiple of 128, and the exponent 65537. Takes from tenths of a second to
    /// many seconds.
    pub fn generate(bits: u32) -> Result<Self, Error> {
        check_size(bits)?;
        if !bits.is_multiple_of(128) {
            return Err(Error::Size);
        }
        Ok(Self(Key::generate_rsa(bits)?))
    }

    /// Parses a PKCS#1 `RSAPrivateKey`, in DER.
    pub fn from_pkcs1(der: &[u8]) -> Result<Self, Error> {
        let key = Key::from_rsa_private(der).map_err(|_| Error::Malformed)?;
        check_size(key.bits())?;
        Ok(Self(key))
    }

    /// The PKCS#1 `RSAPrivateKey`, in DER.
    pub fn to_pkcs1(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.0.to_rsa_private()?)
    }

    /// The public half.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_pkcs1(&self.0.to_rsa_public()?)
    }

    /// Bytes of the modulus, and so of all that is made with the key.
    pub fn modulus_len(&self) -> usize {
        modulus_len(self.0.bits())
    }

    /// Signs what was hashed. The signature is as long as the modulus.
    pub fn sign(&self, scheme: Scheme, digest: &[u8]) -> Result<Vec<u8>, Error> {
        let bits = self.0.bits();
        scheme.check_salt(bits)?;
        if scheme.hash().is_some_and(|hash| hash.output_len() != digest.len()) {
            return Err(Error::DigestLength);
        }
        if digest.len() > modulus_len(bits) - PKCS1V15_OVERHEAD {
            return Err(Error::TooLong);
        }
        Ok(self.0.signing()?.with_scheme(scheme)?.sign(digest)?)
    }

    /// Decrypts. What is wrong with a ciphertext is never said: an attacker who learns it decrypts the next one.
    pub fn decrypt(&self, padding: Padding, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.0.decryption()?.with_padding(padding)?.decrypt(ciphertext).map_err(|_| Error::Refused)
    }
}

/// A public key, parsed once and shared between threads.
pub struct PublicKey(Key);

impl PublicKey {
    /// Parses a PKCS#1 `RSAPublicKey`, in DER.
    pub fn from_pkcs1(der: &[u8]) -> Result<Self, Error> {
        let key = Key::from_rsa_public(der).map_err(|_| Error::Malformed)?;
        check_size(key.bits())?;
        Ok(Self(key))
    }

    /// The PKCS#1 `RSAPublicKey`, in DER.
    pub fn to_pkcs1(&self) -> Result<Vec<u8>, Error> {
        Ok(self.0.to_rsa_public()?)
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> u32 {
        self.0.bits()
    }

    /// Whether this is the signature of what was hashed. A digest or signature of a wrong length has none; a salt that no
    /// signature under this key could have is an error.
    pub fn verify(&self, scheme: Scheme, digest: &[u8], signature: &[u8]) -> Result<bool, Error> {
        scheme.check_salt(self.bits())?;
        Ok(self.0.verification()?.with_scheme(scheme)?.verify(digest, signature))
    }

    /// Encrypts. The ciphertext is as long as the modulus.
    pub fn encrypt(&self, padding: Padding, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        if plaintext.len() > modulus_len(self.bits()) - padding.overhead() {
            return Err(Error::TooLong);
        }
        Ok(self.0.encryption()?.with_padding(padding)?.encrypt(plaintext)?)
    }
}

/// How a digest becomes a number that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5. Without a hash there is no `DigestInfo`: the digest is whatever bytes the caller likes.
    Pkcs1v15(Option<Hash>),
    /// RSASSA-PSS, with MGF1 of the same hash.
    Pss {
        /// What the digest was made with.
        hash: Hash,
        /// How long the salt is.
        salt: SaltLength,
    },
}

impl Scheme {
    fn hash(self) -> Option<Hash> {
        match self {
            Self::Pkcs1v15(hash) => hash,
            Self::Pss { hash, .. } => Some(hash),
        }
    }

    /// The encoded message of PSS has room for the hash, the salt and two more bytes (RFC 8017 section 9.1.1).
    fn check_salt(self, bits: u32) -> Result<(), Error> {
        match self {
            Self::Pss { hash, salt: SaltLength::Bytes(len) } if len > modulus_len(bits - 1) - hash.output_len() - 2 => {
                Err(Error::SaltLength)
            }
            _ => Ok(()),
        }
    }
}

/// How long the random salt of a PSS signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaltLength {
    /// To sign: as long as fits. To verify: whatever length the signature has.
    Auto,
    /// As long as the hash.
    Hash,
    /// Exactly so many bytes.
    Bytes(usize),
}

/// How a plaintext becomes a number that is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// RSAES-OAEP with MGF1 of the same hash and an empty label.
    Oaep(Hash),
    /// RSAES-PKCS1-v1_5. Whoever can have ciphertexts decrypted and learns which were well-formed reads every message.
    Pkcs1v15,
}

impl Padding {
    /// Bytes by which a plaintext must be shorter than the modulus.
    fn overhead(self) -> usize {
        match self {
            Self::Oaep(hash) => 2 * hash.output_len() + 2,
            Self::Pkcs1v15 => PKCS1V15_OVERHEAD,
        }
    }
}

/// Bytes of PKCS#1 v1.5's paddings, at least: `00 01 ff … ff 00` and `00 02 random 00`, eight in the middle.
const PKCS1V15_OVERHEAD: usize = 11;

/// Bits of the smallest modulus.
pub const BITS_MIN: u32 = 2048;

/// Bits of the largest modulus: the time that signing takes grows with the third power.
pub const BITS_MAX: u32 = 8192;

fn check_size(bits: u32) -> Result<(), Error> {
    if (BITS_MIN..=BITS_MAX).contains(&bits) { Ok(()) } else { Err(Error::Size) }
}

/// Bytes of a number of so many bits.
fn modulus_len(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Not the DER of a key, or its numbers do not belong together.
    #[error("not an RSA key")]
    Malformed,
    /// The modulus has fewer than [`BITS_MIN`] or more than [`BITS_MAX`] bits; a new one, no multiple of 128.
    #[error("the RSA key has an unsupported size")]
    Size,
    /// The digest is not as long as those of the scheme's hash.
    #[error("the digest has the wrong length")]
    DigestLength,
    /// The salt does not fit into a signature of this key.
    #[error("the salt is too long")]
    SaltLength,
    /// The plaintext, or the digest without a hash, does not fit into the modulus.
    #[error("the message is too long")]
    TooLong,
    /// Decryption failed. Of all causes this is all that is said.
    #[error("decryption failed")]
    Refused,
    /// The library failed, as when memory runs out.
    #[error("the cryptographic library failed")]
    Internal,
}

impl From<Failure> for Error {
    fn from(_: Failure) -> Self {
        Self::Internal
    }
}
