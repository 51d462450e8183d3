//! One HTTP/1.1 connection, from its first byte to its last: idle, head, serve, linger. It does not know what answers.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gatebridge_http1::{BodyLeft, CloseReason, Event, Limits, PeerError, RequestHead, Server};
use tracing::debug;

use super::Shared;
use super::census::Seat;
use super::intake::{self, Intake};
use super::refusal;
use super::serving::{Served, Serving};
use crate::config::HttpLimits;
use crate::exchange::{Ending, Exchange, Request, Response, UniqueId};
use crate::io::{Deadline, Peer, Phase, Stream};

/// Room for a request head: most fit into it whole, and it is given back between requests.
pub(super) const HEAD_READ_BYTES: usize = 4 * 1024;
/// Room for a piece of request body: as much as a socket gives at once without tuning.
pub(super) const BODY_READ_BYTES: usize = 64 * 1024;

/// What a client is told to wait whose address has as many connections as it may: they come and go in moments.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A client that has just connected is about to ask, and has no way of knowing that we drain: so long is it waited for.
/// One round trip over a bad line; a connection that has been served before may be closed at any time (RFC 9112 9.3.1).
const FRESH_GRACE: Duration = Duration::from_secs(1);

/// One connection and all that belongs to it while it is open.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) codec: Server,
    /// A response has begun and is not known to have gone out whole.
    pub(super) is_answering: bool,
    /// No request has come yet.
    is_fresh: bool,
    pub(super) shared: Arc<Shared>,
    deadline: Deadline,
    peer: Peer,
    _seat: Seat,
}

/// What came instead of the head of a next request.
enum NoHead {
    /// Nothing: the client closed, was idle for too long, or we drain.
    Closed,
    /// Part of a head, and then nothing for too long.
    TooSlow,
    /// Something that is no request.
    Refused(PeerError),
}

