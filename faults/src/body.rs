//! Bodies that do not behave.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clockwork::{BoxFuture, Clock, Timestamp};
use http_body::{Body, Frame, SizeHint};

/// Some bytes, then an error.
pub(crate) struct Broken {
    bytes: Option<Bytes>,
    flushed: bool,
}

impl Broken {
    pub(crate) fn after(bytes: Bytes) -> Broken {
        Broken { bytes: Some(bytes), flushed: false }
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.flushed {
            // hyper writes out what it holds only when a body is pending; an error straight
            // after the bytes would take them along.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "body broke off"))))
    }
}

/// Pieces that come at even intervals: each soon enough for a read time-out, all of them late.
pub(crate) struct Trickle {
    rest: Bytes,
    piece_bytes: usize,
    interval: Duration,
    due: Timestamp,
    clock: Arc<dyn Clock>,
    pause: Option<BoxFuture<'static, ()>>,
}

/// Many enough that the usual read time-out (a tenth of the usual deadline) does not see it.
const PIECES: usize = 16;

impl Trickle {
    pub(crate) fn new(body: Bytes, over: Duration, clock: Arc<dyn Clock>) -> Trickle {
        let piece_bytes = body.len().div_ceil(PIECES).max(1);
        let pieces = body.len().div_ceil(piece_bytes).max(1);
        let interval = over / u32::try_from(pieces).unwrap_or(1);
        Trickle { rest: body, piece_bytes, interval, due: clock.now(), clock, pause: None }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if self.pause.is_none() {
            self.due = self.due + self.interval;
            self.pause = Some(self.clock.sleep_until(self.due));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
        }
        self.pause = None;
        let piece = self.piece_bytes.min(self.rest.len());
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// A JSON text of one long string, made as it is sent.
pub(crate) struct Filler {
    length: u64,
    sent: u64,
}

static SPACES: [u8; 64 << 10] = [b' '; 64 << 10];

impl Filler {
    pub(crate) fn new(bytes: u64) -> Filler {
        Filler { length: bytes, sent: 0 }
    }
}

impl Body for Filler {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let rest = self.length - self.sent;
        let piece = match (self.sent, rest) {
            (_, 0) => return Poll::Ready(None),
            (_, 1) => Bytes::from_static(b"\""),
            (0, _) => Bytes::from_static(b"\""),
            // All but the closing quote.
            (_, rest) => {
                let most = SPACES.len() as u64;
                Bytes::from_static(&SPACES[..(rest - 1).min(most) as usize])
            }
        };
        self.sent += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.sent)
    }
}
