//! The mounts that every server has: `sys/`, `identity/`, `cubbyhole/` and the tokens'. What they keep is the platform's.
//!
//! Says what they are called and which engine answers there. Knows nothing of the table of mounts.

use std::sync::Arc;

use uuid::Uuid;

use super::engines::served;
use super::mounts::{MountEntry, Tune};
use super::tables::Tables;
use super::{SYS_PATH, Settings};
use crate::access::Tokens;
use crate::api::Error;
use crate::auth::token::{TokenAuth, Ttls};
use crate::barrier::View;
use crate::engine::{Backend, Engine, Route, Rows};
use crate::identity::{IdentityEngine, Oidc};
use crate::secrets::cubbyhole::Cubbyhole;

/// What the engines of these mounts work with.
pub(super) struct Fixed {
    tables: Arc<Tables>,
    tokens: Arc<Tokens>,
    settings: Settings,
}

/// A mount that nobody enables and nobody disables.
struct Place {
    path: &'static str,
    kind: &'static str,
    description: &'static str,
    local: bool,
    seal_wrap: bool,
    /// Request headers that the engine sees.
    headers: &'static [&'static str],
}

impl Fixed {
    pub(super) fn new(tables: Arc<Tables>, tokens: Arc<Tokens>, settings: &Settings) -> Self {
        Self { tables, tokens, settings: settings.clone() }
    }

    /// The entries of all of them. What a store lacks is made, so that a mount's accessor never changes.
    pub(super) fn entries(view: &View<'_>) -> Result<Vec<MountEntry>, Error> {
        let mut change = view.change();
        let mut entries = Vec::with_capacity(PLACES.len());
        for place in PLACES {
            let record = record_path(place.path);
            if let Some(found) = view.get::<MountEntry>(&record)? {
                entries.push(found.value);
            } else {
                let entry = place.entry();
                change.put(&record, &entry)?.expect_absent(&record);
                entries.push(entry);
            }
        }
        if !change.is_empty() {
            change.commit()?;
        }
        Ok(entries)
    }

    /// The engine of a mount, if it is one of these.
    pub(super) fn open(&self, entry: &MountEntry) -> Option<(&'static str, Box<dyn Backend>)> {
        let kind = PLACES.iter().find(|place| place.path == entry.path)?.kind;
        Some((
            kind,
            match kind {
                "token" => {
                    let (default, max) = entry.tune.ttls(&self.settings);
                    served(&self.tables.token, TokenAuth { tokens: self.tokens.clone(), ttls: Ttls { default, max } })
                }
                "cubbyhole" => served(&self.tables.cubbyhole, Cubbyhole),
                "identity" => {
                    let oidc = Oidc::new(self.settings.api_addr.clone());
                    served(&self.tables.identity, IdentityEngine { tokens: self.tokens.clone(), oidc })
                }
                _ => served(&Arc::new(Rows::new(Nothing::ROUTES)), Nothing),
            },
        ))
    }
}

/// Where the record of the mount at a path is, if it is one of these.
pub(super) fn record_of(path: &str) -> Option<String> {
    PLACES.iter().any(|place| place.path == path).then(|| record_path(path))
}

/// Whether an engine type is that of one of these, and so of no other mount.
pub fn is_fixed_type(kind: &str) -> bool {
    PLACES.iter().any(|place| place.kind == kind)
}

impl Place {
    fn entry(&self) -> MountEntry {
        let headers = self.headers.iter().map(|header| (*header).to_owned()).collect();
        let description = self.description.to_owned();
        let tune = Tune { description, passthrough_request_headers: headers, ..Tune::default() };
        let entry = MountEntry::new(self.path.to_owned(), self.kind.to_owned(), tune);
        let (uuid, accessor) = match self.path {
            // Has been called so since it was told that it is there.
            SYS_PATH => (Uuid::nil(), "system_00000000".to_owned()),
            _ => (entry.uuid, entry.accessor),
        };
        MountEntry { uuid, accessor, local: self.local, seal_wrap: self.seal_wrap, ..entry }
    }
}

fn record_path(path: &str) -> String {
    format!("fixed-mount/{}", path.trim_end_matches('/'))
}

/// An engine that answers nothing: that of `sys/` is the core.
struct Nothing;

impl Engine for Nothing {
    const ROUTES: &'static [&'static [Route<Self>]] = &[];
}

#[rustfmt::skip]
const PLACES: [Place; 4] = [
    Place { path: "auth/token/", kind: "token", description: "token based credentials",
            local: false, seal_wrap: false, headers: &[] },
    Place { path: "cubbyhole/", kind: "cubbyhole", description: "per-token private secret storage",
            local: true, seal_wrap: false, headers: &[] },
    Place { path: "identity/", kind: "identity", description: "identity store",
            local: false, seal_wrap: false, headers: &["Authorization"] },
    Place { path: SYS_PATH, kind: "system", description: "system endpoints used for control, policy and debugging",
            local: false, seal_wrap: true, headers: &["Accept"] },
];
