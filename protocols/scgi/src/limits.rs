//! Every limit of this crate, named, with its reason; knows nothing of who applies it.

/// Most bytes inside the netstring that holds the headers.
///
/// 256 KiB: an HTTP front takes heads of up to 64 KiB, a name grows by `HTTP_`, and paths come several times
/// (target, script name, path info, translated). Checked while the length is read, before anything is
/// allocated.
pub const DEFAULT_MAX_HEADER_BYTES: usize = 256 * 1024;

/// Most headers of one request.
///
/// 1024: nginx sends about 20 plus one for each request field.
pub const DEFAULT_MAX_HEADERS: usize = 1024;

/// Room that the writer keeps in front of the headers for their length: 20 digits (64 bits) and the colon.
pub(crate) const LENGTH_ROOM: usize = 21;

/// Most bytes of an offending name or value that an error repeats, before escaping.
///
/// 80: one terminal line; a log is no place to copy a request into.
pub const MAX_EXCERPT_BYTES: usize = 80;

/// What both sides accept before they refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes inside the netstring. Default [`DEFAULT_MAX_HEADER_BYTES`].
    pub max_header_bytes: usize,
    /// Most headers. Default [`DEFAULT_MAX_HEADERS`].
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_header_bytes: DEFAULT_MAX_HEADER_BYTES, max_headers: DEFAULT_MAX_HEADERS }
    }
}
