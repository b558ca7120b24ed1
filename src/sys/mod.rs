//! Lets an operator see and change the core: the endpoints under `sys/`, one noun a file.

pub mod health;
pub mod mounts;
pub mod specs;
pub mod status;
pub mod ui;

use crate::core::Core;
use crate::engine::{Engine, Route, delete, read, write};

#[rustfmt::skip]
const ROUTES: &[Route<Core>] = &[
    read::<health::Health>            ("health").open().while_sealed().bare(),
    read::<status::SealStatus>        ("seal-status").open().while_sealed().bare(),
    read::<status::Initialised>       ("init").open().while_sealed().bare(),
    read::<status::Leader>            ("leader").open().while_sealed().bare(),
    read::<mounts::ListMounts>        ("mounts").echoed(),
    read::<mounts::ReadMount>         ("mounts/{path..}").echoed(),
    write::<mounts::EnableMount>      ("mounts/{path..}").sudo(),
    delete::<mounts::DisableMount>    ("mounts/{path..}").sudo(),
    read::<mounts::ReadTune>          ("mounts/{path..}/tune").sudo().echoed(),
    write::<mounts::TuneMount>        ("mounts/{path..}/tune").sudo(),
    read::<ui::VisibleMounts>         ("internal/ui/mounts").open(),
    read::<ui::VisibleMount>          ("internal/ui/mounts/{path..}").open(),
    read::<specs::OpenApi>            ("internal/specs/openapi").bare(),
];

/// All endpoints under `sys/`.
impl Engine for Core {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];
}
