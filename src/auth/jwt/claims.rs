//! What a verified token claims, and whether that is what a role demands. Knows nothing of signatures.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::auth::glob;
use crate::clock::Timestamp;

/// The claims of a token.
pub(in crate::auth) struct Claims(Value);

/// What the registered claims must say.
#[derive(Default)]
pub(in crate::auth) struct Expected<'a> {
    /// Anybody if empty.
    pub(in crate::auth) issuer: &'a str,
    pub(in crate::auth) subject: &'a str,
    /// One of these, if there is any.
    pub(in crate::auth) audiences: &'a [String],
    pub(in crate::auth) leeways: Leeways,
    /// A token without any time is good at all times.
    pub(in crate::auth) timeless: bool,
}

/// By how many seconds clocks may differ: 0 is the default, less than 0 is none.
#[derive(Clone, Copy, Default)]
pub(in crate::auth) struct Leeways {
    pub(in crate::auth) expiration: i64,
    pub(in crate::auth) not_before: i64,
    pub(in crate::auth) clock_skew: i64,
}

impl Claims {
    pub(in crate::auth) fn parse(payload: &[u8]) -> Result<Self, String> {
        let claims: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|_| "the payload of the token is no JSON object".to_owned())?;
        Ok(Self(Value::Object(claims)))
    }

    /// The claim of this name, whatever the name looks like.
    pub(in crate::auth) fn named(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The claim of this name, or behind this JSON pointer (RFC 6901).
    pub(in crate::auth) fn at(&self, place: &str) -> Option<&Value> {
        let value = if place.starts_with('/') { self.0.pointer(place) } else { self.0.get(place) };
        value.filter(|value| !value.is_null())
    }

    /// Checks the registered claims, in the order in which clients know the complaints.
    pub(in crate::auth) fn check(&self, expected: &Expected<'_>, now: Timestamp) -> Result<(), String> {
        if !expected.issuer.is_empty() && self.text("iss")? != expected.issuer {
            return Err("invalid issuer (iss) claim".to_owned());
        }
        if !expected.subject.is_empty() && self.text("sub")? != expected.subject {
            return Err("invalid subject (sub) claim".to_owned());
        }
        let audiences = self.audiences()?;
        if !expected.audiences.is_empty()
            && !audiences.iter().any(|own| expected.audiences.iter().any(|one| one == own))
        {
            return Err("invalid audience (aud) claim: audience claim does not match any expected audience".to_owned());
        }
        self.check_times(expected, now)
    }

    fn check_times(&self, expected: &Expected<'_>, now: Timestamp) -> Result<(), String> {
        let (issued, expires, not_before) = (self.time("iat")?, self.time("exp")?, self.time("nbf")?);
        if (issued, expires, not_before) == (0, 0, 0) {
            let text = "no issued at (iat), not before (nbf), or expiration time (exp) claims in token";
            return if expected.timeless { Ok(()) } else { Err(text.to_owned()) };
        }
        let leeways = &expected.leeways;
        let expires = match expires {
            0 => issued.max(not_before).saturating_add(leeway(leeways.expiration, LEEWAY_DEFAULT_S)),
            expires => expires,
        };
        let not_before = match (not_before, issued) {
            (0, 0) => expires.saturating_sub(leeway(leeways.not_before, LEEWAY_DEFAULT_S)),
            (0, issued) => issued,
            (not_before, _) => not_before,
        };
        let (now, skew) = (now.as_second(), leeway(leeways.clock_skew, CLOCK_SKEW_DEFAULT_S));
        if now.saturating_add(skew) < not_before {
            return Err("invalid not before (nbf) claim: token not yet valid".to_owned());
        }
        if now.saturating_sub(skew) > expires {
            return Err("invalid expiration time (exp) claim: token is expired".to_owned());
        }
        if now.saturating_add(skew) < issued {
            return Err("invalid issued at (iat) claim: token issued in the future".to_owned());
        }
        Ok(())
    }

    /// Whom the token is for: one text and a list of them mean the same.
    pub(in crate::auth) fn audiences(&self) -> Result<Vec<&str>, String> {
        let malformed = || "the audience (aud) claim is no text and no list of texts".to_owned();
        match self.named("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(audience)) => Ok(vec![audience]),
            Some(Value::Array(list)) => list.iter().map(|one| one.as_str().ok_or_else(malformed)).collect(),
            Some(_) => Err(malformed()),
        }
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        match self.named(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("the claim {name:?} is no text")),
        }
    }

    /// Seconds since 1970; 0 if it is absent.
    fn time(&self, name: &str) -> Result<i64, String> {
        let malformed = || format!("the claim {name:?} is no time");
        let Some(value) = self.named(name) else { return Ok(0) };
        let Value::Number(number) = value else { return Err(malformed()) };
        match number.as_i64() {
            Some(seconds) => Ok(seconds),
            None => fraction_cut(number.as_f64().unwrap_or(f64::NAN)).ok_or_else(malformed),
        }
    }

    /// Checks that each bound claim has one of the values that it is bound to.
    pub(super) fn check_bound(&self, bound: &Map<String, Value>, globs: bool) -> Result<(), String> {
        for (name, wanted) in bound {
            let Some(found) = self.at(name) else { return Err(format!("claim {name:?} is missing")) };
            let found =
                values(found).ok_or_else(|| format!("received claim is not a string, bool, int or list: {found}"))?;
            let wanted =
                values(wanted).ok_or_else(|| format!("bound claim is not a string, bool, int or list: {wanted}"))?;
            if !wanted.iter().any(|wanted| found.iter().any(|found| fits(wanted, found, globs))) {
                return Err(format!("claim {name:?} does not match any associated bound claim values"));
            }
        }
        Ok(())
    }

    /// The claims that become metadata, under the names that they have there. Absent ones are left out.
    pub(super) fn mapped(&self, mappings: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
        let found = mappings.iter().filter_map(|(claim, name)| Some((claim, name, self.at(claim)?)));
        found
            .map(|(claim, name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                _ => Err(format!("error converting claim '{claim}' to string")),
            })
            .collect()
    }

    /// The groups that a claim names: a list, or one text.
    pub(super) fn groups(&self, claim: &str) -> Result<Vec<String>, String> {
        let Some(found) = self.at(claim) else {
            return Err(format!("failed to fetch groups: {claim:?} claim not found in token"));
        };
        let groups = values(found).ok_or_else(|| format!("{claim:?} claim could not be converted to string list"))?;
        let names = groups.iter().filter(|group| group.as_str() != Some("")).map(|group| match group {
            Value::String(group) => Ok(group.clone()),
            other => Err(format!("value {other} in groups claim could not be parsed as string")),
        });
        names.collect()
    }
}

/// The items of a list, or the one value that stands for a list.
pub(super) fn values(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(items) => Some(items.iter().collect()),
        Value::String(_) | Value::Bool(_) | Value::Number(_) => Some(vec![value]),
        Value::Null | Value::Object(_) => None,
    }
}

fn fits(wanted: &Value, found: &Value, globs: bool) -> bool {
    match (wanted, found) {
        (Value::String(wanted), Value::String(found)) if globs => glob::fits(wanted, found),
        (Value::Number(wanted), Value::Number(found)) if !globs => {
            wanted == found || (wanted.is_f64() || found.is_f64()) && wanted.as_f64() == found.as_f64()
        }
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_)) if !globs => wanted == found,
        _ => false,
    }
}

/// The whole seconds of a time with a fraction, if it is one that a clock could show.
fn fraction_cut(seconds: f64) -> Option<i64> {
    let nanoseconds = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Some(nanoseconds.as_secs())
}

fn leeway(seconds: i64, default: i64) -> i64 {
    if seconds == 0 { default } else { seconds.max(0) }
}

/// How long a token without an end is good, and how long before its end one without a beginning.
const LEEWAY_DEFAULT_S: i64 = 150;
const CLOCK_SKEW_DEFAULT_S: i64 = 60;
