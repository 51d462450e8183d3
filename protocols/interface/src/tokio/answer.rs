//! What a task answers with: a start, a body, and the proof that it has ended. It must not know how an answer travels.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncWrite, AsyncWriteExt as _};
use ::tokio::task::coop::poll_proceed;
use futures_core::Stream;
use http::header::CONTENT_LENGTH;

use super::abort::Aborted;
use super::outlet::Outlet;
use crate::answer::Answered;
use crate::application::Result;
use crate::head::{self, Head, HeadError, IntoHeaders, IntoStatus};
use crate::outlet::{FILE_PIECE_BYTES, ended_early};
use crate::settings::WRITE_BYTES;

/// The one chance to answer a request.
///
/// [`start`](Self::start) takes it, so that an answer cannot be started twice; and only an answer that was ended gives
/// the [`Answered`] that an application must return, so that none can be forgotten. Both are checked when the program
/// is compiled.
pub struct StartResponse {
    outlet: Box<dyn Outlet>,
}

impl std::fmt::Debug for StartResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartResponse").finish_non_exhaustive()
    }
}

impl StartResponse {
    /// The start of an answer that goes there: for runners, tests and middlewares.
    pub fn new(outlet: impl Outlet + 'static) -> Self {
        Self { outlet: Box::new(outlet) }
    }

    pub(super) fn into_outlet(self) -> Box<dyn Outlet> {
        self.outlet
    }

    /// Starts the answer. Nothing is sent before the first byte of the body is written; until then
    /// [`Body::restart`] can change its mind.
    ///
    /// # Errors
    /// [`HeadError`] when there can be no such head.
    pub fn start(self, status: impl IntoStatus, headers: impl IntoHeaders) -> Result<Body, HeadError> {
        Ok(self.start_with(Head::new(status, headers)?))
    }

    /// Starts the answer with a head that was made before.
    #[must_use]
    pub fn start_with(self, head: Head) -> Body {
        Body { outlet: self.outlet, head: Some(head), written: 0 }
    }

    /// Gives the whole answer at once. Its `Content-Length` is added.
    ///
    /// # Errors
    /// [`HeadError`], and the errors of writing it.
    pub async fn answer(
        self,
        status: impl IntoStatus,
        headers: impl IntoHeaders,
        body: impl AsRef<[u8]>,
    ) -> Result {
        let mut started = self.start(status, headers)?;
        started.announce(body.as_ref().len() as u64);
        started.write_all(body.as_ref()).await?;
        Ok(started.end().await?)
    }

    /// Sends fields ahead of the answer, most often `Link: </style.css>; rel=preload`, while the answer is still being
    /// worked out (RFC 8297: 103 Early Hints). Any number of times. Send the same fields with the answer too: `false`
    /// says that these were not sent, which does no harm. The synchronous
    /// [`early_hints`](crate::StartResponse::early_hints) says when they are.
    ///
    /// # Errors
    /// [`HeadError`], and the errors of the connection.
    pub async fn early_hints(&mut self, headers: impl IntoHeaders) -> Result<bool> {
        let headers = headers.into_headers()?;
        head::check(&headers)?;
        let are_sent = self.outlet.early_hints(&headers)?;
        poll_fn(|context| self.outlet.poll_sent(context)).await?;
        Ok(are_sent)
    }

    /// The error stream of this request: what is written there is for the operator.
    pub fn errors(&mut self) -> Errors<'_> {
        Errors { outlet: &mut *self.outlet }
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.outlet.is_aborted()
    }

    /// Ends when nobody waits for the answer any more. It borrows nothing.
    pub fn aborted(&self) -> Aborted {
        self.outlet.aborted()
    }
}

