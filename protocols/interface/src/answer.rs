//! What an application answers with: a start, a body, and the proof that it has ended. It must not know how an answer
//! travels.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;

use http::header::CONTENT_LENGTH;

use crate::application::Result;
use crate::head::{self, Head, HeadError, IntoHeaders, IntoStatus};
use crate::outlet::Outlet;

/// The one chance to answer a request.
///
/// [`start`](Self::start) takes it, so that an answer cannot be started twice; and only an answer that was ended gives
/// the [`Answered`] that an application must return, so that none can be forgotten. Both are checked when the program
/// is compiled.
pub struct StartResponse<'a> {
    outlet: &'a mut (dyn Outlet + 'a),
}

impl std::fmt::Debug for StartResponse<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartResponse").finish_non_exhaustive()
    }
}

/// The proof that an application has answered. Only the end of an answer gives one.
#[derive(Debug)]
#[must_use = "an application returns it"]
pub struct Answered(());

#[cfg(feature = "tokio")]
impl Answered {
    /// For whoever has ended an answer.
    pub(crate) const fn proof() -> Self {
        Self(())
    }
}

impl<'a> StartResponse<'a> {
    /// The start of an answer that goes there: for runners, tests and middlewares.
    pub fn new(outlet: &'a mut (dyn Outlet + 'a)) -> Self {
        Self { outlet }
    }

    /// Starts the answer. Nothing is sent before the first byte of the body is written; until then
    /// [`Body::restart`] can change its mind.
    ///
    /// # Errors
    /// [`HeadError`] when there can be no such head.
    pub fn start(self, status: impl IntoStatus, headers: impl IntoHeaders) -> Result<Body<'a>, HeadError> {
        Ok(self.start_with(Head::new(status, headers)?))
    }

    /// Starts the answer with a head that was made before.
    #[must_use]
    pub fn start_with(self, head: Head) -> Body<'a> {
        Body { outlet: self.outlet, head: Some(head), written: 0 }
    }

    /// Gives the whole answer at once. Its `Content-Length` is added.
    ///
    /// # Errors
    /// [`HeadError`], and the errors of writing it.
    pub fn answer(
        self,
        status: impl IntoStatus,
        headers: impl IntoHeaders,
        body: impl AsRef<[u8]>,
    ) -> Result {
        let body = body.as_ref();
        let mut started = self.start(status, headers)?;
        started.announce(body.len() as u64);
        started.write_all(body)?;
        Ok(started.end()?)
    }

    /// Sends fields ahead of the answer, most often `Link: </style.css>; rel=preload`, while the answer is still being
    /// worked out (RFC 8297: 103 Early Hints). Any number of times. Send the same fields with the answer too: `false`
    /// says that these were not sent, which does no harm.
    ///
    /// They are sent if the client speaks HTTP/1.1 or newer, and the next hop is known to take them: the server for
    /// development, or one whose `SERVER_SOFTWARE` begins with `gatebridge/`. In CGI, FastCGI and SCGI a response has one
    /// head (RFC 3875 6.2); any other server might take the 103 for the answer.
    ///
    /// # Errors
    /// [`HeadError`], and the errors of the connection.
    pub fn early_hints(&mut self, headers: impl IntoHeaders) -> Result<bool> {
        let headers = headers.into_headers()?;
        head::check(&headers)?;
        Ok(self.outlet.early_hints(&headers)?)
    }

    /// The error stream of this request: what is written there is for the operator.
    pub fn errors(&mut self) -> Errors<'_> {
        Errors { outlet: self.outlet }
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.outlet.is_aborted()
    }
}

