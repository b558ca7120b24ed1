//! The keys that verify tokens: those of the configuration, or those of a key set, fetched and kept for a while.
//!
//! A key set is fetched anew when it is old, and when it does not verify a token, but not again and again. Does not
//! know what tokens claim.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;

use super::config::Config;
use crate::api::Error;
use crate::clock::Timestamp;
use crate::engine::jws::{Jws, Key, NamedKey, parse_set};
use crate::outbound::{self, Outbound, Outgoing};

/// Where one mount's keys come from.
pub(super) struct KeySource {
    outbound: Outbound,
    kept: RwLock<Option<Arc<KeySet>>>,
    /// Held by the one who fetches: what was wanted in vain, if it was the last time.
    fetching: Mutex<Option<(Place, Absent)>>,
    /// How often somebody has come back from fetching.
    fetched: AtomicU64,
}

/// A key set as it was fetched.
struct KeySet {
    place: Place,
    keys: Vec<NamedKey>,
    fetched: Timestamp,
}

/// Where a key set is.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Set {
        url: String,
        ca_pem: String,
    },
    /// It is where the issuer's discovery document says.
    Issuer {
        url: String,
        ca_pem: String,
    },
}

impl Place {
    fn of(config: &Config) -> Option<Self> {
        match (config.jwks_url.as_str(), config.oidc_discovery_url.as_str()) {
            ("", "") => None,
            ("", url) => Some(Self::Issuer { url: url.to_owned(), ca_pem: config.oidc_discovery_ca_pem.clone() }),
            (url, _) => Some(Self::Set { url: url.to_owned(), ca_pem: config.jwks_ca_pem.clone() }),
        }
    }
}

/// Why a signature was not verified.
pub(super) enum Failure {
    /// The token is at fault.
    Token(String),
    /// The server cannot find out now.
    Server(Error),
}

impl KeySource {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, kept: RwLock::default(), fetching: Mutex::default(), fetched: AtomicU64::new(0) }
    }

    /// Checks that the keys of a new configuration are to be had. What is kept of another one goes.
    pub(super) fn check(&self, config: &Config, now: Timestamp) -> Result<(), Error> {
        let Some(place) = Place::of(config) else { return Ok(()) };
        let text = match place {
            Place::Set { .. } => "error checking jwks URL",
            Place::Issuer { .. } => "error checking oidc discovery URL",
        };
        match self.fetch(&place, now, None) {
            Ok(_) => Ok(()),
            Err(Failure::Server(error)) => Err(error),
            Err(Failure::Token(cause)) => {
                tracing::warn!(%cause, "the keys of a new configuration cannot be fetched");
                Err(Error::invalid(text))
            }
        }
    }

    /// Verifies that one of the keys signed the token.
    pub(super) fn verify(&self, config: &Config, token: &Jws<'_>, now: Timestamp) -> Result<(), Failure> {
        let Some(place) = Place::of(config) else { return verify_by_keys_of(config, token) };
        let set = match self.kept(&place) {
            Some(set) if set.age(now) < FRESH_FOR => set,
            Some(old) => match self.fetch(&place, now, Some(&old)) {
                Ok(set) => set,
                // An issuer that is away for a moment keeps nobody out.
                Err(_) if old.age(now) < KEPT_FOR => old,
                Err(failure) => return Err(failure),
            },
            None => self.fetch(&place, now, None)?,
        };
        if set.verifies(token) {
            return Ok(());
        }
        if set.age(now) >= FETCHED_EVERY && self.fetch(&place, now, Some(&set))?.verifies(token) {
            return Ok(());
        }
        Err(Failure::Token("failed to verify id token signature".to_owned()))
    }

    fn kept(&self, place: &Place) -> Option<Arc<KeySet>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|set| set.place == *place).cloned()
    }

    /// Fetches the key set, unless somebody else has just done so: `old` is what the caller has. Whoever has waited for
    /// another's call in vain does not call himself: all who wait would do so, one after the other.
    fn fetch(&self, place: &Place, now: Timestamp, old: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, Failure> {
        let before = self.fetched.load(Ordering::Acquire);
        // Whoever waits for another's call keeps a thread waiting as much as he who calls.
        let permit = self.outbound.permit().map_err(|error| refused(&error))?;
        let mut absent = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.kept(place)
            && kept.age(now) < FETCHED_EVERY
            && old.is_none_or(|old| !Arc::ptr_eq(old, &kept))
        {
            return Ok(kept);
        }
        if self.fetched.load(Ordering::Acquire) != before
            && let Some((_, absent)) = absent.as_ref().filter(|(wanted, _)| wanted == place)
        {
            return Err(absent.failure());
        }
        let fetched = place.fetch(&permit);
        self.fetched.fetch_add(1, Ordering::AcqRel);
        let keys = match fetched {
            Ok(keys) => keys,
            Err(why) => return Err(absent.insert((place.clone(), why)).1.failure()),
        };
        *absent = None;
        let set = Arc::new(KeySet { place: place.clone(), keys, fetched: now });
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(set.clone());
        Ok(set)
    }
}