/// The body of an answer: write it as [`AsyncWrite`], then [`end`](Self::end) it; or let one of the `send_...` methods do
/// both.
///
/// Small pieces are held back and sent together; [`flush`](::tokio::io::AsyncWriteExt::flush) sends them at once. A write
/// waits until the one before has left, so as long as the client does not take more. `shutdown` only flushes: an answer is
/// whole when it was ended. A body that is dropped without an end is given up: the client sees that it is cut.
pub struct Body {
    outlet: Box<dyn Outlet>,
    /// Until it is given to the outlet.
    head: Option<Head>,
    written: u64,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("head", &self.head)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Body {
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

    /// Ends the body, and waits until it has left. An answer that ends before anything of it was sent gets its
    /// `Content-Length` by itself.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::InvalidData`] when it is shorter than its `Content-Length`.
    pub async fn end(mut self) -> io::Result<Answered> {
        self.sent().await?;
        self.settle()?;
        self.outlet.end()?;
        self.sent().await?;
        Ok(Answered::proof())
    }

    /// Sends the pieces of a stream and ends the body. No piece waits for the next one: when the stream has none at the
    /// moment, all that came before leaves.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn send_all<P: AsRef<[u8]>>(mut self, pieces: impl Stream<Item = P>) -> io::Result<Answered> {
        let mut pieces = pin!(pieces);
        loop {
            let at_once = poll_fn(|context| match pieces.as_mut().poll_next(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => Poll::Ready(None),
            });
            let next = match at_once.await {
                Some(next) => next,
                None => {
                    self.flush().await?;
                    poll_fn(|context| pieces.as_mut().poll_next(context)).await
                }
            };
            let Some(piece) = next else { return self.end().await };
            self.write_all(piece.as_ref()).await?;
        }
    }

    /// Sends a range of a file, in bytes, and ends the body. Its length becomes the `Content-Length`, unless one was
    /// given. The file is read by the runtime's threads for what blocks.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::UnexpectedEof`] when the file ends before the range does, and
    /// [`io::ErrorKind::InvalidInput`] when the range ends before it begins.
    pub async fn send_file(mut self, file: &File, range: Range<u64>) -> io::Result<Answered> {
        if self.written == 0 {
            self.announce(range.end.saturating_sub(range.start));
        }
        self.write_file(file, range).await?;
        self.end().await
    }

    /// Writes a range of a file, in bytes, as the next part of the body: see [`send_file`](Self::send_file), which is
    /// for answers that are one file.
    ///
    /// # Errors
    /// As for [`send_file`](Self::send_file).
    pub async fn write_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        if range.end < range.start {
            let message = format!("the range ends at byte {} before it begins at {}", range.end, range.start);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (file, mut at, mut piece) = (Arc::new(file.try_clone()?), range.start, Vec::new());
        while at < range.end {
            let wanted = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(FILE_PIECE_BYTES);
            let (file, start) = (Arc::clone(&file), at);
            let read = move || {
                piece.resize(wanted, 0);
                let count = file.read_at(&mut piece, start)?;
                piece.truncate(count);
                io::Result::Ok(piece)
            };
            piece = ::tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
            if piece.is_empty() {
                return Err(ended_early(at, &range));
            }
            self.write_all(&piece).await?;
            at += piece.len() as u64;
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
        Errors { outlet: &mut *self.outlet }
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.outlet.is_aborted()
    }

    /// Ends when nobody waits for the answer any more. It borrows nothing.
    pub fn aborted(&self) -> Aborted {
        self.outlet.aborted()
    }

    /// Adds the length to a head that has none.
    pub(crate) fn announce(&mut self, length: u64) {
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

    async fn sent(&mut self) -> io::Result<()> {
        poll_fn(|context| self.outlet.poll_sent(context)).await
    }
}

impl AsyncWrite for Body {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let body = self.get_mut();
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(body.outlet.poll_sent(context))?;
        // What does not leave (a body to HEAD) never waits, and must not keep the runtime from its other tasks.
        let progress = ready!(poll_proceed(context));
        body.settle()?;
        body.outlet.body(bytes)?;
        progress.made_progress();
        body.written += bytes.len() as u64;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let body = self.get_mut();
        ready!(body.outlet.poll_sent(context))?;
        body.settle()?;
        body.outlet.flush()?;
        body.outlet.poll_sent(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// The error stream of one request: standard error of a CGI program, STDERR records of FastCGI. Never seen by a
/// client.
///
/// Writing does not wait, so that `writeln!` will do. It fails with [`io::ErrorKind::WouldBlock`] when
/// [`ERRORS_BYTES`](crate::ERRORS_BYTES) have not been taken by the operator's side: [`sent`](Self::sent) waits until they
/// are, and so does every write of the body.
pub struct Errors<'a> {
    outlet: &'a mut (dyn Outlet + 'static),
}

impl std::fmt::Debug for Errors<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errors").finish_non_exhaustive()
    }
}

impl Errors<'_> {
    /// Waits until everything has left.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn sent(&mut self) -> io::Result<()> {
        poll_fn(|context| self.outlet.poll_sent(context)).await
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
