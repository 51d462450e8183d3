//! The client's side while a request is served: moves body pieces up as fast as they are wanted, and notices when the
//! client slows down too much or leaves. It does not know what is done with the body.

use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gatebridge_http1::{CloseReason, Event, Framing, PeerError, Server};
use http::StatusCode;

use super::connection::{BODY_READ_BYTES, Connection, HEAD_READ_BYTES};
use super::output::Output;
use super::upload::Upload;
use crate::config::HttpLimits;
use crate::exchange::{Body, Failure, FailureKind};
use crate::io::Deadline;

/// So much is kept of what a client sends behind a request that is being served: some hundred pipelined requests. What comes
/// beyond is thrown away, and the connection ends with the present response.
const MAX_AHEAD_BYTES: usize = 64 * 1024;

/// What was heard of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A piece of body, its end or its failure: whoever waits for it should be asked again.
    Something,
    /// The client has left.
    Gone,
}

/// The client's side of one request.
pub(super) struct Uplink {
    /// The body that still goes up.
    upload: Option<Upload>,
    pace: Pace,
    received: u64,
}

impl Uplink {
    /// The client's side of a request whose body is framed so, and the body as the application gets it.
    ///
    /// A body that has come whole with its head is given as bytes: that makes it one that can be sent twice.
    pub(super) fn new(codec: &mut Server, framing: Framing) -> (Self, Body) {
        let mut uplink = Self { upload: None, pace: Pace::default(), received: 0 };
        let length = match framing {
            Framing::None | Framing::Length(0) => {
                // The end of an empty body is already here; taking it lets the codec go on to the response.
                let _ = codec.next_event();
                return (uplink, Body::Empty);
            }
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let mut first = Bytes::new();
        if length.is_some_and(|length| length <= codec.buffered() as u64) {
            if let Ok(Event::Body(piece)) = codec.next_event() {
                uplink.received = piece.len() as u64;
                first = piece;
            }
            if Some(first.len() as u64) == length {
                let _ = codec.next_event();
                return (uplink, Body::Bytes(first));
            }
        }
        let (upload, body) = Upload::new(length);
        if !first.is_empty() {
            upload.give(first, Waker::noop());
        }
        uplink.upload = Some(upload);
        (uplink, body)
    }

    /// Body bytes that were given up since this was last asked.
    pub(super) fn take_received(&mut self) -> u64 {
        std::mem::take(&mut self.received)
    }

    /// Whether nobody wants what may be left of the body.
    pub(super) fn is_unwanted(&self) -> bool {
        self.upload.as_ref().is_none_or(Upload::is_abandoned)
    }

    /// Moves what is wanted; otherwise watches for the client's leaving.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        output: &mut Output,
    ) -> Poll<Heard> {
        if let Some(upload) = &self.upload
            && !upload.is_abandoned()
            && upload.poll_wanted(cx).is_ready()
        {
            return self.poll_body(cx, connection, output);
        }
        let gone = if self.upload.is_none() {
            poll_ahead(cx, connection)
        } else if connection.shared.settings.limits.half_close {
            connection.stream.poll_closed(cx)
        } else {
            connection.stream.poll_gone(cx)
        };
        gone.map(|()| Heard::Gone)
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        output: &mut Output,
    ) -> Poll<Heard> {
        loop {
            match connection.codec.next_event() {
                Ok(Event::Body(piece)) => {
                    self.received += piece.len() as u64;
                    let limits = &connection.shared.settings.limits;
                    self.pace.moved(piece.len() as u64, Instant::now(), limits);
                    if let Some(upload) = &self.upload {
                        upload.give(piece, cx.waker());
                    }
                    return Poll::Ready(Heard::Something);
                }
                Ok(Event::NeedData) => match self.poll_read(cx, connection, output) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(failure)) => return Poll::Ready(self.fail(cx, failure)),
                },
                Ok(_) => {
                    self.end(cx, Ok(()));
                    return Poll::Ready(Heard::Something);
                }
                Err(error) => return Poll::Ready(self.fail(cx, refused(&error))),
            }
        }
    }

    /// Reads more of the body, first inviting a client that waits for that (RFC 9110 10.1.1).
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
        output: &mut Output,
    ) -> Poll<Result<(), Failure>> {
        let Connection { stream, codec, shared, .. } = connection;
        if codec.awaits_continue() && output.is_empty() && codec.send_continue(&mut output.head).is_ok() {
            let mut progressed = false;
            // What the socket does not take at once goes out with the next flush.
            if let Poll::Ready(Err(_)) = output.poll_flush(cx, stream, &mut progressed) {
                return Poll::Ready(Err(Failure::client_gone()));
            }
        }
        let buffer = codec.receive_buffer();
        buffer.reserve(BODY_READ_BYTES);
        match stream.poll_read(cx, buffer) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Failure::client_gone())),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending => match self.pace.poll_too_slow(cx, &shared.settings.limits) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Err(too_slow(&shared.settings.limits))),
            },
        }
    }

    fn fail(&mut self, cx: &Context<'_>, failure: Failure) -> Heard {
        let gone = failure.kind == FailureKind::ClientGone;
        self.end(cx, Err(failure));
        if gone { Heard::Gone } else { Heard::Something }
    }

    fn end(&mut self, cx: &Context<'_>, end: Result<(), Failure>) {
        if let Some(upload) = self.upload.take() {
            upload.end(end, cx.waker());
        }
    }
}

