//! Bodies of requests and responses: pulled, never pushed, so that a slow reader slows its writer and nothing piles up.
//! Knows nothing of framing; lengths are facts, not headers.

use std::fmt;
use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Failure;

/// What a body stream yields: a piece of payload, or why there will be no more.
pub type Chunk = Result<Bytes, Failure>;

/// The payload of a request or a response.
#[derive(Default)]
pub enum Body {
    /// No payload.
    #[default]
    Empty,
    /// Payload that is all in memory.
    Bytes(Bytes),
    /// A part of an open file: a front may send it without copying it through user space.
    File(FileRange),
    /// Payload that comes as it is made.
    Stream(Box<dyn BodyStream>),
}

/// A part of an open regular file.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The file, shared with whoever else sends a part of it; it is only ever read at explicit offsets.
    pub file: Arc<File>,
    /// The first byte, counted from the start of the file.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// Payload that comes as it is made.
///
/// Dropping a stream tells its maker that nobody wants the rest.
pub trait BodyStream: Send {
    /// The next piece of payload (never empty), or `None` at the proper end.
    ///
    /// An `Err` is final: the payload broke off, and whoever relays it must not let it look complete.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>>;

    /// Moves whatever can move without yielding payload: asked while the consumer cannot take more. A stream whose
    /// maker also reads a request body goes on feeding it here; others have nothing to do.
    fn poll_progress(&mut self, _cx: &mut Context<'_>) {}

    /// How many bytes are still to come, where that is known.
    fn length(&self) -> Option<u64> {
        None
    }
}

impl Body {
    /// How many bytes it has, where that is known before they came.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File(range) => Some(range.length),
            Self::Stream(stream) => stream.length(),
        }
    }

    /// Whether it is known to have no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }

    /// The next piece of payload, or `None` at the proper end. File ranges are read in pieces of at most
    /// 64 KiB.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let all = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!all.is_empty()).then_some(Ok(all)))
            }
            Self::File(range) => Poll::Ready(range.read_chunk()),
            Self::Stream(stream) => stream.poll_chunk(cx),
        }
    }

    /// The next piece of payload, awaited; see [`Body::poll_chunk`].
    ///
    /// # Errors
    ///
    /// The failure that broke the payload off.
    pub async fn chunk(&mut self) -> Option<Chunk> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// See [`BodyStream::poll_progress`].
    pub fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Self::Stream(stream) = self {
            stream.poll_progress(cx);
        }
    }
}

/// The largest piece read from a file at once: large enough to amortise the call, small enough to bound memory.
const FILE_CHUNK_BYTES: usize = 64 * 1024;

impl FileRange {
    fn read_chunk(&mut self) -> Option<Chunk> {
        use std::os::unix::fs::FileExt;
        if self.length == 0 {
            return None;
        }
        let wanted = usize::try_from(self.length).unwrap_or(usize::MAX).min(FILE_CHUNK_BYTES);
        let mut buffer = vec![0; wanted];
        match self.file.read_at(&mut buffer, self.offset) {
            Ok(0) => Some(Err(Failure::internal("a file became shorter while it was being sent"))),
            Ok(read) => {
                buffer.truncate(read);
                self.offset += read as u64;
                self.length -= read as u64;
                Some(Ok(Bytes::from(buffer)))
            }
            Err(error) => Some(Err(Failure::internal(format!("reading a file that is being sent: {error}")))),
        }
    }
}

/// So that a body can be given to whoever takes those of the `http-body` crate, and is pulled in the same way.
impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Failure>>> {
        self.poll_chunk(cx).map(|chunk| chunk.map(|piece| piece.map(http_body::Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.length().map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Empty => "Empty",
            Self::Bytes(_) => "Bytes",
            Self::File(_) => "File",
            Self::Stream(_) => "Stream",
        };
        write!(f, "Body::{kind}({:?})", self.length())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}
