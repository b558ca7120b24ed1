//! Lets an operator see and change the core: the endpoints under `sys/`, one noun a file.

pub mod auth;
pub mod capabilities;
mod entry;
pub mod explain;
pub mod health;
pub mod leases;
pub mod locked_users;
pub mod mfa;
pub mod mounts;
pub mod password_policies;
pub mod policies;
pub mod quotas;
pub mod remount;
pub mod specs;
pub mod status;
pub mod tune;
pub mod ui;
pub mod wrapping;

use crate::core::Core;
use crate::engine::{Engine, Route, delete, hash, list, random, read, write};

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
    list::<password_policies::ListPolicies>    ("policies/password"),
    read::<password_policies::ReadPolicy>      ("policies/password/{name..}"),
    write::<password_policies::WritePolicy>    ("policies/password/{name..}"),
    delete::<password_policies::DeletePolicy>  ("policies/password/{name..}"),
    read::<password_policies::Generate>        ("policies/password/{name..}/generate"),
    write::<explain::Explain>         ("policies/explain"),
    write::<explain::ExplainSelf>     ("policies/explain-self"),
    read::<explain::ReadSetting>      ("config/explain").sudo(),
    write::<explain::WriteSetting>    ("config/explain").sudo(),
    read::<policies::ListOld>         ("policy").echoed(),
    list::<policies::ListOld>         ("policy").echoed(),
    read::<policies::ReadOld>         ("policy/{name..}").echoed(),
    write::<policies::WriteOld>       ("policy/{name..}"),
    delete::<policies::DeletePolicy>  ("policy/{name..}"),
    write::<capabilities::Capabilities> ("capabilities").echoed(),
    write::<capabilities::CapabilitiesSelf> ("capabilities-self").echoed(),
    write::<capabilities::CapabilitiesAccessor> ("capabilities-accessor").echoed(),
    read::<capabilities::ResultantAcl> ("internal/ui/resultant-acl"),
    read::<leases::ListIrrevocable>   ("leases"),
    read::<leases::CountLeases>       ("leases/count"),
    list::<leases::ListLeases>        ("leases/lookup").sudo(),
    list::<leases::ListLeases>        ("leases/lookup/{prefix..}").sudo(),
    write::<leases::LookUpLease>      ("leases/lookup"),
    write::<leases::RenewLease>       ("leases/renew"),
    write::<leases::RenewLease>       ("leases/renew/{url_lease_id..}"),
    write::<leases::RevokeLease>      ("leases/revoke"),
    write::<leases::RevokeLease>      ("leases/revoke/{url_lease_id..}"),
    write::<leases::RevokePrefix>     ("leases/revoke-prefix/{prefix..}").sudo().slow(),
    write::<leases::RevokePrefix>     ("leases/revoke-force/{prefix..}").sudo().slow(),
    write::<leases::TidyLeases>       ("leases/tidy"),
    write::<leases::RenewLease>       ("renew"),
    write::<leases::RenewLease>       ("renew/{url_lease_id..}"),
    write::<leases::RevokeLease>      ("revoke"),
    write::<leases::RevokeLease>      ("revoke/{url_lease_id..}"),
    write::<leases::RevokePrefix>     ("revoke-prefix/{prefix..}").sudo().slow(),
    write::<leases::RevokePrefix>     ("revoke-force/{prefix..}").sudo().slow(),
    read::<ui::VisibleMounts>         ("internal/ui/mounts").open(),
    read::<ui::VisibleMount>          ("internal/ui/mounts/{path..}").open(),
    read::<specs::OpenApi>            ("internal/specs/openapi").bare(),
    list::<quotas::ListQuotas>        ("quotas/rate-limit"),
    read::<quotas::ReadQuota>         ("quotas/rate-limit/{name}"),
    write::<quotas::WriteQuota>       ("quotas/rate-limit/{name}"),
    delete::<quotas::DeleteQuota>     ("quotas/rate-limit/{name}"),
    read::<quotas::ReadConfig>        ("quotas/config"),
    write::<quotas::WriteConfig>      ("quotas/config"),
    write::<random::MakeRandom<Core>> ("tools/random/{source?}/{urlbytes?..}"),
    write::<hash::HashInput<Core>>    ("tools/hash/{urlalgorithm?..}"),
    write::<mfa::Validate>            ("mfa/validate").open(),
    write::<wrapping::Wrap>           ("wrapping/wrap"),
    write::<wrapping::Unwrap>         ("wrapping/unwrap").open(),
    write::<wrapping::Rewrap>         ("wrapping/rewrap").open(),
    read::<wrapping::LookUp>          ("wrapping/lookup").open(),
    write::<wrapping::LookUp>         ("wrapping/lookup").open(),
];

impl hash::Hashes for Core {
    const INPUT_REQUIRED: bool = false;
}

/// All endpoints under `sys/`.
impl Engine for Core {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];
}
