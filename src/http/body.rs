//! Takes a request's body in: within its limits of bytes and time, and with all others within one budget. Does not know
//! what it says.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{EXPECT, HeaderMap};
use tokio::time::{Instant, timeout_at};

use super::Limits;
use crate::api::Error;
use crate::crypto::wiped::Wiped;

/// A body that is still with its sender, or on its way.
pub(super) struct Inbound<'l, B> {
    body: B,
    /// The sender waits to be invited, which reading does.
    waits: bool,
    limits: &'l Limits,
}

impl<'l, B: Body<Data = Bytes, Error: fmt::Debug> + Unpin> Inbound<'l, B> {
    pub(super) fn new(body: B, headers: &HeaderMap, limits: &'l Limits) -> Self {
        let waits = !body.is_end_stream() && headers.contains_key(EXPECT);
        Self { body, waits, limits }
    }

    /// The whole body.
    pub(super) async fn collect(&mut self, share: &mut Share<'_>) -> Result<Wiped, Error> {
        if self.body.is_end_stream() {
            return Ok(Wiped::default());
        }
        let outcome = self.collect_first(share).await;
        if let Err(Error::TooLarge | Error::Unavailable(_)) = outcome {
            self.discard().await;
        }
        outcome
    }

    /// Nearly every body is short and there as soon as its head is: it needs no clock.
    async fn collect_first(&mut self, share: &mut Share<'_>) -> Result<Wiped, Error> {
        if self.announced() > self.limits.body_bytes_max {
            return Err(Error::TooLarge);
        }
        let mut text = Wiped::default();
        if let Some(first) = promptly(self.next()).await {
            let Some(piece) = first? else { return Ok(text) };
            self.add(&mut text, &piece, share)?;
            if self.body.is_end_stream() {
                return Ok(text);
            }
        }
        Box::pin(self.collect_rest(text, share)).await
    }

    async fn collect_rest(&mut self, mut text: Wiped, share: &mut Share<'_>) -> Result<Wiped, Error> {
        let begun = Instant::now();
        while !self.body.is_end_stream() {
            let due = begun + self.time_for(text.len());
            let Some(piece) = timeout_at(due, self.next()).await.map_err(|_| Error::TooSlow)?? else { break };
            self.add(&mut text, &piece, share)?;
        }
        Ok(text)
    }

    /// Reads a body that nobody wants, so that its sender comes to read the answer. Gives up on one that is long or slow,
    /// and on one that need not be sent at all; then the connection is closed.
    pub(super) async fn discard(&mut self) {
        if !self.body.is_end_stream() && !self.waits {
            Box::pin(self.discard_rest()).await;
        }
    }

