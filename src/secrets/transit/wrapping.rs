//! Keys on their way between servers: the wrapping key of a mount, for keys that arrive, and wrapping of those that leave.
//! Does not know what is inside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Transit, store};
use crate::api::{Error, Reply};
use crate::barrier::{Stored, StoredBytes, View};
use crate::crypto::hash::Hash;
use crate::crypto::{key_transport, rsa};
use crate::engine::{Call, Endpoint};
use crate::entropy::Entropy;

/// Shows the public key with which keys are wrapped that are to be imported.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadWrappingKey {}

impl Endpoint for ReadWrappingKey {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let key = wrapping_key(&call.view()?)?;
        let pem = key_transport::public_pem(&key).map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("public_key", pem);
        }))
    }
}

/// The wrapping key of the mount, which is made when it is first needed.
fn wrapping_key(view: &View<'_>) -> Result<rsa::PrivateKey, Error> {
    if let Some(key) = stored_key(view)? {
        return Ok(key);
    }
    let key = key_transport::generate_wrapping_key().map_err(Error::internal)?;
    let record = WrappingKey { key: StoredBytes(key.to_pkcs1().map_err(Error::internal)?) };
    let mut change = view.change();
    change.expect_absent(PATH).put(PATH, &record)?;
    if store::committed(change)? {
        return Ok(key);
    }
    // Another request was faster, and what it answered stands.
    stored_key(view)?.ok_or_else(|| Error::internal("the wrapping key is there and is not"))
}

fn stored_key(view: &View<'_>) -> Result<Option<rsa::PrivateKey>, Error> {
    let Some(found) = view.get::<WrappingKey>(PATH)? else { return Ok(None) };
    rsa::PrivateKey::from_pkcs1(&found.value.key.0).map(Some).map_err(Error::internal)
}

/// The hash function of OAEP that a client names; the case does not matter. The error is its text.
pub(super) fn oaep_hash(name: &str) -> Result<Hash, String> {
    key_transport::oaep_hash(name).ok_or_else(|| format!("unknown hash function: {name}"))
}

/// Unwraps a key that was wrapped with the wrapping key of the mount.
pub(super) fn unwrap(view: &View<'_>, hash: Hash, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let key = key_transport::unwrap(&wrapping_key(view)?, hash, wrapped);
    key.map_err(|error| Error::bare(error.to_string()))
}

/// Wraps a key for the owner of `destination`.
pub(super) fn wrap(destination: &rsa::PublicKey, hash: Hash, key: &[u8]) -> Result<Vec<u8>, Error> {
    key_transport::wrap(destination, hash, key, &mut Entropy).map_err(|error| Error::bare(error.to_string()))
}

// === the stored form ===

#[derive(Serialize, Deserialize)]
struct WrappingKey {
    /// PKCS#1, DER.
    key: StoredBytes,
}

impl Stored for WrappingKey {
    const VERSION: u8 = 1;
}

const PATH: &str = "wrapping-key";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

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
        let public = wrapping_key(&view).unwrap().public_key().unwrap();
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

    /// Whoever loses the race answers with the winner's key.
    #[test]
    fn the_first_wrapping_key_stays() {
        let scope = scope();
        let ask = || wrapping_key(&scope.view(&Horizon::default())).unwrap().to_pkcs1().unwrap();
        let racing = thread::scope(|threads| {
            let racers = [threads.spawn(ask), threads.spawn(ask)];
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(racing, [ask(), ask()]);
    }
}
