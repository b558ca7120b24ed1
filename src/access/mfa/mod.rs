//! Second factors: which methods there are, which logins need one, and whether somebody has it. All of it stands in the
//! store and is read when it is needed, so that a restart forgets nothing.
//!
//! Knows entities by their identifiers only, and nothing of logins.

use std::sync::{Mutex, PoisonError};

use crate::api::Error;
use crate::barrier::View;

mod enforcement;
mod method;
mod totp;

pub use enforcement::{Enforcement, EnforcementFields, Login};
pub use method::{Algorithm, Method, MethodFields};
pub use totp::Enrolment;
pub(super) use totp::{move_secrets, secret_paths};

/// The configuration of second factors. The views given to its methods are views of the platform.
#[derive(Default)]
pub struct Mfa {
    /// Held while methods and enforcements change, which speak of each other.
    changing: Mutex<()>,
}

impl Mfa {
    /// Makes or changes a method. Returns it, and whether it is new; `None` if there is none of the wanted identifier.
    pub fn write_method(&self, view: &View<'_>, fields: &MethodFields) -> Result<Option<(Method, bool)>, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        method::write(view, fields)
    }

    /// Deletes a method that no enforcement needs, and all secrets that were made for it.
    pub fn delete_method(&self, view: &View<'_>, id: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = Self::enforcements(view)?.iter().find(|user| user.method_ids.iter().any(|own| own == id)) {
            let text = format!("methodID is still used by an enforcement configuration with ID: {}", user.id);
            return Err(Error::bare(text));
        }
        method::delete(view, id)?;
        totp::forget(view, id)
    }

    /// Makes or changes an enforcement.
    pub fn write_enforcement(&self, view: &View<'_>, name: &str, fields: EnforcementFields) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        enforcement::write(view, name, fields)
    }

    /// Deletes an enforcement, if there is one.
    pub fn delete_enforcement(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        enforcement::delete(view, name)
    }
}

/// What may be anything, as a part of a path.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}
