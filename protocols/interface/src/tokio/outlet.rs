//! Where the answer of a task goes: the side of the contract that runners and middlewares stand on. It must not know what
//! is said by whom.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::HeaderMap;

use super::abort::Aborted;
use super::answer::StartResponse;
use crate::answer::Answered;
use crate::application::Result;
use crate::head::Head;
use crate::outlet::Outlet as Taking;

/// Where the answer of a task goes.
///
/// It has the steps of the synchronous [`Outlet`](crate::Outlet), in the same order; but here they do not wait. A step
/// takes what it is given, and [`poll_sent`](Self::poll_sent) waits until it has left. Its callers wait before each piece
/// of the body, and give no more than [`WRITE_BYTES`](crate::WRITE_BYTES) at once.
pub trait Outlet: Taking {
    /// Waits until everything that was taken and not held back has left.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::ConnectionAborted`] when the client has left.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends when nobody waits for the answer any more.
    fn aborted(&self) -> Aborted;
}

/// An outlet of which a middleware keeps a handle while the application has another one.
///
/// ```
/// use gatebridge_interface::tokio::{Aborted, Application, Input, Onward, Shared, StartResponse};
/// use gatebridge_interface::{Environ, Head, Outlet, Result};
/// # use std::{io, task::{Context, Poll}};
///
/// /// Adds `X-Answered-By` to every answer.
/// struct Signed<A>(A);
///
/// impl<A: Application> Application for Signed<A> {
///     async fn call(&self, environ: Environ, input: Input, start: StartResponse) -> Result {
///         let outlet = Shared::new(Signing(Onward::new(start)));
///         let _passed_on = self.0.call(environ, input, StartResponse::new(outlet.clone())).await?;
///         outlet.with(|outlet| outlet.0.answered())
///     }
/// }
///
/// struct Signing(Onward);
///
/// impl Outlet for Signing {
///     fn head(&mut self, mut head: Head) -> std::io::Result<()> {
///         head.headers.insert("x-answered-by", "gate".parse().map_err(std::io::Error::other)?);
///         self.0.head(head)
///     }
///     // The others pass on, and so do those of `tokio::Outlet`.
///     # fn early_hints(&mut self, headers: &http::HeaderMap) -> io::Result<bool> { self.0.early_hints(headers) }
///     # fn body(&mut self, bytes: &[u8]) -> io::Result<()> { self.0.body(bytes) }
///     # fn flush(&mut self) -> io::Result<()> { self.0.flush() }
///     # fn end(&mut self) -> io::Result<()> { self.0.end() }
///     # fn errors(&mut self, text: &[u8]) -> io::Result<()> { self.0.errors(text) }
///     # fn is_aborted(&self) -> bool { self.0.is_aborted() }
/// }
/// # impl gatebridge_interface::tokio::Outlet for Signing {
/// #     fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> { self.0.poll_sent(context) }
/// #     fn aborted(&self) -> Aborted { self.0.aborted() }
/// # }
/// ```
#[derive(Debug)]
pub struct Shared<O>(Arc<Mutex<O>>);

impl<O> Clone for Shared<O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<O> Shared<O> {
    /// The first handle.
    pub fn new(outlet: O) -> Self {
        Self(Arc::new(Mutex::new(outlet)))
    }

    fn outlet(&self) -> MutexGuard<'_, O> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the outlet.
    pub fn with<T>(&self, then: impl FnOnce(&mut O) -> T) -> T {
        then(&mut self.outlet())
    }
}

impl<O: Taking> Taking for Shared<O> {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        self.outlet().early_hints(headers)
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        self.outlet().head(head)
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outlet().body(bytes)
    }

    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        self.outlet().file(file, range)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.outlet().flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.outlet().end()
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.outlet().errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.outlet().is_aborted()
    }
}

impl<O: Outlet> Outlet for Shared<O> {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet().poll_sent(context)
    }

    fn aborted(&self) -> Aborted {
        self.outlet().aborted()
    }
}

/// The outlet that a middleware builds its own upon: it passes on what it is given to the answer of the middleware's own
/// caller. See [`Shared`] for an example.
pub struct Onward {
    outlet: Box<dyn Outlet>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Body,
    Ended,
    /// A step failed, or its end was given away.
    Over,
}

impl std::fmt::Debug for Onward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onward").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Onward {
    /// Passes on to this answer.
    #[must_use]
    pub fn new(start: StartResponse) -> Self {
        Self { outlet: start.into_outlet(), stage: Stage::Start }
    }

    /// The proof that the answer has ended, once: what the middleware returns.
    ///
    /// # Errors
    /// When it has not: the application that was called returned the proof of another one.
    pub fn answered(&mut self) -> Result {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ended => Ok(Answered::proof()),
            _ => Err("the application returned without having ended this answer".into()),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Goes from one stage to another, and to the last one if the step fails.
    fn step<T>(
        &mut self,
        (from, to): (Stage, Stage),
        what: &str,
        step: impl FnOnce(&mut dyn Outlet) -> io::Result<T>,
    ) -> io::Result<T> {
        if std::mem::replace(&mut self.stage, Stage::Over) != from {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("out of order: {what}")));
        }
        let done = step(&mut *self.outlet)?;
        self.stage = to;
        Ok(done)
    }
}

impl Taking for Onward {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        self.step((Stage::Start, Stage::Start), "early hints after the head", |outlet| {
            crate::head::check(headers).map_err(io::Error::other)?;
            outlet.early_hints(headers)
        })
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        self.step((Stage::Start, Stage::Body), "a second head", |outlet| outlet.head(head))
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let what = "a body without a head, or after its end";
        self.step((Stage::Body, Stage::Body), what, |outlet| outlet.body(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.step((Stage::Body, Stage::Body), "a flush without a head, or after the end", |outlet| {
            outlet.flush()
        })
    }

    fn end(&mut self) -> io::Result<()> {
        self.step((Stage::Body, Stage::Ended), "an end without a head, or a second one", |outlet| {
            outlet.end()
        })
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.outlet.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.outlet.is_aborted()
    }
}

impl Outlet for Onward {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outlet.poll_sent(context)
    }

    fn aborted(&self) -> Aborted {
        self.outlet.aborted()
    }
}
