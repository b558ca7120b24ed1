//! Writes the lines of many requests to one output, in groups: of those who bring lines, one writes what all have brought.
//! Knows nothing of what lines say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{io, mem, thread};

use super::chain::{Chain, Head};
use super::output::{Output, Room, TIME_MAX};
use super::scribe::{Scribe, Watch};
use crate::clock::Stopwatch;

pub(super) struct Writer {
    /// What complaints call it.
    name: String,
    queue: Mutex<Queue>,
    /// Told when nobody writes any longer.
    idle: Condvar,
    output: Mutex<Chained>,
    /// The last write went well.
    able: AtomicBool,
    blocks: bool,
    scribe: Scribe,
    watch: Mutex<Watch>,
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
    /// What becomes of these lines.
    fate: Arc<Fate>,
    /// Somebody has said that he writes these lines.
    claimed: bool,
    writing: bool,
    /// What becomes of the lines that are being written, or of those that were written last.
    at_work: Arc<Fate>,
    /// Somebody has waited in vain for the one who writes.
    stuck: bool,
    /// An empty buffer, for the lines after these.
    spare: Vec<u8>,
}

/// What becomes of the lines of one group.
#[derive(Default)]
pub(super) struct Fate {
    written: OnceLock<bool>,
    waiting: Mutex<Vec<Waker>>,
}

impl Fate {
    fn decide(&self, written: bool) {
        let _ = self.written.set(written);
        let waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, context: &Context<'_>) -> Poll<bool> {
        if let Some(written) = self.written.get() {
            return Poll::Ready(*written);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Once more under the lock: it may have been decided between the look above and the lock.
        if let Some(written) = self.written.get() {
            return Poll::Ready(*written);
        }
        waiting.push(context.waker().clone());
        Poll::Pending
    }

    /// Waits for so long at most, on a thread that may block. `None`: it is not decided.
    fn wait(&self, time_max: Duration) -> Option<bool> {
        let (began, waker) = (Stopwatch::start(), Waker::from(Arc::new(Sleeper(thread::current()))));
        loop {
            if let Poll::Ready(written) = self.poll(&Context::from_waker(&waker)) {
                return Some(written);
            }
            let left = time_max.checked_sub(began.elapsed())?;
            thread::park_timeout(left);
        }
    }
}

/// A thread that waits.
struct Sleeper(thread::Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Lines that somebody has brought to a writer. They are written even if nobody waits for it.
pub(super) struct Brought {
    writer: Arc<Writer>,
    fate: Arc<Fate>,
    /// It is on this one to write the group.
    has_turn: bool,
}

impl Brought {
    pub(super) fn has_turn(&self) -> bool {
        self.has_turn
    }

    /// Writes what all have brought until now, if it is on this one.
    pub(super) fn take_turn(&mut self) {
        if mem::take(&mut self.has_turn) {
            self.writer.write_all();
        }
    }

    /// Sees to it that the lines are written, or fail, on a thread that may block: for no longer than a device may take.
    pub(super) fn wait_in_time(&mut self) -> bool {
        if !self.writer.scribe.write_all(&self.writer) {
            return self.wait();
        }
        self.has_turn = false;
        self.fate.wait(TIME_MAX).unwrap_or_else(|| self.writer.give_up_on(&self.fate))
    }

    /// Sees to it that the lines are written, or fail, on this thread.
    pub(super) fn wait(&mut self) -> bool {
        self.has_turn = false;
        self.writer.write_all();
        self.fate.written.get().copied().unwrap_or(false)
    }

    /// Whether the lines are written, once that is known.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<bool> {
        self.fate.poll(context)
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        self.take_turn();
    }
}

impl Writer {
    pub(super) fn new(name: String, output: Output, chain: Option<Chain>) -> Self {
        let (blocks, output) = (output.blocks(), Mutex::new(Chained { output, chain }));
        let (queue, idle, able) = (Mutex::default(), Condvar::new(), AtomicBool::new(true));
        Self { name, queue, idle, output, able, blocks, scribe: Scribe::default(), watch: Mutex::default() }
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

    /// Whether it may keep a request waiting: for somebody who does not read, or because it did so lately.
    pub(super) fn blocks(&self) -> bool {
        self.blocks || self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_wary()
    }

    /// Takes whole lines, in pieces, for the next group. `None`: the device fails, and would keep whoever asks it waiting.
    pub(super) fn bring<'l>(self: &Arc<Self>, lines: impl IntoIterator<Item = &'l [u8]>) -> Option<Brought> {
        if self.blocks && !self.is_able() {
            return None;
        }
        let mut queue = self.queue();
        if queue.stuck {
            return None;
        }
        lines.into_iter().for_each(|piece| queue.lines.extend_from_slice(piece));
        let has_turn = !mem::replace(&mut queue.claimed, true);
        Some(Brought { writer: Arc::clone(self), fate: Arc::clone(&queue.fate), has_turn })
    }

    /// Writes lines, with all that others have brought. Returns whether they are written.
    pub(super) fn write<'l>(self: &Arc<Self>, lines: impl IntoIterator<Item = &'l [u8]>) -> bool {
        self.bring(lines).is_some_and(|mut brought| brought.wait())
    }

    /// Writes a short line, if need be with the space that is kept free for such. Returns whether it is written.
    pub(super) fn write_short(&self, line: &[u8]) -> bool {
        !self.blocks && !self.queue().stuck && self.put(line, Room::Used)
    }

