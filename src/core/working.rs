//! Which requests are being worked on by threads that may block. Knows nothing of what they do.

use std::net::IpAddr;

use dashmap::DashMap;
use uuid::Uuid;

use crate::api::{Op, Request};
use crate::clock::Timestamp;

/// A request that is being worked on.
#[derive(Clone)]
pub struct Working {
    pub since: Timestamp,
    pub remote: IpAddr,
    pub port: u16,
    pub op: Op,
    pub path: String,
}

/// All of them, by the identifier of the request.
#[derive(Default)]
pub(crate) struct Workings(DashMap<Uuid, Working>);

/// A request is among them as long as this is there.
pub(super) struct Entry<'w> {
    workings: &'w Workings,
    id: Uuid,
}

impl Working {
    pub fn on(request: &Request, since: Timestamp) -> Self {
        let Request { remote, remote_port: port, op, path, .. } = request;
        Self { since, remote: *remote, port: *port, op: *op, path: path.clone() }
    }
}

impl Workings {
    pub(super) fn enter(&self, request: &Request, now: Timestamp) -> Entry<'_> {
        let id = request.id.0;
        self.0.insert(id, Working::on(request, now));
        Entry { workings: self, id }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn all(&self) -> Vec<(Uuid, Working)> {
        self.0.iter().map(|entry| (*entry.key(), entry.value().clone())).collect()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.workings.0.remove(&self.id);
    }
}
