//! Which requests are being worked on by threads that may block. Knows nothing of what they do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::api::{Op, Request};
use crate::clock::Timestamp;

/// A request that is being worked on.
#[derive(Clone)]
pub struct Working {
    pub since: Timestamp,
    pub remote: IpAddr,
    pub op: Op,
    pub path: String,
}

/// All of them, by the identifier of the request.
#[derive(Default)]
pub(crate) struct Workings(Mutex<HashMap<Uuid, Working>>);

/// A request is among them as long as this is there.
pub(super) struct Entry<'w> {
    workings: &'w Workings,
    id: Uuid,
}

impl Working {
    pub fn on(request: &Request, since: Timestamp) -> Self {
        Self { since, remote: request.remote, op: request.op, path: request.path.clone() }
    }
}

impl Workings {
    pub(super) fn enter(&self, request: &Request, now: Timestamp) -> Entry<'_> {
        let id = request.id.0;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Working::on(request, now));
        Entry { workings: self, id }
    }

    pub(crate) fn all(&self) -> Vec<(Uuid, Working)> {
        let workings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workings.iter().map(|(id, working)| (*id, working.clone())).collect()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.workings.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
