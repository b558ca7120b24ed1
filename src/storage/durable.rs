//! Who waits for which commit to survive a power cut; knows no engine and no thread: it counts, remembers and wakes.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::Seq;
use super::commit::held;

/// Resolves when a commit, and all before it, survive a power cut. Await it, or block with [`Durable::wait`].
#[must_use = "nothing waits for the commit until this is awaited"]
pub struct Durable(Option<(Arc<Progress>, Seq)>);

impl Durable {
    /// One that has nothing to wait for.
    pub const SETTLED: Durable = Durable(None);

    pub(super) fn new(progress: &Arc<Progress>, seq: Seq) -> Self {
        if progress.is_durable(seq) { Self::SETTLED } else { Self(Some((Arc::clone(progress), seq))) }
    }

    /// Whether there is nothing left to wait for.
    pub fn is_done(&self) -> bool {
        self.0.as_ref().is_none_or(|(progress, seq)| progress.is_durable(*seq))
    }

    /// Blocks the calling thread. Not for async code, which awaits instead.
    pub fn wait(self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut durable = pin!(self);
        while durable.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            thread::park();
        }
    }
}

impl Future for Durable {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Some((progress, seq)) => progress.poll(*seq, context.waker()),
            None => Poll::Ready(()),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How far commits have come: begun, then durable.
#[derive(Default)]
pub(super) struct Progress {
    begun: AtomicU64,
    durable: AtomicU64,
    waiting: Mutex<Vec<(Seq, Waker)>>,
}

impl Progress {
    /// Numbers a commit. Called by one thread at a time, before anyone can see the commit.
    pub(super) fn begin(&self) -> Seq {
        Seq(self.begun.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The youngest commit, if it is not durable yet.
    pub(super) fn youngest(&self) -> Seq {
        let begun = Seq(self.begun.load(Ordering::Acquire));
        if self.is_durable(begun) { Seq::SETTLED } else { begun }
    }

    pub(super) fn is_durable(&self, seq: Seq) -> bool {
        self.durable.load(Ordering::Acquire) >= seq.0
    }

    /// How many commits are not durable yet.
    pub(super) fn waiting(&self) -> u64 {
        self.begun.load(Ordering::Acquire).saturating_sub(self.durable.load(Ordering::Acquire))
    }

    /// The commit with which so many are waiting.
    pub(super) fn nth(&self, waiting: u64) -> Seq {
        Seq(self.durable.load(Ordering::Acquire) + waiting)
    }

    /// Everything up to `seq` is durable: wakes who waited for it. Returns how many commits that is since the last time.
    pub(super) fn publish(&self, seq: Seq) -> u64 {
        let before = self.durable.swap(seq.0, Ordering::AcqRel);
        let ready: Vec<_> = held(self.waiting.lock()).extract_if(.., |(waited, _)| *waited <= seq).collect();
        for (_, waker) in ready {
            waker.wake();
        }
        seq.0 - before
    }

    #[cfg(test)]
    pub(super) fn waiters(&self) -> usize {
        held(self.waiting.lock()).len()
    }

    fn poll(&self, seq: Seq, waker: &Waker) -> Poll<()> {
        if self.is_durable(seq) {
            return Poll::Ready(());
        }
        let mut waiting = held(self.waiting.lock());
        // Once more under the lock: `publish` may have passed between the look above and the lock.
        if self.is_durable(seq) {
            return Poll::Ready(());
        }
        waiting.push((seq, waker.clone())); // One that polls twice is woken twice; the next flush clears both.
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_from_one_flush_to_the_next() {
        let progress = Progress::default();
        let commits = [(); 5].map(|()| progress.begin());
        assert_eq!((progress.waiting(), progress.nth(1), progress.nth(5)), (5, commits[0], commits[4]));
        assert_eq!((progress.publish(commits[2]), progress.waiting(), progress.nth(2)), (3, 2, commits[4]));
        assert_eq!((progress.publish(commits[4]), progress.waiting()), (2, 0));
    }
}
