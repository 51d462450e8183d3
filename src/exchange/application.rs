//! The one trait of everything that answers a request: backs, policies, the route table, the whole gateway. It does not
//! know who asks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Failure, Request, Response};

/// The response that is still being made.
///
/// Dropping it is how an asker says that nobody waits any more: whatever works on the request must then end (a queued
/// request is forgotten, a process gets TERM and then KILL, a persistent worker is told by an abort).
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send + 'a>>;

/// Anything that answers a request: a folder of CGI scripts, a pool of workers, a folder of files, a policy around any
/// of these, the route table, and therefore the running gateway itself.
///
/// # Example
///
/// ```
/// use gatebridge::exchange::{Answer, Application, Request, Response};
///
/// struct Teapot;
///
/// impl Application for Teapot {
///     fn call(&self, _request: Request) -> Answer<'_> {
///         Box::pin(async { Ok(Response::text(http::StatusCode::IM_A_TEAPOT, "short and stout\n")) })
///     }
/// }
/// ```
pub trait Application: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// The body of the request is pulled by the callee, the body of the response by the caller, both at once if need
    /// be: a callee that returns before it has read the whole body keeps the rest inside the response's [`BodyStream`].
    ///
    /// [`BodyStream`]: super::BodyStream
    ///
    /// # Errors
    ///
    /// A [`Failure`] says why there is no response; the front turns it into a status.
    fn call(&self, request: Request) -> Answer<'_>;
}

impl<A: Application + ?Sized> Application for Arc<A> {
    fn call(&self, request: Request) -> Answer<'_> {
        (**self).call(request)
    }
}
