//! How a key travels to the holder of an RSA key: PKCS#11's `CKM_RSA_AES_KEY_WRAP`. Does not know what the key is.
//!
//! `RSA-OAEP[public key](ephemeral key) ‖ AES-256-KWP[ephemeral key](key)`, OAEP with one hash for label and mask.

use thiserror::Error;
use zeroize::Zeroizing;

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

/// Unwraps what was wrapped for `key`, which has `rsa_len` bytes.
pub fn unwrap(key: &rsa::PrivateKey, rsa_len: usize, hash: Hash, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (ephemeral, target) =
        wrapped.split_at_checked(rsa_len).filter(|(_, target)| !target.is_empty()).ok_or(Error::TooShort)?;
    let ephemeral = key.decrypt(Padding::Oaep(hash), ephemeral).map_err(|_| Error::Decryption)?;
    let ephemeral = ephemeral[..].try_into().map_err(|_| Error::EphemeralLength)?;
    Ok(key_wrap::unwrap(ephemeral, target)?)
}

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
            assert_eq!(unwrap(&key, 256, hash, &wrapped).unwrap()[..], [7; 100]);
            assert_eq!(unwrap(&key, 256, Hash::Sha3_256, &wrapped), Err(Error::Decryption));
            assert_eq!(unwrap(&key, 256, hash, &wrapped[..256]), Err(Error::TooShort));
            assert_eq!(unwrap(&key, 256, hash, &wrapped[..300]), Err(Error::Wrap(key_wrap::Error::NotMultipleOf8)));
        }
        let mut short = public.encrypt(Padding::Oaep(Hash::Sha2_256), &[0; 16]).unwrap();
        short.extend_from_slice(&[0; 24]);
        assert_eq!(unwrap(&key, 256, Hash::Sha2_256, &short), Err(Error::EphemeralLength));
    }
}
