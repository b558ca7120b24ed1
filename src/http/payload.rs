//! The body of an answer, as hyper takes it. Does not know what it says.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::crypto::wiped::Wiped;

/// Up to three pieces that are sent one after the other and never joined; each is wiped once it is sent.
#[derive(Default)]
pub struct Payload([Bytes; 3]);

impl Payload {
    pub(super) fn plain(text: impl Into<Bytes>) -> Self {
        Self([text.into(), Bytes::new(), Bytes::new()])
    }

    pub(super) fn whole(text: Wiped) -> Self {
        Self([Bytes::from_owner(text), Bytes::new(), Bytes::new()])
    }

    pub(super) fn pieces(pieces: [Wiped; 3]) -> Self {
        Self(pieces.map(Bytes::from_owner))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.iter_mut().find(|piece| !piece.is_empty());
        Poll::Ready(piece.map(|piece| Ok(Frame::data(std::mem::take(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
