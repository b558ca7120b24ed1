//! What encrypts and decrypts: the key of a version, or of a context. Bytes in, bytes out.

use super::material::Pair;
use crate::api::Error;
use crate::crypto::aead::{self, Algorithm, Cipher, Draft};
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
use crate::crypto::rsa;

/// The key for one item.
pub(super) enum Working<'k> {
    Shared(&'k Cipher),
    Derived { cipher: Cipher, nonce_key: Option<HmacSha256> },
    Rsa(&'k Pair<rsa::PrivateKey, rsa::PublicKey>),
}

/// What a client says of an item besides its text. Each is for some types of keys, and the others never see it.
#[derive(Clone, Copy)]
pub(super) struct Extras<'a> {
    pub aad: &'a [u8],
    pub padding: rsa::Padding,
}

impl Working<'_> {
    /// Encrypts what the draft holds: `nonce ‖ ciphertext ‖ tag`, or one RSA block.
    pub(super) fn encrypt<'d>(
        &self,
        random: &mut impl Random,
        extras: Extras<'_>,
        draft: &'d mut Draft,
    ) -> Result<&'d [u8], Error> {
        let aad = extras.aad;
        let outcome = match self {
            Self::Shared(cipher) => cipher.encrypt(random, aad, draft),
            Self::Derived { cipher, nonce_key: None } => cipher.encrypt(random, aad, draft),
            Self::Derived { cipher, nonce_key: Some(nonce_key) } => cipher.encrypt_convergent(nonce_key, aad, draft),
            Self::Rsa(pair) => {
                let block = pair.public.encrypt(extras.padding, draft.contents()).map_err(rsa_encrypt_refusal)?;
                draft.clear();
                draft.extend_from_slice(&block);
                return Ok(draft.contents());
            }
        };
        outcome.map_err(refusal)
    }

    /// Decrypts what the draft holds, which holds the plaintext then.
    pub(super) fn decrypt<'d>(&self, extras: Extras<'_>, draft: &'d mut Draft) -> Result<&'d [u8], Error> {
        let cipher = match self {
            Self::Shared(cipher) => *cipher,
            Self::Derived { cipher, .. } => cipher,
            Self::Rsa(pair) => {
                let private = pair.private.as_ref().ok_or_else(|| Error::bare(NO_PRIVATE_KEY))?;
                let plaintext = private.decrypt(extras.padding, draft.contents()).map_err(rsa_decrypt_refusal)?;
                draft.clear();
                draft.extend_from_slice(&plaintext);
                return Ok(draft.contents());
            }
        };
        cipher.decrypt_draft(extras.aad, draft).map_err(refusal)
    }
}

fn refusal(error: aead::Error) -> Error {
    match error {
        aead::Error::TooShort => Error::invalid("invalid ciphertext length"),
        aead::Error::Authentication(Algorithm::Aes128Gcm | Algorithm::Aes256Gcm) => {
            Error::invalid("cipher: message authentication failed")
        }
        aead::Error::Authentication(Algorithm::ChaCha20Poly1305 | Algorithm::XChaCha20Poly1305) => {
            Error::invalid("chacha20poly1305: message authentication failed")
        }
        aead::Error::KeyLength | aead::Error::NonceLength | aead::Error::TooLong => Error::internal(error),
    }
}

fn rsa_encrypt_refusal(error: rsa::Error) -> Error {
    match error {
        rsa::Error::TooLong => {
            Error::bare("failed to RSA encrypt the plaintext: crypto/rsa: message too long for RSA key size")
        }
        other => Error::internal(other),
    }
}

/// One text for all causes: what is wrong with a block must stay unknown to who sent it.
fn rsa_decrypt_refusal(_: rsa::Error) -> Error {
    Error::bare("failed to RSA decrypt the ciphertext: crypto/rsa: decryption error")
}

const NO_PRIVATE_KEY: &str = "cannot decrypt ciphertext, key version does not have a private counterpart";
