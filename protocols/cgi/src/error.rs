//! What may go wrong, whose fault it is, and the number or bytes that show it; knows no status code and no
//! log.

use std::fmt;

use crate::limits::MAX_EXCERPT_BYTES;

/// Who has to change something for an error to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The program behind: its output breaks RFC 3875.
    Script,
    /// The front, or the server before it: its variables make no request.
    Front,
    /// The code that uses this crate.
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

/// Why a list of variables is no request: see [`Environ::from_variables`](crate::Environ::from_variables).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariablesError {
    /// No `REQUEST_METHOD`.
    #[error("the front sent no REQUEST_METHOD; it is no CGI request without one")]
    NoMethod,
    /// A variable whose syntax a standard fixes does not have it.
    #[error("the front sent {name}={value}, which is not {wanted}")]
    Malformed {
        /// The variable's name.
        name: &'static str,
        /// Its value.
        value: Excerpt,
        /// What it has to be.
        wanted: &'static str,
    },
    /// `CONTENT_LENGTH` came twice with different values: nobody knows where the body ends.
    #[error("the front sent CONTENT_LENGTH twice, {first} and {second}")]
    TwoLengths {
        /// The first value.
        first: u64,
        /// The other one.
        second: u64,
    },
    /// A variable without a name.
    #[error("the front sent a variable without a name; its value is {value}")]
    NoName {
        /// The value.
        value: Excerpt,
    },
    /// A NUL byte in a name or value: no process's environment and no SCGI header could hold it.
    #[error("the front sent a NUL byte in the variable {name}")]
    Nul {
        /// The variable's name.
        name: Excerpt,
    },
    /// More variables than [`MAX_VARIABLES`](crate::limits::MAX_VARIABLES).
    #[error("the front sent more than {limit} variables")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl VariablesError {
    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Front
    }
}

/// Why a list of variables cannot be a process's environment: see [`Environment`](crate::Environment).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// The name is empty, or holds `=` or a NUL byte.
    #[error(
        "the variable {name} cannot be passed to a process: a name is not empty and holds neither '=' nor NUL"
    )]
    Name {
        /// The name.
        name: Excerpt,
    },
    /// The value holds a NUL byte.
    #[error("the value of {name} holds a NUL byte, which cannot be passed to a process")]
    Value {
        /// The variable's name.
        name: Excerpt,
    },
    /// One `NAME=value` string is longer than the kernel takes.
    #[error(
        "the variable {name} has {size} bytes; the kernel takes {limit}: pass it in the body, or use FastCGI or SCGI"
    )]
    TooLong {
        /// The variable's name.
        name: Excerpt,
        /// Bytes of `NAME=value` and its NUL.
        size: usize,
        /// [`MAX_ENVIRONMENT_STRING_BYTES`](crate::limits::MAX_ENVIRONMENT_STRING_BYTES).
        limit: usize,
    },
}

/// What a line of a script's head has wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// No colon, so it is no field.
    #[error("it has no colon")]
    NoColon,
    /// The name is not a token (RFC 9110 5.6.2): it is empty, or holds a space or another byte that no name
    /// may hold.
    #[error("its name is not a token (a space before the colon?)")]
    Name,
    /// The value holds a control byte.
    #[error("its value holds a control byte (CR, NUL ...)")]
    Value,
    /// It begins with a space or a tab: a folded field, which RFC 9112 5.2 has withdrawn.
    #[error("it continues the line before (obsolete folding)")]
    Folded,
    /// `Status` is not three digits from 100 to 999, a space and a reason.
    #[error("a status is three digits from 100 to 999, then a space and a reason or nothing")]
    Status,
    /// `Content-Length` is not a number of digits alone, or is too large for 64 bits.
    #[error("a length is digits alone")]
    Length,
    /// `Transfer-Encoding` other than `identity`: the gateway frames the body, so this one would be framed
    /// twice.
    #[error("the gateway frames the body; leave Transfer-Encoding out")]
    TransferCoding,
    /// The first line of a non-parsed-header script is not `HTTP/1.1 200 OK` or the like.
    #[error("a non-parsed-header script begins with a status line such as HTTP/1.1 200 OK")]
    NoStatusLine,
    /// Status 101: a script's connection cannot be switched to another protocol.
    #[error("a script cannot switch protocols")]
    Switching,
}

/// Why a script's output is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The output ended before the head did.
    #[error("the script ended after {received} bytes, before its head was complete (an empty line ends it)")]
    Premature {
        /// Bytes of output in all.
        received: u64,
    },
    /// The first line is empty, so there is no head at all.
    #[error("the script's line {line} is empty where a head should begin; write Content-Type first")]
    NoHead {
        /// Counted from 1 over the whole output.
        line: usize,
    },
    /// A body came, but none of `Content-Type`, `Location` and `Status` before it (RFC 3875 6.3).
    #[error("the script sent a body, but none of Content-Type, Location and Status before it")]
    NoCgiField,
    /// A line of the head is wrong.
    #[error("the script's line {line} is not valid: {fault}: {text}")]
    Line {
        /// Counted from 1 over the whole output.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
        /// The line.
        text: Excerpt,
    },
    /// A field that may come once came twice.
    #[error("the script sent {field} a second time in line {line}")]
    Duplicate {
        /// The field's name.
        field: &'static str,
        /// Where it came again.
        line: usize,
    },
    /// The status line says one thing and the field `Status` another.
    #[error("the script's status line says {status_line}, its field Status {field}")]
    StatusConflict {
        /// The status line's.
        status_line: u16,
        /// The field's.
        field: u16,
    },
    /// The head has more bytes than [`ScriptLimits::max_head_bytes`](crate::ScriptLimits::max_head_bytes).
    #[error("the script's head has more than {limit} bytes")]
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The head has more fields than [`ScriptLimits::max_fields`](crate::ScriptLimits::max_fields).
    #[error("the script's head has more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// More informational heads than
    /// [`ScriptLimits::max_informational`](crate::ScriptLimits::max_informational).
    #[error("the script sent more than {limit} informational (1xx) heads")]
    TooManyInformational {
        /// The limit.
        limit: usize,
    },
    /// The body is shorter than the script's own `Content-Length`.
    #[error("the script announced a body of {declared} bytes and sent {received}")]
    BodyTooShort {
        /// What `Content-Length` says.
        declared: u64,
        /// What came.
        received: u64,
    },
    /// Bytes were handed in after the end was.
    #[error("receive() was called after receive_end()")]
    ReceiveAfterEnd,
}

impl ScriptError {
    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::ReceiveAfterEnd => Blame::Caller,
            _ => Blame::Script,
        }
    }
}
