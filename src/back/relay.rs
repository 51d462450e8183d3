//! The one relay: carries the request body to a program and its output back, both at once, in the task of whoever
//! wants the output. It must not know whether pipes, FastCGI or SCGI carry them.
//!
//! ```text
//!               poll_chunk / poll_progress                 poll_ready, send, end_input
//!   request body --------------------------> Relay (feed) -------------------------------> Line -> program
//!   response     <-------------------------- head, payload <------------------------------ Line <- program
//!                                            |                     poll_output
//!                                            clock: whose turn is it, and for how long
//! ```
//!
//! Nothing is kept that grows with a body: one piece in each direction is in the relay's hands. No task is spawned, but
//! for a program that has not ended when its response is complete (see `aftermath`).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gatebridge_cgi::{Event, Facts, Head, Kind, ScriptError, ScriptLimits, ScriptReader, ScriptResponse};
use http::Method;

use crate::exchange::{
    Body, BodyStream, Chunk, Exchange, Failure, FailureKind, Interim, LocalRedirect, Request, Response,
};

use super::aftermath::see_out;
use super::feed::{Feed, Turn};
use super::line::Line;
use super::patience::{Clock, Patience};

/// What the relay must know of the route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Whether the output has to begin with a whole HTTP head (RFC 3875 5).
    pub(crate) is_nph: bool,
    /// What a head of the output may be at most.
    pub(crate) limits: ScriptLimits,
    /// How long the program may be silent.
    pub(crate) patience: Patience,
}

/// Carries the request's body to the program until the head of the response is there, and returns that response; its
/// body is the relay itself and goes on carrying both ways.
///
/// The environ is what the program was told; it comes back with a local redirect and is not used otherwise. 1xx heads
/// are sent up by way of the exchange. A local redirect comes back as [`Response::local_redirect`] without
/// payload. When the response is complete before the program has ended, the program is seen out beside the exchange.
///
/// # Errors
///
/// [`BadOutput`](FailureKind::BadOutput) for a head that is invalid, too long or incomplete, with the line's testimony;
/// [`TimedOut`](FailureKind::TimedOut) when the program was silent for too long; whatever the line or the request body
/// failed with. The line is dropped then, and so aborted.
pub(crate) async fn answer<L: Line>(
    line: L,
    mut request: Request,
    rules: Rules,
) -> Result<Response, Failure> {
    answer_lent(line, &mut request, rules).await
}

/// The same for a request that is only lent, so that it can be asked again of another line when this one failed. Its body
/// is taken in any case, its environ only with a local redirect.
///
/// # Errors
///
/// See [`answer`].
pub(crate) async fn answer_lent<L: Line>(
    line: L,
    request: &mut Request,
    rules: Rules,
) -> Result<Response, Failure> {
    let mut relay = Relay::new(line, request, rules);
    let script = poll_fn(|cx| relay.poll_head(cx, &request.exchange)).await?;
    let mut response = Response::new(script.head.status, Body::Empty);
    response.reason = script.head.reason;
    response.headers = script.head.headers;
    if let Kind::LocalRedirect { path_query } = script.kind {
        let environ = std::mem::take(&mut request.environ);
        response.local_redirect = Some(Box::new(LocalRedirect { target: path_query, environ }));
        // RFC 3875 6.2.2: the gateway answers with another resource. The program ends first, so that whatever it did is
        // done; its payload, which it must not have, was swallowed by the reader.
        while let Some(piece) = poll_fn(|cx| relay.poll_payload(cx)).await {
            piece?;
        }
        return Ok(response);
    }
    response.body = relay.into_body().await;
    Ok(response)
}

/// Both directions of one exchange with a program. As a body stream it is the payload of the response.
struct Relay<L: Line> {
    /// Gone when the exchange is over: finished, aborted, or left to be seen out.
    line: Option<L>,
    feed: Feed,
    clock: Clock,
    reader: ScriptReader,
    is_head: bool,
    patience: Patience,
    /// The consumer has a piece in its hands, so time passes that is not the program's.
    is_consumer_busy: bool,
    /// Bytes of payload still to come, where the program announced them. To HEAD it is what GET would have.
    left: Option<u64>,
    /// Whether there is a payload at all.
    is_bodiless: bool,
    /// What broke while nobody asked for output.
    failed: Option<Failure>,
    /// Where a policy notes that the time of the whole request has passed.
    exchange: Arc<Exchange>,
}

