//! What the operator sets: files in Vault's own terms, HCL or JSON, read once into plain values. Opens nothing of what
//! they name, and starts nothing.
//!
//! Several files are one configuration: blocks add up, and of settings the last word counts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::seal::SealStanza;
use crate::hcl::{self, Item, Value};

pub use listener::Listener;
use settings::Setting;
pub use storage::Storage;
use table::{Labelled, Table, scalar};

pub mod listener;
mod sanitized;
mod settings;
mod storage;
mod table;

/// The whole configuration.
#[derive(Default)]
pub struct Config {
    pub listeners: Vec<Listener>,
    pub storage: Option<Storage>,
    /// As it is called where it is written, for those who ask.
    storage_name: Option<String>,
    pub seals: Vec<Seal>,
    pub lockouts: BTreeMap<String, Lockout>,
    pub telemetry: Option<Telemetry>,
    /// What the operator is to know, each with the place in the files.
    pub notes: Notes,
    settings: BTreeMap<&'static str, Setting>,
}

/// How the root key is kept, and where that is written, as `FILE:LINE`.
#[derive(Clone)]
pub struct Seal {
    pub place: String,
    pub stanza: SealStanza,
}

/// When names are locked out. Nothing: as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lockout {
    pub threshold: Option<u64>,
    pub duration: Option<Duration>,
    pub counter_reset: Option<Duration>,
    pub disable: Option<bool>,
}

/// What is said of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    pub prometheus_retention: Option<Duration>,
    /// As it is written, for those who ask.
    written: serde_json::Value,
}

/// What the environment says.
#[derive(Default)]
pub struct Environment {
    /// The text of one more file.
    pub local_config: Option<String>,
    pub api_addr: Option<String>,
    pub cluster_addr: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub raft_path: Option<String>,
    pub ui: Option<String>,
    pub disable_mlock: Option<String>,
}

/// Reads files, and those in directories whose names end in `.hcl` or `.json`, in the order of their names.
pub fn read(paths: &[PathBuf], environment: &Environment) -> Result<Config, String> {
    let mut config = Config::default();
    for path in paths {
        for file in files(path)? {
            let text = std::fs::read_to_string(&file);
            let text = text.map_err(|error| format!("cannot read configuration {}: {error}", file.display()))?;
            config.add(&file.display().to_string(), &text, environment)?;
        }
    }
    if let Some(text) = environment.local_config.as_deref().filter(|text| !text.trim().is_empty()) {
        config.add("VAULT_LOCAL_CONFIG", text, environment)?;
    }
    config.override_by(environment)?;
    config.check()?;
    config.note_open_metrics();
    Ok(config)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("cannot read configuration {}: {error}", path.display());
    if !std::fs::metadata(path).map_err(cannot)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(cannot)?;
    let mut files = entries.map(|entry| Ok(entry.map_err(cannot)?.path())).collect::<Result<Vec<_>, String>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "hcl" || ending == "json"));
    files.retain(|file| !is_left_by_editor(file));
    files.sort();
    Ok(files)
}

/// Editors keep such files beside those that they work on.
fn is_left_by_editor(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~')
}

impl Config {
    /// Adds what one file says.
    fn add(&mut self, file: &str, text: &str, environment: &Environment) -> Result<(), String> {
        let items = hcl::read_plain(text).map_err(|error| match error.strip_prefix("At ") {
            Some(error) => format!("{file}:{error}"),
            None => format!("{file}: {error}"),
        })?;
        let mut table = Table::new(file, 1, items);
        for listener in table.labelled("listener")? {
            self.listeners.push(Listener::read(listener, &mut self.notes)?);
        }
        self.add_storage(&mut table, environment)?;
        for Labelled { label, table } in table.labelled("seal")? {
            self.seals.push(Seal::read(label, table, &mut self.notes)?);
        }
        for Labelled { label, mut table } in table.labelled("user_lockout")? {
            self.lockouts.insert(label, Lockout::read(&mut table)?);
            self.notes.unknown(table);
        }
        if let Some(telemetry) = table.block("telemetry")? {
            self.telemetry = Some(Telemetry::read(telemetry, &mut self.notes)?);
        }
        for (name, setting) in settings::read(&mut table, &mut self.notes)? {
            self.settings.insert(name, setting);
        }
        self.notes.unknown(table);
        Ok(())
    }

