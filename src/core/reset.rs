//! The way back of a dev server: to what its store held when it was ready. Does not know what that was.

use std::sync::{Mutex, PoisonError};

use super::Core;
use super::seal::UnsealKey;
use crate::api::Error;

/// Where a server can go back to.
pub struct Origin {
    /// Makes the store what it was.
    pub restore: Box<dyn Fn() -> Result<(), Error> + Send + Sync>,
    /// Opens it again.
    pub key: UnsealKey,
    /// Held by who goes back.
    pub going: Mutex<()>,
}

impl Core {
    /// Allows to go back from now on.
    pub fn allow_reset(&self, origin: Origin) {
        // Who is first decides.
        let _ = self.origin.set(origin);
    }

    /// Goes back. Requests that are under way meanwhile may fail, and nothing of what is in memory stays.
    pub(crate) fn reset(&self) -> Result<(), Error> {
        let origin = self.origin.get().ok_or(Error::invalid(NO_ORIGIN))?;
        let _going = origin.going.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = self.active() {
            active.stop_migrations();
        }
        self.audit.clear();
        self.quotas.clear();
        (origin.restore)()?;
        self.sealed.disown();
        self.unseal(&origin.key)
    }
}

const NO_ORIGIN: &str = "only a dev server in memory goes back to where it began";
