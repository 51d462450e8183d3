//! An outlet that passes everything on to the answer of a middleware's own caller; it must not change a byte.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;

use http::HeaderMap;

use crate::answer::{Answered, Body, StartResponse};
use crate::head::{self, Head};
use crate::outlet::Outlet;

/// The outlet that a middleware gives to the application inside: it passes on what it is given.
///
/// For what concerns the head alone, [`on_head`](Self::on_head) is enough. Whoever changes bodies writes an [`Outlet`] around this
/// one: see `examples/middleware.rs`.
///
/// ```
/// use gatebridge_interface::{Application, Environ, Input, Onward, Result, StartResponse};
///
/// /// Adds `X-Answered-By` to every answer.
/// struct Signed<A>(A);
///
/// impl<A: Application> Application for Signed<A> {
///     fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
///         let mut outlet = Onward::new(start).on_head(|head| {
///             head.headers.insert("x-answered-by", "gate".parse()?);
///             Ok(())
///         });
///         let _inside = self.0.call(environ, input, StartResponse::new(&mut outlet))?;
///         outlet.answered()
///     }
/// }
/// # let hello = gatebridge_interface::application(|_, _, start| start.answer(204, [("X-A", "b")], ""));
/// # let answer = gatebridge_interface::rehearse(&Signed(hello), &Environ::default(), b"")?;
/// # assert_eq!(answer.headers["x-answered-by"], "gate");
/// # Ok::<(), gatebridge_interface::Error>(())
/// ```
pub struct Onward<'a> {
    stage: Stage<'a>,
    on_head: Option<OnHead<'a>>,
}

/// What is done to the head before it goes on.
type OnHead<'a> = Box<dyn FnOnce(&mut Head) -> crate::Result<()> + Send + 'a>;

impl std::fmt::Debug for Onward<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Onward").field("stage", &self.stage).finish_non_exhaustive()
    }
}

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
        Self { stage: Stage::Start(start), on_head: None }
    }

    /// The same, which does this to the head once it is final, that is with the first byte of the body or at the end. An
    /// error fails the application's next step, and becomes a 500 unless somebody makes something better of it. Of two,
    /// the later takes the place of the first.
    #[must_use]
    pub fn on_head(self, change: impl FnOnce(&mut Head) -> crate::Result<()> + Send + 'a) -> Self {
        Self { on_head: Some(Box::new(change)), ..self }
    }

    /// The proof that the answer has ended: what the middleware returns.
    ///
    /// # Errors
    /// When it has not: the application that was called returned the proof of another one.
    pub fn answered(self) -> crate::Result {
        match self.stage {
            Stage::Ended(answered) => Ok(answered),
            _ => Err("the application returned without having ended this answer".into()),
        }
    }

    /// Whether the answer has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    fn body_mut(&mut self) -> io::Result<&mut Body<'a>> {
        match &mut self.stage {
            Stage::Body(body) => Ok(body),
            _ => Err(out_of_order("a body without a head, or after its end")),
        }
    }
}

impl Outlet for Onward<'_> {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        match &mut self.stage {
            Stage::Start(start) => start.early_hints(headers.clone()).map_err(io::Error::other),
            _ => Err(out_of_order("early hints after the head")),
        }
    }

    fn head(&mut self, mut head: Head) -> io::Result<()> {
        if let Some(change) = self.on_head.take() {
            change(&mut head).map_err(io::Error::other)?;
            head::check(&head.headers).map_err(io::Error::other)?;
        }
        match std::mem::replace(&mut self.stage, Stage::GivenUp) {
            Stage::Start(start) => {
                self.stage = Stage::Body(start.start_with(head));
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
        match std::mem::replace(&mut self.stage, Stage::GivenUp) {
            Stage::Body(body) => {
                self.stage = Stage::Ended(body.end()?);
                Ok(())
            }
            _ => Err(out_of_order("an end without a head, or a second one")),
        }
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Start(start) => start.errors().write_all(text),
            Stage::Body(body) => body.errors().write_all(text),
            Stage::Ended(_) | Stage::GivenUp => Err(out_of_order("an error text after the end")),
        }
    }

    fn is_aborted(&self) -> bool {
        match &self.stage {
            Stage::Start(start) => start.is_aborted(),
            Stage::Body(body) => body.is_aborted(),
            Stage::Ended(_) | Stage::GivenUp => false,
        }
    }
}

fn out_of_order(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("out of order: {what}"))
}