    fn add_storage(&mut self, table: &mut Table<'_>, environment: &Environment) -> Result<(), String> {
        let mut blocks = table.labelled("storage")?;
        blocks.extend(table.labelled("backend")?);
        let Some(block) = blocks.pop() else { return Ok(()) };
        if !blocks.is_empty() {
            return Err(block.table.error("only one block \"storage\" (or \"backend\", its old name) is permitted"));
        }
        self.storage_name = Some(block.label.clone());
        self.storage = Some(Storage::read(block, environment.raft_path.as_deref(), &mut self.notes)?);
        Ok(())
    }

    fn override_by(&mut self, environment: &Environment) -> Result<(), String> {
        let texts = [
            ("api_addr", &environment.api_addr),
            ("cluster_addr", &environment.cluster_addr),
            ("log_level", &environment.log_level),
            ("log_format", &environment.log_format),
            ("ui", &environment.ui),
            ("disable_mlock", &environment.disable_mlock),
        ];
        for (name, text) in texts {
            let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else { continue };
            let keys = vec![name.to_owned()];
            let item = Item { keys, value: Value::Text(text.clone()), line: 0, assigned: true };
            let of_one = settings::read(&mut Table::new("the environment", 0, vec![item]), &mut self.notes)?;
            self.settings.extend(of_one);
        }
        Ok(())
    }

    /// What only all files together can show.
    fn check(&self) -> Result<(), String> {
        let (default, max) = (self.default_lease_ttl(), self.max_lease_ttl());
        let usual = if max.is_zero() { LEASE_TTL_USUAL } else { max };
        if default > usual {
            return Err(format!(
                "default_lease_ttl, {} seconds, is above max_lease_ttl, {} seconds: raise max_lease_ttl",
                default.as_secs(),
                usual.as_secs()
            ));
        }
        Ok(())
    }

    /// One listener opens the metrics on all.
    fn note_open_metrics(&mut self) {
        if let Some(open) = self.listeners.iter().find(|listener| listener.metrics_open)
            && self.listeners.iter().any(|listener| !listener.metrics_open)
        {
            self.notes.say(&open.place, "unauthenticated_metrics_access holds for the other listeners, too");
        }
    }

    pub fn api_addr(&self) -> Option<&str> {
        self.text("api_addr")
    }

    pub fn cluster_addr(&self) -> Option<&str> {
        self.text("cluster_addr")
    }

    pub fn cluster_name(&self) -> Option<&str> {
        self.text("cluster_name")
    }

    /// Zero if nobody said.
    pub fn default_lease_ttl(&self) -> Duration {
        self.duration("default_lease_ttl")
    }

    /// Zero if nobody said.
    pub fn max_lease_ttl(&self) -> Duration {
        self.duration("max_lease_ttl")
    }

    /// For listeners that say nothing; `None`: as usual.
    pub fn request_time_max(&self) -> Option<Duration> {
        Some(self.duration("default_max_request_duration")).filter(|duration| !duration.is_zero())
    }

    pub fn disable_mlock(&self) -> bool {
        self.bool("disable_mlock")
    }

    pub fn log_level(&self) -> Option<&str> {
        self.text("log_level")
    }

    pub fn log_format(&self) -> Option<&str> {
        self.text("log_format")
    }

    pub fn log_file(&self) -> Option<&Path> {
        self.text("log_file").map(Path::new)
    }

    pub fn pid_file(&self) -> Option<&Path> {
        self.text("pid_file").map(Path::new)
    }

