//! Calls an application without any gateway and keeps what it answered, for tests; it must not know a protocol.

use std::io;

use gatebridge_cgi::Environ;
use http::{HeaderMap, StatusCode};

use crate::answer::StartResponse;
use crate::application::{Application, Error};
use crate::head::Head;
use crate::input::Input;
use crate::lint::lint;
use crate::outlet::Outlet;

/// What an application answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsal {
    /// Fields that came ahead of the answer, one map for each time.
    pub hints: Vec<HeaderMap>,
    /// The status; 200 when there was no head.
    pub status: StatusCode,
    /// The fields of the answer.
    pub headers: HeaderMap,
    /// The body, also that of an answer to HEAD.
    pub body: Vec<u8>,
    /// After how many bytes of body the application wanted them to be sent at once.
    pub flushes: Vec<usize>,
    /// What it wrote to its error stream.
    pub errors: Vec<u8>,
}

impl Rehearsal {
    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Calls an application, under [`lint`], with a request that is all in memory.
///
/// # Errors
/// The application's own, and a breach of the contract ([`Violation`](crate::Violation)).
///
/// ```
/// use gatebridge_interface::{Environ, application, rehearse};
///
/// let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
/// let answer = rehearse(&hello, &Environ::default(), b"")?;
/// assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "hello\n"));
/// assert_eq!(answer.headers["content-length"], "6");
/// # Ok::<(), gatebridge_interface::Error>(())
/// ```
pub fn rehearse(application: &dyn Application, environ: &Environ, body: &[u8]) -> Result<Rehearsal, Error> {
    let (mut source, mut outlet) = (body, Keeping::default());
    let environ = Environ { content_length: Some(body.len() as u64), ..environ.clone() };
    let mut input = Input::new(&mut source, environ.content_length);
    let watched = lint(|environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>| {
        application.call(environ, input, start)
    });
    let _answered = watched.call(&environ, &mut input, StartResponse::new(&mut outlet))?;
    Ok(outlet.0)
}

/// Keeps everything.
#[derive(Default)]
pub(crate) struct Keeping(pub(crate) Rehearsal);

impl Outlet for Keeping {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        self.0.hints.push(headers.clone());
        Ok(true)
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        (self.0.status, self.0.headers) = (head.status, head.headers);
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.body.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flushes.push(self.0.body.len());
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.errors.extend_from_slice(text);
        Ok(())
    }

    fn is_aborted(&self) -> bool {
        false
    }
}
