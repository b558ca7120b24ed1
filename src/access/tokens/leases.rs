//! The leases of tokens: every token is known by the path that made it, too, and a name below that.

use std::sync::Arc;

use super::record::{ACCESSORS, LEASES, read_lease};
use super::{Caller, Tokens};
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;

impl Tokens {
    /// Finds the caller whose token has a lease.
    pub fn by_lease(&self, view: &View<'_>, lease: &str, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let Some((path, id)) = read_lease(lease) else { return Ok(None) };
        let caller = self.by_id(view, id, now)?;
        Ok(caller.filter(|caller| caller.record.path == path))
    }

    /// The names of leases, and of folders of such, directly below a path that ends in `/`.
    pub fn leases(view: &View<'_>, folder: &str) -> Result<Vec<String>, Error> {
        Ok(view.list(&format!("{LEASES}{folder}"), "", usize::MAX)?)
    }

    /// How many tokens are stored.
    pub fn count(view: &View<'_>) -> Result<usize, Error> {
        Ok(view.count(ACCESSORS)?)
    }

    /// How many leases of tokens there are.
    pub fn lease_count(view: &View<'_>) -> Result<usize, Error> {
        Ok(view.count(LEASES)?)
    }

    /// The accessors of all tokens.
    pub fn accessors(view: &View<'_>) -> Result<Vec<String>, Error> {
        Ok(view.list(ACCESSORS, "", usize::MAX)?)
    }
}