/// The body of an answer: [`Write`] it, then [`end`](Self::end) it; or let one of the `send_...` methods do both.
///
/// Small pieces are held back and sent together; [`flush`](Write::flush) sends them at once. A write waits as long as
/// the client does not take more. A body that is dropped without an end is given up: the client sees that it is cut.
pub struct Body<'a> {
    outlet: &'a mut (dyn Outlet + 'a),
    /// Until it is given to the outlet.
    head: Option<Head>,
    written: u64,
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("head", &self.head)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Body<'_> {
    /// Replaces the head: an error that turns up late can still become a 500. This is what PEP 3333 calls
    /// `start_response` with `exc_info`.
    ///
    /// # Errors
    /// [`HeadError::TooLate`] once a byte of the body was written or flushed, and every other [`HeadError`]. The answer
    /// is given up then.
    pub fn restart(self, status: impl IntoStatus, headers: impl IntoHeaders) -> Result<Self, HeadError> {
        if self.head.is_none() {
            return Err(HeadError::TooLate { written: self.written });
        }
        Ok(Self { head: Some(Head::new(status, headers)?), ..self })
    }

    /// Ends the body. An answer that ends before anything of it was sent gets its `Content-Length` by itself.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::InvalidData`] when it is shorter than its `Content-Length`.
    pub fn end(mut self) -> io::Result<Answered> {
        self.settle()?;
        self.outlet.end()?;
        Ok(Answered(()))
    }

    /// Sends the pieces of an iterator, each as soon as it is there, and ends the body.
    ///
    /// # Errors
    /// Those of writing.
    ///
    /// ```
    /// # use gatebridge_interface::application;
    /// let countdown = application(|_, _, start| {
    ///     let body = start.start(200, [("Content-Type", "text/plain")])?;
    ///     Ok(body.send_all((1..=3).rev().map(|n| format!("{n}\n")))?)
    /// });
    /// # fn runs(_: impl gatebridge_interface::Application) {}
    /// # runs(countdown);
    /// ```
    pub fn send_all<P: AsRef<[u8]>>(mut self, pieces: impl IntoIterator<Item = P>) -> io::Result<Answered> {
        for piece in pieces {
            self.write_all(piece.as_ref())?;
            // PEP 3333, "Buffering and Streaming": no piece waits for the next one.
            self.flush()?;
        }
        self.end()
    }

    /// Sends a range of a file, in bytes, and ends the body. Its length becomes the `Content-Length`, unless one was
    /// given. Where the system can, the file does not pass through the program's memory.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::UnexpectedEof`] when the file ends before the range does, and
    /// [`io::ErrorKind::InvalidInput`] when the range ends before it begins.
    pub fn send_file(mut self, file: &File, range: Range<u64>) -> io::Result<Answered> {
        if self.written == 0 {
            self.announce(range.end.saturating_sub(range.start));
        }
        self.write_file(file, range)?;
        self.end()
    }

    /// Writes a range of a file, in bytes, as the next part of the body: see [`send_file`](Self::send_file), which is
    /// for answers that are one file.
    ///
    /// # Errors
    /// As for [`send_file`](Self::send_file).
    pub fn write_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let Some(length) = range.end.checked_sub(range.start) else {
            let message = format!("the range ends at byte {} before it begins at {}", range.end, range.start);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        self.settle()?;
        if length > 0 {
            self.outlet.file(file, range)?;
            self.written += length;
        }
        Ok(())
    }

    /// Bytes of the body that were written.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The error stream of this request: what is written there is for the operator.
    pub fn errors(&mut self) -> Errors<'_> {
        Errors { outlet: self.outlet }
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.outlet.is_aborted()
    }

    /// Adds the length to a head that has none.
    fn announce(&mut self, length: u64) {
        if let Some(head) = &mut self.head
            && head.has_body()
        {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }

    /// Gives the head away: it is final from now on.
    fn settle(&mut self) -> io::Result<()> {
        self.head.take().map_or(Ok(()), |head| self.outlet.head(head))
    }
}

impl Write for Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.settle()?;
        self.outlet.body(bytes)?;
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.settle()?;
        self.outlet.flush()
    }
}

/// The error stream of one request: standard error of a CGI program, STDERR records of FastCGI. Never seen by a
/// client.
pub struct Errors<'a> {
    outlet: &'a mut (dyn Outlet + 'a),
}

impl std::fmt::Debug for Errors<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errors").finish_non_exhaustive()
    }
}

impl Write for Errors<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.outlet.errors(text)?;
        Ok(text.len())
    }

    fn write_fmt(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        // One call for one line: pieces would become records, and lines in a log, of their own.
        self.outlet.errors(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
