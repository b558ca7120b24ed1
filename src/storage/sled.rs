//! sled 0.34.7 as an engine, behind the rules without which it loses data; the only file that knows sled.
//!
//! - Its `flush` writes the log but never syncs it. We sync after it, on a descriptor of our own, because the kernel
//!   tells each descriptor once of a failed write-back, and sled only logs what its descriptor is told.
//! - A tree node above a quarter of a segment becomes a file in `blobs/` that nobody syncs. Nodes hold up to 17 entries,
//!   or 257 keys, so values are cut into pieces and segments are large enough that no node gets there.
//! - A snapshot that was being written when the process died can stop the next open, so it is removed first. It is only
//!   a copy of what the log has.
//! - Its cache takes more than it is told to: by half as much again for what is in memory beside the text of a page, and by
//!   pages that it has not looked at yet (`evict`). So it is told less.
//! - It may panic where a file is damaged, and it makes a new database where one is missing.

mod evict;

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Write};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::batch::Changes;
use super::commit::Raw;
use super::directory::{Directory, make_private, sync};
use super::error::on;
use super::memory::first;
use super::pieces::{Head, PIECES, cut, head_key, key_of, part, piece_key, torn};
use super::{CACHE_BYTES_MAX, Error};
use crate::sabotage;
use evict::Eviction;

pub(super) struct Sled {
    database: ::sled::Db,
    eviction: Eviction,
    /// Our own descriptor of sled's log.
    log: File,
    blobs: PathBuf,
    /// The most files that were there at once.
    blobs_seen: AtomicUsize,
    /// The stamp of the next long value; it starts anywhere.
    stamp: AtomicU64,
    /// Whether there may be long values. While there are none, nobody looks for pieces of what is replaced.
    has_pieces: AtomicBool,
    directory: Directory, // Last: the lock is held until sled has closed its files.
}

