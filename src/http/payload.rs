//! The body of an answer, as hyper takes it. Does not know what it says.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::api::Lines;
use crate::crypto::wiped::Wiped;

/// Text that is there, or text that comes while it is sent.
pub struct Payload(Text);

enum Text {
    /// Up to three pieces that are sent one after the other and never joined; each is wiped once it is sent.
    Whole([Bytes; 3]),
    Stream {
        lines: Box<dyn Lines>,
        _kept: Option<Box<dyn Send + Sync>>,
    },
}

impl Payload {
    pub(super) fn plain(text: impl Into<Bytes>) -> Self {
        Self(Text::Whole([text.into(), Bytes::new(), Bytes::new()]))
    }

    pub(super) fn whole(text: Wiped) -> Self {
        Self(Text::Whole([Bytes::from_owner(text), Bytes::new(), Bytes::new()]))
    }

    pub(super) fn pieces(pieces: [Wiped; 3]) -> Self {
        Self(Text::Whole(pieces.map(Bytes::from_owner)))
    }

    pub(super) fn stream(lines: Box<dyn Lines>) -> Self {
        Self(Text::Stream { lines, _kept: None })
    }

    /// Keeps something until a stream has been sent.
    pub fn keep(self, thing: impl Send + Sync + 'static) -> Self {
        match self.0 {
            Text::Stream { lines, .. } => Self(Text::Stream { lines, _kept: Some(Box::new(thing)) }),
            whole @ Text::Whole(_) => Self(whole),
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self(Text::Whole(Default::default()))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut self.0 {
            Text::Whole(pieces) => pieces.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take),
            Text::Stream { lines, .. } => ready!(lines.poll_next(context)).map(Bytes::from),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Text::Whole(pieces) => pieces.iter().all(Bytes::is_empty),
            Text::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Text::Whole(pieces) => SizeHint::with_exact(pieces.iter().map(|piece| piece.len() as u64).sum()),
            Text::Stream { .. } => SizeHint::default(),
        }
    }
}