    /// As `write`, and for no longer than a device may take.
    pub(super) fn write_in_time<'l>(self: &Arc<Self>, lines: impl IntoIterator<Item = &'l [u8]>) -> bool {
        self.bring(lines).is_some_and(|mut brought| brought.wait_in_time())
    }

    /// Decides what becomes of all lines that were brought until now: writes those that nobody else is writing, and waits
    /// for those that somebody is.
    pub(super) fn write_all(&self) {
        let Some(mut queue) = self.idle_queue() else { return };
        if queue.lines.is_empty() {
            return;
        }
        let spare = mem::take(&mut queue.spare);
        let mut lines = mem::replace(&mut queue.lines, spare);
        let fate = mem::take(&mut queue.fate);
        queue.at_work = Arc::clone(&fate);
        (queue.claimed, queue.writing) = (false, true);
        drop(queue);
        fate.decide(self.put(&lines, Room::Kept));
        lines.clear();
        lines.shrink_to(SPARE_BYTES_MAX);
        let mut queue = self.queue();
        (queue.writing, queue.stuck, queue.spare) = (false, false, lines);
        self.idle.notify_all();
    }

    /// The queue when nobody writes. `None`: whoever does takes too long, and nobody waits for these lines any longer.
    fn idle_queue(&self) -> Option<MutexGuard<'_, Queue>> {
        let mut queue = self.queue();
        if !queue.writing {
            return Some(queue);
        }
        let began = Stopwatch::start();
        while queue.writing && !queue.stuck {
            let left = TIME_MAX.saturating_sub(began.elapsed());
            if left.is_zero() {
                self.give_up(queue);
                return None;
            }
            queue = self.idle.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        (!queue.stuck).then_some(queue)
    }

    /// Somebody writes for too long: what he writes counts as lost, with all that waits for him.
    fn give_up(&self, mut queue: MutexGuard<'_, Queue>) {
        (queue.stuck, queue.claimed) = (queue.writing, false);
        let (at_work, waiting) = (Arc::clone(&queue.at_work), mem::take(&mut queue.fate));
        drop(queue);
        self.note(Err("it takes too long"));
        self.idle.notify_all();
        at_work.decide(false);
        waiting.decide(false);
    }

    /// Gives up on lines that nobody has written in time. Returns whether they are written after all.
    fn give_up_on(&self, fate: &Fate) -> bool {
        let queue = self.queue();
        if fate.written.get().is_none() {
            self.give_up(queue);
        }
        fate.written.get().copied().unwrap_or(false)
    }

    /// Sees whether whoever writes takes too long. To be asked every `WATCH_PERIOD`; keeps nobody waiting. Returns whether
    /// somebody does.
    pub(super) fn watch(&self) -> bool {
        let queue = self.queue();
        let at_work = queue.writing.then_some(&queue.at_work);
        let stalls = self.watch.lock().unwrap_or_else(PoisonError::into_inner).look(at_work);
        if stalls && !queue.stuck {
            self.give_up(queue);
        }
        stalls
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

/// What is kept of a buffer in which many lines were.
const SPARE_BYTES_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::{env, fs, process};

    use super::super::output::Log;
    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn check(name: &str, act: impl FnOnce(&Arc<Writer>, &dyn Fn() -> String)) {
        let path = env::temp_dir().join(format!("coffer-audit-writer-{}-{name}", process::id()));
        let output = Output::File(Log::new(path.clone(), None, false));
        act(&Arc::new(Writer::new(name.to_owned(), output, None)), &|| fs::read_to_string(&path).unwrap_or_default());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn one_of_those_who_bring_lines_writes_them_all() {
        check("group", |writer, file| {
            let mut first = writer.bring([b"1\n".as_slice()]).unwrap();
            let mut second = writer.bring([b"2".as_slice(), b"\n"]).unwrap();
            assert!(first.has_turn() && !second.has_turn());
            let wakes = Arc::new(Wakes::default());
            let told = Waker::from(wakes.clone());
            let context = Context::from_waker(&told);
            assert_eq!((second.poll(&context), file().as_str()), (Poll::Pending, ""));
            first.take_turn();
            assert_eq!((second.poll(&context), wakes.0.load(Ordering::Relaxed)), (Poll::Ready(true), 1));
            assert_eq!(file(), "1\n2\n");
            second.take_turn();
            assert!(writer.bring([b"3\n".as_slice()]).unwrap().has_turn());
        });
    }

    #[test]
    fn lines_of_whoever_does_not_wait_are_written_all_the_same() {
        check("gone", |writer, file| {
            let brought = [writer.bring([b"1\n".as_slice()]), writer.bring([b"2\n".as_slice()])];
            drop(brought);
            assert_eq!(file(), "1\n2\n");
        });
    }

    #[test]
    fn who_may_block_waits_for_nobody_who_only_has_the_turn() {
        check("turn", |writer, file| {
            let first = writer.bring([b"1\n".as_slice()]).unwrap();
            assert!(writer.write([b"2\n".as_slice()]));
            assert_eq!(file(), "1\n2\n");
            drop(first);
            assert_eq!(file(), "1\n2\n");
        });
    }

    #[test]
    fn a_group_that_cannot_be_written_fails_for_all() {
        let output = Output::File(Log::new("/nonexistent/trail".into(), None, false));
        let writer = Arc::new(Writer::new("failing".to_owned(), output, None));
        let mut first = writer.bring([b"1\n".as_slice()]).unwrap();
        assert!(!writer.write([b"2\n".as_slice()]) && !first.wait() && !writer.is_able());
    }
}
