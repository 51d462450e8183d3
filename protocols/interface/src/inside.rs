//! Runs an application inside a program that has requests of its own: no process and no protocol in between. It must not
//! know where the requests come from.

use std::fs::File;
use std::io;
use std::ops::Range;

use gatebridge_cgi::Environ;
use http::{HeaderMap, Method, Version};

use crate::application::Application;
use crate::head::Head;
use crate::input::Input;
use crate::outlet::Outlet;
use crate::perform::{self, Outcome};
use crate::script::{Carrier, Facts, ScriptOutlet};

/// Calls an application with one request of the program that embeds it, and gives its answer to `outlet`: what
/// [`run_fastcgi`](crate::run_fastcgi) does for a record, for whoever has an environ, a body and a place for the answer.
///
/// It blocks until the application has answered, and keeps the contract as every runner does. The outlet gets the head with
/// the first bytes that have to leave, so a failure before that becomes a 500; pieces that are worth sending, each followed
/// by a flush; no body to HEAD, 204 and 304; never more bytes than `Content-Length` says, and an end only if there were not
/// fewer. A panic is caught: it is an error like others, and told on the error stream.
///
/// `environ` is passed as it is. What its [`walk`](Environ::walk) leaves out (hop-by-hop fields, `Proxy`, credentials that
/// are not passed on) is better taken out of its header fields before: see
/// [`Environ::retain_listed`](gatebridge_cgi::Environ::retain_listed).
///
/// ```
/// use gatebridge_interface::{Environ, Head, Input, Outcome, Outlet, application, perform};
/// use std::io;
///
/// /// Keeps an answer.
/// #[derive(Default)]
/// struct Kept(u16, Vec<u8>);
///
/// impl Outlet for Kept {
///     fn head(&mut self, head: Head) -> io::Result<()> { self.0 = head.status.as_u16(); Ok(()) }
///     fn body(&mut self, bytes: &[u8]) -> io::Result<()> { self.1.extend_from_slice(bytes); Ok(()) }
///     fn early_hints(&mut self, _: &http::HeaderMap) -> io::Result<bool> { Ok(false) }
///     fn flush(&mut self) -> io::Result<()> { Ok(()) }
///     fn end(&mut self) -> io::Result<()> { Ok(()) }
///     fn errors(&mut self, _: &[u8]) -> io::Result<()> { Ok(()) }
///     fn is_aborted(&self) -> bool { false }
/// }
///
/// let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
/// let mut kept = Kept::default();
/// let outcome = perform(&hello, &Environ::default(), &mut Input::new(&mut io::empty(), Some(0)), &mut kept);
/// assert_eq!((outcome, kept.0, &kept.1[..]), (Outcome::Answered, 200, &b"hello\n"[..]));
///
/// let broken = application(|_, _, _| panic!("on purpose"));
/// let outcome = perform(&broken, &Environ::default(), &mut Input::new(&mut io::empty(), Some(0)), &mut kept);
/// assert_eq!((outcome, kept.0), (Outcome::Answered, 500));
/// ```
pub fn perform(
    application: &dyn Application,
    environ: &Environ,
    input: &mut Input<'_>,
    outlet: &mut dyn Outlet,
) -> Outcome {
    let facts = Facts {
        is_head: environ.method == Method::HEAD,
        // RFC 9110 15.2: no 1xx goes to a client of HTTP/1.0. For the rest the outlet speaks.
        takes_hints: environ.protocol >= Version::HTTP_11,
    };
    let mut inside = Inside(outlet);
    perform::perform(application, environ, input, &mut ScriptOutlet::new(&mut inside, facts))
}

/// Gives what a script would write to an outlet instead, unwritten.
struct Inside<'a>(&'a mut dyn Outlet);

impl Inside<'_> {
    fn give(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        slices.into_iter().filter(|piece| !piece.is_empty()).try_for_each(|piece| self.0.body(piece))
    }
}

impl Carrier for Inside<'_> {
    fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        self.0.head(head.clone())?;
        // Nothing is left to write: the outlet has it.
        Ok(Vec::new())
    }

    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        self.0.early_hints(headers)
    }

    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.give(slices)?;
        self.0.flush()
    }

    fn begin(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.give(slices)
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.give(slices)?;
        self.0.end()
    }

    fn send_file(&mut self, file: &File, range: &Range<u64>) -> io::Result<bool> {
        self.0.file(file, range.clone())?;
        Ok(true)
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.0.is_aborted()
    }
}
