//! The methods of second factors that were set up. All of them are TOTP. Knows nothing of who uses them.

use serde::{Deserialize, Serialize};

use super::{Mfa, escaped};
use crate::access::identity::new_id;
use crate::api::Error;
use crate::barrier::{Stored, View};
use crate::crypto::hash::Hash;

/// A way to make one-time codes.
#[derive(Clone, Serialize, Deserialize)]
pub struct Method {
    pub id: String,
    /// Empty if it has none.
    pub name: String,
    /// Who issues the codes, as apps show it.
    pub issuer: String,
    pub period_s: u64,
    pub key_bytes: u64,
    /// Zero: no picture.
    pub qr_size: u64,
    pub algorithm: Algorithm,
    pub digits: u32,
    pub skew: u64,
    /// Tries while a code is good.
    pub tries_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "SHA1" => Self::Sha1,
            "SHA256" => Self::Sha256,
            "SHA512" => Self::Sha512,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    pub(super) fn hash(self) -> Hash {
        match self {
            Self::Sha1 => Hash::Sha1,
            Self::Sha256 => Hash::Sha2_256,
            Self::Sha512 => Hash::Sha2_512,
        }
    }
}

/// What a request says of a method: all of it.
pub struct MethodFields {
    /// The method to change; empty for a new one, or for that of the name.
    pub id: String,
    pub name: String,
    pub issuer: String,
    pub period_s: i64,
    pub key_bytes: i64,
    pub qr_size: i64,
    pub algorithm: String,
    pub digits: i64,
    pub skew: i64,
    pub tries_max: i64,
}

impl MethodFields {
    fn method(&self, id: String, name: String) -> Result<Method, Error> {
        let within = |value: i64, max: u64, text: &'static str| {
            u64::try_from(value).ok().filter(|value| *value <= max).ok_or_else(|| Error::invalid(text))
        };
        let above_zero = |value: i64, max: u64, text: &'static str| {
            within(value, max, text).and_then(|value| if value == 0 { Err(Error::invalid(text)) } else { Ok(value) })
        };
        let algorithm = Algorithm::of(&self.algorithm).ok_or_else(|| Error::invalid("unrecognized algorithm"))?;
        let digits = match self.digits {
            6 => 6,
            8 => 8,
            _ => return Err(Error::invalid("digits can only be 6 or 8")),
        };
        let period_s = above_zero(self.period_s, PERIOD_S_MAX, "period must be greater than zero")?;
        let skew = within(self.skew, 1, "skew must be 0 or 1")?;
        let key_bytes = above_zero(self.key_bytes, KEY_BYTES_MAX, "key_size must be greater than zero")?;
        if self.issuer.is_empty() || self.issuer.len() > ISSUER_BYTES_MAX {
            return Err(Error::invalid("issuer must be set"));
        }
        let tries_max = within(self.tries_max, TRIES_MAX, "max_validation_attempts must be greater than zero")?;
        let tries_max = if tries_max == 0 { TRIES_USUAL } else { tries_max };
        let qr_size = within(self.qr_size, u64::MAX, "qr_size must not be negative")?;
        let issuer = self.issuer.clone();
        Ok(Method { id, name, issuer, period_s, key_bytes, qr_size, algorithm, digits, skew, tries_max })
    }
}

impl Mfa {
    pub fn method(view: &View<'_>, id: &str) -> Result<Option<Method>, Error> {
        Ok(view.get::<Method>(&path(id))?.map(|found| found.value))
    }

    /// All methods, by their identifiers.
    pub fn methods(view: &View<'_>) -> Result<Vec<Method>, Error> {
        let ids = view.list(METHODS, "", METHODS_MAX)?;
        let found = ids.iter().map(|id| Self::method(view, id));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

pub(super) fn write(view: &View<'_>, fields: &MethodFields) -> Result<Option<(Method, bool)>, Error> {
    let all = Mfa::methods(view)?;
    let by_id = all.iter().find(|method| method.id == fields.id);
    if by_id.is_none() && !fields.id.is_empty() {
        return Ok(None);
    }
    let by_name = all.iter().find(|method| !fields.name.is_empty() && method.name == fields.name);
    if by_id.is_some() && by_name.is_some_and(|named| named.id != fields.id) {
        let text = format!("a login MFA method configuration with the method name {} already exists", fields.name);
        return Err(Error::bare(text));
    }
    let known = by_id.or(by_name);
    if known.is_none() && all.len() >= METHODS_MAX {
        return Err(Error::invalid(format!("there can be at most {METHODS_MAX} methods")));
    }
    let id = known.map_or_else(new_id, |known| known.id.clone());
    let name = if fields.name.is_empty() { known.map_or("", |known| &known.name) } else { &fields.name };
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!("the name of a method has at most {NAME_BYTES_MAX} bytes")));
    }
    let method = fields.method(id, name.to_owned())?;
    let mut change = view.change();
    change.put(&path(&method.id), &method)?;
    change.commit()?;
    Ok(Some((method, known.is_none())))
}

pub(super) fn delete(view: &View<'_>, id: &str) -> Result<(), Error> {
    let mut change = view.change();
    change.delete(&path(id));
    change.commit()?;
    Ok(())
}

fn path(id: &str) -> String {
    format!("{METHODS}{}", escaped(id))
}

impl Stored for Method {
    const VERSION: u8 = 1;
}

const METHODS: &str = "mfa/method/";
/// Every login that needs a second factor reads some of them.
pub(super) const METHODS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 512;
/// What a picture has room for, together with the key.
const ISSUER_BYTES_MAX: usize = 512;
const KEY_BYTES_MAX: u64 = 256;
const PERIOD_S_MAX: u64 = 86_400;
/// Tries while a code is good, unless the method says otherwise, and at most.
const TRIES_USUAL: u64 = 5;
const TRIES_MAX: u64 = 1_000;
