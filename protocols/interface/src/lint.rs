//! The contract between callers and applications, as a wrapper that checks both; it must not know which caller or
//! which application it stands between.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use gatebridge_cgi::Environ;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, Method, StatusCode};

use crate::answer::StartResponse;
use crate::application::{Application, Result};
use crate::head::Head;
use crate::input::{Input, Source};
use crate::onward::Onward;
use crate::outlet::Outlet;

/// Wraps an application so that a breach of the contract becomes an error: see [`Lint`].
///
/// ```
/// use gatebridge_interface::{Environ, Violation, application, rehearse};
/// // `rehearse` calls everything under lint.
/// let untyped = application(|_, _, start| start.answer(200, [("X-Note", "no type")], "hello\n"));
/// let error = rehearse(&untyped, &Environ::default(), b"").unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&Violation::NoContentType { status: 200 }));
/// ```
pub const fn lint<A: Application>(application: A) -> Lint<A> {
    Lint { application }
}

/// An application under inspection, **and the specification of the interface**: each rule below is a
/// [`Violation`] that this wrapper reports, and what is not below is allowed.
///
/// A violation makes the call fail with it, as early as possible: before the head has left the client gets a 500, and
/// the operator is told the rule and the value that broke it. Many rules need no check here because the types leave
/// no other way; they are marked *(types)*.
///
/// Every runner watches its application like this in builds with debug assertions, as `cargo build` and `cargo test` make
/// them, so there is nothing to be switched on while a program is written; a release build does not pay for it. There
/// the caller's rules are left out, because whoever runs a program cannot mend what the server before it says. Wrap an
/// application in [`lint`] to have both sides checked, in every build.
///
/// # What a caller owes an application
/// 1. The `Environ` is complete: `SERVER_NAME` is not empty ([`Violation::ServerName`]); `SCRIPT_NAME` is empty or
///    begins with `/`, and is not `/` alone ([`Violation::ScriptName`]); `PATH_INFO` is empty or begins with `/`
///    ([`Violation::PathInfo`]).
/// 2. The length of the `Input` is the `CONTENT_LENGTH` of the environ, 0 when it has none
///    ([`Violation::InputLength`]).
/// 3. The input ends behind so many bytes, never earlier without an error *(types)*.
/// 4. It is given one answer to make for each call *(types)*.
/// 5. The abort flag, once set, stays set ([`Violation::AbortRevoked`]).
///
/// # What an application owes its caller
/// 1. It answers: returns the proof that *this* answer has ended, or an error. To forget it is not possible
///    *(types)*, to return another one's proof is [`Violation::NotEnded`].
/// 2. It starts its answer once *(types)*, with a status from 200 to 999 and sound fields, none of them reserved
///    ([`HeadError`](crate::HeadError)).
/// 3. An answer with a body says what it is: `Content-Type` ([`Violation::NoContentType`]; RFC 3875 6.3.1).
/// 4. 204 and 304 have no body, and 204 no `Content-Length` ([`Violation::Bodiless`]; RFC 9110 8.6, 15.3.5, 15.4.5).
///    A body in answer to HEAD is allowed: callers discard it.
/// 5. The body has as many bytes as `Content-Length` says, if it says ([`Violation::Length`]). In answer to HEAD it
///    may be missing.
/// 6. A status that is nothing without a field comes with it: 301, 302, 303, 307 and 308 with `Location`, 401 with
///    `WWW-Authenticate`, 405 with `Allow` ([`Violation::MissingField`]; RFC 9110 15.4, 15.5.2, 15.5.6).
/// 7. Early hints carry no fields about a body ([`Violation::Hint`]; RFC 8297 2).
/// 8. An error of reading or writing is final: it does not write on, nor call the answer ended
///    ([`Violation::WroteOn`]).
/// 9. It consumes no more of the input than it was shown ([`Violation::Consumed`]).
#[derive(Debug, Clone, Copy)]
pub struct Lint<A> {
    pub(crate) application: A,
}

