//! The rules of transit's keys, plainly: what may become of a key. Knows no cryptography, no storage and no requests. A
//! version is an identity, and what a version makes is remembered with it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// All keys of a mount.
#[derive(Default)]
pub(super) struct Model {
    pub(super) keys: BTreeMap<&'static str, Key>,
    identities: u32,
}

/// One key. A backup of it is a copy of this.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Vault's")]
pub(super) struct Key {
    pub(super) kind: Kind,
    exportable: bool,
    plaintext_backup: bool,
    deletion_allowed: bool,
    pub(super) soft_deleted: bool,
    pub(super) latest: i64,
    pub(super) min_decryption: i64,
    pub(super) min_encryption: i64,
    min_available: i64,
    /// Those that were not trimmed.
    pub(super) versions: BTreeMap<i64, Identity>,
    backed_up: Option<Mark>,
    restored: Option<Mark>,
}

/// One version, in whatever key it is: a backup brings back the same.
pub(super) type Identity = u32;

/// When something last happened to a key, and its latest version then.
type Mark = (String, i64);

pub(super) type Context = Option<&'static str>;

/// What the creator of a key asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) derived: bool,
    pub(super) convergent: bool,
}

/// The parameters of `config`.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) min_decryption: Option<i64>,
    pub(super) min_encryption: Option<i64>,
    pub(super) deletion_allowed: Option<bool>,
    pub(super) exportable: Option<bool>,
    pub(super) plaintext_backup: Option<bool>,
}

/// What a key made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) what: What,
    pub(super) by: Maker,
    /// What it was derived with; `None` if the key is not derived.
    pub(super) context: Context,
    pub(super) input: &'static str,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Ciphertext,
    Signature,
    Hmac,
    Cmac,
}

/// The version that made something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    pub(super) kind: Kind,
    pub(super) version: i64,
    pub(super) identity: Identity,
}

/// Why not.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 400
    Caller(String),
    /// 500, for mistakes of callers too.
    Server(String),
}

impl Refusal {
    /// What is said of an item of a batch.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Caller(text) | Self::Server(text) => text,
        }
    }

    pub(super) fn status_and_text(&self) -> (u16, String) {
        match self {
            Self::Caller(text) => (400, text.clone()),
            Self::Server(text) => (500, format!("1 error occurred:\n\t* {text}\n\n")),
        }
    }
}

pub(super) fn caller<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Caller(text.into()))
}

pub(super) fn server<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Server(text.into()))
}

impl Kind {
    pub(super) fn encrypts(self) -> bool {
        matches!(self.name, "aes128-gcm96" | "aes256-gcm96" | "chacha20-poly1305" | "xchacha20-poly1305")
    }

    pub(super) fn signs(self) -> bool {
        self.name == "ed25519" || self.name.starts_with("ecdsa-")
    }

    pub(super) fn derives(self) -> bool {
        self.encrypts() || self.name == "ed25519"
    }

    pub(super) fn makes_cmacs(self) -> bool {
        self.name.ends_with("-cmac")
    }

    fn is_known(self) -> bool {
        self.derives() || self.signs() || self.makes_cmacs() || self.name == "hmac"
    }
}

// === the life of a key ===

impl Model {
    pub(super) fn create(&mut self, name: &'static str, kind: Kind, leave: (bool, bool)) -> Result<(), Refusal> {
        if kind.convergent && !kind.derived {
            return caller("convergent encryption requires derivation to be enabled");
        }
        if !kind.is_known() {
            return caller(format!("unknown key type {}", kind.name));
        }
        if self.keys.contains_key(name) {
            return Ok(());
        }
        if kind.derived && !kind.derives() {
            let what = "key derivation and convergent encryption not supported for keys of type";
            return server(format!("{what} {}", kind.name));
        }
        if kind.convergent && !kind.encrypts() {
            return server(format!("convergent encryption not supported for keys of type {}", kind.name));
        }
        self.identities += 1;
        let key = Key {
            kind,
            exportable: leave.0,
            plaintext_backup: leave.1,
            deletion_allowed: false,
            soft_deleted: false,
            latest: 1,
            min_decryption: 1,
            min_encryption: 0,
            min_available: 0,
            versions: BTreeMap::from([(1, self.identities)]),
            backed_up: None,
            restored: None,
        };
        self.keys.insert(name, key);
        Ok(())
    }

    pub(super) fn rotate(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(key) = self.keys.get_mut(name) else { return caller("key not found") };
        if key.soft_deleted {
            return server(SOFT_DELETED);
        }
        self.identities += 1;
        key.latest += 1;
        key.versions.insert(key.latest, self.identities);
        Ok(())
    }

