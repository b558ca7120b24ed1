//! Has sled keep to the bound of its cache also where values are long. Does not know what is in the pages.
//!
//! sled notes each access to a page in a queue, one for each of 256 groups of pages, and looks at what they take, and lets go
//! of some, only when 64 accesses have gathered in a queue. Up to 16,384 pages can so be in memory beyond the bound. That is
//! some 100 MiB where values are short. Where they are long it is gigabytes: reading 1 GB of values of 16 KiB, with a cache of
//! 16 MiB, left 1.7 GB in memory.
//!
//! Here is a tree of little pages, enough that each group has some. Reading them fills all queues, and so makes sled look;
//! which is done whenever so much was read or written that it matters.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::sled::{Db, Error, Tree};

pub(super) struct Eviction {
    pages: Tree,
    /// Bytes of long values since the queues were last filled.
    moved: AtomicUsize,
}

impl Eviction {
    pub(super) fn new(database: &Db) -> Result<Self, Error> {
        let pages = database.open_tree(NAME)?;
        // The last one says that all are there.
        if !pages.contains_key(KEYS.to_be_bytes())? {
            for key in 0..=KEYS {
                pages.insert(key.to_be_bytes(), &[])?;
            }
        }
        Ok(Self { pages, moved: AtomicUsize::new(0) })
    }

    /// Takes note of a value that is now in memory with the page that it is in.
    pub(super) fn note(&self, value_bytes: usize) -> Result<(), Error> {
        if value_bytes < LONG_BYTES {
            return Ok(());
        }
        let moved = self.moved.fetch_add(value_bytes, Ordering::Relaxed) + value_bytes;
        if moved < MOVED_BYTES_MAX || self.moved.swap(0, Ordering::Relaxed) < MOVED_BYTES_MAX {
            return Ok(());
        }
        self.fill_queues()
    }

    fn fill_queues(&self) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            for key in (0..KEYS).step_by(KEYS_A_PAGE) {
                self.pages.contains_key(key.to_be_bytes())?;
            }
        }
        Ok(())
    }
}

const NAME: &str = "evict";
/// Keys in a page that was filled in order.
const KEYS_A_PAGE: usize = 9;
/// They make 512 pages, of which each group has about two.
const KEYS: u16 = 512 * 9;
/// Fills a queue of 64, twice in each round.
const ROUNDS: usize = 33;
/// Where values are shorter, the pages that sled has not looked at yet are no more than its cache may well have.
const LONG_BYTES: usize = 512;
/// Long values that are read or written before sled has to look, in bytes. With each come up to 16 others of its page.
const MOVED_BYTES_MAX: usize = 8 << 20;
