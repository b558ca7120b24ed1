//! Lets an operator see and change the core: the endpoints under `sys/`, one noun a file.

pub mod auth;
pub mod capabilities;
mod entry;
pub mod health;
pub mod locked_users;
pub mod mounts;
pub mod policies;
pub mod remount;
pub mod specs;
pub mod status;
pub mod tune;
pub mod ui;
pub mod wrapping;

use crate::core::Core;
use crate::engine::{Engine, Route, delete, list, read, write};

#[rustfmt::skip]
const ROUTES: &[Route<Core>] = &[
    read::<health::Health>            ("health").open().while_sealed().bare(),
    read::<status::SealStatus>        ("seal-status").open().while_sealed().bare(),
    read::<status::Initialised>       ("init").open().while_sealed().bare(),
    read::<status::Leader>            ("leader").open().while_sealed().bare(),
    read::<mounts::ListMounts>        ("mounts").echoed(),
    read::<mounts::ReadMount>         ("mounts/{path..}").echoed(),
    write::<mounts::EnableMount>      ("mounts/{path..}"),
    delete::<mounts::DisableMount>    ("mounts/{path..}"),
    read::<tune::ReadTune>            ("mounts/{path..}/tune").echoed(),
    write::<tune::TuneMount>          ("mounts/{path..}/tune"),
    write::<remount::Remount>         ("remount").sudo().echoed(),
    read::<remount::RemountStatus>    ("remount/status/{migration_id}"),
    read::<auth::ListLogins>          ("auth").echoed(),
    read::<auth::ReadLogin>           ("auth/{path..}").sudo().echoed(),
    write::<auth::EnableLogin>        ("auth/{path..}").sudo(),
    delete::<auth::DisableLogin>      ("auth/{path..}").sudo(),
    read::<auth::ReadLoginTune>       ("auth/{path..}/tune").sudo().echoed(),
    write::<auth::TuneLogin>          ("auth/{path..}/tune").sudo(),
    read::<locked_users::ListLocked>  ("locked-users"),
    write::<locked_users::Unlock>     ("locked-users/{mount_accessor}/unlock/{alias_identifier..}"),
    list::<policies::ListPolicies>    ("policies/acl"),
    read::<policies::ReadPolicy>      ("policies/acl/{name..}"),
    write::<policies::WritePolicy>    ("policies/acl/{name..}"),
    write::<policies::WritePolicy>    ("policies/acl"),
    delete::<policies::DeletePolicy>  ("policies/acl/{name..}"),
    read::<policies::ListOld>         ("policy").echoed(),
    list::<policies::ListOld>         ("policy").echoed(),
    read::<policies::ReadOld>         ("policy/{name..}").echoed(),
    write::<policies::WriteOld>       ("policy/{name..}"),
    delete::<policies::DeletePolicy>  ("policy/{name..}"),
    write::<capabilities::Capabilities> ("capabilities").echoed(),
    write::<capabilities::CapabilitiesSelf> ("capabilities-self").echoed(),
    write::<capabilities::CapabilitiesAccessor> ("capabilities-accessor").echoed(),
    read::<capabilities::ResultantAcl> ("internal/ui/resultant-acl"),
    read::<ui::VisibleMounts>         ("internal/ui/mounts").open(),
    read::<ui::VisibleMount>          ("internal/ui/mounts/{path..}").open(),
    read::<specs::OpenApi>            ("internal/specs/openapi").bare(),
    write::<wrapping::Wrap>           ("wrapping/wrap"),
    write::<wrapping::Unwrap>         ("wrapping/unwrap").open(),
    write::<wrapping::Rewrap>         ("wrapping/rewrap").open(),
    read::<wrapping::LookUp>          ("wrapping/lookup").open(),
    write::<wrapping::LookUp>         ("wrapping/lookup").open(),
];

/// All endpoints under `sys/`.
impl Engine for Core {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];
}
