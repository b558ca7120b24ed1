//! The settings at the top of a configuration: their names, their types, whether they do anything here, and what those
//! who ask for them are told. Knows no block.

use std::time::Duration;

use super::Notes;
use super::table::Table;

/// A setting that there may be.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) fate: Fate,
    /// Its name in `sys/config/state/sanitized`; empty if that does not tell it.
    pub(super) told: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    Whole,
    Duration,
}

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done, or is so anyway.
    Heeded,
    /// Whoever sets it expects something that does not happen.
    Idle,
}

/// A setting as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Text(String),
    Bool(bool),
    Whole(u64),
    Duration(Duration),
}

/// Takes all settings of a file.
pub(super) fn read(table: &mut Table<'_>, notes: &mut Notes) -> Result<Vec<(&'static str, Setting)>, String> {
    let mut found = Vec::new();
    for Known { name, kind, fate, .. } in SETTINGS {
        let place = table.place_of(name);
        let setting = match kind {
            Kind::Text => table.text(name)?.map(Setting::Text),
            Kind::Bool => table.bool(name)?.map(Setting::Bool),
            Kind::Whole => table.whole(name)?.map(Setting::Whole),
            Kind::Duration => table.duration(name)?.map(Setting::Duration),
        };
        let Some(setting) = setting else { continue };
        if let (Some(place), Fate::Idle) = (place, fate) {
            notes.idle(&place, name);
        }
        found.push((*name, setting));
    }
    for name in OTHERS {
        if let Some(place) = table.take_idle(name) {
            notes.idle(&place, name);
        }
    }
    Ok(found)
}

const fn known(name: &'static str, kind: Kind, fate: Fate, told: &'static str) -> Known {
    Known { name, kind, fate, told }
}

#[rustfmt::skip]
pub(super) const SETTINGS: &[Known] = &[
    known("api_addr",                            Kind::Text,     Fate::Heeded, "api_addr"),
    known("cache_size",                          Kind::Whole,    Fate::Idle,   "cache_size"),
    known("cluster_addr",                        Kind::Text,     Fate::Heeded, "cluster_addr"),
    known("cluster_cipher_suites",               Kind::Text,     Fate::Heeded, "cluster_cipher_suites"),
    known("cluster_name",                        Kind::Text,     Fate::Heeded, "cluster_name"),
    known("default_lease_ttl",                   Kind::Duration, Fate::Heeded, "default_lease_ttl"),
    known("default_max_request_duration",        Kind::Duration, Fate::Heeded, "default_max_request_duration"),
    known("detect_deadlocks",                    Kind::Text,     Fate::Heeded, "detect_deadlocks"),
    known("disable_cache",                       Kind::Bool,     Fate::Idle,   "disable_cache"),
    known("disable_clustering",                  Kind::Bool,     Fate::Heeded, "disable_clustering"),
    known("disable_indexing",                    Kind::Bool,     Fate::Heeded, "disable_indexing"),
    known("disable_mlock",                       Kind::Bool,     Fate::Heeded, "disable_mlock"),
    known("disable_performance_standby",         Kind::Bool,     Fate::Heeded, "disable_performance_standby"),
    known("disable_printable_check",             Kind::Bool,     Fate::Idle,   "disable_printable_check"),
    known("disable_sealwrap",                    Kind::Bool,     Fate::Heeded, "disable_sealwrap"),
    known("disable_sentinel_trace",              Kind::Bool,     Fate::Heeded, "disable_sentinel_trace"),
    known("enable_response_header_hostname",     Kind::Bool,     Fate::Idle,   "enable_response_header_hostname"),
    known("enable_response_header_raft_node_id", Kind::Bool,     Fate::Idle,   "enable_response_header_raft_node_id"),
    known("introspection_endpoint",              Kind::Bool,     Fate::Idle,   "introspection_endpoint"),
    known("log_file",                            Kind::Text,     Fate::Heeded, ""),
    known("log_format",                          Kind::Text,     Fate::Heeded, "log_format"),
    known("log_level",                           Kind::Text,     Fate::Heeded, "log_level"),
    known("log_requests_level",                  Kind::Text,     Fate::Idle,   "log_requests_level"),
    known("log_rotate_bytes",                    Kind::Text,     Fate::Idle,   ""),
    known("log_rotate_duration",                 Kind::Text,     Fate::Idle,   ""),
    known("log_rotate_max_files",                Kind::Text,     Fate::Idle,   ""),
    known("max_lease_ttl",                       Kind::Duration, Fate::Heeded, "max_lease_ttl"),
    known("pid_file",                            Kind::Text,     Fate::Heeded, "pid_file"),
    known("plugin_directory",                    Kind::Text,     Fate::Idle,   "plugin_directory"),
    known("plugin_file_permissions",             Kind::Text,     Fate::Idle,   "plugin_file_permissions"),
    known("plugin_file_uid",                     Kind::Whole,    Fate::Idle,   "plugin_file_uid"),
    known("raw_storage_endpoint",                Kind::Bool,     Fate::Idle,   "raw_storage_endpoint"),
    known("ui",                                  Kind::Bool,     Fate::Idle,   "enable_ui"),
];

/// Blocks and lists that Vault or OpenBao know and this server does without.
const OTHERS: &[&str] = &[
    "administrative_namespace_path",
    "allow_audit_log_prefixing",
    "audit",
    "enable_post_unseal_trace",
    "enable_unauthenticated_access",
    "entropy",
    "experiments",
    "ha_storage",
    "hsm",
    "imprecise_lease_role_tracking",
    "initialize",
    "kms_library",
    "license_path",
    "plugin_auto_download",
    "plugin_auto_register",
    "plugin_download_behavior",
    "plugin_tmpdir",
    "post_unseal_trace_directory",
    "replication",
    "reporting",
    "request_limiter",
    "sentinel",
    "service_registration",
    "unsafe_allow_api_audit_creation",
];
