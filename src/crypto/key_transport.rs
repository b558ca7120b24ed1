//! How a key travels to the holder of an RSA key: PKCS#11's `CKM_RSA_AES_KEY_WRAP`. Does not know what the key is.
//!
//! `RSA-OAEP[public key](ephemeral key) ‖ AES-256-KWP[ephemeral key](key)`, OAEP with one hash for label and mask.

use thiserror::Error;
use zeroize::Zeroizing;

use super::containers::PublicKey;
use super::hash::Hash;
use super::key_wrap;
use super::random::Random;
use super::rsa::{self, Padding};

/// Wraps a key for the holder of `to`.
pub fn wrap(to: &rsa::PublicKey, hash: Hash, key: &[u8], random: &mut impl Random) -> Result<Vec<u8>, Error> {
    let mut ephemeral = Zeroizing::new([0; EPHEMERAL_LEN]);
    random.fill(ephemeral.as_mut());
    let mut wrapped = to.encrypt(Padding::Oaep(hash), &*ephemeral).map_err(|_| Error::Decryption)?;
    wrapped.extend_from_slice(&key_wrap::wrap(&ephemeral, key)?);
    Ok(wrapped)
}

/// Unwraps what was wrapped for `key`.
pub fn unwrap(key: &rsa::PrivateKey, hash: Hash, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (ephemeral, target) =
        wrapped.split_at_checked(key.modulus_len()).filter(|(_, target)| !target.is_empty()).ok_or(Error::TooShort)?;
    let ephemeral = key.decrypt(Padding::Oaep(hash), ephemeral).map_err(|_| Error::Decryption)?;
    let ephemeral = ephemeral[..].try_into().map_err(|_| Error::EphemeralLength)?;
    Ok(key_wrap::unwrap(ephemeral, target)?)
}

/// Unwraps what was wrapped for `key`, or is so short that it was encrypted for it directly: `RSA-OAEP[public key](key)`.
pub fn unwrap_or_decrypt(key: &rsa::PrivateKey, hash: Hash, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if wrapped.len() == key.modulus_len() {
        return key.decrypt(Padding::Oaep(hash), wrapped).map_err(|_| Error::Decryption);
    }
    unwrap(key, hash, wrapped)
}

/// A new key for others to wrap keys with; its parts are in [`rsa::PrivateKey`]. Takes from tenths of a second to seconds.
pub fn generate_wrapping_key() -> Result<rsa::PrivateKey, rsa::Error> {
    rsa::PrivateKey::generate(WRAPPING_KEY_BITS)
}

/// The public half of a wrapping key, in PEM, as those who wrap want it.
pub fn public_pem(key: &rsa::PrivateKey) -> Result<String, rsa::Error> {
    let public = PublicKey::Rsa(key.public_key()?.to_pkcs1()?);
    public.to_pem().map_err(|_| rsa::Error::Malformed)
}

/// The hash function of OAEP of that name, which clients write in any case.
pub fn oaep_hash(name: &str) -> Option<Hash> {
    Some(match &*name.to_ascii_uppercase() {
        "SHA1" => Hash::Sha1,
        "SHA224" => Hash::Sha2_224,
        "SHA256" => Hash::Sha2_256,
        "SHA384" => Hash::Sha2_384,
        "SHA512" => Hash::Sha2_512,
        _ => return None,
    })
}

/// The hash function of OAEP, unless a client names one.
pub const OAEP_HASH_DEFAULT: &str = "SHA256";

/// What went wrong, in the words of Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    #[error("provided ciphertext is too short")]
    TooShort,
    #[error("crypto/rsa: decryption error")]
    Decryption,
    #[error("expected ephemeral AES key to be 256-bit")]
    EphemeralLength,
    #[error(transparent)]
    Wrap(#[from] key_wrap::Error),
}

const EPHEMERAL_LEN: usize = 32;
const WRAPPING_KEY_BITS: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn what_is_wrapped_is_unwrapped_with_the_same_hash_only() {
        let key = rsa::PrivateKey::generate(2048).unwrap();
        let public = key.public_key().unwrap();
        for hash in [Hash::Sha1, Hash::Sha2_224, Hash::Sha2_256, Hash::Sha2_384, Hash::Sha2_512] {
            let wrapped = wrap(&public, hash, &[7; 100], &mut Entropy).unwrap();
            assert_eq!(unwrap(&key, hash, &wrapped).unwrap()[..], [7; 100]);
            assert_eq!(unwrap(&key, Hash::Sha3_256, &wrapped), Err(Error::Decryption));
            assert_eq!(unwrap(&key, hash, &wrapped[..256]), Err(Error::TooShort));
            assert_eq!(unwrap(&key, hash, &wrapped[..300]), Err(Error::Wrap(key_wrap::Error::NotMultipleOf8)));
        }
        let mut short = public.encrypt(Padding::Oaep(Hash::Sha2_256), &[0; 16]).unwrap();
        short.extend_from_slice(&[0; 24]);
        assert_eq!(unwrap(&key, Hash::Sha2_256, &short), Err(Error::EphemeralLength));
    }

    #[test]
    fn short_keys_come_wrapped_or_encrypted() {
        let key = rsa::PrivateKey::generate(2048).unwrap();
        let public = key.public_key().unwrap();
        for hash in [Hash::Sha1, Hash::Sha2_256, Hash::Sha2_512] {
            let encrypted = public.encrypt(Padding::Oaep(hash), &[7; 32]).unwrap();
            let wrapped = wrap(&public, hash, &[7; 32], &mut Entropy).unwrap();
            for sent in [&encrypted, &wrapped] {
                assert_eq!(unwrap_or_decrypt(&key, hash, sent).unwrap()[..], [7; 32]);
                assert_eq!(unwrap_or_decrypt(&key, Hash::Sha2_384, sent), Err(Error::Decryption));
                let mut altered = sent.clone();
                altered[100] ^= 1;
                assert_eq!(unwrap_or_decrypt(&key, hash, &altered), Err(Error::Decryption));
            }
            assert_eq!(unwrap_or_decrypt(&key, hash, &encrypted[1..]), Err(Error::TooShort));
            assert_eq!(unwrap_or_decrypt(&key, hash, b""), Err(Error::TooShort));
        }
    }

    #[test]
    fn hash_functions_have_names() {
        for name in ["SHA1", "sha224", "Sha256", "SHA384", "sha512"] {
            assert!(oaep_hash(name).is_some(), "{name}");
        }
        for name in ["", "SHA-256", "MD5", "SHA3-256"] {
            assert_eq!(oaep_hash(name), None, "{name}");
        }
    }
}
