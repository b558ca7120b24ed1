//! What the embedded engines share: the gate that orders commits and checks their expectations, and the one thread that
//! brings them to the engine, many at a time, and makes them durable. Knows no file format; an engine supplies reads,
//! `apply` and `flush`.

use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LockResult, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::{io, process};

use super::batch::{Changes, Expectation};
use super::durable::Progress;
use super::unsettled::Unsettled;
use super::walk::Walks;
use super::{Batch, Durable, Error, Listing, Read, Seq, Store, Visit};
use crate::sabotage;

/// The raw operations of an embedded engine. [`Committed`] never calls `apply` twice at a time.
pub(super) trait Raw: Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// As [`Store::list`]; consistent only while nothing is applied.
    fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>, Error>;

    /// Applies all changes so that a crash keeps all of them or none, and readers see each of them when it returns.
    fn apply(&self, changes: &Changes) -> Result<(), Error>;

    /// Makes everything that was applied before the call survive a power cut.
    fn flush(&self) -> Result<(), Error>;

    fn size_on_disk(&self) -> Result<u64, Error>;
}

/// A [`Store`] around an engine. Dropping it flushes what is left.
pub(super) struct Committed<E: Raw> {
    shared: Arc<Shared<E>>,
    flusher: Option<JoinHandle<()>>,
}

struct Shared<E> {
    engine: E,
    /// One writer at a time, in the order of their arrival; it also holds what the walks need of each commit.
    writer: Mutex<Walks>,
    unsettled: Unsettled,
    /// Held while the engine applies, so that whoever reads more than one key sees commits whole or not at all.
    applying: RwLock<()>,
    progress: Arc<Progress>,
    stop: AtomicBool,
}

impl<E: Raw> Committed<E> {
    pub(super) fn new(engine: E) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            engine,
            writer: Mutex::default(),
            unsettled: Unsettled::default(),
            applying: RwLock::default(),
            progress: Arc::default(),
            stop: AtomicBool::default(),
        });
        let flusher = thread::Builder::new().name("store-flusher".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.flush_until_stopped()
        });
        let flusher = flusher.map_err(|error| Error::Engine(format!("cannot start a thread: {error}")))?;
        Ok(Self { shared, flusher: Some(flusher) })
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> usize {
        self.shared.progress.waiters()
    }

    fn wake_flusher(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.thread().unpark();
        }
    }
}

impl<E: Raw> Store for Committed<E> {
    fn get(&self, key: &[u8]) -> Result<Read, Error> {
        self.shared.read(key)
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error> {
        let Shared { engine, unsettled, applying, progress, .. } = &*self.shared;
        let keys = {
            let _whole_commits = held(applying.read());
            unsettled.keys(prefix, after, limit, |limit| engine.keys(prefix, after, limit))?
        };
        Ok(Listing { keys, seq: progress.youngest() })
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        batch.check_sizes()?;
        let Shared { writer, unsettled, progress, .. } = &*self.shared;
        if unsettled.is_full() {
            Durable::new(progress, progress.youngest()).wait();
        }
        let mut walks = held(writer.lock());
        for Expectation { key, value } in batch.expectations {
            if self.shared.read(&key)?.value != value {
                return Err(Error::Conflict);
            }
        }
        if batch.changes.is_empty() {
            return Ok(progress.youngest());
        }
        walks.keep_before(&batch.changes, |key| Ok(self.shared.read(key)?.value))?;
        let seq = unsettled.add(batch.changes, || progress.begin());
        drop(walks);
        self.wake_flusher();
        Ok(seq)
    }

    fn durable(&self, seq: Seq) -> Durable {
        if sabotage::asked("ack-before-flush") { Durable::SETTLED } else { Durable::new(&self.shared.progress, seq) }
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        let Shared { engine, writer, applying, progress, .. } = &*self.shared;
        let (walk, seq) = {
            let mut walks = held(writer.lock());
            (walks.start(), progress.youngest())
        };
        self.durable(seq).wait();
        walk.run(engine, applying, visit)
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.shared.engine.size_on_disk()
    }
}

impl<E: Raw> Drop for Committed<E> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake_flusher();
        if self.flusher.take().is_some_and(|flusher| flusher.join().is_err()) {
            fatal("the flush on closing", &"it panicked");
        }
    }
}

impl<E: Raw> Shared<E> {
    fn read(&self, key: &[u8]) -> Result<Read, Error> {
        if let Some(read) = self.unsettled.get(key) {
            return Ok(read);
        }
        let value = self.engine.get(key)?;
        Ok(Read { value, seq: self.unsettled.seq(key) })
    }

    fn flush_until_stopped(&self) {
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            if self.progress.youngest() != Seq::SETTLED {
                // Queueing once lets the writers that came before into this flush instead of the next one.
                drop(held(self.writer.lock()));
                self.flush();
            } else if stop {
                return;
            } else {
                thread::park();
            }
        }
    }

    fn flush(&self) {
        let load = self.unsettled.take();
        {
            let _alone = held(self.applying.write());
            // After a failed apply nobody knows what readers see and what the next flush would make durable.
            or_die("a write failed half-way", || self.engine.apply(&load.changes));
        }
        or_die("the disk did not take a flush", || self.engine.flush());
        self.unsettled.settle();
        self.progress.publish(load.seq);
    }
}

/// The guard of a lock. Poison means that someone panicked half-way, which is as bad as a failed write.
pub(super) fn held<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(|_| fatal("a lock was left half-way", &"a thread panicked"))
}

fn or_die(what: &str, act: impl FnOnce() -> Result<(), Error>) {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fatal(what, &error),
        Err(_) => fatal(what, &"the storage engine panicked"),
    }
}

/// Ends the process. After a failed sync the page cache no longer tells what is on the disk, so neither a retry nor an
/// answer could be honest; the next start reads what the disk really holds.
fn fatal(what: &str, cause: &dyn Display) -> ! {
    let _ = writeln!(io::stderr(), "fatal storage error: {what}: {cause}; the process ends to keep its promises");
    process::abort()
}