    pub fn prometheus_retention(&self) -> Option<Duration> {
        self.telemetry.as_ref()?.prometheus_retention
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.settings.get(name) {
            Some(Setting::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn bool(&self, name: &str) -> bool {
        matches!(self.settings.get(name), Some(Setting::Bool(true)))
    }

    fn duration(&self, name: &str) -> Duration {
        match self.settings.get(name) {
            Some(Setting::Duration(duration)) => *duration,
            _ => Duration::ZERO,
        }
    }
}

impl Lockout {
    /// What holds where it says nothing is said by another.
    pub fn or(self, other: Self) -> Self {
        Self {
            threshold: self.threshold.or(other.threshold),
            duration: self.duration.or(other.duration),
            counter_reset: self.counter_reset.or(other.counter_reset),
            disable: self.disable.or(other.disable),
        }
    }
}

impl Seal {
    fn read(kind: String, mut table: Table<'_>, notes: &mut Notes) -> Result<Self, String> {
        let disabled = table.bool("disabled")?.unwrap_or(false);
        let of_kind = if kind == "pkcs11" { PKCS11_IDLE } else { &[] };
        for name in SEAL_IDLE.iter().chain(of_kind) {
            if let Some(place) = table.take_idle(name) {
                notes.idle(&place, name);
            }
        }
        let mut values = BTreeMap::new();
        for item in table.items() {
            let name = item.keys.concat();
            let value = scalar(&item.value);
            let value = value.ok_or_else(|| table.error(format_args!("seal {kind:?}: {name} is a text")))?;
            values.insert(name, value);
        }
        Ok(Self { place: table.place(), stanza: SealStanza { kind, disabled, values } })
    }
}

impl Lockout {
    fn read(table: &mut Table<'_>) -> Result<Self, String> {
        Ok(Self {
            threshold: table.whole("lockout_threshold")?.filter(|threshold| *threshold > 0),
            duration: table.duration("lockout_duration")?.filter(|duration| !duration.is_zero()),
            counter_reset: table.duration("lockout_counter_reset")?.filter(|duration| !duration.is_zero()),
            disable: table.bool("disable_lockout")?,
        })
    }
}

impl Telemetry {
    fn read(mut table: Table<'_>, notes: &mut Notes) -> Result<Self, String> {
        let told = table.items().iter().filter(|item| !item.keys.iter().any(|key| key == "circonus_api_token"));
        let written = as_json(told);
        let prometheus_retention = table.duration("prometheus_retention_time")?;
        for name in TELEMETRY_IDLE {
            if let Some(place) = table.take_idle(name) {
                notes.idle(&place, name);
            }
        }
        notes.unknown(table);
        Ok(Self { prometheus_retention, written })
    }
}

/// What the operator is to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<String>);

impl Notes {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn say(&mut self, place: &str, what: impl fmt::Display) {
        self.0.push(format!("{place}: {what}"));
    }

    fn idle(&mut self, place: &str, name: &str) {
        self.say(place, format_args!("{name} has no effect on this server"));
    }

    fn unknown(&mut self, table: Table<'_>) {
        for (name, place) in table.rest() {
            self.say(&place, format_args!("{name:?} is unknown and ignored"));
        }
    }
}

/// Of any seal: there is one.
const SEAL_IDLE: &[&str] = &["name", "priority"];
/// Ways of others around what modules lack: mechanisms that take a second key, records that name no key, several sessions.
const PKCS11_IDLE: &[&str] =
    &["default_key_label", "hmac_key_label", "default_hmac_key_label", "hmac_key_id", "hmac_mechanism", "max_parallel"];

/// As JSON has it.
fn as_json<'i>(items: impl IntoIterator<Item = &'i Item>) -> serde_json::Value {
    serde_json::to_value(Value::Object(items.into_iter().cloned().collect())).unwrap_or_default()
}

/// The longest life of leases where nobody says.
const LEASE_TTL_USUAL: Duration = Duration::from_hours(768);

/// What Vault knows of telemetry and this server does without: it sends metrics nowhere.
const TELEMETRY_IDLE: &[&str] = &[
    "add_lease_metrics_namespace_labels",
    "add_mount_point_rollback_metrics",
    "circonus_api_app",
    "circonus_api_token",
    "circonus_api_url",
    "circonus_broker_id",
    "circonus_broker_select_tag",
    "circonus_check_display_name",
    "circonus_check_force_metric_activation",
    "circonus_check_id",
    "circonus_check_instance_id",
    "circonus_check_search_tag",
    "circonus_check_tags",
    "circonus_submission_interval",
    "circonus_submission_url",
    "disable_dispatched_telemetry",
    "disable_hostname",
    "dogstatsd_addr",
    "dogstatsd_tags",
    "enable_hostname_label",
    "filter_default",
    "lease_metrics_epsilon",
    "maximum_gauge_cardinality",
    "metrics_prefix",
    "num_lease_metrics_buckets",
    "prefix_filter",
    "stackdriver_debug_logs",
    "stackdriver_location",
    "stackdriver_namespace",
    "stackdriver_project_id",
    "statsd_address",
    "statsite_address",
    "usage_gauge_period",
];

#[cfg(test)]
mod tests;