/// The codec's limits as the configuration has them.
pub(super) fn codec_limits(limits: &HttpLimits) -> Limits {
    Limits {
        max_target_bytes: limits.max_target,
        max_head_bytes: limits.max_head,
        max_fields: limits.max_headers,
        ..Limits::default()
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: Peer, shared: Arc<Shared>, seat: Seat) -> Self {
        let codec = Server::new(shared.codec_limits);
        let deadline = Deadline::unset();
        Self { stream, codec, is_answering: false, is_fresh: true, shared, deadline, peer, _seat: seat }
    }

    /// Serves the connection until it ends, or until the drain cuts it.
    pub(super) fn run(self) -> impl Future<Output = ()> + Send {
        let mut connection = self;
        // Not an async fn: that would hold the connection twice, as its argument and as its variable.
        async move {
            let mut drain = connection.shared.drain.clone();
            let is_cut = {
                let mut serving = pin!(connection.serve());
                loop {
                    tokio::select! {
                        biased;
                        () = &mut serving => break false,
                        // Whatever the phase, it is seen when the serving is polled anew.
                        phase = drain.next_phase() => if phase == Phase::Cut {
                            break true;
                        },
                    }
                }
            };
            if is_cut {
                connection.break_off();
            }
        }
    }

    /// Sees to it that a response that has begun does not look complete when the connection closes.
    fn break_off(&self) {
        if self.is_answering {
            self.stream.reset_on_close();
        }
    }

    async fn serve(&mut self) {
        self.deadline.set(Some(self.shared.settings.limits.head_timeout));
        loop {
            let head = poll_fn(|cx| self.poll_head(cx)).await;
            self.is_fresh = false;
            // Boxed, so that an idle connection does not carry the room that a request needs.
            if !self.boxed(head).await {
                return;
            }
            if self.codec.must_close() {
                return Box::pin(self.linger()).await;
            }
            // A next head of which a part is here already has begun.
            let limits = &self.shared.settings.limits;
            let limit = if self.codec.is_idle() { limits.idle_timeout } else { limits.head_timeout };
            self.deadline.set(Some(limit));
        }
    }

    fn boxed(
        &mut self,
        head: Result<RequestHead, NoHead>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        match head {
            Ok(head) => Box::pin(self.serve_request(head)),
            Err(none) => Box::pin(self.serve_none(none)),
        }
    }

    /// Serves what is no request; `false` because the connection has no future.
    async fn serve_none(&mut self, none: NoHead) -> bool {
        match none {
            NoHead::Closed => {}
            NoHead::TooSlow => {
                self.refuse(::http::StatusCode::REQUEST_TIMEOUT, CloseReason::TimedOut).await;
            }
            NoHead::Refused(error) => {
                debug!(peer = ?self.peer, %error, "refused what is no proper request");
                self.refuse(error.status(), CloseReason::PeerFailed).await;
            }
        }
        false
    }

    /// The head of the next request. Between requests the connection waits without a buffer.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<RequestHead, NoHead>> {
        loop {
            match self.codec.next_event() {
                Ok(Event::NeedData) => {}
                Ok(Event::Request(head)) => return Poll::Ready(Ok(head)),
                Ok(_) => return Poll::Ready(Err(NoHead::Closed)),
                Err(error) => return Poll::Ready(Err(NoHead::Refused(error))),
            }
            let idle = self.codec.is_idle();
            if idle {
                self.codec.release_buffer();
            }
            if self.deadline.poll_passed(cx).is_ready() {
                return Poll::Ready(Err(if idle { NoHead::Closed } else { NoHead::TooSlow }));
            }
            match self.stream.poll_readable(cx) {
                // Only here: a request that has arrived is answered.
                Poll::Pending if idle && self.shared.drain.is(Phase::Draining) => {
                    if !self.is_fresh {
                        return Poll::Ready(Err(NoHead::Closed));
                    }
                    if self.deadline.is_within(FRESH_GRACE) {
                        return Poll::Pending;
                    }
                    self.deadline.set(Some(FRESH_GRACE));
                    continue;
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(NoHead::Closed)),
                Poll::Ready(Ok(())) => {}
            }
            let buffer = self.codec.receive_buffer();
            buffer.reserve(HEAD_READ_BYTES);
            match self.stream.poll_read(cx, buffer) {
                Poll::Pending => {}
                Poll::Ready(Ok(0)) => self.codec.receive_end(),
                Poll::Ready(Ok(_)) if idle => {
                    // The first byte of a head: from here it must be complete in time.
                    self.deadline.set(Some(self.shared.settings.limits.head_timeout));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(NoHead::Closed)),
            }
        }
    }

    /// Serves one request; `false` if the connection has no future.
    async fn serve_request(&mut self, head: RequestHead) -> bool {
        let (application, sink) = self.shared.applications.current();
        let exchange = intake::exchange(&head, self.peer, sink);
        let framing = head.body;
        match intake::environ(head, self.peer, &self.shared.server_software, &exchange) {
            Ok(Intake::Request(environ)) => {
                let (mut serving, body) = Serving::new(self, &exchange, framing);
                let request = Request { environ: *environ, body, exchange: Arc::clone(&exchange) };
                let served = serving.serve(application, request).await;
                let sent = serving.bytes_sent();
                self.finish(served, sent, &exchange).await
            }
            Ok(Intake::Own(status)) => {
                let response = Response::new(status, crate::exchange::Body::Empty);
                self.answer_alone(response, &exchange, framing).await
            }
            Ok(Intake::Tunnel) => {
                // What follows is meant for the server at the far end.
                self.codec.close_after(CloseReason::Refused);
                let page = refusal::page(::http::StatusCode::NOT_IMPLEMENTED, &exchange.id());
                self.answer_alone(page, &exchange, framing).await
            }
            Err(failure) => {
                debug!(id = %String::from_utf8_lossy(&exchange.id()), %failure, "refused a request");
                match refusal::response(&failure, &exchange.id()) {
                    Some(response) => self.answer_alone(response, &exchange, framing).await,
                    None => false,
                }
            }
        }
    }

    /// Sends a response that no application made.
    async fn answer_alone(
        &mut self,
        response: Response,
        exchange: &Arc<Exchange>,
        framing: gatebridge_http1::Framing,
    ) -> bool {
        let (mut serving, body) = Serving::new(self, exchange, framing);
        drop(body);
        let served = serving.respond(response).await;
        let sent = serving.bytes_sent();
        self.finish(served, sent, exchange).await
    }

    /// Completes the record, and decides whether the connection has a future.
    async fn finish(&mut self, served: Served, bytes_sent: u64, exchange: &Exchange) -> bool {
        exchange.note(|record| {
            record.total = exchange.started().elapsed();
            record.bytes_sent = bytes_sent;
            record.ending = match served {
                Served::Complete => Ending::Complete,
                Served::ClientGone => Ending::ClientGone,
                Served::BrokenOff { .. } => Ending::BrokenOff,
            };
        });
        match served {
            Served::Complete => {
                self.is_answering = false;
                self.skip_rest_of_body().await;
                true
            }
            Served::ClientGone => {
                // It may still be there and only have been too slow: then it must not take what it has for all.
                self.break_off();
                false
            }
            Served::BrokenOff { looks_complete } => {
                if looks_complete {
                    self.stream.reset_on_close();
                }
                false
            }
        }
    }

    /// Throws away the rest of an unread body: if that is all within the limits of lingering, the connection stays useful.
    ///
    /// RFC 9112 9.3: whoever keeps a connection reads the whole body of a request. To close instead would surprise a
    /// client that still sends its body and was told of no close.
    async fn skip_rest_of_body(&mut self) {
        let mut allowed = self.shared.settings.limits.linger_bytes;
        self.deadline.set(Some(self.shared.settings.limits.linger_timeout));
        if !poll_fn(|cx| self.poll_skip(cx, &mut allowed)).await {
            self.codec.close_after(CloseReason::BodyUnread);
        }
    }

    /// Whether the rest of an unread body is, as far as it is known, within the limits of lingering.
    pub(super) fn may_skip_rest_of_body(&self) -> bool {
        match self.codec.request_body_left() {
            BodyLeft::Exactly(left) => left <= self.shared.settings.limits.linger_bytes,
            BodyLeft::Nothing | BodyLeft::Unknown => true,
        }
    }

    /// Ready with whether the whole body has been thrown away.
    fn poll_skip(&mut self, cx: &mut Context<'_>, allowed: &mut u64) -> Poll<bool> {
        loop {
            match self.codec.request_body_left() {
                BodyLeft::Nothing => return Poll::Ready(true),
                BodyLeft::Exactly(left) if left > *allowed => return Poll::Ready(false),
                _ if self.codec.must_close() || self.deadline.poll_passed(cx).is_ready() => {
                    return Poll::Ready(false);
                }
                _ => {}
            }
            match self.codec.next_event() {
                Ok(Event::Body(piece)) => match allowed.checked_sub(piece.len() as u64) {
                    Some(rest) => *allowed = rest,
                    None => return Poll::Ready(false),
                },
                Ok(Event::End { .. }) => {}
                Ok(Event::NeedData) => {
                    let buffer = self.codec.receive_buffer();
                    buffer.reserve(HEAD_READ_BYTES);
                    match self.stream.poll_read(cx, buffer) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                        Poll::Ready(Ok(_)) => {}
                    }
                }
                _ => return Poll::Ready(false),
            }
        }
    }

    /// Answers something that is no request, or not all of one, and ends the connection.
    async fn refuse(&mut self, status: ::http::StatusCode, reason: CloseReason) {
        self.refuse_with(|id| refusal::page(status, id), reason).await;
    }

    async fn refuse_with(&mut self, page: impl FnOnce(&UniqueId) -> Response, reason: CloseReason) {
        let (_, sink) = self.shared.applications.current();
        let exchange = Exchange::new(intake::blank_record(self.peer), sink);
        self.codec.close_after(reason);
        let page = page(&exchange.id());
        if self.answer_alone(page, &exchange, gatebridge_http1::Framing::None).await {
            drop(exchange);
            self.linger().await;
        }
    }

    /// Closes so that the client can read what it was told: our side first, then the client's, within limits (RFC 9112
    /// 9.6). Bytes that arrive at a closed socket would make the kernel send a reset, which destroys the response on its
    /// way.
    async fn linger(&mut self) {
        let limits = &self.shared.settings.limits;
        let mut left = limits.linger_bytes;
        let deadline = &mut self.deadline;
        deadline.set(Some(limits.linger_timeout));
        self.stream.finish_sending();
        let (stream, buffer) = (&mut self.stream, self.codec.receive_buffer());
        poll_fn(|cx| {
            loop {
                if deadline.poll_passed(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if stream.poll_readable(cx)?.is_pending() {
                    return Poll::Pending;
                }
                buffer.clear();
                buffer.reserve(HEAD_READ_BYTES);
                match stream.poll_read(cx, buffer)? {
                    Poll::Pending => {}
                    Poll::Ready(0) => return Poll::Ready(Ok::<(), io::Error>(())),
                    Poll::Ready(read) => match left.checked_sub(read as u64) {
                        Some(rest) => left = rest,
                        None => return Poll::Ready(Ok(())),
                    },
                }
            }
        })
        .await
        // A client that resets has no wish to read on.
        .unwrap_or_default();
    }
}

/// Tells a client that its address has as many connections as it may, and closes.
pub(super) async fn refuse(mut connection: Connection) {
    let page = |id: &UniqueId| refusal::busy(RETRY_AFTER, id);
    connection.refuse_with(page, CloseReason::Refused).await;
}

/// The id of an exchange as text for a log line.
pub(super) fn shown(id: &UniqueId) -> String {
    String::from_utf8_lossy(id).into_owned()
}
