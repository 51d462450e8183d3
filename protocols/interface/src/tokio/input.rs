//! The body of a request, as a stream that a task pulls; it must not know where the bytes come from.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use bytes::{Buf as _, Bytes};

use super::abort::Aborted;

/// Where a request's body comes from. A runner implements it; a middleware that changes bodies may do so too.
pub trait Source: Send {
    /// Waits for the next piece of the body; an empty one is its end.
    ///
    /// # Errors
    /// Those of the connection.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>>;

    /// The file in which the whole body lies, its position at the body's first byte, if it does lie in one.
    ///
    /// # Errors
    /// Those of duplicating its descriptor.
    fn file(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Goes over to the file that a Filter is to filter (FastCGI 1.0 6.4), leaving out what is left of the body; gives
    /// its length if that is known. `None` when there is none.
    ///
    /// # Errors
    /// Those of reading the rest of the body.
    fn poll_next_stream(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Option<u64>>>> {
        Poll::Ready(Ok(None))
    }

    /// Ends when nobody waits for the answer any more.
    fn aborted(&self) -> Aborted {
        Aborted::never()
    }
}

/// A body that is all in memory.
impl Source for Bytes {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        Poll::Ready(Ok(std::mem::take(self)))
    }
}

/// The body of a request: take it by [`piece`](Self::piece)s, or read it as [`AsyncRead`] and [`AsyncBufRead`].
///
/// It waits when no byte has come yet, and whoever sends waits when the application does not read: no more than
/// [`INPUT_BYTES`](crate::INPUT_BYTES) are gathered in memory. It ends where `CONTENT_LENGTH` says, never behind it, and a
/// body that breaks off earlier is an error, never an end. It need not be read at all.
///
/// ```
/// use gatebridge_interface::tokio::Input;
/// use tokio::io::AsyncReadExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut text = String::new();
/// Input::new(bytes::Bytes::from("name=gate&more"), Some(9)).read_to_string(&mut text).await?;
/// assert_eq!(text, "name=gate");
/// assert!(Input::new(bytes::Bytes::from("name"), Some(9)).read_to_string(&mut text).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct Input {
    source: Box<dyn Source>,
    current: Bytes,
    length: Option<u64>,
    read: u64,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("length", &self.length)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl Input {
    /// The body of that length (in bytes, from `CONTENT_LENGTH`), or until the source ends if it is not known.
    pub fn new(source: impl Source + 'static, length: Option<u64>) -> Self {
        Self { source: Box::new(source), current: Bytes::new(), length, read: 0 }
    }

    /// The length of the whole body in bytes, if it is known. In CGI and SCGI it always is: without a
    /// `CONTENT_LENGTH` there is no body, and this is `Some(0)`. A FastCGI body without one lasts until its stream ends,
    /// and may well have bytes.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.read
    }

    /// The next piece of the body as it came, without a copy; `None` at its end.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::ConnectionAborted`] when the client has left, and
    /// [`io::ErrorKind::UnexpectedEof`] when the body is shorter than its length.
    pub async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|context| self.poll_piece(context)).await
    }

    /// [`piece`](Self::piece) for who writes a future by hand.
    ///
    /// # Errors
    /// As for [`piece`](Self::piece).
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        ready!(self.poll_current(context))?;
        let piece = std::mem::take(&mut self.current);
        self.read += piece.len() as u64;
        Poll::Ready(Ok((!piece.is_empty()).then_some(piece)))
    }

    /// The file that holds the whole body from its present position on, if it lies in one (a gateway may have spooled
    /// an upload) and nothing of it was read. It can be mapped, sought, copied or moved without passing this program's
    /// memory.
    ///
    /// # Errors
    /// Those of duplicating its descriptor.
    pub fn file(&self) -> io::Result<Option<File>> {
        if self.read == 0 && self.current.is_empty() { self.source.file() } else { Ok(None) }
    }

    /// For a Filter (`FCGI_ROLE` = `FILTER`): leaves the body and goes over to the file that is to be filtered, which
    /// is then what is read here. `false`, and the body stays, when there is no such file.
    ///
    /// # Errors
    /// Those of reading the rest of the body.
    pub async fn next_stream(&mut self) -> io::Result<bool> {
        poll_fn(|context| self.poll_next_stream(context)).await
    }

    pub(super) fn poll_next_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let next = ready!(self.source.poll_next_stream(context))?;
        let Some(length) = next else { return Poll::Ready(Ok(false)) };
        (self.current, self.length, self.read) = (Bytes::new(), length, 0);
        Poll::Ready(Ok(true))
    }

    /// Whether nobody waits for the answer any more: the client left, or the gateway gave up. Reading and writing fail by
    /// themselves then.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.source.aborted().is_aborted()
    }

    /// Ends when nobody waits for the answer any more. It borrows nothing.
    pub fn aborted(&self) -> Aborted {
        self.source.aborted()
    }

    /// Waits until there is a piece; without one it is the end.
    fn poll_current(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let left = self.length.map_or(u64::MAX, |length| length.saturating_sub(self.read));
        if left == 0 || !self.current.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.current = ready!(self.source.poll_piece(context))?;
        if let Some(length) = self.length
            && self.current.is_empty()
        {
            let message = format!("the request's body broke off after {} of {length} bytes", self.read);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, message)));
        }
        // RFC 3875 4.2: a script does not read more than CONTENT_LENGTH bytes, even if there are more.
        self.current.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Input {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let input = self.get_mut();
        ready!(input.poll_current(context))?;
        Poll::Ready(Ok(&input.current))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        let input = self.get_mut();
        let count = count.min(input.current.len());
        input.read += count as u64;
        input.current.advance(count);
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let piece = ready!(self.as_mut().poll_fill_buf(context))?;
        let count = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}