/// A breach of the contract. See [`Lint`] for the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Caller's rule 1.
    #[error("lint: the caller gave an empty SERVER_NAME")]
    ServerName,
    /// Caller's rule 1.
    #[error(
        "lint: the caller gave the SCRIPT_NAME \"{value}\"; it is empty or begins with /, and is not / alone"
    )]
    ScriptName {
        /// The value, escaped.
        value: String,
    },
    /// Caller's rule 1.
    #[error("lint: the caller gave the PATH_INFO \"{value}\"; it is empty or begins with /")]
    PathInfo {
        /// The value, escaped.
        value: String,
    },
    /// Caller's rule 2.
    #[error("lint: the caller gave an input of {input:?} bytes with a CONTENT_LENGTH of {content_length:?}")]
    InputLength {
        /// What the input says.
        input: Option<u64>,
        /// What the environ says.
        content_length: Option<u64>,
    },
    /// Caller's rule 5.
    #[error("lint: the caller took back that the request was aborted")]
    AbortRevoked,
    /// Application's rule 1.
    #[error("lint: the application returned, but its answer has not ended")]
    NotEnded,
    /// Application's rule 3.
    #[error("lint: the answer has status {status} and a body, but no Content-Type")]
    NoContentType {
        /// Its status.
        status: u16,
    },
    /// Application's rule 4.
    #[error("lint: the answer has status {status}, which has no body, but a {what}")]
    Bodiless {
        /// Its status.
        status: u16,
        /// What it has.
        what: &'static str,
    },
    /// Application's rule 5.
    #[error("lint: the answer has a Content-Length of {declared}, but {written} bytes of body")]
    Length {
        /// What the head says.
        declared: u64,
        /// What was written.
        written: u64,
    },
    /// Application's rule 6.
    #[error("lint: the answer has status {status}, but no {field}")]
    MissingField {
        /// Its status.
        status: u16,
        /// What is missing.
        field: HeaderName,
    },
    /// Application's rule 7.
    #[error("lint: {field} was sent as an early hint; it describes a body")]
    Hint {
        /// The field.
        field: HeaderName,
    },
    /// Application's rule 8.
    #[error("lint: the application went on after the error \"{error}\"")]
    WroteOn {
        /// The error that it passed over.
        error: String,
    },
    /// Application's rule 9.
    #[error("lint: the application consumed {consumed} bytes of its input and was shown {shown}")]
    Consumed {
        /// What it took.
        consumed: usize,
        /// What there was.
        shown: usize,
    },
}

/// What both wrapped sides of one call know.
#[derive(Debug, Default)]
struct Findings {
    /// The first breach.
    violation: Option<Violation>,
    /// The first error that the application was given.
    error: Option<String>,
    /// The abort flag was seen set.
    aborted: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Findings>>);

impl Notes {
    fn with<T>(&self, note: impl FnOnce(&mut Findings) -> T) -> T {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the first breach, and makes an error of it.
    fn breach(&self, violation: Violation) -> io::Error {
        self.with(|findings| findings.violation.get_or_insert_with(|| violation.clone()).clone());
        io::Error::other(violation)
    }

    /// Keeps the first error that goes to the application.
    pub(crate) fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            self.with(|findings| {
                findings.error.get_or_insert_with(|| error.to_string());
            });
        })
    }

    /// What the call has come to: a breach comes first.
    pub(crate) fn verdict<T>(&self, called: Result<T>) -> Result<T> {
        self.with(|findings| findings.violation.take()).map_or(called, |violation| Err(violation.into()))
    }

    fn aborted(&self, now: bool) -> bool {
        let revoked = self.with(|findings| {
            let revoked = findings.aborted && !now;
            findings.aborted |= now;
            revoked
        });
        if revoked {
            let _ = self.breach(Violation::AbortRevoked);
        }
        now
    }
}

impl<A: Application> Application for Lint<A> {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        check_call(environ, input.length())?;
        watch(&self.application, environ, input, start)
    }
}

/// Calls an application and watches what it does. Of the caller's rules only the last is looked at: a runner cannot mend
/// what the server before it says of a request.
pub(crate) fn watch(
    application: &(impl Application + ?Sized),
    environ: &Environ,
    input: &mut Input<'_>,
    start: StartResponse<'_>,
) -> Result {
    let notes = Notes::default();
    let length = input.length();
    let mut source = LintSource { shown: 0, notes: notes.clone(), inner: input };
    let mut outlet = LintOutlet::new(Onward::new(start), notes.clone(), &environ.method);
    let mut watched = Input::new(&mut source, length);
    let called = application.call(environ, &mut watched, StartResponse::new(&mut outlet));
    let _answered = notes.verdict(called)?;
    if !outlet.onward.has_ended() {
        return Err(Violation::NotEnded.into());
    }
    outlet.onward.answered()
}

/// The caller's rules that can be seen before the call.
pub(crate) fn check_call(environ: &Environ, input: Option<u64>) -> std::result::Result<(), Violation> {
    let escaped = |value: &[u8]| value.escape_ascii().to_string();
    let is_path = |value: &[u8]| value.is_empty() || value.starts_with(b"/");
    if environ.server_name.is_empty() {
        return Err(Violation::ServerName);
    }
    if !is_path(&environ.script_name) || environ.script_name == "/" {
        return Err(Violation::ScriptName { value: escaped(&environ.script_name) });
    }
    if !is_path(&environ.path_info) {
        return Err(Violation::PathInfo { value: escaped(&environ.path_info) });
    }
    if input.is_some_and(|length| length != environ.content_length.unwrap_or(0)) {
        return Err(Violation::InputLength { input, content_length: environ.content_length });
    }
    Ok(())
}

/// The input, watched.
struct LintSource<'a, 'i> {
    inner: &'a mut Input<'i>,
    notes: Notes,
    shown: usize,
}