impl<L: Line> Relay<L> {
    /// Takes the request's body.
    fn new(line: L, request: &mut Request, rules: Rules) -> Self {
        let method = &request.environ.method;
        let facts = Facts { method: method.clone(), nph: rules.is_nph };
        Self {
            line: Some(line),
            feed: Feed::new(std::mem::take(&mut request.body)),
            clock: Clock::new(rules.patience.first_byte),
            is_head: method == Method::HEAD,
            reader: ScriptReader::new(rules.limits, facts),
            patience: rules.patience,
            is_consumer_busy: false,
            left: None,
            is_bodiless: false,
            failed: None,
            exchange: Arc::clone(&request.exchange),
        }
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Exchange,
    ) -> Poll<Result<ScriptResponse, Failure>> {
        if let Err(failure) = self.carry_input(cx) {
            return Poll::Ready(Err(failure));
        }
        loop {
            match self.reader.next_event() {
                Ok(Event::Informational(head)) => {
                    self.clock.touch();
                    exchange.send_interim(interim(head));
                }
                Ok(Event::Response(response)) => {
                    self.clock.restart(self.patience.output);
                    self.is_bodiless = self.is_head || !response.has_body();
                    self.left = response.head.content_length.filter(|_| response.has_body());
                    return Poll::Ready(Ok(response));
                }
                Ok(Event::NeedData) => match self.poll_output(cx) {
                    Poll::Ready(Some(Ok(piece))) => self.reader.receive(piece),
                    Poll::Ready(None) => self.reader.receive_end(),
                    Poll::Ready(Some(Err(failure))) => return Poll::Ready(Err(before_head(failure))),
                    Poll::Pending => {
                        let limit = ready!(self.clock.poll_over(cx));
                        return Poll::Ready(Err(self.too_slow(
                            FailureKind::TimedOut,
                            limit,
                            "the head of its response",
                        )));
                    }
                },
                // The reader gives neither before the response.
                Ok(Event::Body(_) | Event::End) => {
                    return Poll::Ready(Err(Failure::internal("script output was read out of order")));
                }
                Err(error) => return Poll::Ready(Err(self.bad_output(FailureKind::BadOutput, &error))),
            }
        }
    }

