//! Bounds the whole request, from its head to the last byte of its response. It does not know how a program is stopped:
//! it drops what takes too long, and dropping stops it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::exchange::{
    Answer, Application, Body, BodyStream, Chunk, Exchange, Failure, FailureKind, Request,
};
use crate::io::Deadline;

/// Bounds the whole request: 504 before the response head, cut short after it.
pub struct Timeout<A> {
    limit: Duration,
    inner: A,
}

impl<A> Timeout<A> {
    /// Gives every request to `inner` this long.
    pub const fn new(limit: Duration, inner: A) -> Self {
        Self { limit, inner }
    }
}

impl<A: Application> Application for Timeout<A> {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let mut deadline = Deadline::unset();
            deadline.set(Some(self.limit));
            let exchange = Arc::clone(&request.exchange);
            exchange.set_time_left(self.limit);
            let mut response = tokio::select! {
                biased;
                response = self.inner.call(request) => response?,
                // Noted while the answer is still there: the program is told why it is dropped.
                () = async { deadline.passed().await; exchange.set_overdue() } => return Err(self.passed(FailureKind::TimedOut)),
            };
            if let Body::Stream(stream) = response.body {
                let passed = self.passed(FailureKind::BrokenOff);
                response.body = Body::Stream(Box::new(Timed { deadline, stream, passed, exchange }));
            }
            Ok(response)
        })
    }
}

impl<A> Timeout<A> {
    fn passed(&self, kind: FailureKind) -> Failure {
        let limit = self.limit;
        Failure::new(
            kind,
            format!("the whole request took longer than the route's timeout of {limit:?}; see `timeout`"),
        )
    }
}

/// A response body under the deadline of its request.
struct Timed {
    deadline: Deadline,
    stream: Box<dyn BodyStream>,
    passed: Failure,
    exchange: Arc<Exchange>,
}

impl BodyStream for Timed {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.deadline.poll_passed(cx).is_ready() {
            self.exchange.set_overdue();
            return Poll::Ready(Some(Err(self.passed.clone())));
        }
        self.stream.poll_chunk(cx)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.stream.poll_progress(cx);
    }

    fn length(&self) -> Option<u64> {
        self.stream.length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Response;
    use crate::exchange::testing::{Recorded, request};

    struct Silent;

    impl Application for Silent {
        fn call(&self, _request: Request) -> Answer<'_> {
            Box::pin(std::future::pending())
        }
    }

    struct SilentBody;

    impl Application for SilentBody {
        fn call(&self, _request: Request) -> Answer<'_> {
            struct Never;
            impl BodyStream for Never {
                fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
                    Poll::Pending
                }
            }
            Box::pin(async { Ok(Response::new(http::StatusCode::OK, Body::Stream(Box::new(Never)))) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_in_time_is_timed_out() {
        let app = Timeout::new(Duration::from_secs(3), Silent);
        let failure = app.call(request("/", &Recorded::new())).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_does_not_end_in_time_is_cut_short() {
        let app = Timeout::new(Duration::from_secs(3), SilentBody);
        let mut response = app.call(request("/", &Recorded::new())).await.unwrap();
        let failure = response.body.chunk().await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::BrokenOff);
    }
}
