//! A seal that is a key of another server's transit engine. Does not know what it keeps there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::auto::Wrapped;
use crate::clock::Timestamp;
use crate::crypto::wiped::Wiped;
use crate::outbound::{Manner, Outbound, Outgoing};

pub struct TransitSeal {
    pub(super) place: TransitPlace,
    outbound: Outbound,
    /// When the token is renewed next; never, if nothing is said.
    renew: Mutex<Option<Timestamp>>,
}

/// Where the key is, and who may use it.
pub(super) struct TransitPlace {
    /// The URL of the other server, without a slash at its end.
    pub(super) address: String,
    pub(super) token: Zeroizing<String>,
    /// The path of the engine, without slashes around it; a namespace may stand before it.
    pub(super) mount: String,
    pub(super) key_name: String,
    /// Certificates of authorities in PEM; the system's if empty.
    pub(super) ca_pem: String,
    pub(super) tls: Manner,
    /// Nobody else keeps the token alive.
    pub(super) renews: bool,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    auth: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted<'a> {
    plaintext: &'a str,
}

#[derive(Deserialize)]
struct Renewed {
    lease_duration: u64,
}

impl TransitSeal {
    pub(super) fn new(place: TransitPlace) -> Self {
        let renew = place.renews.then_some(Timestamp::UNIX_EPOCH);
        Self { place, outbound: Outbound::default(), renew: Mutex::new(renew) }
    }

    pub(super) fn key_id(&self) -> &str {
        &self.place.key_name
    }

    pub(super) fn wrap(&self, secret: &[u8]) -> Result<Wrapped, String> {
        let plaintext = Zeroizing::new(BASE64_STANDARD.encode(secret));
        let body = Wiped::joined([br#"{"plaintext":""#.as_slice(), plaintext.as_bytes(), br#""}"#].into_iter());
        let answer = self.ask("encrypt", body)?;
        let Encrypted { ciphertext } = data(&answer)?;
        Ok(Wrapped { key_id: self.place.key_name.clone(), text: ciphertext })
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, String> {
        let body = serde_json::json!({"ciphertext": wrapped.text}).to_string();
        let answer = self.ask("decrypt", Wiped::from(body.into_bytes()))?;
        let Decrypted { plaintext } = data(&answer)?;
        BASE64_STANDARD.decode(plaintext).map(Zeroizing::new).map_err(|_| UNREADABLE.to_owned())
    }

    /// Renews the token where it is time for that.
    pub(super) fn renew_if_due(&self, now: Timestamp) {
        let mut renew = self.renew.lock().unwrap_or_else(PoisonError::into_inner);
        if renew.is_none_or(|due| due > now) {
            return;
        }
        let next = match self.renew() {
            // A token that does not end needs no renewal.
            Ok(0) => None,
            Ok(seconds) => Some(Duration::from_secs(seconds / 2).max(RENEWAL_MIN)),
            Err(error) => {
                tracing::warn!(%error, "the token of the transit seal could not be renewed; it will be tried again");
                Some(RENEWAL_MIN)
            }
        };
        *renew = next.and_then(|next| now.checked_add(next).ok());
    }

    fn renew(&self) -> Result<u64, String> {
        let answer = self.send("auth/token/renew-self", Wiped::from(b"{}".to_vec()))?;
        let answer: Answer<'_> = serde_json::from_slice(&answer).map_err(|_| UNREADABLE.to_owned())?;
        let auth = answer.auth.ok_or_else(|| UNREADABLE.to_owned())?;
        let Renewed { lease_duration } = serde_json::from_str(auth.get()).map_err(|_| UNREADABLE.to_owned())?;
        Ok(lease_duration)
    }

    /// Asks for an operation with the key.
    fn ask(&self, operation: &str, body: Wiped) -> Result<Zeroizing<Vec<u8>>, String> {
        let TransitPlace { mount, key_name, .. } = &self.place;
        self.send(&format!("{mount}/{operation}/{key_name}"), body)
    }

    fn send(&self, path: &str, body: Wiped) -> Result<Zeroizing<Vec<u8>>, String> {
        let TransitPlace { address, token, ca_pem, tls, .. } = &self.place;
        let url = format!("{address}/v1/{path}");
        let body = Some(("application/json", body));
        let outgoing = Outgoing { url: &url, ca_pem, tls: Some(tls), bearer: Some(token.as_str()), body };
        let permit = self.outbound.permit().map_err(|error| error.to_string())?;
        let answer = permit.call(outgoing).map_err(|error| error.to_string())?;
        let body = Zeroizing::new(answer.body);
        if answer.status == 200 {
            return Ok(body);
        }
        let told = serde_json::from_slice::<Answer<'_>>(&body).map(|answer| answer.errors.join("; "));
        Err(format!("{url} answers {}: {}", answer.status, told.unwrap_or_default()))
    }
}

fn data<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, String> {
    let answer: Answer<'a> = serde_json::from_slice(answer).map_err(|_| UNREADABLE.to_owned())?;
    let data = answer.data.ok_or_else(|| UNREADABLE.to_owned())?;
    serde_json::from_str(data.get()).map_err(|_| UNREADABLE.to_owned())
}

const UNREADABLE: &str = "the answer of the transit server is not what was expected";
/// Between two renewals of a token, and before a renewal that failed is tried again.
const RENEWAL_MIN: Duration = Duration::from_secs(30);
