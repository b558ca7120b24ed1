//! From a configuration to what the core wants to know. Opens nothing.

use std::collections::BTreeMap;

use crate::api::weak;
use crate::cli::variable;
use crate::config::{Config, Listener, Seal, Storage};
use crate::core::Settings;
use crate::core::mounts::UserLockout;
use crate::core::seal::SealStanza;

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
        seals: config.seals()?,
        shares_need_token: listeners.iter().any(|listener| listener.rekey_closed || listener.generate_root_closed),
        configuration: config.sanitized(listeners, storage),
        ..usual
    })
}

/// Completes the seals of the configuration by the environment, which can also name the seal.
pub(super) fn complete(seals: &mut Vec<Seal>) {
    if let Some(kind) = variable("SEAL_TYPE").filter(|kind| !seals.iter().any(|seal| seal.stanza.kind == *kind)) {
        let stanza = SealStanza { kind, disabled: false, values: BTreeMap::new() };
        seals.push(Seal { place: "VAULT_SEAL_TYPE".to_owned(), stanza });
    }
    let stanzas = seals.iter_mut().map(|seal| &mut seal.stanza);
    for stanza in stanzas.filter(|stanza| stanza.kind == "transit" && !stanza.disabled) {
        for (key, name) in SEAL_VARIABLES {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                stanza.values.insert((*key).to_owned(), value);
            }
        }
        for (key, name) in CLIENT_VARIABLES {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                stanza.values.entry((*key).to_owned()).or_insert(value);
            }
        }
    }
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

/// Stand above what is written of a transit seal.
const SEAL_VARIABLES: &[(&str, &str)] = &[
    ("key_name", "TRANSIT_SEAL_KEY_NAME"),
    ("mount_path", "TRANSIT_SEAL_MOUNT_PATH"),
    ("disable_renewal", "TRANSIT_SEAL_DISABLE_RENEWAL"),
];
/// Are for all clients: they count where nothing is written.
const CLIENT_VARIABLES: &[(&str, &str)] =
    &[("address", "ADDR"), ("token", "TOKEN"), ("namespace", "NAMESPACE"), ("tls_ca_cert", "CACERT")];
