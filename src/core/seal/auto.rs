//! What unseals a server without people: a static key, a hardware module, or another transit server. Does not know what it
//! keeps.

use zeroize::Zeroizing;

use super::pkcs11::Pkcs11Seal;
use super::static_key::StaticSeal;
use super::transit::TransitSeal;
use crate::api::Error;
use crate::clock::Timestamp;

/// One way to unseal without people.
pub enum AutoSeal {
    Pkcs11(Pkcs11Seal),
    Static(StaticSeal),
    Transit(TransitSeal),
}

/// A secret under a seal.
pub(super) struct Wrapped {
    /// Names the key of the seal.
    pub(super) key_id: String,
    pub(super) text: String,
}

/// Why a seal did nothing. It may be asked again: keys are put in place, servers come back.
#[derive(Debug, thiserror::Error)]
#[error("the seal {kind:?} does not work now: {why}")]
pub(super) struct Unable {
    pub(super) kind: &'static str,
    pub(super) why: String,
}

impl From<Unable> for Error {
    fn from(unable: Unable) -> Self {
        Self::Unavailable(unable.to_string().into())
    }
}

impl AutoSeal {
    /// As configurations and `sys/seal-status` call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pkcs11(_) => "pkcs11",
            Self::Static(_) => "static",
            Self::Transit(_) => "transit",
        }
    }

    /// Whether its stanza names this key of a seal of this kind: then it opens what that has wrapped.
    pub(super) fn knows(&self, kind: &str, key_id: &str) -> bool {
        kind == self.kind()
            && match self {
                Self::Pkcs11(seal) => seal.key_id() == key_id,
                Self::Static(seal) => seal.knows(key_id),
                Self::Transit(seal) => seal.key_id() == key_id,
            }
    }

    /// Whether it can look for a key that its stanza does not name.
    pub(super) fn looks_for(&self, kind: &str) -> bool {
        kind == self.kind()
            && match self {
                Self::Pkcs11(_) => true,
                Self::Static(_) | Self::Transit(_) => false,
            }
    }

    /// Whether this is the key that it wraps with.
    pub(super) fn is_current(&self, key_id: &str) -> bool {
        match self {
            Self::Pkcs11(seal) => seal.key_id() == key_id,
            Self::Static(seal) => seal.key_id() == key_id,
            Self::Transit(seal) => seal.key_id() == key_id,
        }
    }

    pub(super) fn wrap(&self, secret: &[u8]) -> Result<Wrapped, Unable> {
        match self {
            Self::Pkcs11(seal) => seal.wrap(secret),
            Self::Static(seal) => seal.wrap(secret),
            Self::Transit(seal) => seal.wrap(secret),
        }
        .map_err(|why| self.unable(why))
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, Unable> {
        match self {
            Self::Pkcs11(seal) => seal.unwrap(wrapped),
            Self::Static(seal) => seal.unwrap(wrapped),
            Self::Transit(seal) => seal.unwrap(wrapped),
        }
        .map_err(|why| self.unable(why))
    }

    /// Does what has to be done now and then to go on working.
    pub(in super::super) fn tend(&self, now: Timestamp) {
        match self {
            Self::Pkcs11(_) | Self::Static(_) => {}
            Self::Transit(seal) => seal.renew_if_due(now),
        }
    }

    fn unable(&self, why: String) -> Unable {
        Unable { kind: self.kind(), why }
    }
}
