//! What may go wrong, whose fault it is, and the number or bytes that show it; knows no socket and writes no log.

use std::fmt;

use http::StatusCode;

use crate::limits::MAX_EXCERPT_BYTES;
use crate::state::{State, Word};

/// Who has to change something for an error to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer at the other end of the connection: it broke the protocol or one of our limits.
    Peer,
    /// The code that uses this crate, or the program whose response it passes on.
    Caller,
}

/// The beginning of some offending bytes, escaped for a log: no control byte, no line end, at most
/// [`MAX_EXCERPT_BYTES`] of them.
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

/// Where in a message an end of the connection, or a broken line end, was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The first line and the fields.
    Head,
    /// Content of a known length.
    Body,
    /// A chunk-size line, a chunk's data or the line end behind it.
    Chunk,
    /// The trailer section.
    Trailer,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Chunk => "chunked body",
            Self::Trailer => "trailer section",
        })
    }
}

/// How many bytes a broken-off message lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// So many bytes of content.
    Bytes(u64),
    /// Nobody said how long it would be.
    Unknown,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(n) => write!(f, "{n} bytes were still to come"),
            Self::Unknown => f.write_str("its end had not come"),
        }
    }
}

/// Why the codec does not say what it was told to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It is not the time for it.
    #[error("{word} cannot be sent while the connection is in state {state:?}")]
    OutOfTurn {
        /// What was to be said.
        word: Word,
        /// The state of our side.
        state: State,
    },
    /// The body ended before the announced length was reached (lesson 11). The peer must see a broken connection,
    /// never a complete-looking message: close without another byte.
    #[error(
        "the body ended {missing} bytes before its announced length of {declared}; the connection must be cut"
    )]
    BodyTooShort {
        /// The announced length.
        declared: u64,
        /// How many bytes are missing.
        missing: u64,
    },
    /// A status that is not final where a final one belongs, or the other way round, or below 100 or above 599.
    #[error("status {status} cannot be sent as {word}")]
    Status {
        /// The status.
        status: StatusCode,
        /// As what it was to be sent.
        word: Word,
    },
    /// A reason phrase that holds a control byte (lesson 10).
    #[error("the reason phrase {reason} holds a control byte")]
    Reason {
        /// The phrase.
        reason: Excerpt,
    },
    /// 101 for a request that proposed no upgrade.
    #[error("101 cannot be sent: the request proposed no upgrade")]
    UnaskedSwitch,
    /// A request target that holds a byte that none may hold, or nothing.
    #[error("the request target {target} cannot be sent")]
    Target {
        /// The target.
        target: Excerpt,
    },
    /// No `Host` in a request, or more than one.
    #[error("a request is sent with exactly one Host, not {count}")]
    Host {
        /// How many there are.
        count: usize,
    },
    /// A request body cannot end with the connection.
    #[error("a request body is framed by a length or by chunks; it cannot last until the connection closes")]
    RequestUntilClose,
    /// A trailer that would change what has been decided from the head (RFC 9110 6.5.1).
    #[error("{name} cannot be sent in a trailer section")]
    ForbiddenTrailer {
        /// The field's name.
        name: Excerpt,
    },
}

impl SendError {
    /// Whose fault it is: always ours.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Caller
    }
}
