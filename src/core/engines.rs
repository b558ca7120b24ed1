//! The registry: which engine types can be mounted, and what their mounts share.
//!
//! Adding an engine is one line in `Engines::open`.

use std::sync::Arc;

use uuid::Uuid;

use super::Settings;
use super::mounts::{AUTH_PREFIX, MountEntry, unknown_kind};
use super::tables::Tables;
use crate::api::Error;
use crate::auth::approle::AppRole;
use crate::auth::cert::Cert;
use crate::auth::jwt::Jwt;
use crate::auth::kubernetes::Kubernetes;
use crate::auth::userpass::{Passwords, Userpass};
use crate::engine::{Backend, Engine, Rows, Served};
use crate::outbound::Outbound;
use crate::secrets::kv::{Kv1, Kv2, SecretCache};
use crate::secrets::transit::{KeyCache, Transit};

/// The types that `Engines::open` and the mounts that every server has know.
pub mod kinds {
    pub const LOGINS: &[&str] = &["approle", "cert", "jwt", "kubernetes", "oidc", "token", "userpass"];
    pub const SECRETS: &[&str] = &["cubbyhole", "identity", "kv", "system", "transit"];
}

/// What all mounts of a type share.
pub(super) struct Engines {
    tables: Arc<Tables>,
    keys: Arc<KeyCache>,
    secrets: Arc<SecretCache>,
    passwords: Arc<Passwords>,
    outbound: Outbound,
    settings: Settings,
}

impl Engines {
    pub(super) fn new(tables: Arc<Tables>, settings: &Settings) -> Self {
        Self {
            tables,
            keys: Arc::new(KeyCache::new(settings.key_cache_bytes_max)),
            secrets: Arc::new(SecretCache::new(settings.kv_cache_bytes_max)),
            passwords: Arc::default(),
            outbound: Outbound::default(),
            settings: settings.clone(),
        }
    }

    /// Opens the engine of a mount.
    pub(super) fn open(&self, entry: &MountEntry) -> Result<(&'static str, Box<dyn Backend>), Error> {
        if entry.path.starts_with(AUTH_PREFIX) {
            return self.open_login(entry);
        }
        let options = entry.tune.options.as_ref();
        let version = options.and_then(|options| options.get("version")).map_or("", String::as_str);
        let kind = match entry.kind.as_str() {
            "transit" => return Ok(("transit", self.transit(entry))),
            "kv" => "kv",
            "generic" => "generic", // the name that KV had first
            unknown => return Err(unknown_kind(unknown)),
        };
        match version {
            "" | "1" => Ok((kind, self.kv1(entry))),
            "2" => Ok((kind, self.kv2(entry))),
            _ => Err(Error::invalid(format!("nil backend of type {kind:?} returned from factory"))),
        }
    }

    /// Opens the login method of a mount.
    fn open_login(&self, entry: &MountEntry) -> Result<(&'static str, Box<dyn Backend>), Error> {
        Ok(match entry.kind.as_str() {
            "approle" => {
                let (_, max) = entry.tune.ttls(&self.settings);
                ("approle", served(&self.tables.approle, AppRole::new(max)))
            }
            "userpass" => ("userpass", served(&self.tables.userpass, Userpass::new(self.passwords.clone()))),
            "cert" => ("cert", served(&self.tables.cert, Cert)),
            "jwt" => ("jwt", served(&self.tables.jwt, Jwt::new(self.outbound.another()))),
            "oidc" => ("oidc", served(&self.tables.jwt, Jwt::new(self.outbound.another()))),
            "kubernetes" => ("kubernetes", served(&self.tables.kubernetes, Kubernetes::new(self.outbound.another()))),
            unknown => return Err(unknown_kind(unknown)),
        })
    }

    /// Wipes what is in memory of a mount that is gone.
    pub(super) fn forget(&self, mount: Uuid) {
        self.keys.forget(mount);
        self.secrets.forget(mount);
    }

    fn transit(&self, entry: &MountEntry) -> Box<dyn Backend> {
        let engine = Arc::new(Transit::new(entry.uuid, self.keys.clone()));
        Box::new(Served { rows: self.tables.transit.clone(), engine })
    }

    fn kv1(&self, entry: &MountEntry) -> Box<dyn Backend> {
        let lease_s = match entry.tune.default_lease_ttl_s {
            0 => self.settings.default_lease_ttl.as_secs(),
            tuned => tuned,
        };
        let options = entry.tune.options.as_ref();
        let leased =
            options.and_then(|options| options.get("leased_passthrough")).is_some_and(|leased| leased == "true");
        let engine = Arc::new(Kv1::new(entry.uuid, lease_s, leased, self.secrets.clone()));
        Box::new(Served { rows: self.tables.kv1.clone(), engine })
    }

