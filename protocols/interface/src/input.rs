//! The body of a request, as a stream that the application pulls; it must not know where the bytes come from.

use std::fs::File;
use std::io::{self, BufRead, Read};

/// Where a request's body comes from. A runner implements it; a middleware that changes bodies may do so too.
pub trait Source: BufRead + Send {
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
    fn next_stream(&mut self) -> io::Result<Option<Option<u64>>> {
        Ok(None)
    }

    /// Whether nobody waits for the answer any more.
    fn is_aborted(&self) -> bool {
        false
    }
}

/// A [`Source`] as a runner has it: no more than what is its own. [`Pulled`] adds the rest, once for all runners; the
/// methods that [`Read`] and [`BufRead`] bring by themselves would come once for each.
pub(crate) trait Pull: Send {
    /// As [`BufRead::fill_buf`].
    fn fill(&mut self) -> io::Result<&[u8]>;

    /// As [`BufRead::consume`].
    fn consume(&mut self, count: usize);

    /// As [`Source::file`].
    fn file(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// As [`Source::next_stream`].
    fn next_stream(&mut self) -> io::Result<Option<Option<u64>>> {
        Ok(None)
    }

    /// As [`Source::is_aborted`].
    fn is_aborted(&self) -> bool;
}

/// Whatever pulls, as a [`Source`].
pub(crate) struct Pulled<'a>(pub(crate) &'a mut dyn Pull);

impl BufRead for Pulled<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Read for Pulled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.fill()?.read(buffer)?;
        self.0.consume(count);
        Ok(count)
    }
}

impl Source for Pulled<'_> {
    fn file(&self) -> io::Result<Option<File>> {
        self.0.file()
    }

    fn next_stream(&mut self) -> io::Result<Option<Option<u64>>> {
        self.0.next_stream()
    }

    fn is_aborted(&self) -> bool {
        self.0.is_aborted()
    }
}

impl Source for &[u8] {}
impl Source for io::Empty {}
impl<T: AsRef<[u8]> + Send> Source for io::Cursor<T> {}

/// The body of a request: [`Read`] and [`BufRead`] it.
///
/// It waits when no byte has come yet, and whoever sends waits when the application does not read: nothing is
/// gathered in memory. It ends where `CONTENT_LENGTH` says, never behind it, and a body that breaks off earlier is an
/// error, never an end. It need not be read at all.
///
/// ```
/// use gatebridge_interface::Input;
/// use std::io::Read;
///
/// let (mut whole, mut cut) = (&b"name=gate&more"[..], &b"name"[..]);
/// let mut text = String::new();
/// Input::new(&mut whole, Some(9)).read_to_string(&mut text)?;
/// assert_eq!(text, "name=gate");
/// assert!(Input::new(&mut cut, Some(9)).read_to_string(&mut text).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Input<'a> {
    source: &'a mut (dyn Source + 'a),
    length: Option<u64>,
    read: u64,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("length", &self.length)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl<'a> Input<'a> {
    /// The body of that length (in bytes, from `CONTENT_LENGTH`), or until the source ends if it is not known.
    pub fn new(source: &'a mut (dyn Source + 'a), length: Option<u64>) -> Self {
        Self { source, length, read: 0 }
    }

    /// The length of the whole body in bytes, if it is known. In SCGI it always is: without a `CONTENT_LENGTH` there is no
    /// body, and this is `Some(0)`; in CGI too, but for uploads in chunks behind Apache. A FastCGI body without one lasts
    /// until its stream ends, and may well have bytes.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes that have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.read
    }

    /// The file that holds the whole body from its present position on, if it lies in one (a gateway may have spooled
    /// an upload) and nothing of it was read. It can be mapped, sought, copied or moved without passing this program's
    /// memory.
    ///
    /// # Errors
    /// Those of duplicating its descriptor.
    pub fn file(&self) -> io::Result<Option<File>> {
        if self.read == 0 { self.source.file() } else { Ok(None) }
    }

    /// For a Filter (`FCGI_ROLE` = `FILTER`): leaves the body and goes over to the file that is to be filtered, which
    /// is then what is read here. `false`, and the body stays, when there is no such file.
    ///
    /// # Errors
    /// Those of reading the rest of the body.
    pub fn next_stream(&mut self) -> io::Result<bool> {
        let Some(length) = self.source.next_stream()? else { return Ok(false) };
        (self.length, self.read) = (length, 0);
        Ok(true)
    }

    /// Whether nobody waits for the answer any more: the client left, or the gateway gave up. Long work should ask
    /// now and then. Reading and writing fail by themselves then.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.source.is_aborted()
    }

    fn left(&self) -> u64 {
        self.length.map_or(u64::MAX, |length| length.saturating_sub(self.read))
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left();
        if left == 0 {
            return Ok(&[]);
        }
        let bytes = self.source.fill_buf()?;
        if let Some(length) = self.length
            && bytes.is_empty()
        {
            let message = format!("the request's body broke off after {} of {length} bytes", self.read);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        // RFC 3875 4.2: a script does not read more than CONTENT_LENGTH bytes, even if there are more.
        Ok(&bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, count: usize) {
        self.read += count as u64;
        self.source.consume(count);
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
