//! What may go wrong, whose fault it is, and the number or bytes that show it; knows no status code and no
//! log.

use std::fmt;

use crate::limits::MAX_EXCERPT_BYTES;

/// Who has to change something for an error to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The other end of the connection broke the protocol.
    Peer,
    /// The code that uses this crate.
    Caller,
}

/// The beginning of some offending bytes, escaped for a log: at most [`MAX_EXCERPT_BYTES`] of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Escapes the first [`MAX_EXCERPT_BYTES`] of `bytes`; an ellipsis shows that there was more.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let shown = bytes.len().min(MAX_EXCERPT_BYTES);
        let mut text = bytes[..shown].escape_ascii().to_string();
        if shown < bytes.len() {
            text.push('…');
        }
        Self(text.into())
    }

    /// The escaped text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A rule of SCGI that was broken. The rules are the same for both sides; [`Error`] adds who broke it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The netstring's length holds something else than digits.
    #[error("the netstring's length holds the byte 0x{byte:02x}; it is digits and then a colon")]
    LengthByte {
        /// The byte.
        byte: u8,
    },
    /// The netstring begins with its colon.
    #[error("the netstring has no length before its colon")]
    NoLength,
    /// The netstring's length begins with a zero and goes on.
    #[error("the netstring's length begins with 0 and goes on")]
    LeadingZero,
    /// The headers are longer than [`Limits::max_header_bytes`](crate::Limits::max_header_bytes).
    #[error("the headers have at least {size} bytes; {limit} are allowed")]
    HeaderTooLarge {
        /// How long they are at least.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// More headers than [`Limits::max_headers`](crate::Limits::max_headers).
    #[error("more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The netstring does not end with a comma.
    #[error("the netstring ends with the byte 0x{byte:02x} instead of a comma")]
    NoComma {
        /// The byte in the comma's place.
        byte: u8,
    },
    /// The headers do not end with a NUL.
    #[error("the last of the headers' strings has no NUL at its end")]
    NotTerminated,
    /// An odd number of strings: the last name has no value.
    #[error("{count} strings make no pairs: the last name has no value")]
    OddStrings {
        /// How many strings there are.
        count: usize,
    },
    /// A header without a name.
    #[error("header {index} has an empty name")]
    EmptyName {
        /// Counted from 1.
        index: usize,
    },
    /// A NUL inside a name or a value.
    #[error("the header {name} holds a NUL, which ends a string")]
    Nul {
        /// The header's name.
        name: Excerpt,
    },
    /// The same name twice.
    #[error("the header {name} comes twice")]
    Duplicate {
        /// The name.
        name: Excerpt,
    },
    /// The first header is not `CONTENT_LENGTH`, or there is none at all.
    #[error("the first header is {first} instead of CONTENT_LENGTH")]
    LengthNotFirst {
        /// The first name; empty when there are no headers.
        first: Excerpt,
    },
    /// `CONTENT_LENGTH` is not digits alone, or does not fit into 64 bits.
    #[error("CONTENT_LENGTH is {value}, not a number of digits alone")]
    ContentLength {
        /// The value.
        value: Excerpt,
    },
    /// No header `SCGI`.
    #[error("there is no header SCGI")]
    NoScgi,
    /// The header `SCGI` is not `1`.
    #[error("the header SCGI is {value} instead of 1")]
    ScgiVersion {
        /// The value.
        value: Excerpt,
    },
    /// The connection ended before the headers did.
    #[error("the connection ended after {received} bytes, within the headers")]
    HeaderTruncated {
        /// Bytes in all.
        received: u64,
    },
    /// The body is shorter than `CONTENT_LENGTH`.
    #[error("CONTENT_LENGTH is {declared}, but the body ended after {received} bytes")]
    BodyTruncated {
        /// `CONTENT_LENGTH`.
        declared: u64,
        /// Bytes of the body that came.
        received: u64,
    },
    /// Bytes after the body. SCGI has one request per connection.
    #[error("bytes follow the body of {declared} bytes; a connection carries one request")]
    ExtraBytes {
        /// `CONTENT_LENGTH`.
        declared: u64,
    },
    /// Something was sent or received in the wrong order: a body before the headers, anything after the end.
    #[error("{what}")]
    Order {
        /// What was wrong.
        what: &'static str,
    },
}

/// A broken rule and who broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    fault: Fault,
    blame: Blame,
}

impl Error {
    pub(crate) const fn peer(fault: Fault) -> Self {
        Self { fault, blame: Blame::Peer }
    }

    pub(crate) const fn caller(fault: Fault) -> Self {
        Self { fault, blame: Blame::Caller }
    }

    /// The broken rule.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.blame
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.blame {
            Blame::Peer => "the SCGI peer broke the protocol",
            Blame::Caller => "this request cannot be sent by SCGI",
        };
        write!(f, "{who}: {}", self.fault)
    }
}

impl std::error::Error for Error {}
