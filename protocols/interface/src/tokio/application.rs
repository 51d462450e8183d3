//! What an asynchronous program is: anything that answers a request when its future is polled; it must not know how it is
//! run.

use std::future::Future;
use std::sync::Arc;

use gatebridge_cgi::Environ;

use super::answer::StartResponse;
use super::input::Input;
use crate::application::Result;

/// A program that answers requests without keeping a thread while it waits.
///
/// Every async function and closure of the shape `async fn(Environ, Input, StartResponse) -> Result` is one. What the
/// synchronous [`Application`](crate::Application) borrows is owned here, because a task may outlive every stack: each
/// request has an environ of its own, and it may be moved out of.
///
/// It is called by many tasks at once in a persistent worker, and once in a CGI process. A type that holds a pool of
/// connections, a table of routes or another application implements it by hand:
///
/// ```
/// use gatebridge_interface::tokio::{Application, Input, StartResponse};
/// use gatebridge_interface::{Environ, Result};
///
/// /// A function or a closure ...
/// async fn hello(_: Environ, _: Input, start: StartResponse) -> Result {
///     start.answer(200, [("Content-Type", "text/plain")], "hello\n").await
/// }
///
/// /// ... and a type around any other application.
/// struct OnlyGet<A>(A);
///
/// impl<A: Application> Application for OnlyGet<A> {
///     async fn call(&self, environ: Environ, input: Input, start: StartResponse) -> Result {
///         if environ.method == "GET" {
///             return self.0.call(environ, input, start).await;
///         }
///         start.answer(405, [("Allow", "GET"), ("Content-Type", "text/plain")], "GET only\n").await
///     }
/// }
/// # fn runs(_: impl Application) {}
/// # runs(OnlyGet(hello));
/// ```
pub trait Application: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    /// Whatever kept it from answering. If nothing of the answer has gone out, the client gets a plain 500 instead of
    /// it and the error is told on the error stream; otherwise the answer is cut short in a way that the client sees.
    fn call(
        &self,
        environ: Environ,
        input: Input,
        start: StartResponse,
    ) -> impl Future<Output = Result> + Send;

    /// Whether runners are to look for breaches of the contract in builds with debug assertions. `false` for what was
    /// written to another contract.
    #[doc(hidden)]
    fn is_watched(&self) -> bool {
        true
    }
}

impl<F, A> Application for F
where
    F: Fn(Environ, Input, StartResponse) -> A + Send + Sync + 'static,
    A: Future<Output = Result> + Send,
{
    fn call(
        &self,
        environ: Environ,
        input: Input,
        start: StartResponse,
    ) -> impl Future<Output = Result> + Send {
        self(environ, input, start)
    }
}

impl<A: Application> Application for Arc<A> {
    fn call(
        &self,
        environ: Environ,
        input: Input,
        start: StartResponse,
    ) -> impl Future<Output = Result> + Send {
        (**self).call(environ, input, start)
    }

    fn is_watched(&self) -> bool {
        (**self).is_watched()
    }
}

/// Lets the compiler infer the arguments of a closure: without it they need their types written out.
///
/// ```
/// use gatebridge_interface::tokio::application;
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
///
/// let count = Arc::new(AtomicU64::new(0));
/// let counter = application(move |_, _, start| {
///     let number = 1 + count.fetch_add(1, Ordering::Relaxed);
///     async move { start.answer(200, [("Content-Type", "text/plain")], format!("{number}\n")).await }
/// });
/// # fn runs(_: impl gatebridge_interface::tokio::Application) {}
/// # runs(counter);
/// ```
pub const fn application<F, A>(application: F) -> F
where
    F: Fn(Environ, Input, StartResponse) -> A + Send + Sync + 'static,
    A: Future<Output = Result> + Send,
{
    application
}
