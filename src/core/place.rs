//! Where a path leads: an engine, and what is left of the path there. Knows nothing of who asks.

use std::sync::Arc;

use super::mounts::Mount;
use super::{Active, Core, SYS_PATH, catalog};
use crate::api::{Error, Op, Reply};
use crate::barrier::{Horizon, View};
use crate::engine::{Backend, Served, Target};

/// Where a path leads: an engine, and what is left of the path there.
pub(super) enum Place<'p> {
    Sys { served: Served<Core>, rest: &'p str },
    Mount { mount: Arc<Mount>, rest: &'p str },
}

impl<'p> Place<'p> {
    pub(super) fn backend(&self) -> &dyn Backend {
        match self {
            Self::Sys { served, .. } => served,
            Self::Mount { mount, .. } => mount.backend.as_ref(),
        }
    }

    pub(super) fn find(&self, op: Op) -> Result<Target<'p>, Error> {
        let (Self::Sys { rest, .. } | Self::Mount { rest, .. }) = self;
        self.backend().find(op, rest)
    }

    pub(super) fn exists(
        &self,
        target: &Target<'_>,
        active: &Active,
        horizon: &Horizon,
    ) -> Option<Result<bool, Error>> {
        self.backend().exists(target, &self.view(active, horizon))
    }

    pub(super) fn view<'a>(&'a self, active: &'a Active, horizon: &'a Horizon) -> View<'a> {
        match self {
            Self::Sys { .. } => active.platform.view(horizon),
            Self::Mount { mount, .. } => mount.scope.view(horizon),
        }
    }

    pub(super) fn refuse_locked(&self) -> Result<(), Error> {
        match self {
            Self::Sys { .. } => Ok(()),
            Self::Mount { mount, .. } => mount.refuse_locked(),
        }
    }

    pub(super) fn mount_path(&self) -> &str {
        match self {
            Self::Sys { .. } => SYS_PATH,
            Self::Mount { mount, .. } => &mount.entry.path,
        }
    }

    pub(super) fn mount_type(&self) -> &'static str {
        match self {
            Self::Sys { .. } => "system",
            Self::Mount { mount, .. } => mount.kind,
        }
    }

    /// Describes the path, or the whole mount if the path is its own.
    pub(super) fn help(&self) -> Result<Reply, Error> {
        let (Self::Sys { rest, .. } | Self::Mount { rest, .. }) = self;
        let all = self.backend().rows();
        if rest.is_empty() {
            return Ok(catalog::help(&all));
        }
        let rows: Vec<_> = Op::ALL.iter().filter_map(|op| self.find(*op).ok()).map(|target| target.row).collect();
        if rows.is_empty() { Err(Error::UnsupportedPath) } else { Ok(catalog::help(&rows)) }
    }
}
