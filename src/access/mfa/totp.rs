//! The secrets that apps make codes of, and whether a code is good: once, and after not too many tries.
//!
//! A secret and what was tried with it are one record. Whoever brings a code commits a change of that record before he is
//! told anything, made on what he read: so every try counts and a code is good for one request, however many come at once
//! and whatever restarts in between.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::method::{Algorithm, Method};
use super::{Mfa, escaped};
use crate::access::identity::Edit;
use crate::api::Error;
use crate::barrier::{self, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::random::Random;
use crate::crypto::totp::Totp;
use crate::entropy::Entropy;

/// What somebody needs to set up his app. It contains the secret.
pub struct Enrolment {
    /// As apps read it: `otpauth://totp/`.
    pub url: Zeroizing<String>,
    /// A picture of the same, PNG in base64; empty if the method wants none.
    pub barcode: Zeroizing<String>,
}

/// A secret as it was when it was made, and what was tried with it.
#[derive(Serialize, Deserialize)]
struct Secret {
    key: StoredBytes,
    algorithm: Algorithm,
    digits: u32,
    period_s: u64,
    skew: u64,
    /// The step of the latest code that was good. Codes up to there are used.
    used_step: Option<u64>,
    /// When the first of these tries was.
    tries_since_s: u64,
    tries: u64,
}

impl Stored for Secret {
    const VERSION: u8 = 1;
}

impl Secret {
    fn totp(&self) -> Totp {
        Totp { hash: self.algorithm.hash(), digits: self.digits, period_s: self.period_s, skew: self.skew }
    }

    /// For how long tries count.
    fn window_s(&self) -> u64 {
        self.period_s.saturating_mul(self.skew + 2)
    }

    /// Judges a code and notes that it was tried.
    fn judge(&mut self, code: &str, time_s: u64, tries_max: u64) -> Result<(), String> {
        if time_s.saturating_sub(self.tries_since_s) >= self.window_s() || time_s < self.tries_since_s {
            (self.tries, self.tries_since_s) = (0, time_s);
        }
        self.tries = self.tries.saturating_add(1);
        if self.tries > tries_max {
            return Err(format!(
                "maximum TOTP validation attempts {} exceeded the allowed attempts {tries_max}. Please try again in {} \
                 seconds",
                self.tries,
                self.window_s().saturating_sub(time_s.saturating_sub(self.tries_since_s))
            ));
        }
        let step = self.totp().step_of(&self.key.0, code, time_s);
        let step = step.ok_or_else(|| "failed to validate TOTP passcode".to_owned())?;
        if self.used_step.is_some_and(|used| step <= used) {
            return Err(format!("code already used; new code is available in {} seconds", self.period_s));
        }
        (self.used_step, self.tries) = (Some(step), 0);
        Ok(())
    }
}

impl Mfa {
    /// Makes a secret for an entity, as a part of a change. `None` if it has one already.
    pub fn enrol(edit: &mut Edit<'_>, method: &Method, entity: &str) -> Result<Option<Enrolment>, Error> {
        let path = path(&method.id, entity);
        if edit.view().get::<Secret>(&path)?.is_some() {
            return Ok(None);
        }
        let mut key = Zeroizing::new(vec![0; usize::try_from(method.key_bytes).unwrap_or_default()]);
        Entropy.fill(&mut key);
        let enrolment = enrolment(method, entity, &key)?;
        let secret = Secret {
            key: StoredBytes(key),
            algorithm: method.algorithm,
            digits: method.digits,
            period_s: method.period_s,
            skew: method.skew,
            used_step: None,
            tries_since_s: 0,
            tries: 0,
        };
        edit.add(&path, &secret)?;
        Ok(Some(enrolment))
    }

    /// Deletes the secret of an entity, if it has one.
    pub fn unenrol(view: &View<'_>, method: &str, entity: &str) -> Result<(), Error> {
        let mut change = view.change();
        change.delete(&path(method, entity));
        change.commit()?;
        Ok(())
    }

    /// Whether a code is the one that an entity's app shows. The inner error says why it is not good.
    pub fn verify(
        view: &View<'_>,
        method: &Method,
        entity: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<Result<(), String>, Error> {
        let path = path(&method.id, entity);
        let time_s = u64::try_from(now.as_second()).unwrap_or_default();
        for _ in 0..ATTEMPTS_MAX {
            let Some(found) = view.get::<Secret>(&path)? else {
                let text = format!("MFA secret for method name {:?} not present in entity {entity:?}", method.name);
                return Ok(Err(text));
            };
            let mut secret = found.value;
            let exhausted = secret.tries > method.tries_max;
            let verdict = secret.judge(code, time_s, method.tries_max);
            if exhausted && secret.tries > method.tries_max {
                // Nothing that is worth a commit: the next tries are refused as this one is.
                return Ok(verdict);
            }
            let mut change = view.change();
            change.put(&path, &secret)?.expect(&path, &found.stamp);
            match change.commit() {
                Ok(_) => return Ok(verdict),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Unavailable("too many codes are tried at once".into()))
    }
}

fn enrolment(method: &Method, entity: &str, key: &[u8]) -> Result<Enrolment, Error> {
    let algorithm = match method.algorithm {
        Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
        Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
        Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
    };
    let totp = totp_rs::Builder::new()
        .with_algorithm(algorithm)
        .with_digits(u8::try_from(method.digits).map_err(Error::internal)?)
        .with_step_duration(method.period_s)
        .with_secret(key)
        .with_account_name(entity)
        .with_issuer(Some(method.issuer.as_str()))
        .build_noncompliant();
    let too_long = |_| Error::invalid("issuer and key are too long for one code");
    let mut url = Zeroizing::new(totp.to_url().map_err(too_long)?);
    let barcode = match method.qr_size {
        0 => Zeroizing::default(),
        _ => Zeroizing::new(STANDARD.encode(Zeroizing::new(totp.to_qr_png().map_err(too_long)?))),
    };
    // Apps know what is usual, programs may not.
    let usual = [
        ("algorithm", method.algorithm.name().to_owned()),
        ("digits", method.digits.to_string()),
        ("period", method.period_s.to_string()),
    ];
    for (name, value) in usual {
        if !url.contains(&format!("&{name}=")) {
            url.push_str(&format!("&{name}={value}"));
        }
    }
    Ok(Enrolment { url, barcode })
}

/// Deletes all secrets that were made for a method.
pub(super) fn forget(view: &View<'_>, method: &str) -> Result<(), Error> {
    while view.purge(&format!("{SECRETS}{}/", escaped(method)), PURGE_BATCH)? {}
    Ok(())
}

/// Where an entity's secrets may be.
pub(in crate::access) fn secret_paths(view: &View<'_>, entity: &str) -> Result<Vec<String>, Error> {
    Ok(Mfa::methods(view)?.iter().map(|method| path(&method.id, entity)).collect())
}

/// Gives an entity's secrets to another one. Of two for one method the other one's stays, if that is wanted.
pub(in crate::access) fn move_secrets(edit: &mut Edit<'_>, from: &str, to: &str, force: bool) -> Result<(), Error> {
    for method in Mfa::methods(&edit.view())? {
        let old = path(&method.id, from);
        let Some(found) = edit.view().get::<Secret>(&old)? else { continue };
        let new = path(&method.id, to);
        match edit.view().get::<Secret>(&new)? {
            Some(_) if !force => {
                let text = format!("conflicting MFA config ID {:?} in entity ID {from:?}", method.id);
                return Err(Error::bare(text));
            }
            Some(_) => edit.end(&old),
            None => edit.carry(&old, &new, &found)?,
        }
    }
    Ok(())
}

fn path(method: &str, entity: &str) -> String {
    format!("{SECRETS}{}/{}", escaped(method), escaped(entity))
}

const SECRETS: &str = "mfa/secret/";
/// Tries at one change of a secret.
const ATTEMPTS_MAX: usize = 1_000;
/// Secrets deleted in one commit.
const PURGE_BATCH: usize = 1_000;
