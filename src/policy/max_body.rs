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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Response;
    use crate::exchange::testing::{Recorded, request};
    use bytes::Bytes;
    use http::StatusCode;

    /// Reads the body to its end and says how long it was.
    struct Counts;

    impl Application for Counts {
        fn call(&self, mut request: Request) -> Answer<'_> {
            Box::pin(async move {
                let mut count = 0;
                while let Some(piece) = request.body.chunk().await {
                    count += piece?.len();
                }
                Ok(Response::text(StatusCode::OK, count.to_string()))
            })
        }
    }

    /// Pieces of one byte, and how many are announced.
    struct Bytewise {
        left: u64,
        announced: Option<u64>,
    }

    impl BodyStream for Bytewise {
        fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
            Poll::Ready(self.left.checked_sub(1).map(|left| {
                self.left = left;
                Ok(Bytes::from_static(b"x"))
            }))
        }

        fn length(&self) -> Option<u64> {
            self.announced
        }
    }

    async fn ask(body: Body) -> Result<Response, FailureKind> {
        let mut request = request("/", &Recorded::new());
        request.body = body;
        MaxBody::new(5, Counts).call(request).await.map_err(|failure| failure.kind)
    }

    fn stream(left: u64, announced: Option<u64>) -> Body {
        Body::Stream(Box::new(Bytewise { left, announced }))
    }

    #[tokio::test]
    async fn a_body_at_the_limit_passes_and_one_beyond_does_not() {
        for announced in [true, false] {
            let body = |length: u64| stream(length, announced.then_some(length));
            assert!(ask(body(5)).await.is_ok(), "announced: {announced}");
            assert_eq!(ask(body(6)).await.unwrap_err(), FailureKind::BodyTooLarge, "announced: {announced}");
        }
        assert!(ask(Body::from("12345")).await.is_ok());
        assert_eq!(ask(Body::from("123456")).await.unwrap_err(), FailureKind::BodyTooLarge);
        assert!(ask(Body::Empty).await.is_ok());
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_a_byte_is_read() {
        struct Unread;
        impl BodyStream for Unread {
            fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
                panic!("nobody may read this");
            }
            fn length(&self) -> Option<u64> {
                Some(6)
            }
        }
        assert_eq!(ask(Body::Stream(Box::new(Unread))).await.unwrap_err(), FailureKind::BodyTooLarge);
    }
}
