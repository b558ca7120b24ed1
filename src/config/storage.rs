//! Where a configuration wants the data, and what this server makes of it. Opens no store.

use std::path::PathBuf;

use super::Notes;
use super::table::Labelled;

/// Where the data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nowhere: it is lost when the server ends.
    Memory,
    Sled(PathBuf),
    Redb(PathBuf),
}

impl Storage {
    /// `raft_path`: where the environment wants the data of storage `raft`.
    pub(super) fn read(block: Labelled<'_>, raft_path: Option<&str>, notes: &mut Notes) -> Result<Self, String> {
        let Labelled { label, mut table } = block;
        let place = table.place();
        let path = table.filled("path")?.map(PathBuf::from);
        let needs_path = || format!("{place}: storage {label:?} needs path, the directory of its data");
        match label.as_str() {
            "sled" | "redb" => {
                let path = path.ok_or_else(needs_path)?;
                notes.unknown(table);
                Ok(if label == "sled" { Self::Sled(path) } else { Self::Redb(path) })
            }
            "inmem" | "inmem_ha" | "inmem_transactional" | "inmem_transactional_ha" => {
                notes.say(&place, format_args!("storage {label:?} is memory: everything is LOST when the server ends"));
                Ok(Self::Memory)
            }
            "raft" | "file" => {
                let elsewhere = raft_path.filter(|_| label == "raft").map(PathBuf::from);
                let path = elsewhere.or(path).ok_or_else(needs_path)?;
                let alone = if label == "raft" { ", and this server is the only one of its cluster" } else { "" };
                let shown = path.display();
                notes.say(&place, format_args!("storage {label:?} is storage \"sled\" at {shown}{alone}"));
                Ok(Self::Sled(path))
            }
            _ => Err(format!(
                "{place}: storage {label:?} is not there, for the server keeps its data itself: \
                 write storage \"sled\" {{ path = \"/var/lib/coffer\" }}"
            )),
        }
    }
}
