//! An outlet that passes everything on to the answer of a middleware's own caller; it must not change a byte.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;

use http::HeaderMap;

use crate::answer::{Answered, Body, StartResponse};
use crate::head::Head;
use crate::outlet::Outlet;

/// The outlet that a middleware builds its own upon: it passes on what it is given.
///
/// ```
/// use gatebridge_interface::{Answered, Application, Environ, Head, Input, Onward, Outlet, Result, StartResponse};
/// use std::{fs::File, io, ops::Range};
///
/// /// Adds `X-Answered-By` to every answer.
/// struct Signed<A>(A);
///
/// impl<A: Application> Application for Signed<A> {
///     fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
///         let mut outlet = Signing(Onward::new(start));
///         self.0.call(environ, input, StartResponse::new(&mut outlet))?;
///         outlet.0.answered()
///     }
/// }
///
/// struct Signing<'a>(Onward<'a>);
///
/// impl Outlet for Signing<'_> {
///     fn head(&mut self, mut head: Head) -> io::Result<()> {
///         head.headers.insert("x-answered-by", "gate".parse().map_err(io::Error::other)?);
///         self.0.head(head)
///     }
///     // The others pass on.
///     # fn early_hints(&mut self, headers: &http::HeaderMap) -> io::Result<bool> { self.0.early_hints(headers) }
///     # fn body(&mut self, bytes: &[u8]) -> io::Result<()> { self.0.body(bytes) }
///     # fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> { self.0.file(file, range) }
///     # fn flush(&mut self) -> io::Result<()> { self.0.flush() }
///     # fn end(&mut self) -> io::Result<()> { self.0.end() }
///     # fn errors(&mut self, text: &[u8]) -> io::Result<()> { self.0.errors(text) }
///     # fn is_aborted(&self) -> bool { self.0.is_aborted() }
/// }
/// ```
#[derive(Debug)]
pub struct Onward<'a>(Stage<'a>);

#[derive(Debug)]
enum Stage<'a> {
    Start(StartResponse<'a>),
    Body(Body<'a>),
    Ended(Answered),
    /// A step failed in between.
    GivenUp,
}

impl<'a> Onward<'a> {
    /// Passes on to this answer.
    #[must_use]
    pub const fn new(start: StartResponse<'a>) -> Self {
        Self(Stage::Start(start))
    }

    /// The proof that the answer has ended: what the middleware returns.
    ///
    /// # Errors
    /// When it has not: the application that was called returned the proof of another one.
    pub fn answered(self) -> crate::Result {
        match self.0 {
            Stage::Ended(answered) => Ok(answered),
            _ => Err("the application returned without having ended this answer".into()),
        }
    }

    /// Whether the answer has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.0, Stage::Ended(_))
    }

    fn body_mut(&mut self) -> io::Result<&mut Body<'a>> {
        match &mut self.0 {
            Stage::Body(body) => Ok(body),
            _ => Err(out_of_order("a body without a head, or after its end")),
        }
    }
}

impl Outlet for Onward<'_> {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        match &mut self.0 {
            Stage::Start(start) => start.early_hints(headers.clone()).map_err(io::Error::other),
            _ => Err(out_of_order("early hints after the head")),
        }
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        match std::mem::replace(&mut self.0, Stage::GivenUp) {
            Stage::Start(start) => {
                self.0 = Stage::Body(start.start_with(head));
                Ok(())
            }
            _ => Err(out_of_order("a second head")),
        }
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.body_mut()?.write_all(bytes)
    }

    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        self.body_mut()?.write_file(file, range)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.body_mut()?.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.0, Stage::GivenUp) {
            Stage::Body(body) => {
                self.0 = Stage::Ended(body.end()?);
                Ok(())
            }
            _ => Err(out_of_order("an end without a head, or a second one")),
        }
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Stage::Start(start) => start.errors().write_all(text),
            Stage::Body(body) => body.errors().write_all(text),
            Stage::Ended(_) | Stage::GivenUp => Err(out_of_order("an error text after the end")),
        }
    }

    fn is_aborted(&self) -> bool {
        match &self.0 {
            Stage::Start(start) => start.is_aborted(),
            Stage::Body(body) => body.is_aborted(),
            Stage::Ended(_) | Stage::GivenUp => false,
        }
    }
}

fn out_of_order(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("out of order: {what}"))
}
