//! The contract as a wrapper for asynchronous applications: the same rules, watched by the same eyes. It must not know a
//! protocol.

use std::fs::File;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gatebridge_cgi::Environ;

use super::abort::Aborted;
use super::answer::StartResponse;
use super::application::Application;
use super::input::{Input, Source};
use super::outlet::{Onward, Outlet, Shared};
use crate::application::Result;
use crate::lint::{Lint, LintOutlet, Notes, Violation, check_call};

/// Wraps an asynchronous application so that a breach of the contract becomes an error: see [`Lint`], whose rules are the
/// same for both shapes. (The abort flag cannot be taken back, and input cannot be consumed behind what was shown: here the
/// types see to that.)
///
/// ```
/// use gatebridge_interface::tokio::{application, rehearse};
/// use gatebridge_interface::{Environ, Violation};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // `rehearse` calls everything under lint.
/// let untyped = application(|_, _, start| start.answer(200, [("X-Note", "no type")], "hello\n"));
/// let error = rehearse(&untyped, &Environ::default(), "").await.unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&Violation::NoContentType { status: 200 }));
/// # }
/// ```
pub const fn lint<A: Application>(application: A) -> Lint<A> {
    Lint { application }
}

impl<A: Application> Application for Lint<A> {
    async fn call(&self, environ: Environ, input: Input, start: StartResponse) -> Result {
        check_call(&environ, input.length())?;
        watch(&self.application, environ, input, start).await
    }

    fn is_watched(&self) -> bool {
        // It watches by itself.
        false
    }
}

/// Calls an application and watches what it does.
pub(super) async fn watch(
    application: &impl Application,
    environ: Environ,
    input: Input,
    start: StartResponse,
) -> Result {
    let notes = Notes::default();
    let outlet = LintOutlet::new(Onward::new(start), notes.clone(), &environ.method);
    let outlet = Shared::new(outlet);
    let length = input.length();
    let watched = Input::new(LintSource { inner: input, notes: notes.clone() }, length);
    let called = application.call(environ, watched, StartResponse::new(outlet.clone())).await;
    let _answered = notes.verdict(called)?;
    outlet.with(|outlet| {
        if outlet.onward.has_ended() { outlet.onward.answered() } else { Err(Violation::NotEnded.into()) }
    })
}

/// The input, watched.
struct LintSource {
    inner: Input,
    notes: Notes,
}

impl Source for LintSource {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let piece = ready!(self.inner.poll_piece(context));
        Poll::Ready(self.notes.watch(piece.map(Option::unwrap_or_default)))
    }

    fn file(&self) -> io::Result<Option<File>> {
        self.inner.file()
    }

    fn poll_next_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Option<u64>>>> {
        let next = ready!(self.inner.poll_next_stream(context));
        Poll::Ready(self.notes.watch(next).map(|is_there| is_there.then(|| self.inner.length())))
    }

    fn aborted(&self) -> Aborted {
        self.inner.aborted()
    }
}

impl<O: Outlet> Outlet for LintOutlet<O> {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = ready!(self.onward.poll_sent(context));
        Poll::Ready(self.watched(sent))
    }

    fn aborted(&self) -> Aborted {
        self.onward.aborted()
    }
}
