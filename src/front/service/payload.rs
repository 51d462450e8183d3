//! The body of a response on its way to the server in front, and the end of the record. It does not know what made the body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};
use tracing::warn;

use crate::exchange::{self, Body, Ending, Exchange, Failure, FailureKind};
use crate::io::{DrainWatch, Phase};

/// The body of a response that the gateway has given.
///
/// It fails where the program broke off, and a server must cut the connection then. Dropped before its end, it says that the
/// client has left.
pub struct ResponseBody {
    body: Body,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
    noted: Noted,
    /// Ready when the gateway waits no longer.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What broke, held back until what came before it can have been written.
    failed: Option<Failure>,
    is_over: bool,
}

/// The record of an exchange, which ends with this.
pub(super) struct Noted {
    exchange: Arc<Exchange>,
    ending: Ending,
    sent: u64,
}

impl Noted {
    pub(super) const fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange, ending: Ending::ClientGone, sent: 0 }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let (total, ending, sent) = (self.exchange.started().elapsed(), self.ending, self.sent);
        self.exchange.note(|record| {
            (record.total, record.ending, record.bytes_sent) = (total, ending, sent);
        });
    }
}

/// The response as servers know it. `drain` is what a response is cut by.
pub(super) fn response(
    response: exchange::Response,
    is_head: bool,
    noted: Noted,
    drain: Option<DrainWatch>,
) -> http::Response<ResponseBody> {
    let (status, mut headers, body) = (response.status, response.headers, response.body);
    gatebridge_cgi::remove_hop_by_hop(&mut headers);
    let started = noted.exchange.started();
    noted.exchange.note(|record| {
        record.status = Some(status);
        record.first_byte = Some(started.elapsed());
    });
    let is_bodiless = is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !is_head && status == StatusCode::NO_CONTENT {
        // RFC 9110 8.6: never with 204.
        headers.remove(CONTENT_LENGTH);
    }
    let body = if is_bodiless {
        let over =
            ResponseBody { body: Body::Empty, left: Some(0), noted, cut: None, failed: None, is_over: false };
        see_out(body);
        over
    } else {
        let left = announced(&headers).or_else(|| body.length());
        ResponseBody { body, left, noted, cut: drain.map(cut), failed: None, is_over: false }
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn cut(mut drain: DrainWatch) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move { drain.reached(Phase::Cut).await })
}

/// Lets a program end in peace whose client has all that it gets: what it still writes is thrown away.
fn see_out(body: Body) {
    let Body::Stream(stream) = body else { return };
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let mut body = Body::Stream(stream);
        // Its limits of time are its own; a failure after the end is nobody's.
        while let Some(Ok(_)) = body.chunk().await {}
    });
}

impl ResponseBody {
    fn end(&mut self, ending: Ending) {
        self.noted.ending = ending;
        self.is_over = true;
        self.body = Body::Empty;
    }

    /// The next piece, no more than was announced.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        if let Some(cut) = &mut self.cut
            && cut.as_mut().poll(cx).is_ready()
        {
            let detail = "the gateway ends, and does not wait any longer";
            return Poll::Ready(Some(Err(Failure::new(FailureKind::BrokenOff, detail))));
        }
        loop {
            let mut piece = match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(piece)) => piece,
                None if self.left.is_none_or(|left| left == 0) => return Poll::Ready(None),
                None => {
                    // Lesson 11: less than announced must not look like all.
                    let detail = format!("the response ended {} bytes early", self.left.unwrap_or(0));
                    return Poll::Ready(Some(Err(Failure::new(FailureKind::BrokenOff, detail))));
                }
                failed => return Poll::Ready(failed),
            };
            if let Some(left) = &mut self.left {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            // What comes beyond is thrown away; only the end is still of interest.
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(piece)));
            }
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(failure) = self.failed.take() {
            self.end(Ending::BrokenOff);
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(self.poll_piece(cx)) {
            Some(Ok(piece)) => {
                self.noted.sent += piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(failure)) => {
                let id = self.noted.exchange.id();
                warn!(id = %id.escape_ascii(), "the response is cut short: {failure}");
                // A server that is told at once forgets what it did not write yet, and a client that sees nothing at all may
                // take it for a fault of the line and ask again.
                self.failed = Some(failure);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                self.end(Ending::Complete);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (matches!(self.body, Body::Empty) && self.left.is_none_or(|left| left == 0))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.is_over || self.failed.is_some() || self.left != Some(0) {
            return;
        }
        // A server that has all the bytes it was told of does not ask for more.
        self.noted.ending = Ending::Complete;
        see_out(std::mem::take(&mut self.body));
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("body", &self.body)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
