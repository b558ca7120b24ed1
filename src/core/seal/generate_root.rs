//! A new root token for those who hold enough shares: they get it hidden by a one-time password that only who began has, or
//! encrypted for his PGP key. Does not know how shares are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use base64::{DecodeError, Engine as _};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::super::{Active, Core, new_uuid};
use super::initialise::encrypted;
use super::key::{self, Gathering};
use crate::access::tokens::{TOKEN_TEXT_LEN, TokenRecord, new_token, random_word};
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::crypto::pgp::PgpKey;
use crate::crypto::shamir::Share;

/// The attempt that is under way, if one is. There is one at a time.
#[derive(Default)]
pub(in super::super) struct RootGeneration(Mutex<Option<Attempt>>);

struct Attempt {
    nonce: String,
    cover: Cover,
    gathering: Gathering,
}

/// What hides the token from those who bring the shares.
pub enum Cover {
    Password(Zeroizing<String>),
    PgpKey(Box<PgpKey>),
}

/// How far an attempt is.
#[derive(Default)]
pub struct RootProgress {
    /// Empty if none is under way.
    pub nonce: String,
    pub started: bool,
    pub progress: usize,
    pub required: u8,
    /// The token, hidden, once it is made.
    pub encoded_token: Option<String>,
    /// Of the PGP key that it is encrypted for; empty without one.
    pub pgp_fingerprint: String,
}

impl RootGeneration {
    fn attempt(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn root_progress(&self) -> Result<RootProgress, Error> {
        let active = self.unsealed()?;
        let required = self.holders(&active)?.threshold;
        let attempt = active.root_generation.attempt();
        Ok(attempt
            .as_ref()
            .map_or_else(|| RootProgress { required, ..RootProgress::default() }, |attempt| attempt.told(required)))
    }

    /// Begins an attempt, whose token this will hide. Returns the password that was made if nothing was given, too.
    pub(crate) fn begin_root(&self, cover: Option<Cover>) -> Result<(RootProgress, Option<Zeroizing<String>>), Error> {
        let active = self.unsealed()?;
        let required = self.holders(&active)?.threshold;
        let mut attempt = active.root_generation.attempt();
        if matches!(&cover, Some(Cover::Password(password)) if password.len() != TOKEN_TEXT_LEN) {
            return Err(Error::invalid("OTP string is wrong length"));
        }
        if attempt.is_some() {
            return Err(Error::invalid("root generation already in progress"));
        }
        let made = cover.is_none().then(|| new_password(TOKEN_TEXT_LEN));
        let cover = cover.unwrap_or_else(|| Cover::Password(made.clone().unwrap_or_default()));
        let begun = Attempt { nonce: new_uuid().to_string(), cover, gathering: Gathering::default() };
        Ok((attempt.insert(begun).told(required), made))
    }

    pub(crate) fn cancel_root(&self) -> Result<(), Error> {
        *self.unsealed()?.root_generation.attempt() = None;
        Ok(())
    }

    /// Takes a share for the attempt of this name. The last one that is needed makes the token.
    pub(crate) fn bring_share_for_root(
        &self,
        view: &View<'_>,
        share: Share,
        nonce: &str,
        now: Timestamp,
    ) -> Result<RootProgress, Error> {
        let active = self.unsealed()?;
        key::check_length(&share)?;
        let required = self.holders(&active)?.threshold;
        let mut under_way = active.root_generation.attempt();
        let attempt = under_way.as_mut().ok_or_else(|| Error::invalid("no root generation in progress"))?;
        attempt.check_nonce(nonce)?;
        if !attempt.gathering.add(share) {
            return Err(Error::invalid(ALREADY_PROVIDED));
        }
        let Some(key) = attempt.gathering.key(required) else { return Ok(attempt.told(required)) };
        self.check_holders(&active, &key?)?;
        let encoded_token = Some(active.make_root_token(view, &attempt.cover, now)?);
        let done = RootProgress { progress: required.into(), encoded_token, ..attempt.told(required) };
        *under_way = None;
        Ok(done)
    }
}

impl Active {
    fn make_root_token(&self, view: &View<'_>, cover: &Cover, now: Timestamp) -> Result<String, Error> {
        let token = new_token();
        let text = token.expose().as_bytes();
        let hidden = match cover {
            Cover::Password(password) => BASE64_STANDARD_NO_PAD.encode(&*xor(text, password.as_bytes())),
            Cover::PgpKey(key) => BASE64_STANDARD.encode(encrypted(text, key)?),
        };
        self.tokens.create(view, &token, TokenRecord::root("auth/token/root", "root", now))?;
        Ok(hidden)
    }
}

impl Attempt {
    fn told(&self, required: u8) -> RootProgress {
        let (nonce, progress) = (self.nonce.clone(), self.gathering.count());
        let pgp_fingerprint = match &self.cover {
            Cover::Password(_) => String::new(),
            Cover::PgpKey(key) => key.fingerprint(),
        };
        RootProgress { nonce, started: true, progress, required, encoded_token: None, pgp_fingerprint }
    }

    fn check_nonce(&self, nonce: &str) -> Result<(), Error> {
        if bool::from(self.nonce.as_bytes().ct_eq(nonce.as_bytes())) {
            return Ok(());
        }
        let text = format!("incorrect nonce supplied; nonce for this root generation operation is {:?}", self.nonce);
        Err(Error::invalid(text))
    }
}

/// A password that hides a token of this length.
pub fn new_password(len: usize) -> Zeroizing<String> {
    random_word(len)
}

/// Why a password shows no token. The texts are Vault's.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("error decoding base64'd token: {0}")]
    Base64(DecodeError),
    #[error("error xoring token: length of byte slices is not equivalent: {token} != {password}")]
    Lengths { token: usize, password: usize },
    #[error("the OTP is not the one of this token")]
    Password,
}

/// The token that a password hides.
pub fn decode_token(encoded: &str, password: &str) -> Result<Zeroizing<String>, Unreadable> {
    let hidden = BASE64_STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(Unreadable::Base64)?;
    if hidden.len() != password.len() {
        return Err(Unreadable::Lengths { token: hidden.len(), password: password.len() });
    }
    let token = xor(&hidden, password.as_bytes());
    let token = std::str::from_utf8(&token).map_err(|_| Unreadable::Password)?;
    Ok(Zeroizing::new(token.to_owned()))
}

fn xor(one: &[u8], other: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(one.iter().zip(other).map(|(one, other)| one ^ other).collect())
}

pub(super) const ALREADY_PROVIDED: &str = "given key has already been provided during this generation operation";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_token_is_found_by_its_password_alone() {
        let token = new_token();
        let password = random_word(TOKEN_TEXT_LEN);
        let encoded = BASE64_STANDARD_NO_PAD.encode(&*xor(token.expose().as_bytes(), password.as_bytes()));
        assert_eq!(decode_token(&encoded, &password).unwrap().as_str(), token.expose());
        assert_eq!(decode_token(&format!("{encoded}=="), &password).unwrap().as_str(), token.expose());
        assert_ne!(decode_token(&encoded, &random_word(TOKEN_TEXT_LEN)).unwrap().as_str(), token.expose());
        let error = decode_token(&encoded, "short").unwrap_err();
        assert_eq!(error.to_string(), "error xoring token: length of byte slices is not equivalent: 28 != 5");
        assert!(decode_token("!!", &password).unwrap_err().to_string().starts_with("error decoding base64'd token: "));
    }
}
