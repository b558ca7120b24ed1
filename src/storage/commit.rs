//! What the embedded engines share: the gate that orders commits and checks their expectations, and the one thread that
//! brings them to the engine, many at a time, and makes them durable. Knows no file format; an engine supplies reads,
//! `apply` and `flush`.

use std::fmt::Display;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LockResult, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, process};

use super::batch::{Changes, Expectation};
use super::durable::Progress;
use super::unsettled::Unsettled;
use super::walk::Walks;
use super::{Batch, Durable, Error, Listing, Read, Seq, Store, Visit};
use crate::clock::Stopwatch;
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

/// What the writer in whose turn it is looks after.
#[derive(Default)]
struct Turn {
    /// What they need of each commit.
    walks: Walks,
    /// The first commit that wakes the flusher.
    awaited: Seq,
}

struct Shared<E> {
    engine: E,
    /// One writer at a time, in the order of their arrival.
    writer: Mutex<Turn>,
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
        let mut turn = held(writer.lock());
        for expectation in &batch.expectations {
            if !self.shared.holds(expectation)? {
                return Err(Error::Conflict);
            }
        }
        if batch.changes.is_empty() {
            return Ok(progress.youngest());
        }
        turn.walks.keep_before(&batch.changes, |key| Ok(self.shared.read(key)?.value))?;
        let seq = unsettled.add(batch.changes, || progress.begin());
        let is_awaited = seq >= turn.awaited;
        drop(turn);
        if is_awaited {
            self.wake_flusher();
        }
        Ok(seq)
    }

    fn durable(&self, seq: Seq) -> Durable {
        if sabotage::asked("ack-before-flush") { Durable::SETTLED } else { Durable::new(&self.shared.progress, seq) }
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        let Shared { engine, writer, applying, progress, .. } = &*self.shared;
        let (walk, seq) = {
            let mut turn = held(writer.lock());
            (turn.walks.start(), progress.youngest())
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
        match self.unsettled.get(key) {
            Ok(read) => Ok(read),
            Err(moment) => Ok(Read { value: self.engine.get(key)?, seq: self.unsettled.seq(key), moment }),
        }
    }

    /// Whether an expectation holds. Asked in the turn of a writer, during which that does not change.
    fn holds(&self, expectation: &Expectation) -> Result<bool, Error> {
        match self.unsettled.holds(expectation) {
            Some(holds) => Ok(holds),
            None => Ok(self.engine.get(&expectation.key)? == expectation.value),
        }
    }

    /// Whoever a flush lets go mostly commits again at once. So the next one waits for as many as the last one carried, beside
    /// those who came meanwhile, though not longer than the last one took: fewer flushes carry the same commits. A writer who
    /// is alone does not wait.
    fn flush_until_stopped(&self) {
        let (mut expected, mut patience) = (1, Duration::ZERO);
        loop {
            let stop = self.stop.load(Ordering::Acquire);
            if self.waiting(1) == 0 {
                if stop {
                    return;
                }
                thread::park();
                continue;
            }
            let began = Stopwatch::start();
            while self.waiting(expected) < expected && began.elapsed() < patience {
                thread::park_timeout(patience.saturating_sub(began.elapsed()));
            }
            let began = Stopwatch::start();
            let carried = self.flush();
            expected = carried + self.progress.waiting();
            patience = began.elapsed().min(PATIENCE_MAX);
        }
    }

    /// How many commits wait for a flush. If they are not `wanted` many, the one that makes them so wakes the flusher. It
    /// queues like a writer, so that those who came before it are counted.
    fn waiting(&self, wanted: u64) -> u64 {
        let mut turn = held(self.writer.lock());
        turn.awaited = self.progress.nth(wanted);
        self.progress.waiting()
    }

    /// Returns how many commits it carried.
    fn flush(&self) -> u64 {
        let load = self.unsettled.take();
        {
            let _alone = held(self.applying.write());
            // After a failed apply nobody knows what readers see and what the next flush would make durable.
            or_die("a write failed half-way", || self.engine.apply(&load.changes));
        }
        or_die("the disk did not take a flush", || self.engine.flush());
        self.unsettled.settle();
        self.progress.publish(load.seq)
    }
}

/// What a flush waits for others at most: a few of its times where disks are fast.
const PATIENCE_MAX: Duration = Duration::from_millis(2);

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