fn refused(error: &outbound::Error) -> Failure {
    match error {
        outbound::Error::Busy => Failure::Server(Error::Unavailable(error.to_string().into())),
        _ => Failure::Token(format!("fetching keys {error}")),
    }
}

fn verify_by_keys_of(config: &Config, token: &Jws<'_>) -> Result<(), Failure> {
    let mut keys = config.jwt_validation_pubkeys.iter().filter_map(|pem| Key::from_pem(pem));
    if keys.any(|key| token.is_signed_by(&key)) {
        return Ok(());
    }
    Err(Failure::Token("no known key successfully validated the token signature".to_owned()))
}

impl KeySet {
    fn age(&self, now: Timestamp) -> Duration {
        now.duration_since(self.fetched).try_into().unwrap_or_default()
    }

    fn verifies(&self, token: &Jws<'_>) -> bool {
        self.keys.iter().any(|key| key.may_have_signed(token) && token.is_signed_by(key.key()))
    }
}

/// Why there are no keys.
enum Absent {
    Call(outbound::Error),
    Answer(&'static str),
}

impl Absent {
    fn failure(&self) -> Failure {
        match self {
            Self::Call(error) => refused(error),
            Self::Answer(text) => Failure::Token((*text).to_owned()),
        }
    }
}

impl From<outbound::Error> for Absent {
    fn from(error: outbound::Error) -> Self {
        Self::Call(error)
    }
}

/// What is read of a discovery document (`OpenID` Connect Discovery 1.0).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Place {
    fn fetch(&self, permit: &outbound::Permit<'_>) -> Result<Vec<NamedKey>, Absent> {
        let fetch = |url: &str, ca_pem: &str| -> Result<Vec<u8>, Absent> {
            let answer = permit.call(Outgoing { url, ca_pem, ..Outgoing::default() })?;
            if answer.status == 200 { Ok(answer.body) } else { Err(Absent::Answer("the answer is not 200")) }
        };
        let keys = match self {
            Self::Set { url, ca_pem } => fetch(url, ca_pem)?,
            Self::Issuer { url, ca_pem } => {
                let document = fetch(&format!("{}/{DISCOVERY}", url.trim_end_matches('/')), ca_pem)?;
                let document: Discovery = serde_json::from_slice(&document)
                    .map_err(|_| Absent::Answer("the discovery document is malformed"))?;
                // Else whoever answers there could have the tokens of any other issuer taken for its own.
                if document.issuer != *url {
                    return Err(Absent::Answer("the discovery document is of another issuer"));
                }
                fetch(&document.jwks_uri, ca_pem)?
            }
        };
        parse_set(&keys).map_err(Absent::Answer)
    }
}

const DISCOVERY: &str = ".well-known/openid-configuration";
/// An older key set is fetched again before it is used: a key that its issuer withdrew is not trusted for longer.
const FRESH_FOR: Duration = Duration::from_mins(5);
/// While its issuer does not answer, a key set is used for so long.
const KEPT_FOR: Duration = Duration::from_hours(1);
/// Tokens that no key verifies have the key set fetched at most this often.
const FETCHED_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Each of them called in his turn, and each waited for all who were before him.
    #[test]
    fn who_waits_for_a_call_that_fails_shares_the_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place =
            Place::Set { url: format!("http://{}/keys", listener.local_addr().unwrap()), ca_pem: String::new() };
        let source = KeySource::new(Outbound::default());
        let fetch = || {
            source.fetch(&place, Timestamp::UNIX_EPOCH, None).err().map(|failure| matches!(failure, Failure::Token(_)))
        };
        thread::scope(|scope| {
            let first = scope.spawn(fetch);
            let (call, _) = listener.accept().unwrap();
            let others: Vec<_> = (0..5).map(|_| scope.spawn(fetch)).collect();
            while source.outbound.waiting() < 6 {
                thread::yield_now();
            }
            listener.set_nonblocking(true).unwrap();
            drop(call);
            for one in others.into_iter().chain([first]) {
                assert_eq!(one.join().unwrap(), Some(true));
            }
        });
        assert!(listener.accept().is_err(), "somebody called again");
        // Who comes later asks anew.
        drop(listener);
        assert_eq!((fetch(), source.fetched.load(Ordering::Relaxed)), (Some(true), 2));
    }
}
