//! Statements that the server signs, for others to keep: that a key was revoked, that nothing hangs on it any more.
//!
//! A receipt is a JSON text, and its signature is Ed25519 (RFC 8032) over exactly the bytes of that text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::Error;
use crate::barrier::{self, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::ed25519::{PrivateKey, Variant};
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// A statement and its signature, in base64.
pub struct Receipt {
    pub text: String,
    pub signature: String,
}

/// What is signed of a key's versions, and the details of the occasion.
#[derive(Serialize)]
pub struct Statement<'s, D> {
    #[serde(rename = "statement")]
    pub what: &'static str,
    pub cluster: &'s str,
    pub customer_key: &'s str,
    pub versions: &'s [u32],
    #[serde(flatten)]
    pub details: D,
    pub time: Timestamp,
}

/// Signs a statement.
pub fn sign(view: &View<'_>, statement: &impl Serialize) -> Result<Receipt, Error> {
    let text = serde_json::to_string(statement).map_err(Error::internal)?;
    let signature = key(view)?.sign(Variant::Pure, text.as_bytes()).map_err(Error::internal)?;
    Ok(Receipt { text, signature: BASE64_STANDARD.encode(signature) })
}

/// The public half of the key that signs.
pub fn public_key(view: &View<'_>) -> Result<[u8; 32], Error> {
    Ok(key(view)?.public_key())
}

/// The key that signs; made when it is first needed.
fn key(view: &View<'_>) -> Result<PrivateKey, Error> {
    if let Some(found) = view.get::<SigningKey>(PATH)? {
        let seed =
            found.value.0.0.as_array::<32>().ok_or_else(|| Error::internal("the signing key is not 32 bytes"))?;
        return Ok(PrivateKey::from_seed(seed));
    }
    let mut seed = Zeroizing::new([0; 32]);
    Entropy.fill(seed.as_mut());
    let mut change = view.change();
    change.put(PATH, &SigningKey(StoredBytes(Zeroizing::new(seed.to_vec()))))?.expect_absent(PATH);
    match change.commit() {
        Ok(_) => Ok(PrivateKey::from_seed(&seed)),
        Err(barrier::Error::Conflict) => key(view), // Another request has made it.
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize, Deserialize)]
struct SigningKey(StoredBytes);

impl Stored for SigningKey {
    const VERSION: u8 = 1;
}

const PATH: &str = "receipt-key";
