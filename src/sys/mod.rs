//! Lets an operator see and change the core: the endpoints under `sys/`, one noun a file.

pub mod absent;
pub mod audit;
pub mod auth;
pub mod capabilities;
pub mod cors;
pub mod counters;
pub mod customer_keys;
pub mod dev;
mod entry;
pub mod explain;
pub mod generate_root;
pub mod health;
pub mod host;
pub mod init;
pub mod leases;
pub mod locked_users;
pub mod loggers;
pub mod metrics;
pub mod mfa;
pub mod monitor;
pub mod mounts;
pub mod password_policies;
mod plugin_version;
pub mod plugins;
pub mod policies;
pub mod protection;
pub mod quotas;
pub mod rekey;
pub mod remount;
pub mod rotate;
pub mod seal_backends;
pub mod specs;
pub mod state;
pub mod status;
pub mod tune;
pub mod ui;
pub mod ui_headers;
pub mod unseal;
pub mod versions;
pub mod wrapping;

use crate::core::Core;
use crate::engine::{Engine, Route, delete, hash, list, patch, random, read, write};

#[rustfmt::skip]
const ROUTES: &[Route<Core>] = &[
    read::<health::Health>            ("health").open().while_sealed().bare(),
    read::<status::SealStatus>        ("seal-status").open().while_sealed().bare(),
    read::<init::Initialised>         ("init").open().while_sealed().bare(),
    write::<init::Initialise>         ("init").open().while_sealed().bare().slow(),
    write::<unseal::Unseal>           ("unseal").open().while_sealed().bare().slow(),
    write::<unseal::Seal>             ("seal").sudo().while_sealed().bare().slow(),
    write::<unseal::StepDown>         ("step-down").sudo().while_sealed().bare(),
    read::<status::Leader>            ("leader").open().while_sealed().bare(),
    write::<dev::Reset>               ("dev/reset").sudo().slow(),
    read::<status::HaStatus>          ("ha-status").echoed(),
    read::<rekey::ReadRekey>          ("rekey/init").shares().bare().slow(),
    write::<rekey::BeginRekey>        ("rekey/init").shares().bare().slow(),
    delete::<rekey::CancelRekey>      ("rekey/init").shares().bare().slow(),
    write::<rekey::BringShare>        ("rekey/update").shares().bare().slow(),
    read::<rekey::ReadVerify>         ("rekey/verify").shares().bare().slow(),
    write::<rekey::Verify>            ("rekey/verify").shares().bare().slow(),
    delete::<rekey::RestartVerify>    ("rekey/verify").shares().bare().slow(),
    read::<rekey::ReadRekey>          ("rekey-recovery-key/init").shares().bare().slow(),
    write::<rekey::BeginRekey>        ("rekey-recovery-key/init").shares().bare().slow(),
    delete::<rekey::CancelRekey>      ("rekey-recovery-key/init").shares().bare().slow(),
    write::<rekey::BringShare>        ("rekey-recovery-key/update").shares().bare().slow(),
    read::<rekey::ReadVerify>         ("rekey-recovery-key/verify").shares().bare().slow(),
    write::<rekey::Verify>            ("rekey-recovery-key/verify").shares().bare().slow(),
    delete::<rekey::RestartVerify>    ("rekey-recovery-key/verify").shares().bare().slow(),
    read::<rekey::ReadBackup>         ("rekey/backup").echoed(),
    delete::<rekey::DeleteBackup>     ("rekey/backup"),
    read::<rekey::ReadBackup>         ("rekey/recovery-key-backup").echoed(),
    delete::<rekey::DeleteBackup>     ("rekey/recovery-key-backup"),
    read::<generate_root::ReadAttempt>   ("generate-root/attempt").shares().while_sealed().bare().slow(),
    write::<generate_root::Begin>        ("generate-root/attempt").shares().bare().slow(),
    delete::<generate_root::Cancel>      ("generate-root/attempt").shares().bare().slow(),
    write::<generate_root::BringShare>   ("generate-root/update").shares().bare().slow(),
    write::<generate_root::DecodeToken>  ("decode-token").open(),
    write::<rotate::Rotate>           ("rotate").sudo().slow(),
    read::<rotate::ReadConfig>        ("rotate/config").echoed(),
    write::<rotate::WriteConfig>      ("rotate/config"),
    read::<rotate::KeyStatus>         ("key-status").echoed(),
    read::<mounts::ListMounts>        ("mounts").echoed(),
    read::<mounts::ReadMount>         ("mounts/{path..}").echoed(),
    write::<mounts::EnableMount>      ("mounts/{path..}"),
    delete::<mounts::DisableMount>    ("mounts/{path..}"),
    read::<tune::ReadTune>            ("mounts/{path..}/tune").echoed(),
    write::<tune::TuneMount>          ("mounts/{path..}/tune"),
    read::<protection::ReadProtection>    ("mounts/{path..}/protection").slow(),
    write::<protection::ChangeProtection> ("mounts/{path..}/protection").slow(),
    write::<protection::Pause>        ("mounts/{path..}/protection/pause").slow(),
    write::<protection::Resume>       ("mounts/{path..}/protection/resume").slow(),
    write::<protection::Cancel>       ("mounts/{path..}/protection/cancel").slow(),
    list::<customer_keys::List>       ("customer-keys").sudo(),
    read::<customer_keys::Read>       ("customer-keys/{name}").sudo().slow(),
    write::<customer_keys::Upload>    ("customer-keys/{name}").sudo().slow(),
    delete::<customer_keys::Delete>   ("customer-keys/{name}").sudo().slow(),
    write::<customer_keys::WriteConfig> ("customer-keys/{name}/config").sudo(),
    write::<customer_keys::Prove>     ("customer-keys/{name}/proof").sudo(),
    write::<customer_keys::Revoke>    ("customer-keys/{name}/revoke").sudo().slow(),
    write::<customer_keys::Restore>   ("customer-keys/{name}/restore").sudo().slow(),
    read::<customer_keys::ReadWrappingKey> ("customer-keys/wrapping-key").slow(),
    read::<customer_keys::ReadSigningKey>  ("customer-keys/signing-key"),
    list::<customer_keys::ListApprovals>   ("customer-keys/approvals").sudo(),
    read::<customer_keys::ReadApproval>    ("customer-keys/approvals/{id}").sudo(),
    write::<customer_keys::Approve>        ("customer-keys/approvals/{id}/approve").sudo().slow(),
    write::<customer_keys::CancelApproval> ("customer-keys/approvals/{id}/cancel").sudo().slow(),
    read::<customer_keys::ReadSettings>    ("config/customer-keys").sudo(),
    write::<customer_keys::WriteSettings>  ("config/customer-keys").sudo().slow(),
    write::<remount::Remount>         ("remount").sudo().echoed().slow(),
    read::<remount::RemountStatus>    ("remount/status/{migration_id}"),
    read::<auth::ListLogins>          ("auth").echoed(),
    read::<auth::ReadLogin>           ("auth/{path..}").sudo().echoed(),
    write::<auth::EnableLogin>        ("auth/{path..}").sudo(),
    delete::<auth::DisableLogin>      ("auth/{path..}").sudo().slow(),
    read::<auth::ReadLoginTune>       ("auth/{path..}/tune").sudo().echoed(),
    write::<auth::TuneLogin>          ("auth/{path..}/tune").sudo(),
    read::<audit::ListDevices>        ("audit").sudo().echoed(),
    write::<audit::EnableDevice>      ("audit/{path..}").sudo().slow(),
    delete::<audit::DisableDevice>    ("audit/{path..}").sudo(),
    write::<audit::HashValue>         ("audit-hash/{path..}").echoed(),
    read::<audit::ReadChain>          ("audit-chain/{path..}").sudo().slow(),
    read::<audit::ListHeaders>        ("config/auditing/request-headers").sudo().echoed(),
    read::<audit::ReadHeader>         ("config/auditing/request-headers/{header}").sudo().echoed(),
    write::<audit::WriteHeader>       ("config/auditing/request-headers/{header}").sudo(),
    delete::<audit::DeleteHeader>     ("config/auditing/request-headers/{header}").sudo(),
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
    read::<specs::OpenApi>            ("internal/specs/openapi").open().bare(),
    read::<counters::CountTokens>     ("internal/counters/tokens").slow(),
    read::<counters::CountEntities>   ("internal/counters/entities").slow(),
    read::<host::HostInfo>            ("host-info").slow(),
    read::<host::InFlight>            ("in-flight-req").bare(),
    read::<plugins::ReadCatalog>      ("plugins/catalog"),
    list::<plugins::ListPlugins>      ("plugins/catalog/{type}").sudo(),
    read::<plugins::ReadPlugin>       ("plugins/catalog/{type}/{name}").sudo(),
    read::<state::Sanitized>          ("config/state/sanitized"),
    list::<ui_headers::ListHeaders>   ("config/ui/headers").sudo(),
    read::<ui_headers::ReadHeader>    ("config/ui/headers/{header}").sudo(),
    write::<ui_headers::WriteHeader>  ("config/ui/headers/{header}").sudo(),
    delete::<ui_headers::DeleteHeader> ("config/ui/headers/{header}").sudo(),
    read::<cors::ReadCors>            ("config/cors").sudo().echoed(),
    write::<cors::WriteCors>          ("config/cors").sudo(),
    delete::<cors::DeleteCors>        ("config/cors").sudo(),
    read::<loggers::ReadLoggers>      ("loggers").sudo(),
    write::<loggers::WriteLoggers>    ("loggers").sudo(),
    delete::<loggers::ResetLoggers>   ("loggers").sudo(),
    read::<loggers::ReadLogger>       ("loggers/{name}").sudo(),
    write::<loggers::WriteLogger>     ("loggers/{name}").sudo(),
    delete::<loggers::ResetLogger>    ("loggers/{name}").sudo(),
    read::<monitor::Monitor>          ("monitor"),
    list::<versions::ListVersions>    ("version-history"),
    read::<counters::CountRequests>   ("internal/counters/requests"),
    read::<counters::Activity>        ("internal/counters/activity"),
    read::<counters::MonthlyActivity> ("internal/counters/activity/monthly"),
    read::<counters::ReadActivityConfig> ("internal/counters/config"),
    write::<plugins::Reload>          ("plugins/reload/backend"),
    write::<plugins::Register>        ("plugins/catalog/{type}/{name}").sudo(),
    delete::<plugins::Deregister>     ("plugins/catalog/{type}/{name}").sudo(),
    read::<plugins::ListPins>         ("plugins/pins"),
    list::<plugins::ListRuntimes>     ("plugins/runtimes/catalog"),
    read::<seal_backends::SealBackends>  ("seal-backend-status").open().while_sealed().bare(),
    read::<absent::FeatureFlags>      ("internal/ui/feature-flags").open().while_sealed().bare(),
    read::<absent::ReplicationStatus> ("replication/status").open(),
    read::<absent::Experiments>       ("experiments"),
    read::<absent::EnterpriseOnly>    ("license/status"),
    read::<absent::EnterpriseOnly>    ("config/group-policy-application"),
    write::<absent::EnterpriseOnly>   ("config/group-policy-application"),
    read::<absent::EnterpriseOnly>    ("namespaces"),
    list::<absent::EnterpriseOnly>    ("namespaces"),
    read::<absent::EnterpriseOnly>    ("namespaces/{path..}"),
    write::<absent::EnterpriseOnly>   ("namespaces/{path..}"),
    patch::<absent::EnterpriseOnly>   ("namespaces/{path..}"),
    delete::<absent::EnterpriseOnly>  ("namespaces/{path..}"),
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

const METRICS: Route<Core> = read::<metrics::Metrics>("metrics").bare().slow();
/// As a listener wants it that lets everyone read metrics.
const OPEN_METRICS: Route<Core> = METRICS.open().while_sealed();

/// All endpoints, where `sys/metrics` needs no token.
pub(crate) const ROUTES_WITH_OPEN_METRICS: &[&[Route<Core>]] = &[ROUTES, &[OPEN_METRICS]];

impl hash::Hashes for Core {
    const INPUT_REQUIRED: bool = false;
}

/// All endpoints under `sys/`.
impl Engine for Core {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES, &[METRICS]];
}
