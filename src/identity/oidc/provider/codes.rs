//! Authorization codes: each is good once and for a short time. They are kept in memory only. Knows nothing of who gets
//! one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::access::tokens::random_word;
use crate::api::Error;
use crate::clock::Timestamp;
use crate::crypto::hash::Hash;

/// What a code stands for.
pub(super) struct Grant {
    pub(super) provider: String,
    pub(super) client_id: String,
    pub(super) entity_id: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: String,
    pub(super) scopes: Vec<String>,
    /// When somebody logged in, if the client wanted to know.
    pub(super) auth_time_s: Option<i64>,
    pub(super) challenge: Option<Challenge>,
}

/// What only he knows who began (RFC 7636).
pub(super) struct Challenge {
    pub(super) text: String,
    pub(super) is_hashed: bool,
}

/// The codes that nobody has brought back yet, by their digests.
#[derive(Default)]
pub(in crate::identity::oidc) struct Codes(Mutex<BTreeMap<Vec<u8>, (i64, Grant)>>);

impl Codes {
    pub(super) fn issue(&self, grant: Grant, now: Timestamp) -> Result<Zeroizing<String>, Error> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, (until_s, _)| now.as_second() < *until_s);
        if codes.len() >= CODES_MAX {
            return Err(Error::Unavailable("too many logins have begun; try again in a few minutes".into()));
        }
        let code = random_word(CODE_LEN);
        codes.insert(digest(&code), (now.as_second().saturating_add(GOOD_FOR_S), grant));
        Ok(code)
    }

    /// What a code stands for. It does so no more.
    pub(super) fn redeem(&self, code: &str, now: Timestamp) -> Option<Grant> {
        let (until_s, grant) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(code))?;
        (now.as_second() < until_s).then_some(grant)
    }
}

fn digest(code: &str) -> Vec<u8> {
    Hash::Sha2_256.digest(code.as_bytes())
}

const CODE_LEN: usize = 32;
const GOOD_FOR_S: i64 = 300;
/// Logins that have begun and not ended.
const CODES_MAX: usize = 10_000;
