//! Named keys: the key that signs now, the one that will sign next, and those that signed before, as long as their tokens
//! can be verified. Knows nothing of roles or tokens.
//!
//! The next key is told to everybody before it signs, so that whoever keeps the keys for a while knows it when its first
//! token comes. A private key is deleted when it signs no more.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access::identity::new_id;
use crate::api::{Error, base64};
use crate::barrier::{Change, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::containers::{PrivateKey, PublicKey};
use crate::crypto::hash::Hash;
use crate::engine::jws::{self, Algorithm, Jwk, Signer};
use crate::engine::records;
use crate::entropy::Entropy;

/// What signs the tokens of roles.
#[derive(Serialize, Deserialize)]
pub(super) struct NamedKey {
    /// Of the keys to come.
    pub(super) algorithm: String,
    pub(super) rotation_period_s: u64,
    pub(super) verification_ttl_s: u64,
    /// Whose tokens it may sign; `*` is anybody's.
    pub(super) allowed_client_ids: Vec<String>,
    /// In seconds since 1970, as all times here.
    next_rotation_s: i64,
    /// Empty until somebody needs it.
    ring: Vec<RingKey>,
}

#[derive(Serialize, Deserialize)]
struct RingKey {
    id: String,
    algorithm: String,
    /// `SubjectPublicKeyInfo`.
    public: StoredBytes,
    /// PKCS#8; empty once it signs no more.
    private: StoredBytes,
    duty: Duty,
}

/// What a key is good for.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Duty {
    /// Nothing yet.
    Next,
    Signing,
    /// Its tokens are verified until then.
    Verifying {
        until_s: i64,
    },
}

impl Stored for NamedKey {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        let ids: usize = self.allowed_client_ids.iter().map(|id| 2 * id.len() + 3).sum();
        let ring: usize = self.ring.iter().map(|key| 2 * (key.public.0.len() + key.private.0.len()) + 256).sum();
        512 + ids + ring
    }
}

impl Default for NamedKey {
    fn default() -> Self {
        Self {
            algorithm: ALGORITHM_USUAL.to_owned(),
            rotation_period_s: DAY_S,
            verification_ttl_s: DAY_S,
            allowed_client_ids: Vec::new(),
            next_rotation_s: i64::MAX,
            ring: Vec::new(),
        }
    }
}

impl NamedKey {
    /// Refuses settings that make no key.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.rotation_period_s < ROTATION_PERIOD_S_MIN {
            return Err(Error::invalid("rotation_period must be at least one minute"));
        }
        if self.verification_ttl_s > self.rotation_period_s.saturating_mul(10) {
            return Err(Error::invalid("verification_ttl cannot be longer than 10x rotation_period"));
        }
        if !ALGORITHMS.contains(&self.algorithm.as_str()) {
            return Err(Error::invalid(format!("unknown signing algorithm {:?}", self.algorithm)));
        }
        Ok(())
    }

    /// Makes the keys what the settings say that they are to be.
    pub(super) fn settle(&mut self, now: Timestamp) -> Result<(), Error> {
        let signs = |key: &&RingKey| key.duty == Duty::Signing;
        if self.ring.iter().find(signs).is_none_or(|key| key.algorithm != self.algorithm) {
            return self.rotate(self.verification_ttl_s, now);
        }
        self.next_rotation_s = self.next_rotation_s.min(later(now, self.rotation_period_s));
        Ok(())
    }

    /// Lets the next key sign, and makes one that comes after it. What the old one signed is verified for a while.
    pub(super) fn rotate(&mut self, verification_ttl_s: u64, now: Timestamp) -> Result<(), Error> {
        for key in &mut self.ring {
            if key.duty == Duty::Signing {
                key.duty = Duty::Verifying { until_s: later(now, verification_ttl_s) };
                key.private = StoredBytes::default();
            }
        }
        self.ring.retain(|key| key.duty != Duty::Next || key.algorithm == self.algorithm);
        match self.ring.iter_mut().find(|key| key.duty == Duty::Next) {
            Some(next) => next.duty = Duty::Signing,
            None => self.ring.push(RingKey::generate(&self.algorithm, Duty::Signing)?),
        }
        self.ring.push(RingKey::generate(&self.algorithm, Duty::Next)?);
        self.forget_expired(now);
        let surplus = self.ring.len().saturating_sub(RING_KEYS_MAX);
        self.ring.drain(..surplus);
        self.next_rotation_s = later(now, self.rotation_period_s);
        Ok(())
    }

    /// Whether a key was dropped.
    fn forget_expired(&mut self, now: Timestamp) -> bool {
        let before = self.ring.len();
        self.ring.retain(|key| key.is_known(now));
        self.ring.len() < before
    }

    /// When there is something to do next.
    fn due_s(&self) -> i64 {
        let ends = self.ring.iter().filter_map(|key| match key.duty {
            Duty::Verifying { until_s } => Some(until_s),
            Duty::Next | Duty::Signing => None,
        });
        ends.fold(self.next_rotation_s, i64::min)
    }

    /// Whether it has no keys yet.
    pub(super) fn is_blank(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether it signs for a client.
    pub(super) fn admits(&self, client_id: &str) -> bool {
        self.allowed_client_ids.iter().any(|id| id == "*" || id == client_id)
    }

    /// The token of a kind that makes these claims; an empty kind is not told.
    pub(super) fn sign(&self, kind: &str, claims: &Map<String, Value>) -> Result<String, Error> {
        let key = self.ring.iter().find(|key| key.duty == Duty::Signing);
        let key = key.ok_or_else(|| Error::internal("a named key has no key that signs"))?;
        let private = PrivateKey::from_pkcs8(&key.private.0).map_err(Error::internal)?;
        let algorithm = Algorithm::of(&key.algorithm).ok_or_else(|| Error::internal("an unknown algorithm"))?;
        let payload = serde_json::to_vec(claims).map_err(Error::internal)?;
        Signer::new(algorithm, &private)?.sign(&key.id, kind, &payload)
    }

    /// The left half of a text's digest, as the claims `at_hash` and `c_hash` have it (`OpenID` Connect Core 1.0, section
    /// 3.1.3.6).
    pub(super) fn half_digest(&self, text: &str) -> String {
        let key = self.ring.iter().find(|key| key.duty == Duty::Signing);
        let hash = match key.and_then(|key| Algorithm::of(&key.algorithm)) {
            Some(Algorithm::RsaPkcs1(hash) | Algorithm::RsaPss(hash) | Algorithm::Ecdsa(_, hash)) => hash,
            Some(Algorithm::EdDsa) | None => Hash::Sha2_512,
        };
        let digest = hash.digest(text.as_bytes());
        base64::encode_url(digest.split_at(digest.len() / 2).0)
    }

    /// The keys that tokens may be verified with, now or soon.
    pub(super) fn jwks(&self, now: Timestamp) -> impl Iterator<Item = Jwk> {
        self.known(now).filter_map(|(key, public)| Jwk::new(&key.id, &key.algorithm, &public))
    }

    /// As `jwks`, ready for use.
    pub(super) fn verifying(&self, now: Timestamp) -> impl Iterator<Item = jws::NamedKey> {
        self.known(now).filter_map(|(key, public)| jws::NamedKey::new(&key.id, &key.algorithm, public))
    }

    fn known(&self, now: Timestamp) -> impl Iterator<Item = (&RingKey, PublicKey)> {
        let known = self.ring.iter().filter(move |key| key.is_known(now));
        known.filter_map(|key| Some((key, PublicKey::from_spki(&key.public.0).ok()?)))
    }
}

