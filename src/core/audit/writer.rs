//! Writes the lines of many requests to one output, in groups: whoever finds nobody writing writes what all have brought.
//! Knows nothing of what lines say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{io, mem};

use super::chain::{Chain, Head};
use super::output::{Output, Room, TIME_MAX};
use crate::clock::Stopwatch;

pub(super) struct Writer {
    /// What complaints call it.
    name: String,
    queue: Mutex<Queue>,
    written: Condvar,
    output: Mutex<Chained>,
    /// The last write went well.
    able: AtomicBool,
    blocks: bool,
}

/// An output, and the chain that its lines are if it is wanted.
struct Chained {
    output: Output,
    chain: Option<Chain>,
}

impl Chained {
    fn write(&mut self, lines: &[u8], room: Room) -> io::Result<()> {
        if self.chain.is_some() {
            self.begin(room)?;
        }
        self.append(lines, room)
    }

    /// Opens a file anew. One with a chain says at once what it follows, so that the next start knows.
    fn reopen(&mut self) -> io::Result<()> {
        self.output.reopen();
        if self.chain.is_some() { self.begin(Room::Kept) } else { Ok(()) }
    }

    /// Says at the end of a file that was opened since the last time what follows what.
    fn begin(&mut self, room: Room) -> io::Result<()> {
        let (Some(chain), Some(last_lines)) = (&mut self.chain, self.output.open()?) else { return Ok(()) };
        let said = chain.resume(&last_lines);
        self.append(&said, room)
    }

    fn append(&mut self, lines: &[u8], room: Room) -> io::Result<()> {
        let Some(chain) = &mut self.chain else { return self.output.write(lines, room) };
        let (linked, head) = chain.link(lines);
        self.output.write(&linked, room)?;
        chain.advance(head);
        Ok(())
    }
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// What becomes of these lines, for those who brought them.
    fate: Arc<OnceLock<bool>>,
    writing: bool,
    /// Somebody has waited in vain for the one who writes.
    stuck: bool,
}

impl Writer {
    pub(super) fn new(name: String, output: Output, chain: Option<Chain>) -> Self {
        let (blocks, output) = (output.blocks(), Mutex::new(Chained { output, chain }));
        let (queue, written, able) = (Mutex::default(), Condvar::new(), AtomicBool::new(true));
        Self { name, queue, written, output, able, blocks }
    }

    /// Where the chain stands, if the lines are one.
    pub(super) fn head(&self) -> Option<Head> {
        let output = self.output();
        output.chain.as_ref().map(|chain| chain.head().cloned().unwrap_or_else(Head::beginning))
    }

    /// Whether the device works, as far as anyone knows.
    pub(super) fn is_able(&self) -> bool {
        self.able.load(Ordering::Acquire)
    }

    /// Whether it may keep a request waiting for somebody who does not read.
    pub(super) fn blocks(&self) -> bool {
        self.blocks
    }

    /// Writes a line. A device that would keep requests waiting is not asked again while it fails. Returns whether it is written.
    pub(super) fn write(&self, line: &[u8]) -> bool {
        if !self.is_able() && self.blocks {
            return false;
        }
        let began = Stopwatch::start();
        let mut queue = self.queue();
        if queue.stuck {
            return false;
        }
        queue.lines.extend_from_slice(line);
        let fate = queue.fate.clone();
        loop {
            if let Some(written) = fate.get() {
                return *written;
            }
            if !queue.writing {
                return self.write_all(queue);
            }
            let left = TIME_MAX.saturating_sub(began.elapsed());
            if left.is_zero() {
                queue.stuck = true;
                self.note(Err("it takes too long"));
                return false;
            }
            queue = self.written.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes a short line, if need be with the space that is kept free for such. Returns whether it is written.
    pub(super) fn write_short(&self, line: &[u8]) -> bool {
        !self.blocks && !self.queue().stuck && self.put(line, Room::Used)
    }

    /// Writes all lines of the queue.
    fn write_all(&self, mut queue: MutexGuard<'_, Queue>) -> bool {
        let (lines, fate) = (mem::take(&mut queue.lines), mem::take(&mut queue.fate));
        queue.writing = true;
        drop(queue);
        let written = self.put(&lines, Room::Kept);
        let mut queue = self.queue();
        (queue.writing, queue.stuck) = (false, false);
        let _ = fate.set(written);
        self.written.notify_all();
        written
    }

    fn put(&self, lines: &[u8], room: Room) -> bool {
        let written = self.output().write(lines, room);
        self.note(written.as_ref().map(drop));
        written.is_ok()
    }

    /// Looks after a device that failed.
    pub(super) fn revive(&self) {
        if !self.is_able() {
            self.check();
        }
    }

    /// Sees whether the device works, unless somebody writes.
    pub(super) fn check(&self) {
        if let Ok(mut output) = self.output.try_lock() {
            self.note(output.output.probe());
        }
    }

    /// Opens a file anew, which somebody may have moved away.
    pub(super) fn reopen(&self) {
        let reopened = self.output().reopen();
        if reopened.is_err() {
            self.note(reopened);
        }
    }

    /// Notes whether the device works, and tells when that changes.
    fn note<E: std::fmt::Display>(&self, done: Result<(), E>) {
        let was_able = self.able.swap(done.is_ok(), Ordering::AcqRel);
        match done {
            Ok(()) if !was_able => tracing::info!(device = self.name, "an audit device works again"),
            Err(error) if was_able => tracing::error!(device = self.name, %error, "an audit device failed"),
            Ok(()) | Err(_) => {}
        }
    }

    fn output(&self) -> MutexGuard<'_, Chained> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
