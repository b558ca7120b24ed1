//! What can go wrong with a store, said so that the reader knows what to do; knows no status codes.

use std::io;
use std::path::{Path, PathBuf};

use super::Engine;

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An expectation of a batch did not hold; nothing was changed.
    #[error("the data changed since it was read; read it again and retry")]
    Conflict,
    /// A key, value or batch is over its limit (all in bytes); nothing was changed.
    #[error("a {what} of {bytes} bytes is over the storage limit of {bytes_max}")]
    TooLarge { what: &'static str, bytes: usize, bytes_max: usize },
    /// The engine returned something that cannot be.
    #[error(
        "the stored data is damaged: {what}; stop the server and restore the latest backup into an empty directory"
    )]
    Corrupt { what: String },
    /// A walk was abandoned.
    #[error("the walk was given up: {bytes} bytes were overwritten ahead of it; repeat it when there are fewer writes")]
    WalkOutrun { bytes: usize },
    /// The directory holds a store whose database does not open, or has none any more.
    #[error(
        "the store in {} cannot be opened: {what}. Keep a copy of this directory, and restore the \
         latest backup into an empty one",
        dir.display()
    )]
    Damaged { dir: PathBuf, what: String },
    /// Another process has the store.
    #[error("the store in {} is in use by another process; stop that one, or choose another directory", dir.display())]
    InUse { dir: PathBuf },
    /// The directory is not empty and not a store.
    #[error("{} is not a store: {found}. Give an empty directory, or one that was a store before", dir.display())]
    NotAStore { dir: PathBuf, found: String },
    /// The store was made by another engine.
    #[error("the store in {} was made with the storage engine {made}, not {asked}; use {made}", dir.display())]
    OtherEngine { dir: PathBuf, made: Engine, asked: Engine },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The engine refused.
    #[error("the storage engine failed: {0}")]
    Engine(String),
}

/// Names the action and the path in an I/O error: `.map_err(on("create", path))`.
pub(super) fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