impl Sled {
    pub(super) fn open(directory: Directory) -> Result<Self, Error> {
        let data = directory.data();
        if !directory.is_fresh() {
            directory.expect_file("conf")?;
            directory.expect_file("db")?;
            remove_torn_snapshots(&data)?;
        }
        let blobs = data.join("blobs");
        make_private(&blobs)?; // sled would make it too, but under some umasks then not be able to read it.
        let config = ::sled::Config::new()
            .path(&data)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(TOLD_BYTES)
            .flush_every_ms(Some(CLEAN_EVERY_MS));
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = open_unlocked(&config)?;
            Eviction::new(&database).map(|eviction| (eviction, database))
        }));
        let (eviction, database) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(directory.damaged(error.to_string())),
            Err(_) => return Err(directory.damaged("sled panicked over its files")),
        };
        directory.opened()?;
        let log = data.join("db");
        let log = File::open(&log).map_err(on("open", &log))?;
        let stamp = AtomicU64::new(RandomState::new().hash_one(std::process::id()));
        let has_pieces = AtomicBool::new(database.scan_prefix(PIECES).next().transpose().map_err(failed)?.is_some());
        Ok(Self { database, eviction, log, blobs, blobs_seen: AtomicUsize::new(0), stamp, has_pieces, directory })
    }

    fn read(&self, key: &[u8]) -> Result<Option<::sled::IVec>, Error> {
        let value = self.database.get(key).map_err(failed)?;
        self.eviction.note(value.as_ref().map_or(0, |value| value.len())).map_err(failed)?;
        Ok(value)
    }

    /// The long value of a head, or `None` if a writer has replaced it meanwhile.
    fn join(&self, key: &[u8], head: Head<'_>, stamp: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut value = Vec::new();
        for index in 0..head.pieces() {
            match self.read(&piece_key(key, index))?.as_deref().and_then(|piece| part(piece, stamp)) {
                Some(part) => value.extend_from_slice(part),
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// How many pieces a stored value has. A damaged head names none; writing over it is how it is repaired.
    fn pieces(&self, head_key: &[u8]) -> Result<u32, Error> {
        Ok(self.read(head_key)?.map_or(0, |head| Head::parse(&head).map_or(0, Head::pieces)))
    }

    /// Everything that changes in the tree when `key` is set to `value`, or deleted.
    fn stage(&self, writes: &mut Writes, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let head_key = head_key(key);
        let old_pieces = if self.has_pieces.load(Ordering::Relaxed) { self.pieces(&head_key)? } else { 0 };
        let mut new_pieces = 0;
        if let Some(value) = value {
            let (head, pieces) = cut(value, self.stamp.fetch_add(1, Ordering::Relaxed));
            writes.push((head_key, Some(head)));
            for (index, piece) in (0..).zip(pieces) {
                writes.push((piece_key(key, index), Some(piece)));
                new_pieces = index + 1;
            }
            self.has_pieces.fetch_or(new_pieces > 0, Ordering::Relaxed);
        } else {
            writes.push((head_key, None));
        }
        writes.extend((new_pieces..old_pieces).map(|index| (piece_key(key, index), None)));
        Ok(())
    }

    /// The second line: should a node have grown past what we count on, its file is synced like the log, and loudly.
    fn sync_blobs(&self) -> Result<(), Error> {
        let mut found = 0_usize;
        for blob in fs::read_dir(&self.blobs).map_err(on("read", &self.blobs))? {
            let blob = blob.map_err(on("read", &self.blobs))?.path();
            match sync(&blob) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {} // sled has replaced it.
                synced => synced?,
            }
            found += 1;
        }
        if found > 0 {
            sync(&self.blobs)?;
        }
        if found > self.blobs_seen.fetch_max(found, Ordering::Relaxed) {
            let _ = writeln!(io::stderr(), "storage alarm: {found} files in {}, expected none", self.blobs.display());
        }
        Ok(())
    }
}

/// Keys and values as sled gets them.
type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Opens the database. Our own lock on the directory says that no other process has it; if sled's lock is taken all the
/// same, a thread of a store that this process has just closed still holds it, and will not for long.
fn open_unlocked(config: &::sled::Config) -> Result<::sled::Db, ::sled::Error> {
    let mut tries = LOCK_TRIES;
    loop {
        match config.open() {
            // So sled reports its lock; the operating system's own errors have other kinds.
            Err(::sled::Error::Io(error)) if tries > 0 && error.kind() == ErrorKind::Other => tries -= 1,
            outcome => return outcome,
        }
        thread::sleep(LOCK_PAUSE);
    }
}

impl Raw for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let head_key = head_key(key);
        let mut met = None;
        loop {
            let Some(stored) = self.read(&head_key)? else { return Ok(None) };
            let head = Head::parse(&stored)?;
            let stamp = match head {
                Head::Short(value) => return Ok(Some(value.to_vec())),
                Head::Long { stamp, .. } => stamp,
            };
            if let Some(value) = self.join(key, head, stamp)? {
                return Ok(Some(value));
            }
            if met == Some(stamp) {
                return Err(torn()); // No writer came between, and still a piece is missing.
            }
            met = Some(stamp);
        }
    }

    fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let start = first(prefix, after).map(head_key);
        let prefix = head_key(prefix);
        let range = self.database.range((start, Bound::Unbounded));
        let within = range.take_while(|pair| pair.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        let keys = within.take(limit).map(|pair| {
            let (key, value) = pair?;
            self.eviction.note(value.len())?;
            Ok(key_of(&key).to_vec())
        });
        keys.collect::<Result<_, _>>().map_err(failed)
    }

    fn apply(&self, changes: &Changes) -> Result<(), Error> {
        let mut writes = Writes::with_capacity(changes.len());
        for (key, value) in changes {
            self.stage(&mut writes, key, value.as_deref())?;
        }
        for (_, value) in &writes {
            self.eviction.note(value.as_ref().map_or(0, Vec::len)).map_err(failed)?;
        }
        // A batch costs a log buffer of its own; a single write is atomic without it.
        if let [_] = writes.as_slice() {
            for (key, value) in writes {
                match value {
                    Some(value) => self.database.insert(key, value),
                    None => self.database.remove(key),
                }
                .map_err(failed)?;
            }
            return Ok(());
        }
        let mut batch = ::sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.database.apply_batch(batch).map_err(failed)
    }

    fn flush(&self) -> Result<(), Error> {
        self.database.flush().map_err(failed)?;
        self.sync_blobs()?;
        if sabotage::asked("no-fdatasync") {
            return Ok(());
        }
        rustix::fs::fdatasync(&self.log).map_err(|error| on("sync", &self.directory.data())(error.into()))
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.directory.size_on_disk()
    }
}

fn remove_torn_snapshots(data: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(data).map_err(on("read", data))? {
        let entry = entry.map_err(on("read", data))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(on("remove", &entry.path()))?;
        }
    }
    sync(data)
}

fn failed(error: ::sled::Error) -> Error {
    match error {
        ::sled::Error::Corruption { .. } => Error::Corrupt { what: error.to_string() },
        error => Error::Engine(error.to_string()),
    }
}

/// What sled is told of the memory that its cache may take, which takes up to four times as much. Beside it sled always has
/// in memory where each page is on the disk: some 50 bytes for each record, however many there are.
const TOLD_BYTES: u64 = CACHE_BYTES_MAX as u64 / 4;
/// Cannot be changed for a store that exists. With pieces of 64 KiB and keys of 4 KiB no node passes a quarter of it, not
/// even one that merged before it splits; 512 KiB with pieces of 7 kB left blobs in 4 of 20 runs of mixed sizes, and took
/// 3.1 to 3.8 times the live bytes on disk after overwrites where this takes 2.7.
const SEGMENT_BYTES: usize = 8 << 20;
/// The thread behind this is the only one that cleans segments: without it, 2.7 times the live bytes became 4.7. Its own
/// syncs come on top of ours and did no harm in any simulated power cut.
const CLEAN_EVERY_MS: u64 = 500;

/// How long sled's lock is waited for, about a second.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