    /// Returns the warnings.
    pub(super) fn configure(&mut self, name: &str, config: &Config) -> Result<Vec<&'static str>, Refusal> {
        let Some(key) = self.keys.get_mut(name) else {
            return caller(format!("no existing key named {name} could be found"));
        };
        let mut changed = key.clone();
        let warnings = changed.configure(config)?;
        *key = changed;
        Ok(warnings)
    }

    pub(super) fn trim(&mut self, name: &str, to: Option<i64>) -> Result<(), Refusal> {
        let Some(key) = self.keys.get_mut(name) else { return caller("invalid key name") };
        let Some(to) = to else { return caller("missing min_available_version") };
        let refused = [
            (to < key.min_available, "cannot be decremented"),
            (key.min_encryption == 0, "cannot be set when minimum encryption version is not set"),
            (to > key.min_encryption, "cannot be greater than minmum encryption version"),
            (to > key.min_decryption, "cannot be greater than minimum decryption version"),
            (to < 0, "cannot be negative"),
            (to == 0, "should be positive"),
        ];
        if let Some((_, why)) = refused.iter().find(|(applies, _)| *applies) {
            return caller(format!("minimum available version {why}"));
        }
        key.min_available = to;
        key.versions.retain(|version, _| *version >= to);
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        let why = match self.keys.get(name) {
            None => "could not delete key; not found",
            Some(key) if !key.deletion_allowed => "deletion is not allowed for this key",
            Some(_) => {
                self.keys.remove(name);
                return Ok(());
            }
        };
        caller(format!("error deleting policy {name}: {why}"))
    }

    /// Whether there is a key, and whether it was so already.
    pub(super) fn set_soft_deleted(&mut self, name: &str, deleted: bool) -> Option<bool> {
        let key = self.keys.get_mut(name)?;
        Some(std::mem::replace(&mut key.soft_deleted, deleted) == deleted)
    }

    pub(super) fn back_up(&mut self, name: &str, now: &str) -> Result<Key, Refusal> {
        let Some(key) = self.keys.get_mut(name) else { return server(format!("key {name:?} not found")) };
        if key.soft_deleted {
            return server(SOFT_DELETED);
        }
        if !key.exportable {
            return server("exporting is disallowed on the policy");
        }
        if !key.plaintext_backup {
            return server("plaintext backup is disallowed on the policy");
        }
        key.backed_up = Some((now.to_owned(), key.latest));
        Ok(key.clone())
    }

    pub(super) fn restore(&mut self, name: &'static str, backup: &Key, force: bool, now: &str) -> Result<(), Refusal> {
        if self.keys.contains_key(name) && !force {
            return server(format!("key {name:?} already exists"));
        }
        let restored = Some((now.to_owned(), backup.latest));
        self.keys.insert(name, Key { restored, ..backup.clone() });
        Ok(())
    }
}

impl Key {
    fn configure(&mut self, config: &Config) -> Result<Vec<&'static str>, Refusal> {
        let (before, mut warnings) = (self.clone(), Vec::new());
        let latest = self.latest;
        let check = |version: i64, purpose: &str| match version {
            _ if version < 0 => caller(format!("min {purpose} version cannot be negative")),
            _ if version > latest => {
                caller(format!("cannot set min {purpose} version of {version}, latest key version is {latest}"))
            }
            _ => Ok(version),
        };
        if let Some(version) = config.min_decryption {
            self.min_decryption = check(version, "decryption")?.max(1);
            if version == 0 {
                warnings.push("since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1");
            }
        }
        if let Some(version) = config.min_encryption {
            self.min_encryption = check(version, "encryption")?;
        }
        if self.min_encryption > 0 && self.min_encryption < self.min_decryption {
            return caller(format!(
                "cannot set min encryption/decryption values; min encryption version of {} must be greater than or \
                 equal to min decryption version of {}",
                self.min_encryption, self.min_decryption
            ));
        }
        self.deletion_allowed = config.deletion_allowed.unwrap_or(self.deletion_allowed);
        self.exportable |= config.exportable.unwrap_or_default();
        self.plaintext_backup |= config.plaintext_backup.unwrap_or_default();
        let what_may_change = |key: &Self| {
            let flags = (key.deletion_allowed, key.exportable, key.plaintext_backup);
            (key.min_decryption, key.min_encryption, flags)
        };
        if what_may_change(self) != what_may_change(&before) {
            if self.min_available > self.min_encryption {
                return caller("min encryption version should not be less than min available version");
            }
            if self.min_available > self.min_decryption {
                return caller("min decryption version should not be less then min available version");
            }
        }
        Ok(warnings)
    }

    /// What the API shows of it, but for its versions.
    pub(super) fn shown(&self, name: &str) -> Value {
        let Kind { name: key_type, derived, convergent } = self.kind;
        let encrypts = self.kind.encrypts();
        let mut shown = json!({
            "name": name, "type": key_type, "derived": derived, "deletion_allowed": self.deletion_allowed,
            "min_available_version": self.min_available, "min_decryption_version": self.min_decryption,
            "min_encryption_version": self.min_encryption, "latest_version": self.latest,
            "exportable": self.exportable, "allow_plaintext_backup": self.plaintext_backup,
            "supports_encryption": encrypts, "supports_decryption": encrypts, "supports_signing": self.kind.signs(),
            "supports_derivation": self.kind.derives(), "auto_rotate_period": 0, "imported_key": false,
            "soft_deleted": self.soft_deleted,
        });
        if key_type == "hmac" {
            shown["key_size"] = 32.into();
        }
        if derived {
            shown["kdf"] = "hkdf_sha256".into();
            shown["convergent_encryption"] = convergent.into();
        }
        if convergent {
            shown["convergent_encryption_version"] = (-1).into();
        }
        for (member, mark) in [("backup_info", &self.backed_up), ("restore_info", &self.restored)] {
            if let Some((time, version)) = mark {
                shown[member] = json!({"time": time, "version": version});
            }
        }
        shown
    }

    /// The versions that the API shows.
    pub(super) fn shown_versions(&self) -> Option<BTreeMap<i64, Identity>> {
        let shown = self.kind.encrypts() || self.kind.signs();
        shown.then(|| {
            self.versions.range(self.min_decryption..).map(|(version, identity)| (*version, *identity)).collect()
        })
    }
}

pub(super) const SOFT_DELETED: &str = "refusing to use soft-deleted key";
