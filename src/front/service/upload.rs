//! The body of a request that a server in this process received, as the gateway's own. It knows no framing.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf as _;

use super::AnyError;
use crate::exchange::{Body, BodyStream, Chunk, Failure, FailureKind};

/// The body of a request; an empty one is known to be so.
pub(super) fn body<B>(body: B) -> Body
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<AnyError>,
{
    if body.is_end_stream() { Body::Empty } else { Body::Stream(Box::new(Upload(Box::pin(body)))) }
}

struct Upload<B>(Pin<Box<B>>);

impl<B> BodyStream for Upload<B>
where
    B: http_body::Body + Send,
    B::Error: Into<AnyError>,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        loop {
            match std::task::ready!(self.0.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error: AnyError = error.into();
                    let detail = format!("the body of the request broke off: {error}");
                    return Poll::Ready(Some(Err(Failure::new(FailureKind::BadRequest, detail))));
                }
                // RFC 9110 6.5.1: trailers may be left out, and no program could be told of them.
                Some(Ok(frame)) => {
                    if let Ok(mut data) = frame.into_data()
                        && data.has_remaining()
                    {
                        return Poll::Ready(Some(Ok(data.copy_to_bytes(data.remaining()))));
                    }
                }
            }
        }
    }

    fn length(&self) -> Option<u64> {
        self.0.size_hint().exact()
    }
}
