//! The configuration as `sys/config/state/sanitized` tells it: without what a file may hold of secrets. Knows no endpoint.

use serde_json::{Map, Value, json};

use super::listener::{Listener, Socket};
use super::settings::{Kind, Known, SETTINGS, Setting};
use super::{Config, Storage};

impl Config {
    /// Everything but the values of seals and storage; with these listeners and this storage, for a dev server may have its
    /// own.
    pub fn sanitized(&self, listeners: &[Listener], storage: &Storage) -> Value {
        let told = SETTINGS.iter().filter(|known| !known.told.is_empty());
        let mut all: Map<String, Value> = told.map(|known| (known.told.to_owned(), self.tell(known))).collect();
        all.insert("experiments".to_owned(), Value::Null);
        all.insert("listeners".to_owned(), listeners.iter().map(Listener::told).collect());
        if !self.seals.is_empty() {
            let seals =
                self.seals.iter().map(|seal| json!({"type": seal.stanza.kind, "disabled": seal.stanza.disabled}));
            all.insert("seals".to_owned(), seals.collect());
        }
        let kind = match storage {
            Storage::Memory => "inmem",
            Storage::Sled(_) => "sled",
            Storage::Redb(_) => "redb",
        };
        let storage = json!({
            "type": self.storage_name.as_deref().unwrap_or(kind),
            "redirect_addr": self.api_addr().unwrap_or_default(),
            "cluster_addr": self.cluster_addr().unwrap_or_default(),
            "disable_clustering": self.bool("disable_clustering"),
        });
        all.insert("storage".to_owned(), storage);
        if let Some(telemetry) = &self.telemetry {
            all.insert("telemetry".to_owned(), telemetry.written.clone());
        }
        Value::Object(all)
    }

    fn tell(&self, known: &Known) -> Value {
        match (self.settings.get(known.name), known.kind) {
            (Some(Setting::Text(text)), _) => json!(text),
            (Some(Setting::Bool(value)), _) => json!(value),
            (Some(Setting::Whole(number)), _) => json!(number),
            (Some(Setting::Duration(duration)), _) => json!(duration.as_secs()),
            (None, Kind::Text) => json!(""),
            (None, Kind::Bool) => json!(false),
            (None, Kind::Whole | Kind::Duration) => json!(0),
        }
    }
}

impl Listener {
    fn told(&self) -> Value {
        let kind = match self.socket {
            Socket::Tcp { .. } => "tcp",
            Socket::Unix { .. } => "unix",
        };
        json!({"type": kind, "config": self.written})
    }
}
