//! Every limit of the codec with its reason; knows nothing of time: deadlines are the business of whoever owns the socket.

/// Bytes of request target that are taken: RFC 9112 3 asks every recipient for request lines of at least 8,000 bytes.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Bytes of method that are taken: the longest registered one, `UPDATEREDIRECTREF`, has 17.
pub const MAX_METHOD_BYTES: usize = 32;

/// Bytes of a whole head, first line and fields together: room for large cookies, and little enough that ten
/// thousand slow clients do not fill a small machine.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Header fields of a head: browsers send 10 to 25, chains of proxies 40.
pub const MAX_FIELDS: usize = 100;

/// Empty lines that are skipped before a first line: RFC 9112 2.2 asks for one at least (old browsers ended a POST
/// with one); a second one costs nothing, and more is no HTTP.
pub const MAX_BLANK_LINES: u32 = 2;

/// Bytes of one chunk-size line, extensions and line end included: 16 digits, and extensions that nobody has a use for.
pub const MAX_CHUNK_LINE_BYTES: usize = 256;

/// Bytes of chunk extensions of one whole body: without it, a body of one-byte chunks would carry 250 times
/// its size past every limit on bodies.
pub const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Bytes of a trailer section: trailers carry a checksum, a signature, a status.
pub const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Fields of a trailer section.
pub const MAX_TRAILER_FIELDS: usize = 32;

/// Bytes of request or response content; without an order from the owner there is no limit, because only the owner
/// knows whether bodies are stored or passed on.
pub const MAX_BODY_BYTES: u64 = u64::MAX;

/// Fields that a head or a trailer section may have at the very most, whatever [`Limits`] say: their places are laid
/// out on the stack, 32 bytes each.
pub const FIELDS_CEILING: usize = 256;

/// Offending bytes that an error shows.
pub const MAX_EXCERPT_BYTES: usize = 64;

/// How much of each thing a peer may send. Every limit is checked before memory is taken for what it limits.
///
/// ```
/// use gatebridge_http1::Limits;
/// let limits = Limits { max_body_bytes: 1 << 20, ..Limits::default() };
/// assert_eq!(limits.max_fields, 100);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of request target (more: 414). Default [`MAX_TARGET_BYTES`].
    pub max_target_bytes: usize,
    /// Bytes of method (more: 501, as RFC 9112 3 has it). Default [`MAX_METHOD_BYTES`].
    pub max_method_bytes: usize,
    /// Bytes of a head from its first line to its empty line (more: 431). Default [`MAX_HEAD_BYTES`].
    pub max_head_bytes: usize,
    /// Header fields (more: 431); never above [`FIELDS_CEILING`]. Default [`MAX_FIELDS`].
    pub max_fields: usize,
    /// Empty lines before a first line (more: 400). Default [`MAX_BLANK_LINES`].
    pub max_blank_lines: u32,
    /// Bytes of one chunk-size line (more: 400). Default [`MAX_CHUNK_LINE_BYTES`].
    pub max_chunk_line_bytes: usize,
    /// Bytes of chunk extensions of one body (more: 400). Default [`MAX_EXTENSION_BYTES`].
    pub max_extension_bytes: usize,
    /// Bytes of a trailer section (more: 431). Default [`MAX_TRAILER_BYTES`].
    pub max_trailer_bytes: usize,
    /// Trailer fields (more: 431); never above [`FIELDS_CEILING`]. Default [`MAX_TRAILER_FIELDS`].
    pub max_trailer_fields: usize,
    /// Bytes of content (more: 413). A length that is announced is refused at the head, a chunked body when it passes
    /// the limit. Default [`MAX_BODY_BYTES`], which is none.
    pub max_body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_target_bytes: MAX_TARGET_BYTES,
            max_method_bytes: MAX_METHOD_BYTES,
            max_head_bytes: MAX_HEAD_BYTES,
            max_fields: MAX_FIELDS,
            max_blank_lines: MAX_BLANK_LINES,
            max_chunk_line_bytes: MAX_CHUNK_LINE_BYTES,
            max_extension_bytes: MAX_EXTENSION_BYTES,
            max_trailer_bytes: MAX_TRAILER_BYTES,
            max_trailer_fields: MAX_TRAILER_FIELDS,
            max_body_bytes: MAX_BODY_BYTES,
        }
    }
}
