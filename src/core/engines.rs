//! The registry: which engine types can be mounted, and what their mounts share.
//!
//! Adding an engine is one line in `ENGINES`.

use std::sync::Arc;

use uuid::Uuid;

use super::Settings;
use crate::engine::{Backend, Engine, Rows, Served};
use crate::secrets::transit::{KeyCache, Transit};

/// What all mounts of a type share.
pub(super) struct Engines {
    transit: Arc<Rows<Transit>>,
    keys: Arc<KeyCache>,
}

impl Engines {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            transit: Arc::new(Rows::new(Transit::ROUTES)),
            keys: Arc::new(KeyCache::new(settings.key_cache_bytes_max)),
        }
    }

    /// Opens an engine for a mount; `None` if there is no such type.
    pub(super) fn open(&self, kind: &str, mount: Uuid) -> Option<(&'static str, Box<dyn Backend>)> {
        let (kind, open) = ENGINES.iter().find(|(name, _)| *name == kind)?;
        Some((kind, open(self, mount)))
    }

    /// Wipes what is in memory of a mount that is gone.
    pub(super) fn forget(&self, mount: Uuid) {
        self.keys.forget(mount);
    }
}

type Open = fn(&Engines, Uuid) -> Box<dyn Backend>;

const ENGINES: &[(&str, Open)] = &[("transit", |engines, mount| {
    Box::new(Served { rows: engines.transit.clone(), engine: Arc::new(Transit::new(mount, engines.keys.clone())) })
})];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::api::Op;
    use crate::api::route::{Match, Row, Table};
    use crate::auth::token::TokenAuth;
    use crate::core::Core;

    /// The rows of every engine, by its name.
    fn tables() -> [(&'static str, Vec<&'static Row>); 3] {
        [
            ("sys", Rows::new(Core::ROUTES).rows()),
            ("token", Rows::new(TokenAuth::ROUTES).rows()),
            ("transit", Rows::new(Transit::ROUTES).rows()),
        ]
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
    fn only_known_types_can_be_mounted() {
        let engines = Engines::new(&Settings::default());
        let check = |kind: &str, expected: Option<&str>| {
            assert_eq!(engines.open(kind, Uuid::nil()).map(|(kind, _)| kind), expected, "{kind:?}");
        };
        check("transit", Some("transit"));
        check("Transit", None);
        check("token", None);
        check("", None);
    }
}
