//! From a configuration to what the core wants to know. Opens nothing.

use std::collections::BTreeMap;

use crate::api::weak;
use crate::cli::variable;
use crate::config::{Config, Listener, Storage};
use crate::core::Settings;
use crate::core::mounts::UserLockout;

/// `url`: where the server can be reached if nobody said.
pub(super) fn of(
    config: &Config,
    listeners: &[Listener],
    storage: &Storage,
    url: Option<&str>,
) -> Result<Settings, String> {
    let usual = Settings::default();
    let or = |ttl: std::time::Duration, usual| if ttl.is_zero() { usual } else { ttl };
    let max_lease_ttl = or(config.max_lease_ttl(), usual.max_lease_ttl);
    Ok(Settings {
        storage_type: match storage {
            Storage::Memory => "inmem",
            Storage::Sled(_) => "sled",
            Storage::Redb(_) => "redb",
        },
        api_addr: config.api_addr().or(url).unwrap_or_default().to_owned(),
        default_lease_ttl: or(config.default_lease_ttl(), usual.default_lease_ttl).min(max_lease_ttl),
        max_lease_ttl,
        user_lockout_disabled: lockout_disabled()?,
        user_lockout: lockouts(config),
        cluster_name: config.cluster_name().unwrap_or_default().to_owned(),
        metrics_open: listeners.iter().any(|listener| listener.metrics_open),
        metrics_retention: config.prometheus_retention().unwrap_or(usual.metrics_retention),
        configuration: config.sanitized(listeners, storage),
        ..usual
    })
}

fn lockout_disabled() -> Result<bool, String> {
    let Some(text) = variable("DISABLE_USER_LOCKOUT").filter(|text| !text.is_empty()) else { return Ok(false) };
    weak::go_bool(&text).ok_or_else(|| format!("VAULT_DISABLE_USER_LOCKOUT is neither true nor false: {text:?}"))
}

fn lockouts(config: &Config) -> BTreeMap<String, UserLockout> {
    let of_all = config.lockouts.get("all").copied().unwrap_or_default();
    let of = |lockout: crate::config::Lockout| {
        let lockout = lockout.or(of_all);
        UserLockout {
            threshold: lockout.threshold.unwrap_or(0),
            duration_s: lockout.duration.map_or(0, |duration| duration.as_secs()),
            counter_reset_s: lockout.counter_reset.map_or(0, |duration| duration.as_secs()),
            disable: lockout.disable.unwrap_or(false),
        }
    };
    config.lockouts.iter().map(|(kind, lockout)| (kind.clone(), of(*lockout))).collect()
}
