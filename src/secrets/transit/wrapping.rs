//! Keys on their way between servers: the wrapping key of a mount, for keys that arrive, and wrapping of those that leave.
//! Does not know what is inside.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Transit;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::crypto::hash::Hash;
use crate::crypto::{key_transport, rsa};
use crate::engine::{Call, Endpoint, wrapping_key};
use crate::entropy::Entropy;

/// Shows the public key with which keys are wrapped that are to be imported.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadWrappingKey {}

impl Endpoint for ReadWrappingKey {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let key = wrapping_key::of(&call.view()?)?;
        let pem = key_transport::public_pem(&key).map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("public_key", pem);
        }))
    }
}

/// The hash function of OAEP that a client names; the case does not matter. The error is its text.
pub(super) fn oaep_hash(name: &str) -> Result<Hash, String> {
    key_transport::oaep_hash(name).ok_or_else(|| format!("unknown hash function: {name}"))
}

/// Unwraps a key that was wrapped with the wrapping key of the mount.
pub(super) fn unwrap(view: &View<'_>, hash: Hash, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let key = key_transport::unwrap(&wrapping_key::of(view)?, hash, wrapped);
    key.map_err(|error| Error::bare(error.to_string()))
}

/// Wraps a key for the owner of `destination`.
pub(super) fn wrap(destination: &rsa::PublicKey, hash: Hash, key: &[u8]) -> Result<Vec<u8>, Error> {
    key_transport::wrap(destination, hash, key, &mut Entropy).map_err(|error| Error::bare(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::barrier::{Horizon, RootKey, Scope, Sealed};
    use crate::crypto::rsa::Padding;
    use crate::storage::Memory;

    fn scope() -> Scope {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        sealed.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform()
    }

    #[test]
    fn keys_arrive_or_are_refused_in_vaults_words() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        let public = wrapping_key::of(&view).unwrap().public_key().unwrap();
        for name in ["SHA1", "sha224", "Sha256", "SHA384", "sha512"] {
            let hash = oaep_hash(name).unwrap();
            assert_eq!(*unwrap(&view, hash, &wrap(&public, hash, &[7; 99]).unwrap()).unwrap(), [7; 99], "{name}");
        }
        for name in ["", "SHA-256", "MD5", "SHA3-256"] {
            assert_eq!(oaep_hash(name), Err(format!("unknown hash function: {name}")));
        }

        let check = |ephemeral: &[u8], wrapped_len: usize, expected: &str| {
            let ephemeral = public.encrypt(Padding::Oaep(Hash::Sha2_256), ephemeral).unwrap();
            let refused = unwrap(&view, Hash::Sha2_256, &[ephemeral, vec![0; wrapped_len]].concat()).unwrap_err();
            assert!(matches!(&refused, Error::Bare(text) if text == expected), "{refused}, not {expected}");
        };
        check(&[7; 32], 0, "provided ciphertext is too short");
        check(&[7; 31], 24, "expected ephemeral AES key to be 256-bit");
        check(&[7; 32], 23, "kwp: wrapped key size too small");
        check(&[7; 32], 8_201, "kwp: wrapped key size too large");
        check(&[7; 32], 25, "kwp: wrapped key size must be a multiple of 8 bytes");
        check(&[7; 32], 24, "kwp: unwrap failed integrity check");
        let refused = unwrap(&view, Hash::Sha1, &wrap(&public, Hash::Sha2_256, &[7; 99]).unwrap()).unwrap_err();
        assert_eq!(refused.to_string(), "crypto/rsa: decryption error");
    }
}
