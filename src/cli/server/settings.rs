//! From a configuration to what the core wants to know. Opens nothing.

use std::collections::BTreeMap;

use crate::api::weak;
use crate::cli::{variable, variable_of_seal};
use crate::config::{Config, Listener, Seal, Storage};
use crate::core::Settings;
use crate::core::mounts::UserLockout;
use crate::core::seal::{SealStanza, Seals};

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
        seals: seals(config)?,
        shares_need_token: listeners.iter().any(|listener| listener.rekey_closed || listener.generate_root_closed),
        ..usual
    })
}

/// The seals of the configuration, at work.
pub(super) fn seals(config: &Config) -> Result<Seals, String> {
    let written = completed(config);
    for Seal { place, stanza } in &written {
        Seals::from_stanzas([stanza]).map_err(|error| format!("{place}: {error}"))?;
    }
    Seals::from_stanzas(written.iter().map(|seal| &seal.stanza))
}

/// What is written of seals, completed by the environment. That can also name the seal.
fn completed(config: &Config) -> Vec<Seal> {
    let mut seals = config.seals.clone();
    if let Some(kind) = variable_of_seal("SEAL_TYPE")
        .filter(|kind| !kind.is_empty() && !seals.iter().any(|seal| seal.stanza.kind == *kind))
    {
        let stanza = SealStanza { kind, disabled: false, values: BTreeMap::new() };
        seals.push(Seal { place: "VAULT_SEAL_TYPE".to_owned(), stanza });
    }
    let stanzas = seals.iter_mut().map(|seal| &mut seal.stanza);
    for stanza in stanzas.filter(|stanza| !stanza.disabled) {
        let (above, below) = match stanza.kind.as_str() {
            "pkcs11" => (PKCS11_VARIABLES, &[][..]),
            "transit" => (TRANSIT_VARIABLES, CLIENT_VARIABLES),
            _ => continue,
        };
        for (key, name) in above {
            if let Some(value) = variable_of_seal(name).filter(|value| !value.is_empty()) {
                stanza.values.insert((*key).to_owned(), value);
            }
        }
        for (key, name) in below {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                stanza.values.entry((*key).to_owned()).or_insert(value);
            }
        }
    }
    seals
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

/// Stand above what is written of a seal on a module.
const PKCS11_VARIABLES: &[(&str, &str)] = &[
    ("lib", "HSM_LIB"),
    ("slot", "HSM_SLOT"),
    ("token_label", "HSM_TOKEN_LABEL"),
    ("pin", "HSM_PIN"),
    ("key_label", "HSM_KEY_LABEL"),
    ("key_id", "HSM_KEY_ID"),
    ("mechanism", "HSM_MECHANISM"),
    ("rsa_oaep_hash", "HSM_RSA_OAEP_HASH"),
    ("generate_key", "HSM_GENERATE_KEY"),
    ("force_rw_session", "HSM_FORCE_RW_SESSION"),
];
/// Stand above what is written of a transit seal.
const TRANSIT_VARIABLES: &[(&str, &str)] = &[
    ("key_name", "TRANSIT_SEAL_KEY_NAME"),
    ("mount_path", "TRANSIT_SEAL_MOUNT_PATH"),
    ("disable_renewal", "TRANSIT_SEAL_DISABLE_RENEWAL"),
];
/// Are for all clients: they count where nothing is written.
const CLIENT_VARIABLES: &[(&str, &str)] =
    &[("address", "ADDR"), ("token", "TOKEN"), ("namespace", "NAMESPACE"), ("tls_ca_cert", "CACERT")];