    fn kv2(&self, entry: &MountEntry) -> Box<dyn Backend> {
        let engine = Arc::new(Kv2::new(entry.uuid, self.secrets.clone()));
        Box::new(Served { rows: self.tables.kv2.clone(), engine })
    }
}

pub(super) fn served<E: Engine>(rows: &Arc<Rows<E>>, engine: E) -> Box<dyn Backend> {
    Box::new(Served { rows: rows.clone(), engine: Arc::new(engine) })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;
    use crate::api::Op;
    use crate::api::route::{Match, Row, Table};
    use crate::core::mounts::Tune;

    /// The rows of every engine, by its name.
    fn tables() -> BTreeMap<&'static str, Vec<&'static Row>> {
        let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, row) in Tables::new(&Settings::default()).all {
            tables.entry(name).or_default().push(row);
        }
        tables
    }

    fn placeholder(part: &str) -> Option<&str> {
        part.strip_prefix('{')?.strip_suffix('}')
    }

    /// Two patterns of one shape fit the same paths, and neither is more specific.
    #[test]
    fn no_two_rows_tie() {
        for (engine, rows) in tables() {
            let mut seen: HashMap<String, Vec<(Op, &str)>> = HashMap::new();
            for row in rows {
                let shape = |part| {
                    placeholder(part).map_or(part, |name| {
                        name.trim_start_matches(|char: char| char.is_alphanumeric() || char == '_')
                    })
                };
                let shape = row.path.split('/').map(|part| (placeholder(part).is_some(), shape(part)));
                let others = seen.entry(format!("{:?}", shape.collect::<Vec<_>>())).or_default();
                for (op, path) in &*others {
                    assert_eq!(*path, row.path, "{engine}: one path, two patterns");
                    assert_ne!(*op, row.op, "{engine}: two rows for {} {path}", op.name());
                }
                others.push((row.op, row.path));
            }
        }
    }

    #[test]
    fn every_row_is_found_by_the_paths_it_is_for() {
        for (engine, rows) in tables() {
            let table = Table::new(rows.iter().copied());
            for (index, row) in rows.iter().enumerate() {
                for optional in [true, false] {
                    let path = example(row.path, optional);
                    match table.find(row.op, &path) {
                        Match::Row(found, _) => assert_eq!(found, index, "{engine}: {path:?} is for {:?}", row.path),
                        Match::NoOperation | Match::NoPath => {
                            panic!("{engine}: {path:?} does not lead to {:?}", row.path)
                        }
                    }
                }
            }
        }
    }

    /// A path that a pattern is for, with its optional parts or without.
    fn example(pattern: &str, optional: bool) -> String {
        let parts = pattern.split('/').filter_map(|part| match placeholder(part) {
            None => Some(part),
            Some(name) if name.contains('?') && !optional => None,
            Some(name) if name.ends_with("..") => Some("two/words"),
            Some(_) => Some("word"),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn type_and_version_decide_which_engine_opens() {
        let engines = Engines::new(Arc::new(Tables::new(&Settings::default())), &Settings::default());
        let check = |kind: &str, version: Option<&str>, expected: Result<usize, &str>| {
            let options = version.map(|version| BTreeMap::from([("version".to_owned(), version.to_owned())]));
            let entry = MountEntry::new("m/".to_owned(), kind.to_owned(), Tune { options, ..Tune::default() });
            let rows = engines.open(&entry).map(|(_, backend)| backend.rows().len()).map_err(|error| error.to_string());
            assert_eq!(rows, expected.map_err(str::to_owned), "{kind:?} {version:?}");
        };
        let rows = |name| tables().get(name).map_or(0, Vec::len);
        let (kv1, kv2) = (rows("kv1"), rows("kv2"));
        check("transit", None, Ok(rows("transit")));
        check("kv", None, Ok(kv1));
        check("kv", Some("1"), Ok(kv1));
        check("kv", Some("2"), Ok(kv2));
        check("generic", None, Ok(kv1));
        check("kv", Some("3"), Err("nil backend of type \"kv\" returned from factory"));
        for unknown in ["Transit", "token", "kv-v2", ""] {
            check(unknown, None, Err(&format!("plugin not found in the catalog: {unknown}")));
        }
    }
}
