//! Calls an asynchronous application without any gateway and keeps what it answered, for tests; it must not know a
//! protocol.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use gatebridge_cgi::Environ;

use super::abort::Aborted;
use super::answer::StartResponse;
use super::application::Application;
use super::input::Input;
use super::lint::watch;
use super::outlet::{Outlet, Shared};
use crate::application::Error;
use crate::lint::check_call;
use crate::rehearsal::{Keeping, Rehearsal};

/// Calls an application, under [`lint`](super::lint), with a request that is all in memory. It needs no runtime but what
/// the application itself needs.
///
/// # Errors
/// The application's own, and a breach of the contract ([`Violation`](crate::Violation)).
///
/// ```
/// use gatebridge_interface::Environ;
/// use gatebridge_interface::tokio::{application, rehearse};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gatebridge_interface::Error> {
/// let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
/// let answer = rehearse(&hello, &Environ::default(), "").await?;
/// assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello\n"));
/// # Ok(())
/// # }
/// ```
pub async fn rehearse(
    application: &impl Application,
    environ: &Environ,
    body: impl Into<Bytes>,
) -> Result<Rehearsal, Error> {
    let body = body.into();
    let length = Some(body.len() as u64);
    let environ = Environ { content_length: length, ..environ.clone() };
    let outlet = Shared::new(Keeping::default());
    let (input, start) = (Input::new(body, length), StartResponse::new(outlet.clone()));
    check_call(&environ, length)?;
    let _answered = watch(application, environ, input, start).await?;
    Ok(outlet.with(|kept| std::mem::take(&mut kept.0)))
}

impl Outlet for Keeping {
    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn aborted(&self) -> Aborted {
        Aborted::never()
    }
}