/// Reads what the client sends behind its request, for its leaving comes behind that: a kernel that takes no more bytes would never
/// tell of it. Ready when it has left.
fn poll_ahead(cx: &mut Context<'_>, connection: &mut Connection) -> Poll<()> {
    let Connection { stream, codec, shared, .. } = connection;
    loop {
        if ready!(stream.poll_readable(cx)).is_err() {
            return Poll::Ready(());
        }
        if codec.buffered() >= MAX_AHEAD_BYTES {
            // RFC 9112 9.3.2: who pipelines must be ready to ask again.
            codec.close_after(CloseReason::Refused);
            codec.receive_buffer().clear();
        }
        let buffer = codec.receive_buffer();
        buffer.reserve(HEAD_READ_BYTES);
        match stream.poll_read(cx, buffer) {
            Poll::Ready(Ok(0)) if shared.settings.limits.half_close => return stream.poll_closed(cx),
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => {}
        }
    }
}

fn refused(error: &PeerError) -> Failure {
    let kind = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => FailureKind::BodyTooLarge,
        _ => FailureKind::BadRequest,
    };
    Failure::new(kind, format!("the request body: {error}"))
}

fn too_slow(limits: &HttpLimits) -> Failure {
    let rate = limits.min_body_rate.unwrap_or_default();
    Failure::new(
        FailureKind::ClientTooSlow,
        format!("the client sends its body at less than {rate} bytes a second; see `min_body_rate`"),
    )
}

/// Whether a body arrives fast enough: a store of time. It is full, `body_grace`, at the start; every moment in which somebody
/// waits for the client takes from it, and every byte adds its share at the slowest rate. So a client that was fast has
/// earned no longer silence than any other.
#[derive(Default)]
struct Pace {
    spent: Duration,
    waiting_since: Option<Instant>,
    deadline: Deadline,
}

impl Pace {
    fn moved(&mut self, bytes: u64, now: Instant, limits: &HttpLimits) {
        let Some(rate) = slowest(limits) else { return };
        if let Some(since) = self.waiting_since.take() {
            self.spent += now.saturating_duration_since(since);
        }
        let earned = Duration::try_from_secs_f64(bytes as f64 / rate as f64).unwrap_or(Duration::MAX);
        self.spent = self.spent.saturating_sub(earned);
    }

    /// Ready once the store is empty.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>, limits: &HttpLimits) -> Poll<()> {
        if self.waiting_since.is_none() {
            let Some(end) = self.wait(Instant::now(), limits) else { return Poll::Pending };
            self.deadline.set_at(end);
        }
        self.deadline.poll_passed(cx)
    }

    /// Begins to wait; the moment until which that may last.
    fn wait(&mut self, now: Instant, limits: &HttpLimits) -> Option<Instant> {
        slowest(limits)?;
        self.waiting_since = Some(now);
        Some(now + limits.body_grace.saturating_sub(self.spent))
    }
}

/// The slowest rate that is taken, in bytes a second.
fn slowest(limits: &HttpLimits) -> Option<u64> {
    limits.min_body_rate.filter(|&rate| rate > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> HttpLimits {
        HttpLimits { min_body_rate: Some(100), body_grace: Duration::from_secs(10), ..HttpLimits::default() }
    }

    /// How long the client may be silent from `now` on.
    fn patience(pace: &mut Pace, now: Instant) -> Duration {
        pace.wait(now, &limits()).unwrap() - now
    }

    #[test]
    fn silence_from_the_start_may_last_the_grace() {
        assert_eq!(patience(&mut Pace::default(), Instant::now()), Duration::from_secs(10));
    }

    #[test]
    fn lesson_30_bytes_that_came_fast_earn_no_long_silence() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.moved(1 << 40, now, &limits());
        assert_eq!(patience(&mut pace, now), Duration::from_secs(10));
    }

    #[test]
    fn lesson_30_a_drop_now_and_then_does_not_hold_the_gateway() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        // One byte every two seconds, where a hundred a second are the least: each earns a hundredth of a second.
        for drops in 1..=5 {
            let left = patience(&mut pace, now);
            assert_eq!(left, Duration::from_secs(10) - Duration::from_millis(1_990) * (drops - 1));
            now += Duration::from_secs(2);
            pace.moved(1, now, &limits());
        }
        assert!(patience(&mut pace, now) < Duration::from_millis(100));
    }

    #[test]
    fn a_client_at_the_slowest_rate_goes_on_for_ever_and_one_that_catches_up_is_forgiven() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..1_000 {
            assert!(patience(&mut pace, now) >= Duration::from_secs(5));
            now += Duration::from_secs(5);
            pace.moved(500, now, &limits());
        }
        assert_eq!(patience(&mut pace, now), Duration::from_secs(10));
    }

    #[test]
    fn time_in_which_nobody_waits_for_the_client_is_free() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.moved(1, now, &limits());
        let much_later = now + Duration::from_secs(1_000);
        assert_eq!(patience(&mut pace, much_later), Duration::from_secs(10));
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let limits = HttpLimits { min_body_rate: None, ..limits() };
        let mut pace = Pace::default();
        assert_eq!(pace.wait(Instant::now(), &limits), None);
    }
}
