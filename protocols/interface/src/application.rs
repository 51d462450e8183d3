//! What a program is: anything that answers a request when it is called; it must not know how it is run.

use std::sync::Arc;

use gatebridge_cgi::Environ;

use crate::answer::{Answered, StartResponse};
use crate::input::Input;

/// Any error that an application may fail with: `?` turns every error of the standard library, and a `&str` by
/// `.into()`, into one.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What calling an [`Application`] gives: the proof that it has answered, or the reason why it could not.
pub type Result<T = Answered, E = Error> = std::result::Result<T, E>;

/// A program that answers requests.
///
/// Every function and closure of the shape `fn(&Environ, &mut Input, StartResponse) -> Result` is one. A type that
/// holds a loaded model, a table of routes or another application implements it by hand. An application that holds
/// another one is a *middleware*; nothing else sets it apart.
///
/// It is called by several threads at once in a persistent worker, and once in a CGI process: what is to be loaded is
/// loaded before it is handed to a runner. [`Lint`](crate::Lint) says what a caller and an application owe each other.
///
/// ```
/// use gatebridge_interface::{Application, Environ, Input, Result, StartResponse};
///
/// /// A closure or a function ...
/// fn hello(_: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
///     start.answer(200, [("Content-Type", "text/plain")], "hello\n")
/// }
///
/// /// ... and a type around any other application.
/// struct OnlyGet<A>(A);
///
/// impl<A: Application> Application for OnlyGet<A> {
///     fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
///         if environ.method == "GET" {
///             return self.0.call(environ, input, start);
///         }
///         start.answer(405, [("Allow", "GET"), ("Content-Type", "text/plain")], "GET only\n")
///     }
/// }
/// # fn runs(_: impl Application) {}
/// # runs(OnlyGet(hello));
/// ```
pub trait Application: Send + Sync {
    /// Answers one request.
    ///
    /// # Errors
    /// Whatever kept it from answering. If nothing of the answer has gone out, the client gets a plain 500 instead of
    /// it and the error is told on the error stream; otherwise the answer is cut short in a way that the client sees.
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result;
}

impl<F> Application for F
where
    F: Fn(&Environ, &mut Input<'_>, StartResponse<'_>) -> Result + Send + Sync,
{
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        self(environ, input, start)
    }
}

impl Application for Box<dyn Application + '_> {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        (**self).call(environ, input, start)
    }
}

impl Application for Arc<dyn Application + '_> {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        (**self).call(environ, input, start)
    }
}

/// Lets the compiler infer the arguments of a closure: without it they need their types written out.
///
/// ```
/// use gatebridge_interface::application;
///
/// let hello = application(|environ, _, start| {
///     let who = environ.query_string.escape_ascii().to_string();
///     start.answer(200, [("Content-Type", "text/plain")], format!("hello {who}\n"))
/// });
/// # fn runs(_: impl gatebridge_interface::Application) {}
/// # runs(hello);
/// ```
pub const fn application<F>(application: F) -> F
where
    F: Fn(&Environ, &mut Input<'_>, StartResponse<'_>) -> Result + Send + Sync,
{
    application
}
