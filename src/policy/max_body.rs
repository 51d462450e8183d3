//! Bounds the request body of a route. It does not know who reads the body.

use std::task::{Context, Poll};

use crate::exchange::{Answer, Application, Body, BodyStream, Chunk, Failure, FailureKind, Request};

/// Bounds the request body: 413 at once where its length is announced, and as soon as it is passed where it is not.
pub struct MaxBody<A> {
    limit: u64,
    inner: A,
}

impl<A> MaxBody<A> {
    /// Lets bodies of up to `limit` bytes through to `inner`.
    pub const fn new(limit: u64, inner: A) -> Self {
        Self { limit, inner }
    }
}

impl<A: Application> Application for MaxBody<A> {
    fn call(&self, mut request: Request) -> Answer<'_> {
        match request.body.length() {
            Some(length) if length > self.limit => {
                let failure = too_large(self.limit);
                return Box::pin(async { Err(failure) });
            }
            Some(_) => {}
            None => {
                if let Body::Stream(stream) = request.body {
                    let counted = Counted { left: self.limit, limit: self.limit, stream };
                    request.body = Body::Stream(Box::new(counted));
                }
            }
        }
        self.inner.call(request)
    }
}

fn too_large(limit: u64) -> Failure {
    Failure::new(
        FailureKind::BodyTooLarge,
        format!("the request body is longer than the {limit} bytes that the route takes; see `max_body`"),
    )
}

/// A body of unknown length that may have so many bytes.
struct Counted {
    left: u64,
    limit: u64,
    stream: Box<dyn BodyStream>,
}

impl BodyStream for Counted {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let polled = self.stream.poll_chunk(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            match self.left.checked_sub(piece.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(too_large(self.limit)))),
            }
        }
        polled
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.stream.poll_progress(cx);
    }
}