impl RingKey {
    fn generate(algorithm: &str, duty: Duty) -> Result<Self, Error> {
        let known = Algorithm::of(algorithm).ok_or_else(|| Error::internal("an unknown algorithm"))?;
        let (private, public) = jws::generate(known, &mut Entropy)?;
        let private = StoredBytes(private.to_pkcs8(&public).map_err(Error::internal)?);
        let public = StoredBytes(public.to_spki().map_err(Error::internal)?.into());
        Ok(Self { id: new_id(), algorithm: algorithm.to_owned(), public, private, duty })
    }

    fn is_known(&self, now: Timestamp) -> bool {
        match self.duty {
            Duty::Next | Duty::Signing => true,
            Duty::Verifying { until_s } => now.as_second() < until_s,
        }
    }
}

fn later(now: Timestamp, seconds: u64) -> i64 {
    now.as_second().saturating_add_unsigned(seconds)
}

// === the store ===

/// The key of a name. That called `default` is always there.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<NamedKey>, Error> {
    let found = records::find(view, &path(name))?;
    let default = || NamedKey { allowed_client_ids: vec!["*".to_owned()], ..NamedKey::default() };
    Ok(found.or_else(|| (name == DEFAULT).then(default)))
}

/// The names of all keys.
pub(super) fn names(view: &View<'_>) -> Result<Vec<String>, Error> {
    names_with(view, PREFIX, KEYS_MAX, DEFAULT)
}

/// The names below a prefix, and that of the thing which is there without having been made.
pub(super) fn names_with(view: &View<'_>, prefix: &str, max: usize, usual: &str) -> Result<Vec<String>, Error> {
    let mut names = view.list(prefix, "", max + 1)?;
    if let Err(place) = names.binary_search_by(|name| name.as_str().cmp(usual)) {
        names.insert(place, usual.to_owned());
    }
    Ok(names)
}

pub(super) fn put(change: &mut Change<'_>, name: &str, key: &NamedKey) -> Result<(), Error> {
    change.put(&path(name), key)?;
    Ok(())
}

pub(super) fn write(view: &View<'_>, name: &str, key: &NamedKey) -> Result<(), Error> {
    let mut change = view.change();
    put(&mut change, name, key)?;
    change.commit()?;
    Ok(())
}