    async fn discard_rest(&mut self) {
        let (begun, mut bytes) = (Instant::now(), 0);
        while bytes.max(self.announced()) <= 2 * self.limits.body_bytes_max {
            match timeout_at(begun + self.time_for(bytes), self.next()).await {
                Ok(Ok(Some(piece))) => bytes += piece.len(),
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
    }

    fn add(&self, text: &mut Wiped, piece: &[u8], share: &mut Share<'_>) -> Result<(), Error> {
        let len = text.len() + piece.len();
        if len > self.limits.body_bytes_max {
            return Err(Error::TooLarge);
        }
        share.grow_to(len)?;
        text.append(piece, self.room_for(len));
        Ok(())
    }

    /// What to reserve for a body of which `bytes` have come: all that was announced, as far as that is believable.
    fn room_for(&self, bytes: usize) -> usize {
        bytes.saturating_add(self.announced()).min(BELIEVED * bytes)
    }

    /// Bytes that are still to come, as far as that was said.
    fn announced(&self) -> usize {
        usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX)
    }

    /// From the beginning until a body of which `bytes` have come is too slow.
    fn time_for(&self, bytes: usize) -> Duration {
        let seconds = u64::try_from(bytes / self.limits.body_rate_min.max(1)).unwrap_or(u64::MAX);
        self.limits.body_grace.saturating_add(Duration::from_secs(seconds)).min(self.limits.body_time_max)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            // Trailers are not data. A body that breaks off is no body.
            if let Ok(data) = frame.map_err(|_| Error::Unreadable)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// What a future gives at once or after one more turn of its task, which is when hyper hands over what it has read.
async fn promptly<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut turned = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if turned => Poll::Ready(None),
        Poll::Pending => {
            turned = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// The bytes of bodies that may be held at one time.
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
}

/// What one request has of the budget, until it is answered.
pub(super) struct Share<'b> {
    budget: &'b Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    pub(super) fn share(&self) -> Share<'_> {
        Share { budget: self, bytes: 0 }
    }
}

impl Share<'_> {
    fn grow_to(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes <= UNCOUNTED_BYTES_MAX || bytes <= self.bytes {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let grown = |used: usize| used.checked_add(more).filter(|used| *used <= self.budget.max);
        // Who is refused takes nothing, or others would be refused for it.
        if self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_err() {
            return Err(Error::Unavailable("too many large requests at one time; try again".into()));
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Bodies up to here fit into the read buffer that their connection has anyway; they need no share of the budget.
const UNCOUNTED_BYTES_MAX: usize = 16 << 10;

/// So many times what has come of a body is reserved for it.
const BELIEVED: usize = 16;

#[cfg(test)]
#[allow(clippy::large_stack_arrays, reason = "pieces of bodies")]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::Context;

    use hyper::body::{Frame, SizeHint};
    use hyper::header::HeaderValue;

    use super::*;

    /// A body in pieces. When they are used up it ends, or if it `hangs`, it does not.
    struct Pieces {
        left: Vec<Bytes>,
        announced: Option<u64>,
        hangs: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.left.pop() {
                Some(piece) => {
                    self.announced = self.announced.map(|bytes| bytes - piece.len() as u64);
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
                None if self.hangs => Poll::Pending,
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.announced == Some(0)
        }

        fn size_hint(&self) -> SizeHint {
            self.announced.map_or_else(SizeHint::new, SizeHint::with_exact)
        }
    }

    fn chunked(pieces: &[&[u8]]) -> Pieces {
        let left = pieces.iter().rev().map(|piece| Bytes::copy_from_slice(piece)).collect();
        Pieces { left, announced: None, hangs: false }
    }

    fn announced(pieces: &[&[u8]]) -> Pieces {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Pieces { announced: Some(bytes), ..chunked(pieces) }
    }

    fn limits() -> Limits {
        Limits { body_bytes_max: 100_000, bodies_bytes_max: 150_000, ..Limits::default() }
    }

    async fn collected(body: Pieces) -> Result<Vec<u8>, String> {
        let (limits, budget) = (limits(), Budget::new(limits().bodies_bytes_max));
        let mut inbound = Inbound::new(body, &HeaderMap::new(), &limits);
        let outcome = inbound.collect(&mut budget.share()).await;
        assert_eq!(budget.used.load(Ordering::Relaxed), 0, "the share was not given back");
        outcome.map(|text| text.as_ref().to_vec()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn bodies_are_taken_whole() {
        let half = [b'x'; 50_000].as_slice();
        for pieces in [&[][..], &[b"a".as_slice()], &[b"a", b"", b"bc"], &[half, half]] {
            assert_eq!(collected(chunked(pieces)).await.unwrap(), pieces.concat());
            assert_eq!(collected(announced(pieces)).await.unwrap(), pieces.concat());
        }
    }

    #[tokio::test]
    async fn bytes_are_counted_as_they_come() {
        let half = [b'x'; 50_000];
        let too_large = Err("http: request body too large".to_owned());
        assert_eq!(collected(chunked(&[&half, &half, b"x"])).await, too_large);
        assert_eq!(collected(chunked(&[&[b'x'; 100_001]])).await, too_large);
        assert_eq!(collected(announced(&[&half, &half, b"x"])).await, too_large);
    }

    #[tokio::test]
    async fn a_refused_body_is_read_to_its_end_unless_it_waits_to_be_invited() {
        let (limits, budget) = (limits(), Budget::new(0));
        for (expect, left) in [(None, 0), (Some("100-continue"), 3)] {
            let headers = expect.map(|value| (EXPECT, HeaderValue::from_static(value))).into_iter().collect();
            let body = announced(&[&[b'x'; 50_000], &[b'x'; 50_000], b"x"]);
            let mut inbound = Inbound::new(body, &headers, &limits);
            assert!(matches!(inbound.collect(&mut budget.share()).await, Err(Error::TooLarge)));
            assert_eq!(inbound.body.left.len(), left, "{expect:?}");
        }
    }

    #[tokio::test]
    async fn all_bodies_share_one_budget() {
        let (limits, budget) = (limits(), Budget::new(limits().bodies_bytes_max));
        let full = || Inbound::new(announced(&[&[b'x'; 90_000]]), &HeaderMap::new(), &limits);
        let half = Inbound::new(announced(&[&[b'x'; 50_000]]), &HeaderMap::new(), &limits);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert!(full().collect(&mut first).await.is_ok());
        assert!(matches!(full().collect(&mut second).await, Err(Error::Unavailable(_))));
        assert!({ half }.collect(&mut budget.share()).await.is_ok(), "who was refused has nothing");
        drop((first, second));
        assert!(full().collect(&mut budget.share()).await.is_ok());
        let small = Inbound::new(announced(&[&[b'x'; UNCOUNTED_BYTES_MAX]]), &HeaderMap::new(), &limits);
        assert!({ small }.collect(&mut Budget::new(0).share()).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_too_slow() {
        let limits = Limits { body_grace: Duration::ZERO, body_time_max: Duration::ZERO, ..limits() };
        let budget = Budget::new(0);
        for pieces in [&[][..], &[&b"abc"[..]]] {
            let body = Pieces { announced: Some(5), hangs: true, ..chunked(pieces) };
            let mut inbound = Inbound::new(body, &HeaderMap::new(), &limits);
            assert!(matches!(inbound.collect(&mut budget.share()).await, Err(Error::TooSlow)));
        }
    }

    #[test]
    fn room_grows_with_what_has_come() {
        let limits = limits();
        let inbound = Inbound::new(announced(&[&[b'x'; 90_000]]), &HeaderMap::new(), &limits);
        for (bytes, room) in [(1, BELIEVED), (1_000, 1_000 * BELIEVED), (10_000, 100_000)] {
            assert_eq!(inbound.room_for(bytes), room, "{bytes}");
        }
    }

    #[test]
    fn time_grows_with_what_has_come() {
        let limits = Limits::default();
        let inbound = Inbound::new(chunked(&[]), &HeaderMap::new(), &limits);
        for (bytes, seconds) in [(0, 5), (1023, 5), (1024, 6), (10 << 10, 15), (25 << 10, 30), (usize::MAX, 30)] {
            assert_eq!(inbound.time_for(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }
}