    /// The next piece of payload; `None` at its proper end.
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(failure) = self.failed.take() {
            return self.break_off(failure);
        }
        if std::mem::take(&mut self.is_consumer_busy) {
            self.clock.touch();
        }
        if self.line.is_some()
            && let Err(failure) = self.carry_input(cx)
        {
            return self.break_off(failure);
        }
        loop {
            match self.reader.next_event() {
                Ok(Event::Body(piece)) => {
                    self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                    self.is_consumer_busy = true;
                    return Poll::Ready(Some(Ok(piece)));
                }
                Ok(Event::End) => {
                    self.part();
                    return Poll::Ready(None);
                }
                Ok(Event::NeedData) => match self.poll_output(cx) {
                    Poll::Ready(Some(Ok(piece))) => self.reader.receive(piece),
                    Poll::Ready(None) => self.reader.receive_end(),
                    // Nobody misses what comes after a complete response.
                    Poll::Ready(Some(Err(_))) if self.is_satisfied() => return self.leave(),
                    Poll::Ready(Some(Err(failure))) => return self.break_off(failure),
                    Poll::Pending if self.is_satisfied() && self.feed.is_over() => {
                        return self.leave_to_itself();
                    }
                    Poll::Pending => {
                        let limit = ready!(self.clock.poll_over(cx));
                        if self.is_satisfied() {
                            return self.leave();
                        }
                        let failure = self.too_slow(FailureKind::BrokenOff, limit, "more of its response");
                        return self.break_off(failure);
                    }
                },
                Ok(Event::Informational(_) | Event::Response(_)) => {
                    return self.break_off(Failure::internal("script output was read out of order"));
                }
                Err(error) => {
                    let failure = self.bad_output(FailureKind::BrokenOff, &error);
                    return self.break_off(failure);
                }
            }
        }
    }

    /// Carries request body to the program as far as it goes now, and stops the clock while the client owes some.
    fn carry_input(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let (turn, has_moved) = self.feed.carry(line, cx)?;
        if has_moved {
            self.clock.touch();
        }
        self.clock.hold(turn == Turn::Client);
        Ok(())
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let Some(line) = &mut self.line else { return Poll::Ready(None) };
        let output = ready!(line.poll_output(cx));
        // A head that comes byte by byte is still a head that does not come.
        if output.is_some() && self.reader.has_responded() {
            self.clock.touch();
        }
        Poll::Ready(output)
    }

    /// Whether the response has all it needs, though the program may not have ended.
    fn is_satisfied(&self) -> bool {
        self.reader.has_responded() && (self.is_bodiless || self.left == Some(0))
    }

    /// RFC 3875 has no word for a program that writes more than it announced; what carried it is not trusted again.
    fn is_honest(&self) -> bool {
        self.is_bodiless || self.reader.discarded() == 0
    }

    /// The program has ended properly.
    fn part(&mut self) {
        if let Some(line) = self.line.take()
            && self.is_honest()
        {
            line.finish();
        }
        self.feed = Feed::new(Body::Empty);
    }

    /// The response is complete and the program need not be heard any more.
    fn leave(&mut self) -> Poll<Option<Chunk>> {
        self.line = None;
        self.reader.receive_end();
        Poll::Ready(None)
    }

    /// The response is complete, and the program may end in peace.
    fn leave_to_itself(&mut self) -> Poll<Option<Chunk>> {
        let is_honest = self.is_honest();
        if let Some(line) = self.line.take() {
            see_out(line, is_honest);
        }
        self.leave()
    }

    /// The payload ends here, and must not look complete.
    fn break_off(&mut self, failure: Failure) -> Poll<Option<Chunk>> {
        self.line = None;
        self.failed = Some(failure.clone());
        Poll::Ready(Some(Err(failure)))
    }

    /// The payload as a body: in memory if it is complete already, which spares small answers a stream.
    async fn into_body(mut self) -> Body {
        let first = poll_fn(|cx| Poll::Ready(self.poll_payload(cx))).await;
        match first {
            // RFC 9110 9.3.2: the head says what it would say to GET; a body that is known to be empty would contradict.
            Poll::Ready(None) if self.is_head => self.into_stream(Vec::new()),
            Poll::Ready(None) => Body::Empty,
            Poll::Ready(Some(Ok(piece))) => {
                let second = poll_fn(|cx| Poll::Ready(self.poll_payload(cx))).await;
                match second {
                    Poll::Ready(None) => Body::Bytes(piece),
                    Poll::Ready(Some(next)) => self.into_stream(vec![next, Ok(piece)]),
                    Poll::Pending => self.into_stream(vec![Ok(piece)]),
                }
            }
            Poll::Ready(Some(failed)) => self.into_stream(vec![failed]),
            Poll::Pending => self.into_stream(Vec::new()),
        }
    }

    fn into_stream(self, early: Vec<Chunk>) -> Body {
        Body::Stream(Box::new(RelayedBody { early, relay: self }))
    }

    fn bad_output(&self, kind: FailureKind, error: &ScriptError) -> Failure {
        Failure::new(kind, format!("{error}; {}", self.testimony()))
    }

    fn too_slow(&mut self, kind: FailureKind, limit: Duration, awaited: &str) -> Failure {
        let waited = limit.as_secs_f64();
        let failure = Failure::new(kind, format!("waited {waited} s for {awaited}; {}", self.testimony()));
        if let Some(line) = &mut self.line {
            line.overdue(&failure.detail);
        }
        failure
    }

    fn testimony(&self) -> String {
        self.line.as_ref().map(Line::testimony).unwrap_or_default()
    }
}

impl<L: Line> Drop for Relay<L> {
    fn drop(&mut self) {
        if let Some(line) = &mut self.line
            && self.exchange.is_overdue()
        {
            line.overdue("the whole request took longer than its route allows");
        }
    }
}

/// The payload of a relayed response.
struct RelayedBody<L: Line> {
    /// What came with the head, the last piece first.
    early: Vec<Chunk>,
    relay: Relay<L>,
}

impl<L: Line> BodyStream for RelayedBody<L> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        match self.early.pop() {
            Some(chunk) => Poll::Ready(Some(chunk)),
            None => self.relay.poll_payload(cx),
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if self.relay.failed.is_none()
            && let Err(failure) = self.relay.carry_input(cx)
        {
            self.relay.failed = Some(failure);
        }
    }

    fn length(&self) -> Option<u64> {
        let early: usize = self.early.iter().flatten().map(Bytes::len).sum();
        self.relay.left.map(|left| left + early as u64)
    }
}

fn interim(head: Head) -> Interim {
    Interim { status: head.status, headers: head.headers }
}

/// Before the head there is nothing to break off.
fn before_head(failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::BrokenOff => Failure { kind: FailureKind::BadOutput, ..failure },
        _ => failure,
    }
}
