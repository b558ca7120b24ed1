//! Deadlines of a connection that hyper does not know: for a slow head, for idleness, for an answer that is not taken.
//! Knows bytes and requests, not what they say.
//!
//! The stream and the requests only note what happens; one timer per connection looks at the notes, at the earliest when
//! a deadline could have passed. So a request costs two looks at the clock and no timer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::Limits;

/// What a connection does. Times are in milliseconds since it was accepted.
pub(super) struct Pulse {
    accepted: Instant,
    /// Requests that are being worked on; they have their own limits.
    busy: AtomicUsize,
    /// No request has begun since the last one was answered.
    idle: AtomicBool,
    /// Since when the connection is idle, or the client is sending the head of a request.
    since: AtomicU64,
    /// Since when the client has taken nothing of what there is for it; 0: it takes all.
    stalled: AtomicU64,
    /// HTTP/2: bytes need not be the beginning of a request.
    multiplexed: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            accepted: Instant::now(),
            busy: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            since: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// Notes that a request is complete up to its body, and when the returned value is dropped, that it is answered.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Busy {
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Relaxed);
        }
        self.busy.fetch_add(1, Relaxed);
        Busy(Arc::clone(self))
    }

    /// Resolves when the client is too slow, and says at what.
    pub(super) async fn overdue(&self, limits: &Limits) -> &'static str {
        loop {
            match self.check(self.now(), limits) {
                Ok(left) => sleep(left).await,
                Err(what) => return what,
            }
        }
    }

    /// The time until the next check is due.
    fn check(&self, now: u64, limits: &Limits) -> Result<Duration, &'static str> {
        let left = |since: u64, max: Duration| max.checked_sub(Duration::from_millis(now.saturating_sub(since)));
        let waiting = match (self.busy.load(Relaxed), self.idle.load(Relaxed)) {
            (0, true) => left(self.since.load(Relaxed), limits.idle_time_max).ok_or("idle for too long")?,
            (0, false) => left(self.since.load(Relaxed), limits.head_time_max).ok_or("the request came too slowly")?,
            _ => limits.idle_time_max,
        };
        let stalled = match self.stalled.load(Relaxed) {
            0 => limits.stall_time_max,
            since => left(since, limits.stall_time_max).ok_or("the answer was not taken")?,
        };
        // A head that begins right after this check is due `head_time_max` later: no deadline falls between two checks.
        Ok(waiting.min(stalled).min(limits.head_time_max).min(limits.idle_time_max) + CLOCK_STEP)
    }

    fn has_read(&self) {
        if self.idle.load(Relaxed) && !self.multiplexed.load(Relaxed) {
            self.since.store(self.now(), Relaxed);
            self.idle.store(false, Relaxed);
        }
    }

    fn has_written(&self) {
        if self.stalled.load(Relaxed) != 0 {
            self.stalled.store(0, Relaxed);
            // A long answer is on its way, slowly: this is not idleness.
            self.since.store(self.now(), Relaxed);
        }
    }

    fn cannot_write(&self) {
        if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.now().max(1), Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A request that is being worked on.
pub(super) struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.since.store(self.0.now(), Relaxed);
        self.0.idle.store(true, Relaxed);
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// A stream whose traffic is noted.
pub(super) struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(_) => self.pulse.has_written(),
            Poll::Pending => self.pulse.cannot_write(),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buf);
        if buf.filled().len() > before {
            self.pulse.has_read();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Notes are this coarse.
const CLOCK_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// A pulse as it would be `age` milliseconds after its connection was accepted.
    fn aged(age: u64) -> Arc<Pulse> {
        let accepted = Instant::now().checked_sub(Duration::from_millis(age)).unwrap();
        Arc::new(Pulse { accepted, ..Pulse::default() })
    }

    fn check(pulse: &Pulse, now: u64) -> Result<u128, &'static str> {
        pulse.check(now, &Limits::default()).map(|left| left.as_millis() - CLOCK_STEP.as_millis())
    }

    const SLOW: Result<u128, &str> = Err("the request came too slowly");
    const IDLE: Result<u128, &str> = Err("idle for too long");
    const STALLED: Result<u128, &str> = Err("the answer was not taken");

    #[test]
    fn a_client_that_says_nothing_is_slow() {
        let pulse = aged(0);
        assert_eq!([check(&pulse, 0), check(&pulse, 9_999), check(&pulse, 10_001)], [Ok(10_000), Ok(1), SLOW]);
    }

    #[test]
    fn bytes_do_not_help_a_slow_head() {
        let pulse = aged(5_000);
        pulse.has_read();
        assert_eq!(check(&pulse, 10_001), SLOW);
    }

    #[test]
    fn a_request_has_its_own_limits() {
        let pulse = aged(5_000);
        let busy = pulse.begin(Version::HTTP_11);
        assert_eq!(check(&pulse, 1_000_000), Ok(10_000));
        drop(busy);
        let idle_since = pulse.since.load(Relaxed);
        assert!(idle_since >= 5_000);
        assert_eq!(check(&pulse, idle_since + 299_999), Ok(1));
        assert_eq!(check(&pulse, idle_since + 300_001), IDLE);
    }

    #[test]
    fn the_next_head_begins_with_its_first_byte() {
        let pulse = aged(5_000);
        drop(pulse.begin(Version::HTTP_11));
        pulse.has_read();
        let begun = pulse.since.load(Relaxed);
        assert_eq!([check(&pulse, begun + 9_999), check(&pulse, begun + 10_001)], [Ok(1), SLOW]);
    }

    #[test]
    fn pings_neither_begin_a_request_nor_keep_a_connection() {
        let pulse = aged(5_000);
        let (first, second) = (pulse.begin(Version::HTTP_2), pulse.begin(Version::HTTP_2));
        drop(first);
        assert_eq!(check(&pulse, 1_000_000), Ok(10_000), "another stream is busy");
        drop(second);
        let idle_since = pulse.since.load(Relaxed);
        pulse.has_read();
        pulse.has_written();
        assert_eq!(check(&pulse, idle_since + 20_000), Ok(10_000));
        assert_eq!(check(&pulse, idle_since + 300_001), IDLE);
    }

    #[test]
    fn an_answer_must_be_taken() {
        let pulse = aged(5_000);
        let _busy = pulse.begin(Version::HTTP_11);
        pulse.cannot_write();
        let since = pulse.stalled.load(Relaxed);
        assert_eq!([check(&pulse, since + 29_999), check(&pulse, since + 30_001)], [Ok(1), STALLED]);
        pulse.cannot_write();
        assert_eq!(pulse.stalled.load(Relaxed), since, "trying again is no progress");
        pulse.has_written();
        assert_eq!(check(&pulse, since + 30_001), Ok(10_000));
    }
}
