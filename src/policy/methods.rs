//! Lets only listed methods through to a route. It does not know what any method means.

use http::Method;

use crate::exchange::{Answer, Application, Failure, FailureKind, Request};

/// Lets only listed methods through; others get 405 and the list (RFC 9110 15.5.6).
pub struct Methods<A> {
    allowed: Vec<Method>,
    list: String,
    inner: A,
}

impl<A> Methods<A> {
    /// Lets these methods through to `inner`.
    pub fn new(allowed: Vec<Method>, inner: A) -> Self {
        let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        Self { allowed, list, inner }
    }
}

impl<A: Application> Application for Methods<A> {
    fn call(&self, request: Request) -> Answer<'_> {
        if self.allowed.contains(&request.environ.method) {
            return self.inner.call(request);
        }
        Box::pin(async { Err(Failure::new(FailureKind::MethodNotAllowed, self.list.clone())) })
    }
}
