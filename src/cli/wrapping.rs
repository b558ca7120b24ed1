//! Wrapping of keys on their way to a server, before they leave this process. Does not know what they are for.

use crate::api::base64;
use crate::crypto::containers::PublicKey;
use crate::crypto::{key_transport, rsa};
use crate::entropy::Entropy;

/// Wraps a key for the holder of the public key in `pem`, and encodes it in base64.
pub(super) fn wrap(pem: &str, hash_function: &str, key: &[u8]) -> Result<String, String> {
    let hash = key_transport::oaep_hash(hash_function);
    let hash =
        hash.ok_or_else(|| format!("{hash_function:?} is no hash function: use SHA256, or as the server says"))?;
    let Ok(PublicKey::Rsa(pkcs1)) = PublicKey::from_pem(pem) else {
        return Err("there is no public RSA key in PEM to wrap with".to_owned());
    };
    let failed = |error: &dyn std::fmt::Display| format!("the key cannot be wrapped: {error}");
    let to = rsa::PublicKey::from_pkcs1(&pkcs1).map_err(|error| failed(&error))?;
    let wrapped = key_transport::wrap(&to, hash, key, &mut Entropy).map_err(|error| failed(&error))?;
    Ok(base64::encode(&wrapped))
}
