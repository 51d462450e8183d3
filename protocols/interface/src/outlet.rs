//! Where an answer goes: the side of the contract that runners and middlewares stand on. It must not know what is
//! said by whom.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use http::HeaderMap;

use crate::head::Head;

/// Bytes that are read from a file at once where the system cannot send it by itself: as many as fill one record of
/// FastCGI.
pub(crate) const FILE_PIECE_BYTES: usize = 65_528;

/// Where an answer goes. A runner implements it over a pipe, a socket or records; a middleware that changes answers
/// implements it over the [`StartResponse`](crate::StartResponse) that it was given.
///
/// [`StartResponse`](crate::StartResponse) and [`Body`](crate::Body) are the only callers, and keep this order:
///
/// ```text
/// early_hints *  ->  head  ->  ( body | file | flush ) *  ->  end
/// ```
///
/// `errors` and `is_aborted` may come at any time. `head` comes with the first byte of the body, the first flush, or
/// the end: until then it can still be replaced. When `end` does not come, the answer was given up.
pub trait Outlet: Send {
    /// Sends fields ahead of the answer (RFC 8297: 103 Early Hints). `false` when the way to the client cannot carry
    /// them, which is no error.
    ///
    /// # Errors
    /// Those of the connection.
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool>;

    /// Takes the head, once. Only the head that is taken here is the answer's.
    ///
    /// # Errors
    /// Those of the connection.
    fn head(&mut self, head: Head) -> io::Result<()>;

    /// Takes bytes of the body, and may hold them back until `flush`. Returns when they are taken: this is where an
    /// application waits for a slow client.
    ///
    /// # Errors
    /// Those of the connection; [`io::ErrorKind::ConnectionAborted`] when the client has left.
    fn body(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes a range of a file as the next bytes of the body. By itself it reads the file in pieces and gives them to
    /// [`body`](Self::body); an outlet that can let the system do it does.
    ///
    /// # Errors
    /// As for [`body`](Self::body); [`io::ErrorKind::UnexpectedEof`] when the file ends before the range does.
    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        by_pieces(file, range, |piece| self.body(piece))
    }

    /// Sends what is held back.
    ///
    /// # Errors
    /// As for [`body`](Self::body).
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the answer, and sends what is held back.
    ///
    /// # Errors
    /// As for [`body`](Self::body); [`io::ErrorKind::InvalidData`] when the body is shorter than the head announced.
    fn end(&mut self) -> io::Result<()>;

    /// Writes to the request's error stream: what the operator reads, and no client.
    ///
    /// # Errors
    /// Those of the stream.
    fn errors(&mut self, text: &[u8]) -> io::Result<()>;

    /// Whether nobody waits for the answer any more.
    fn is_aborted(&self) -> bool;
}

/// Reads a range of a file and gives it away piece by piece.
pub(crate) fn by_pieces(
    file: &File,
    range: Range<u64>,
    mut give: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut piece = vec![0; FILE_PIECE_BYTES.min(length)];
    let mut at = range.start;
    while at < range.end {
        let wanted = piece.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        match file.read_at(&mut piece[..wanted], at)? {
            0 => return Err(ended_early(at, &range)),
            count => {
                give(&piece[..count])?;
                at += count as u64;
            }
        }
    }
    Ok(())
}

pub(crate) fn ended_early(at: u64, range: &Range<u64>) -> io::Error {
    let message =
        format!("the file ends at byte {at}; bytes {} to {} were to be sent", range.start, range.end);
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}
