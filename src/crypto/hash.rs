//! Hash functions by name: SHA-1, SHA-2 (FIPS 180-4) and SHA-3 (FIPS 202). Does not know how clients spell them.

use aws_lc_rs::digest;
use sha3::Digest;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// 20 bytes. Collisions are known: only for HMAC and for signatures that must stay verifiable.
    Sha1,
    /// 28 bytes.
    Sha2_224,
    /// 32 bytes.
    Sha2_256,
    /// 48 bytes.
    Sha2_384,
    /// 64 bytes.
    Sha2_512,
    /// 28 bytes.
    Sha3_224,
    /// 32 bytes.
    Sha3_256,
    /// 48 bytes.
    Sha3_384,
    /// 64 bytes.
    Sha3_512,
}

impl Hash {
    /// `Hash(message)`.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha2_224 => &digest::SHA224,
            Self::Sha2_256 => &digest::SHA256,
            Self::Sha2_384 => &digest::SHA384,
            Self::Sha2_512 => &digest::SHA512,
            Self::Sha3_224 => return sha3::Sha3_224::digest(message).to_vec(), // AWS-LC has none
            Self::Sha3_256 => &digest::SHA3_256,
            Self::Sha3_384 => &digest::SHA3_384,
            Self::Sha3_512 => &digest::SHA3_512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    /// Bytes of a digest.
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha2_224 | Self::Sha3_224 => 28,
            Self::Sha2_256 | Self::Sha3_256 => 32,
            Self::Sha2_384 | Self::Sha3_384 => 48,
            Self::Sha2_512 | Self::Sha3_512 => 64,
        }
    }
}
