//! One request of a connection: its body goes up and its response comes down at once, in one task. It does not know what
//! answers, and decides nothing about the connection's future.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use gatebridge_http1::{BodyLeft, CloseReason, Framing, Response as Head, SendError};
use http::StatusCode;
use http::header::SERVER;
use tracing::{info, warn};

use super::connection::{Connection, shown};
use super::downlink::Downlink;
use super::output::{Output, Unwritten};
use super::refusal;
use super::uplink::{Heard, Uplink};
use crate::exchange::{Answer, Application, Body, Exchange, Failure, FailureKind, Request, Response};
use crate::io::{Deadline, Phase, http_date};

/// How it ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// The response went out whole.
    Complete,
    /// The client left.
    ClientGone,
    /// The response broke off.
    BrokenOff {
        /// Whether the client could take what it has for the whole response: then the end must be a reset.
        looks_complete: bool,
    },
}

/// One request being served on a connection.
pub(super) struct Serving<'c> {
    connection: &'c mut Connection,
    exchange: &'c Arc<Exchange>,
    uplink: Uplink,
    output: Output,
    write_deadline: Deadline,
}

/// What became of the wait for a response.
enum Answered {
    Response(Response),
    Failure(Failure),
    ClientGone,
}

/// What became of an attempt to write what waits.
enum Flushed {
    Empty,
    Blocked,
    Gone,
    /// What was to be written could not be had.
    Failed,
}

impl<'c> Serving<'c> {
    /// A request whose body is framed so, and that body.
    pub(super) fn new(
        connection: &'c mut Connection,
        exchange: &'c Arc<Exchange>,
        framing: Framing,
    ) -> (Self, Body) {
        let (uplink, body) = Uplink::new(&mut connection.codec, framing);
        let (output, write_deadline) = (Output::default(), Deadline::unset());
        (Self { connection, exchange, uplink, output, write_deadline }, body)
    }

    /// Bytes of response body that the client's socket has taken.
    pub(super) const fn bytes_sent(&self) -> u64 {
        self.output.payload_written()
    }

    /// Waits for the answer and sends it; a failure is answered with its page.
    ///
    /// The application is let go as soon as it has answered, however long the response lasts: one that a reload has
    /// replaced ends with the last request that it still has to answer.
    pub(super) async fn serve(&mut self, application: Arc<dyn Application>, request: Request) -> Served {
        let answered = self.wait_for(application.call(request)).await;
        drop(application);
        match answered {
            Answered::Response(response) => self.respond(response).await,
            Answered::ClientGone => Served::ClientGone,
            Answered::Failure(failure) => {
                self.tell(&failure);
                self.stop_waiting_for_body(&failure);
                match refusal::response(&failure, &self.exchange.id()) {
                    Some(response) => self.respond(response).await,
                    None => Served::ClientGone,
                }
            }
        }
    }

    /// A body that is known to come too slowly or without end is not waited for once more after the response.
    fn stop_waiting_for_body(&mut self, failure: &Failure) {
        let codec = &mut self.connection.codec;
        match (failure.kind, codec.request_body_left()) {
            (FailureKind::ClientTooSlow, _) => codec.close_after(CloseReason::TimedOut),
            (FailureKind::BodyTooLarge, BodyLeft::Unknown) => codec.close_after(CloseReason::BodyUnread),
            _ => {}
        }
    }

