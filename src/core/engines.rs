//! The registry: which engine types can be mounted, and what their mounts share.
//!
//! Adding an engine is one line in `ENGINES`.

use std::sync::Arc;

use uuid::Uuid;

use super::Settings;
use crate::engine::{Backend, Engine, Rows, Served};
use crate::secrets::transit::{KeyCache, Transit};

/// What all mounts of a type share.
pub(super) struct Engines {
    transit: Arc<Rows<Transit>>,
    keys: Arc<KeyCache>,
}

impl Engines {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { transit: Arc::new(Rows::new(Transit::ROUTES)), keys: Arc::new(KeyCache::new(settings.key_cache_bytes_max)) }
    }

    /// Opens an engine for a mount; `None` if there is no such type.
    pub(super) fn open(&self, kind: &str, mount: Uuid) -> Option<(&'static str, Box<dyn Backend>)> {
        let (kind, open) = ENGINES.iter().find(|(name, _)| *name == kind)?;
        Some((kind, open(self, mount)))
    }

    /// Wipes what is in memory of a mount that is gone.
    pub(super) fn forget(&self, mount: Uuid) {
        self.keys.forget(mount);
    }
}

type Open = fn(&Engines, Uuid) -> Box<dyn Backend>;

const ENGINES: &[(&str, Open)] = &[("transit", |engines, mount| {
    Box::new(Served { rows: engines.transit.clone(), engine: Arc::new(Transit::new(mount, engines.keys.clone())) })
})];
