//! Whether a request that failed may be sent again, and with what body. It must not know how it is sent.
//!
//! A request is repeated only when all of this is true (RFC 9110 9.2.2 and 9.2.1; RFC 9112 9.3.1):
//!
//! - not one byte of an answer came;
//! - its body is still whole: there is none, it is in memory or in a file, or nothing was pulled from its stream;
//! - one of:
//!   - the kernel took not one byte of it, so nobody has read it, whatever its method;
//!   - the worker refused it by the protocol (OVERLOADED, CANT_MPX_CONN, UNKNOWN_ROLE), which it does before it does
//!     anything else, so it may be asked of another worker, whatever its method;
//!   - the connection was a kept one that may have been closed before the request arrived, **or** the worker is one of
//!     ours and has just left with exit status 0; **and** the method is idempotent. A reset does not prove that nothing
//!     was read: the kernel sends one too when only the last bytes were left unread.
//!
//! A worker that dies of a request on a new connection is therefore asked once: repeating would kill the next one too.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;

use crate::exchange::{Body, BodyStream, Chunk, FileRange};

/// How often one request is sent at most. The second attempt meets a new connection or another worker; if that fails in
/// the same way, the third is the last that could be an accident.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// What became of a request, for whoever must decide whether it may be sent again.
#[derive(Debug, Default)]
pub(crate) struct Trace(AtomicU8);

/// See [`Trace`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// Nothing is known.
    #[default]
    Unknown = 0,
    /// The connection ended without one byte of an answer.
    Silent = 1,
    /// The same, and not one byte of the request was taken from us: nobody can have read it.
    Unread = 2,
    /// The worker refused the request without looking at it.
    Refused = 3,
    /// The connection ended, or spoke nonsense, after some of an answer had come.
    Broken = 4,
}

impl Trace {
    pub(crate) fn note(&self, outcome: Outcome) {
        self.0.store(outcome as u8, Ordering::Relaxed);
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.0.load(Ordering::Relaxed) {
            1 => Outcome::Silent,
            2 => Outcome::Unread,
            3 => Outcome::Refused,
            4 => Outcome::Broken,
            _ => Outcome::Unknown,
        }
    }
}

/// Whether the request may be sent again, as far as its body allows it.
///
/// `is_innocent` says that the connection may have ended without regard to the request: it was a kept one, or its worker
/// has left properly.
pub(crate) fn may_repeat(outcome: Outcome, is_innocent: bool, method: &Method) -> bool {
    match outcome {
        Outcome::Unknown | Outcome::Broken => false,
        Outcome::Unread | Outcome::Refused => true,
        Outcome::Silent => is_innocent && method.is_idempotent(),
    }
}

/// What a body can be made from again.
pub(crate) enum Spare {
    /// There is none.
    Empty,
    /// The same bytes.
    Bytes(Bytes),
    /// The same part of the same file.
    File(FileRange),
    /// A stream, unless something was pulled from it.
    Stream(Arc<Mutex<Lent>>),
}

/// A stream that is taken back unless something was pulled from it.
pub(crate) struct Lent {
    stream: Option<Box<dyn BodyStream>>,
    is_touched: bool,
}

impl Spare {
    /// Keeps what is needed to make `body` again.
    pub(crate) fn of(body: &mut Body) -> Self {
        match body {
            Body::Empty => Self::Empty,
            Body::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Body::File(range) => Self::File(range.clone()),
            Body::Stream(_) => {
                let Body::Stream(stream) = std::mem::take(body) else { return Self::Empty };
                let lent = Arc::new(Mutex::new(Lent { stream: Some(stream), is_touched: false }));
                *body = Body::Stream(Box::new(Borrowed(Arc::clone(&lent))));
                Self::Stream(lent)
            }
        }
    }

    /// The body again; `None` when some of it was pulled.
    pub(crate) fn body(self) -> Option<Body> {
        Some(match self {
            Self::Empty => Body::Empty,
            Self::Bytes(bytes) => Body::Bytes(bytes),
            Self::File(range) => Body::File(range),
            Self::Stream(lent) => {
                let mut lent = lock(&lent);
                let stream = lent.stream.take().filter(|_| !lent.is_touched)?;
                Body::Stream(stream)
            }
        })
    }
}

/// The stream as the relay has it.
struct Borrowed(Arc<Mutex<Lent>>);

impl BodyStream for Borrowed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let mut lent = lock(&self.0);
        let Some(stream) = &mut lent.stream else { return Poll::Ready(None) };
        let chunk = stream.poll_chunk(cx);
        if chunk.is_ready() {
            lent.is_touched = true;
        }
        chunk
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Some(stream) = &mut lock(&self.0).stream {
            stream.poll_progress(cx);
        }
    }

    fn length(&self) -> Option<u64> {
        lock(&self.0).stream.as_ref().and_then(|stream| stream.length())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut lent = lock(&self.0);
        if lent.is_touched {
            // Nobody will ask for it again, and its maker is to know that the rest is not wanted.
            lent.stream = None;
        }
    }
}

fn lock(lent: &Mutex<Lent>) -> MutexGuard<'_, Lent> {
    lent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::rig::{given, read};
    use super::*;

    #[test]
    fn lesson_18_a_request_is_repeated_only_when_that_is_safe() {
        use Outcome::{Broken, Refused, Silent, Unknown, Unread};
        for (outcome, is_innocent, method, expected) in [
            (Silent, true, Method::GET, true),
            (Silent, true, Method::PUT, true),
            (Silent, true, Method::POST, false),
            (Silent, true, Method::PATCH, false),
            (Silent, false, Method::GET, false),
            (Unread, true, Method::POST, true),
            (Unread, false, Method::POST, true),
            (Refused, false, Method::POST, true),
            (Unknown, true, Method::GET, false),
            (Broken, true, Method::GET, false),
        ] {
            assert_eq!(
                may_repeat(outcome, is_innocent, &method),
                expected,
                "{outcome:?} {is_innocent} {method}"
            );
        }
    }

    #[tokio::test]
    async fn lesson_18_a_stream_is_taken_back_only_when_nothing_was_pulled() {
        let (sender, mut body) = given();
        let spare = Spare::of(&mut body);
        drop(body);
        let mut again = spare.body().unwrap();
        let spare = Spare::of(&mut again);
        sender.send(Ok("piece".into())).unwrap();
        assert_eq!(again.chunk().await.unwrap().unwrap(), "piece");
        drop(again);
        assert!(spare.body().is_none());
        assert!(sender.is_closed(), "its maker is told that nobody wants the rest");
    }

    #[tokio::test]
    async fn lesson_18_bytes_are_the_same_again() {
        let mut body = Body::from("abc");
        let spare = Spare::of(&mut body);
        assert_eq!(read(&mut body).await.unwrap(), b"abc");
        assert_eq!(read(&mut spare.body().unwrap()).await.unwrap(), b"abc");
    }

    #[test]
    fn an_empty_body_stays_empty() {
        assert!(Spare::of(&mut Body::Empty).body().unwrap().is_empty());
    }
}
