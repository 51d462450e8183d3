//! The request body between the connection that receives it and the application that pulls it: room for one piece, and
//! a bell on either side. It knows neither framing nor sockets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::exchange::{Body, BodyStream, Chunk, Failure};

/// The connection's end.
#[derive(Debug)]
pub(super) struct Upload(Arc<Mutex<State>>);

/// The application's end.
#[derive(Debug)]
struct Download(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    piece: Option<Bytes>,
    end: Option<Result<(), Failure>>,
    /// The application has asked and got nothing yet.
    wanted: bool,
    /// The application has dropped its end.
    abandoned: bool,
    remaining: Option<u64>,
    connection: Option<Waker>,
    application: Option<Waker>,
}

impl Upload {
    /// A body of `length` bytes, where that is known, and the connection's end of it.
    pub(super) fn new(length: Option<u64>) -> (Self, Body) {
        let state = Arc::new(Mutex::new(State { remaining: length, ..State::default() }));
        (Self(Arc::clone(&state)), Body::Stream(Box::new(Download(state))))
    }

    /// Whether the application waits for a piece. If it does not, its next wish wakes the task of `cx`.
    pub(super) fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.wanted && state.piece.is_none() && state.end.is_none() {
            return Poll::Ready(());
        }
        remember(&mut state.connection, cx.waker());
        Poll::Pending
    }

    /// Gives the next piece; only while one is wanted.
    pub(super) fn give(&self, piece: Bytes, own: &Waker) {
        let mut state = lock(&self.0);
        state.remaining = state.remaining.map(|left| left.saturating_sub(piece.len() as u64));
        state.piece = Some(piece);
        state.ring(own);
    }

    /// Says that the body is complete, or why it never will be.
    pub(super) fn end(&self, end: Result<(), Failure>, own: &Waker) {
        let mut state = lock(&self.0);
        state.end.get_or_insert(end);
        state.ring(own);
    }

    /// Whether the application has dropped its end: nobody will ever want the rest.
    pub(super) fn is_abandoned(&self) -> bool {
        lock(&self.0).abandoned
    }
}

impl State {
    /// The connection's task polls the application itself after each gift: only another task needs the bell.
    fn ring(&mut self, own: &Waker) {
        self.wanted = false;
        if let Some(application) = self.application.take()
            && !application.will_wake(own)
        {
            application.wake();
        }
    }
}

impl BodyStream for Download {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let mut state = lock(&self.0);
        if let Some(piece) = state.piece.take() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match &state.end {
            Some(Ok(())) => return Poll::Ready(None),
            Some(Err(failure)) => return Poll::Ready(Some(Err(failure.clone()))),
            None => {}
        }
        state.wanted = true;
        remember(&mut state.application, cx.waker());
        if let Some(connection) = state.connection.take()
            && !connection.will_wake(cx.waker())
        {
            connection.wake();
        }
        Poll::Pending
    }

    fn length(&self) -> Option<u64> {
        lock(&self.0).remaining
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.abandoned = true;
        state.wanted = false;
        state.piece = None;
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

/// Nothing in here can leave the state half changed, so a panic elsewhere does not spoil it.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_piece_is_wanted_only_while_the_application_asks() {
        let bell = Arc::new(Bell(AtomicUsize::new(0)));
        let application = Waker::from(Arc::clone(&bell));
        let (upload, mut body) = Upload::new(Some(3));
        let mut connection = Context::from_waker(Waker::noop());
        assert!(upload.poll_wanted(&mut connection).is_pending());
        assert!(body.poll_chunk(&mut Context::from_waker(&application)).is_pending());
        assert!(upload.poll_wanted(&mut connection).is_ready());
        upload.give(Bytes::from_static(b"abc"), Waker::noop());
        assert_eq!(bell.0.load(Ordering::Relaxed), 1, "another task is woken by the gift");
        assert!(upload.poll_wanted(&mut connection).is_pending(), "one piece at a time");
        assert!(matches!(body.poll_chunk(&mut connection), Poll::Ready(Some(Ok(piece))) if piece == "abc"));
        assert_eq!(body.length(), Some(0));
        upload.end(Ok(()), Waker::noop());
        assert!(matches!(body.poll_chunk(&mut connection), Poll::Ready(None)));
    }

    #[test]
    fn a_broken_body_ends_in_its_failure_and_not_in_an_end() {
        let (upload, mut body) = Upload::new(None);
        upload.end(Err(Failure::client_gone()), Waker::noop());
        upload.end(Ok(()), Waker::noop());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(body.poll_chunk(&mut cx), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn a_dropped_body_is_abandoned() {
        let (upload, body) = Upload::new(None);
        assert!(!upload.is_abandoned());
        drop(body);
        assert!(upload.is_abandoned());
    }
}
