//! What the tests of this room share: a request without a front, a body on demand, and a line that follows a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gatebridge_cgi::Environ;
use http::Method;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::line::Line;
use crate::exchange::{
    Body, BodyStream, Chunk, Exchange, Failure, Record, RecordSink, Request, Response, testing,
};

struct Sink(UnboundedSender<Record>);

impl RecordSink for Sink {
    fn finish(&self, record: Record) {
        let _ = self.0.send(record);
    }
}

/// A request with this body; its CONTENT_LENGTH is the body's length.
pub(crate) fn request(method: Method, path_info: &str, body: Body) -> Request {
    recorded_request(method, path_info, body).0
}

/// The same, and where its record arrives when the last holder of the exchange has let go.
pub(crate) fn recorded_request(
    method: Method,
    path_info: &str,
    body: Body,
) -> (Request, UnboundedReceiver<Record>) {
    let (sender, records) = unbounded_channel();
    let environ = Environ {
        method,
        path_info: Bytes::copy_from_slice(path_info.as_bytes()),
        content_length: body.length().filter(|length| *length > 0),
        ..Environ::default()
    };
    let exchange = Exchange::new(testing::record(path_info), Arc::new(Sink(sender)));
    (Request { environ, body, exchange }, records)
}

/// Reads a whole body.
pub(crate) async fn read(body: &mut Body) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    while let Some(chunk) = body.chunk().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

/// Reads a response's whole payload as text.
pub(crate) async fn text(mut response: Response) -> Result<String, Failure> {
    read(&mut response.body).await.map(|payload| String::from_utf8_lossy(&payload).into_owned())
}

/// A body that a test makes as it goes: what the sender sends comes out, and its drop is the end.
pub(crate) struct Given(UnboundedReceiver<Chunk>);

/// A body to be given piece by piece.
pub(crate) fn given() -> (UnboundedSender<Chunk>, Body) {
    let (sender, pieces) = unbounded_channel();
    (sender, Body::Stream(Box::new(Given(pieces))))
}

impl BodyStream for Given {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.0.poll_recv(cx)
    }
}

/// A body of so many zero bytes, made in pieces of 64 KiB.
pub(crate) fn zeroes(length: u64) -> Body {
    Body::Stream(Box::new(Zeroes(length)))
}

struct Zeroes(u64);

impl BodyStream for Zeroes {
    fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];
        let piece = usize::try_from(self.0).unwrap().min(ZEROES.len());
        self.0 -= piece as u64;
        Poll::Ready((piece > 0).then(|| Ok(Bytes::from_static(&ZEROES[..piece]))))
    }

    fn length(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// What a scripted program does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes.
    Say(&'static [u8]),
    /// Reads until it has had so many bytes of input altogether.
    Hear(usize),
    /// Reads until the end of input.
    HearAll,
    /// Works for a while, and nothing moves.
    Work(Duration),
    /// Closes its input: it wants no more.
    Deafen,
    /// Breaks off so.
    Break(Failure),
    /// Never does anything again.
    Hang,
}

/// What became of a scripted program.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) heard: Vec<u8>,
    pub(crate) input_ended: bool,
    pub(crate) finished: bool,
    /// The line is gone, finished or not.
    pub(crate) dropped: bool,
}

/// A line to a program that follows a list of acts; it reads one piece at a time, and ends properly after the last act.
pub(crate) struct Scripted {
    acts: VecDeque<Act>,
    held: Option<Bytes>,
    deaf: bool,
    input: Option<Waker>,
    work: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
    seen: Arc<Mutex<Seen>>,
}

/// A scripted line, and the view of what becomes of it.
pub(crate) fn scripted(acts: impl IntoIterator<Item = Act>) -> (Scripted, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let acts = acts.into_iter().collect();
    let line = Scripted { acts, held: None, deaf: false, input: None, work: None, seen: Arc::clone(&seen) };
    (line, seen)
}

impl Scripted {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Takes the piece that is held; whoever waits to send more may go on.
    fn hear(&mut self) -> bool {
        let Some(piece) = self.held.take() else { return false };
        self.seen().heard.extend_from_slice(&piece);
        if let Some(waker) = self.input.take() {
            waker.wake();
        }
        true
    }
}

impl Line for Scripted {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_some() && !self.deaf {
            self.input = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn wants_input(&self) -> bool {
        !self.deaf
    }

    fn send(&mut self, piece: Bytes) {
        assert!(self.held.is_none(), "sent before the line was ready");
        assert!(!piece.is_empty(), "sent an empty piece");
        self.held = Some(piece);
    }

    fn end_input(&mut self) {
        assert!(!self.seen().input_ended, "ended twice");
        self.seen().input_ended = true;
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        loop {
            let Some(act) = self.acts.front().cloned() else { return Poll::Ready(None) };
            match act {
                Act::Say(bytes) => {
                    self.acts.pop_front();
                    return Poll::Ready(Some(Ok(Bytes::from_static(bytes))));
                }
                Act::Hear(_) | Act::HearAll if self.hear() => {}
                Act::Hear(wanted) if self.seen().heard.len() < wanted => return Poll::Pending,
                Act::HearAll if !self.seen().input_ended => return Poll::Pending,
                Act::Hear(_) | Act::HearAll => {}
                Act::Work(time) => {
                    let work = self.work.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                    std::task::ready!(work.as_mut().poll(cx));
                    self.work = None;
                }
                Act::Deafen => {
                    self.deaf = true;
                    self.held = None;
                    if let Some(waker) = self.input.take() {
                        waker.wake();
                    }
                }
                Act::Break(failure) => return Poll::Ready(Some(Err(failure))),
                Act::Hang => return Poll::Pending,
            }
            let is_done = match act {
                Act::Hear(wanted) => self.seen().heard.len() >= wanted,
                Act::HearAll => self.seen().input_ended && self.held.is_none(),
                _ => true,
            };
            if is_done {
                self.acts.pop_front();
            }
        }
    }

    fn testimony(&self) -> String {
        "the scripted program".to_owned()
    }

    fn finish(self) {
        self.seen().finished = true;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.seen().dropped = true;
    }
}
