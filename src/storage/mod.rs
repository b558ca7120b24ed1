//! Keeps ordered byte pairs durably; knows nothing of what the bytes mean, who may read them or how they are encrypted.
//!
//! A commit is visible when [`Store::commit`] returns and durable a little later, when one flush has carried it and all
//! its neighbours to the disk. Whoever reads a value may therefore hold something that a power cut could still take
//! back; that is why every answer carries a [`Seq`], and nobody outside may be told of it before
//! [`Store::durable`] has resolved.

mod batch;
mod commit;
mod directory;
mod durable;
mod error;
#[cfg(test)]
pub(crate) mod interrupted;
mod memory;
mod pieces;
mod redb;
mod sled;
#[cfg(test)]
mod tests;
mod unsettled;
mod walk;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

pub use self::batch::Batch;
pub use self::durable::Durable;
pub use self::error::Error;
pub use self::memory::Memory;

/// Ordered byte pairs with atomic batches, compare-and-set and a separate wait for durability.
///
/// Keys are at most [`KEY_BYTES_MAX`] bytes, values at most [`VALUE_BYTES_MAX`], a batch at most [`BATCH_BYTES_MAX`].
pub trait Store: Send + Sync {
    /// The value under `key`, and the youngest commit that must be durable before anyone may be told of it.
    fn get(&self, key: &[u8]) -> Result<Read, Error>;

    /// The keys that start with `prefix` in bytewise order, strictly greater than `after` (a full key), at most `limit`.
    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error>;

    /// Applies the whole batch or nothing. It is visible to all readers at once when this returns, and durable when
    /// [`Store::durable`] says so.
    ///
    /// [`Error::Conflict`] when an expectation does not hold; [`Error::TooLarge`] when a limit is passed. A batch
    /// without changes returns the youngest commit, because its expectations may rest on that.
    fn commit(&self, batch: Batch) -> Result<Seq, Error>;

    /// Resolves when everything up to `seq` survives a power cut. Any number of waiters share one flush.
    fn durable(&self, seq: Seq) -> Durable;

    /// Visits every pair of one point in time in key order, while writers go on. That point is durable before the first
    /// visit. An error of `visit` ends the walk and is returned.
    ///
    /// [`Error::WalkOutrun`] when writers changed more than [`WALK_BYTES_MAX`] ahead of the walk.
    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error>;

    /// Bytes that the store occupies on disk; 0 for one in memory.
    fn size_on_disk(&self) -> Result<u64, Error>;
}

/// What [`Store::walk`] calls with each key and its value.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'v;

/// Position of a commit in the order of all commits of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(u64);

impl Seq {
    /// Nothing to wait for.
    pub const SETTLED: Seq = Seq(0);

    /// Whether nobody committed between the two.
    pub fn is_right_after(self, other: Seq) -> bool {
        other.0.checked_add(1) == Some(self.0)
    }
}

/// The answer of [`Store::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The value, if the key exists.
    pub value: Option<Vec<u8>>,
    /// What must be durable before anyone may be told of `value`, or of its absence.
    pub seq: Seq,
    /// When it was read, for a batch that expects `value` to be there still.
    pub moment: Moment,
}

/// When something was read: between which two flushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(u64);

/// The answer of [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Full keys in bytewise order.
    pub keys: Vec<Vec<u8>>,
    /// What must be durable before anyone may be told of `keys`.
    pub seq: Seq,
}

/// The embedded engines that keep a store in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// sled 0.34, behind the rules in `sled.rs`.
    #[default]
    Sled,
    /// redb, the second engine.
    Redb,
}

impl Engine {
    const ALL: [Engine; 2] = [Engine::Sled, Engine::Redb];
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Engine::Sled => "sled",
            Engine::Redb => "redb",
        })
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Engine::ALL
            .into_iter()
            .find(|engine| engine.to_string() == name)
            .ok_or_else(|| format!("unknown storage engine {name:?}: use \"sled\" or \"redb\""))
    }
}

/// Opens the store in `dir`, or makes one if `dir` is missing or empty. The process holds it alone until the store is
/// dropped.
///
/// [`Error::InUse`] while another process has it, [`Error::NotAStore`] for a directory with anything else in it,
/// [`Error::OtherEngine`], and [`Error::Damaged`] when the database is missing or broken: never is one made anew in the
/// place of another.
pub fn open(engine: Engine, dir: &Path) -> Result<Arc<dyn Store>, Error> {
    let directory = directory::Directory::claim(dir, engine)?;
    Ok(match engine {
        Engine::Sled => Arc::new(commit::Committed::new(sled::Sled::open(directory)?)?),
        Engine::Redb => Arc::new(commit::Committed::new(redb::Redb::open(directory)?)?),
    })
}

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// Longest value, in bytes: the largest request body (32 MiB) and room for what encryption and framing add.
pub const VALUE_BYTES_MAX: usize = 33 << 20;
/// Keys and values of one batch together, in bytes.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// Old values that a walk keeps for itself while writers overwrite what it has not visited yet, in bytes.
pub const WALK_BYTES_MAX: usize = 256 << 20;
/// What an engine may keep of its files in memory, in bytes.
const CACHE_BYTES_MAX: usize = 128 << 20;