    async fn wait_for(&mut self, mut answer: Answer<'_>) -> Answered {
        poll_fn(|cx| {
            loop {
                let polled = answer.as_mut().poll(cx);
                let mut flushed = self.flush(cx);
                // Hints that come with the answer go out before its head, in the same write.
                if matches!(flushed, Flushed::Empty) && self.pass_interims(cx) && polled.is_pending() {
                    flushed = self.flush(cx);
                }
                match polled {
                    Poll::Ready(Ok(response)) => return Poll::Ready(Answered::Response(response)),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Answered::Failure(failure)),
                    Poll::Pending => {}
                }
                if matches!(flushed, Flushed::Gone | Flushed::Failed) {
                    return Poll::Ready(Answered::ClientGone);
                }
                match self.poll_client(cx) {
                    Poll::Ready(Heard::Something) => {}
                    Poll::Ready(Heard::Gone) => return Poll::Ready(Answered::ClientGone),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Puts what 1xx responses the program has sent into the output; whether there were any. Only while nothing else waits
    /// there: a client that does not take the hints it has gets no more, and they do not pile up.
    fn pass_interims(&mut self, cx: &Context<'_>) -> bool {
        let mut passed = false;
        for interim in self.exchange.poll_interims(cx.waker()) {
            // A client of HTTP/1.0 does not know them, and a status that is none of them is the program's mistake: either
            // way the hint is lost and nothing else.
            let (codec, head) = (&mut self.connection.codec, &mut self.output.head);
            passed |= codec.send_informational(interim.status, &interim.headers, head).unwrap_or(false);
        }
        passed
    }

    /// Sends a response, while the body of the request may still be going up.
    pub(super) async fn respond(&mut self, mut response: Response) -> Served {
        let Some(framing) = self.begin(&mut response) else {
            return Served::BrokenOff { looks_complete: false };
        };
        let status = response.status;
        let mut down = Downlink::new(response.body);
        let broken_off = Served::BrokenOff { looks_complete: framing == Framing::UntilClose };
        let mut is_broken = false;
        poll_fn(|cx| {
            loop {
                if !is_broken
                    && let Err(failure) = down.poll_fill(cx, &mut self.connection.codec, &mut self.output)
                {
                    self.tell_of_cut(&failure, status);
                    is_broken = true;
                }
                match self.flush(cx) {
                    Flushed::Gone => return Poll::Ready(Served::ClientGone),
                    // What came before the break has gone out: a client that sees nothing at all may ask again.
                    Flushed::Empty if is_broken => return Poll::Ready(broken_off),
                    Flushed::Failed => return Poll::Ready(broken_off),
                    Flushed::Empty if down.is_done() => return Poll::Ready(Served::Complete),
                    Flushed::Empty if down.may_fill() => continue,
                    Flushed::Empty => {}
                    Flushed::Blocked if is_broken => {}
                    Flushed::Blocked => down.poll_progress(cx),
                }
                match self.poll_client(cx) {
                    Poll::Ready(Heard::Something) => {}
                    Poll::Ready(Heard::Gone) => return Poll::Ready(Served::ClientGone),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Puts the head of the response into the output. One that cannot be sent is replaced by the page of a failure.
    fn begin(&mut self, response: &mut Response) -> Option<Framing> {
        self.connection.is_answering = true;
        if self.connection.shared.drain.is(Phase::Draining) {
            self.connection.codec.close_after(CloseReason::Draining);
        }
        if self.uplink.is_unwanted() && !self.connection.may_skip_rest_of_body() {
            // RFC 9112 9.6: the last response of a connection says so. It is the last where more of a body that nobody wants
            // stands between it and the next request than is read for nothing.
            self.connection.codec.close_after(CloseReason::BodyUnread);
        }
        match self.encode_head(response) {
            Ok(framing) => Some(framing),
            Err(error) => {
                let detail = format!("the response head cannot be sent: {error}");
                self.tell(&Failure::new(FailureKind::BadOutput, detail));
                *response = refusal::page(StatusCode::BAD_GATEWAY, &self.exchange.id());
                self.encode_head(response).ok()
            }
        }
    }

    fn encode_head(&mut self, response: &mut Response) -> Result<Framing, SendError> {
        if !response.headers.contains_key(SERVER) {
            response.headers.insert(SERVER, self.connection.shared.server.clone());
        }
        let date = http_date();
        let mut head = Head::new(response.status, &response.headers).date(&date);
        if let Some(reason) = &response.reason {
            head = head.reason(reason);
        }
        let length = response.body.length();
        let framing = self.connection.codec.send_response(&head, length, &mut self.output.head)?;
        let status = response.status;
        self.exchange.note(|record| {
            record.status = Some(status);
            record.first_byte = Some(self.exchange.started().elapsed());
        });
        Ok(framing)
    }

    /// Writes what waits. A client that takes nothing for too long has left.
    fn flush(&mut self, cx: &mut Context<'_>) -> Flushed {
        let connection = &mut *self.connection;
        let mut progressed = false;
        let flushed = self.output.poll_flush(cx, &mut connection.stream, &mut progressed);
        match flushed {
            Poll::Ready(Ok(())) => {
                self.write_deadline.clear();
                Flushed::Empty
            }
            Poll::Ready(Err(Unwritten::Client)) => Flushed::Gone,
            Poll::Ready(Err(Unwritten::File(error))) => {
                self.tell(&Failure::new(
                    FailureKind::BrokenOff,
                    format!("a file that was being sent: {error}"),
                ));
                Flushed::Failed
            }
            Poll::Pending => {
                if progressed || self.write_deadline.target().is_none() {
                    self.write_deadline.set(Some(connection.shared.settings.limits.write_timeout));
                }
                match self.write_deadline.poll_passed(cx) {
                    Poll::Ready(()) => {
                        info!(
                            id = shown(&self.exchange.id()),
                            "the client takes nothing; cut off, see `write_timeout`"
                        );
                        Flushed::Gone
                    }
                    Poll::Pending => Flushed::Blocked,
                }
            }
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let connection = &mut *self.connection;
        let polled = self.uplink.poll(cx, connection, &mut self.output);
        let received = self.uplink.take_received();
        if received > 0 {
            self.exchange.note(|record| record.bytes_received += received);
        }
        polled
    }

    /// Tells the log of a failure: with alarm only where the client is not to blame.
    fn tell(&self, failure: &Failure) {
        self.log(failure, failure.kind.status().map_or(0, |status| status.as_u16()), "");
    }

    /// Tells the log of a response that is cut short, whose status the client has got already.
    fn tell_of_cut(&self, failure: &Failure, status: StatusCode) {
        self.log(failure, status.as_u16(), "the response is cut short: ");
    }

    fn log(&self, failure: &Failure, status: u16, what: &str) {
        self.exchange.note(|record| _ = record.failure.get_or_insert(failure.kind));
        if failure.kind == FailureKind::ClientGone {
            return;
        }
        let id = shown(&self.exchange.id());
        if failure.kind.is_clients_fault() {
            info!(id, status, "{what}{failure}");
        } else {
            warn!(id, status, "{what}{failure}");
        }
    }
}