impl BufRead for LintSource<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.notes.watch(self.inner.fill_buf())?;
        self.shown = bytes.len();
        Ok(bytes)
    }

    fn consume(&mut self, count: usize) {
        if count > self.shown {
            let _ = self.notes.breach(Violation::Consumed { consumed: count, shown: self.shown });
        }
        let count = count.min(self.shown);
        self.shown -= count;
        self.inner.consume(count);
    }
}

impl Read for LintSource<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.notes.watch(self.inner.read(buffer))
    }
}

impl Source for LintSource<'_, '_> {
    fn file(&self) -> io::Result<Option<File>> {
        self.inner.file()
    }

    fn next_stream(&mut self) -> io::Result<Option<Option<u64>>> {
        self.shown = 0;
        Ok(self.notes.watch(self.inner.next_stream())?.then(|| self.inner.length()))
    }

    fn is_aborted(&self) -> bool {
        self.notes.aborted(self.inner.is_aborted())
    }
}

/// The answer, watched.
pub(crate) struct LintOutlet<O> {
    pub(crate) onward: O,
    notes: Notes,
    is_head: bool,
    head: Option<(StatusCode, Option<u64>, bool)>,
    written: u64,
}

impl<O> LintOutlet<O> {
    pub(crate) fn new(onward: O, notes: Notes, method: &Method) -> Self {
        Self { onward, notes, is_head: *method == Method::HEAD, head: None, written: 0 }
    }

    /// Keeps an error that goes to the application.
    #[cfg(feature = "tokio")]
    pub(crate) fn watched<T>(&self, result: io::Result<T>) -> io::Result<T> {
        self.notes.watch(result)
    }

    fn check_head(&mut self, head: &Head) -> std::result::Result<(), Violation> {
        let status = head.status.as_u16();
        let needed = match status {
            301..=303 | 307 | 308 => Some(LOCATION),
            401 => Some(WWW_AUTHENTICATE),
            405 => Some(ALLOW),
            _ => None,
        };
        if let Some(field) = needed.filter(|field| !head.headers.contains_key(field)) {
            return Err(Violation::MissingField { status, field });
        }
        if status == 204 && head.headers.contains_key(CONTENT_LENGTH) {
            return Err(Violation::Bodiless { status, what: "Content-Length" });
        }
        self.head = Some((head.status, head.content_length(), head.headers.contains_key(CONTENT_TYPE)));
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> std::result::Result<(), Violation> {
        self.written += bytes;
        let Some((status, declared, has_type)) = self.head else { return Ok(()) };
        let (written, status) = (self.written, status.as_u16());
        if matches!(status, 204 | 304) {
            return Err(Violation::Bodiless { status, what: "body" });
        }
        if !has_type {
            return Err(Violation::NoContentType { status });
        }
        match declared {
            Some(declared) if written > declared => Err(Violation::Length { declared, written }),
            _ => Ok(()),
        }
    }

    fn check_end(&self) -> std::result::Result<(), Violation> {
        let may_be_missing = self.is_head || matches!(self.head, Some((StatusCode::NOT_MODIFIED, ..)));
        match self.head {
            Some((_, Some(declared), _))
                if self.written != declared && !(may_be_missing && self.written == 0) =>
            {
                Err(Violation::Length { declared, written: self.written })
            }
            _ => Ok(()),
        }
    }

    /// Application's rule 8, and then the rule of the step itself.
    fn guard(&self, step: std::result::Result<(), Violation>) -> io::Result<()> {
        if let Some(error) = self.notes.with(|findings| findings.error.clone()) {
            return Err(self.notes.breach(Violation::WroteOn { error }));
        }
        step.map_err(|violation| self.notes.breach(violation))
    }
}

impl<O: Outlet> Outlet for LintOutlet<O> {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        let about_body = headers.keys().find(|name| [CONTENT_LENGTH, CONTENT_TYPE].contains(name));
        self.guard(about_body.map_or(Ok(()), |name| Err(Violation::Hint { field: name.clone() })))?;
        self.notes.watch(self.onward.early_hints(headers))
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        // An answer about the error of its input is no going on.
        let checked = self.check_head(&head);
        checked.map_err(|violation| self.notes.breach(violation))?;
        self.notes.with(|findings| findings.error = None);
        self.notes.watch(self.onward.head(head))
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let counted = self.count(bytes.len() as u64);
        self.guard(counted)?;
        self.notes.watch(self.onward.body(bytes))
    }

    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let counted = self.count(range.end - range.start);
        self.guard(counted)?;
        self.notes.watch(self.onward.file(file, range))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.guard(Ok(()))?;
        self.notes.watch(self.onward.flush())
    }

    fn end(&mut self) -> io::Result<()> {
        let checked = self.check_end();
        self.guard(checked)?;
        self.notes.watch(self.onward.end())
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.onward.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.notes.aborted(self.onward.is_aborted())
    }
}