pub(super) fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Rotates the keys whose time has come, and forgets those that expired. A key with which that fails does not hold up the
/// others. Returns when to look again.
pub(super) fn tend(view: &View<'_>, now: Timestamp) -> Result<i64, Error> {
    let mut next_s = i64::MAX;
    for name in view.list(PREFIX, "", KEYS_MAX + 1)? {
        match tend_one(view, &name, now) {
            Ok(due_s) => next_s = next_s.min(due_s),
            Err(error) => {
                tracing::error!(key = name, %error, "a key of identity tokens could not be rotated; it will be tried again");
                next_s = i64::MIN;
            }
        }
    }
    Ok(next_s)
}

fn tend_one(view: &View<'_>, name: &str, now: Timestamp) -> Result<i64, Error> {
    let Some(mut key) = records::find::<NamedKey>(view, &path(name))? else { return Ok(i64::MAX) };
    let rotates = now.as_second() >= key.next_rotation_s;
    if rotates {
        key.rotate(key.verification_ttl_s, now)?;
    }
    if key.forget_expired(now) || rotates {
        write(view, name, &key)?;
    }
    Ok(key.due_s())
}

/// The key that is there without having been made.
pub(super) const DEFAULT: &str = "default";
/// What a named key may sign by.
pub(super) const ALGORITHMS: &[&str] = &["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"];
const ALGORITHM_USUAL: &str = "RS256";
const PREFIX: &str = "identity/oidc/key/";
const DAY_S: u64 = 86_400;
const ROTATION_PERIOD_S_MIN: u64 = 60;
/// Besides the one called `default`. All of them are looked at when one is to be rotated.
pub(super) const KEYS_MAX: usize = 256;
/// Keys of one name. Rotation by time makes twelve at most; if more are made by hand, the oldest go.
const RING_KEYS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    fn key() -> NamedKey {
        let mut key = NamedKey { algorithm: "EdDSA".to_owned(), ..NamedKey::default() };
        (key.rotation_period_s, key.verification_ttl_s) = (100, 250);
        key.settle(at(0)).unwrap();
        key
    }

    fn ids(key: &NamedKey, now: Timestamp) -> Vec<String> {
        key.known(now).map(|(key, _)| key.id.clone()).collect()
    }

    #[test]
    fn keys_follow_each_other() {
        let mut key = key();
        let [first, second] = ids(&key, at(0)).try_into().unwrap();
        assert_eq!(key.due_s(), 100);
        key.rotate(key.verification_ttl_s, at(100)).unwrap();
        let known = ids(&key, at(100));
        assert_eq!((known.len(), &known[..2]), (3, &[first, second.clone()][..]));
        assert!(key.ring[1].duty == Duty::Signing && key.ring[2].duty == Duty::Next);
        let privates = key.ring.iter().map(|key| key.private.0.len()).collect::<Vec<_>>();
        assert!(privates[0] == 0 && privates[1] > 0 && privates[2] > 0, "{privates:?}");
        assert_eq!((ids(&key, at(349)).len(), ids(&key, at(350)).len()), (3, 2));
        assert_eq!(key.due_s(), 200);
        key.next_rotation_s = 1_000;
        assert_eq!(key.due_s(), 350);
        assert!(!key.forget_expired(at(349)) && key.forget_expired(at(350)));
        assert_eq!(ids(&key, at(350))[0], second);
    }

    #[test]
    fn a_key_without_verification_is_gone_at_once() {
        let mut key = key();
        let [_, second] = ids(&key, at(0)).try_into().unwrap();
        key.rotate(0, at(1)).unwrap();
        assert_eq!((key.ring.len(), &key.ring[0].id), (2, &second));
    }

    #[test]
    fn another_algorithm_means_other_keys() {
        let mut key = key();
        let [first, _] = ids(&key, at(0)).try_into().unwrap();
        key.algorithm = "ES256".to_owned();
        key.settle(at(10)).unwrap();
        let algorithms = key.ring.iter().map(|key| key.algorithm.as_str()).collect::<Vec<_>>();
        assert_eq!(algorithms, ["EdDSA", "ES256", "ES256"]);
        assert_eq!(key.ring[0].id, first);
        assert!(key.ring[0].duty == Duty::Verifying { until_s: 260 } && key.ring[1].duty == Duty::Signing);
    }

    #[test]
    fn a_shorter_period_brings_the_rotation_forward() {
        let mut key = key();
        for (period_s, now, expected) in [(200, 10, 100), (60, 10, 70), (60, 20, 70)] {
            key.rotation_period_s = period_s;
            key.settle(at(now)).unwrap();
            assert_eq!(key.due_s(), expected, "{period_s} {now}");
        }
    }

    #[test]
    fn a_ring_has_an_end() {
        let mut key = key();
        for _ in 0..2 * RING_KEYS_MAX {
            key.rotate(1_000, at(1)).unwrap();
        }
        assert_eq!(key.ring.len(), RING_KEYS_MAX);
        assert!(key.ring.iter().rev().take(2).all(|key| !key.private.0.is_empty()));
    }
}
