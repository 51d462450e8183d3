//! Every way in which a peer can break HTTP/1.1 or one of our limits, and the status that tells it so; finds none itself.

use http::StatusCode;

use crate::error::{Blame, Excerpt, Missing, Place};

/// How the peer broke HTTP/1.1 or a limit. Final for its connection: nothing after it can be trusted (lesson 9).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The first byte begins no method or version: TLS on a plain port, another protocol, or a body where a head should be.
    #[error("the peer's message begins with byte 0x{byte:02x}, which begins no HTTP/1 message{}", hint(.byte))]
    NotHttp {
        /// The first byte.
        byte: u8,
    },
    /// More empty lines before a first line than allowed.
    #[error("the peer sent more than {limit} empty lines before a message")]
    BlankLines {
        /// [`Limits::max_blank_lines`](crate::Limits::max_blank_lines).
        limit: u32,
    },
    /// A line ended by LF alone, which others read as no line end (RFC 9112 2.2).
    #[error("the peer ended a line of the {place} with LF alone; every line ends with CR LF")]
    BareLf {
        /// Where.
        place: Place,
    },
    /// A CR that no LF follows (RFC 9112 2.2).
    #[error("the peer sent a CR that no LF follows in the {place}")]
    BareCr {
        /// Where.
        place: Place,
    },
    /// The request line or status line has not the form of one.
    #[error("the peer's first line is malformed: {line}")]
    FirstLine {
        /// The line.
        line: Excerpt,
    },
    /// The method is longer than any that is known.
    #[error("the peer's method has {size} bytes, the limit is {limit}")]
    MethodTooLong {
        /// Its bytes.
        size: usize,
        /// [`Limits::max_method_bytes`](crate::Limits::max_method_bytes).
        limit: usize,
    },
    /// An HTTP version other than 1.0 and 1.1.
    #[error("the peer speaks {version}; only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version {
        /// What stood where the version stands.
        version: Excerpt,
        /// Whether it has the form of a version: 505 then, else 400.
        well_formed: bool,
    },
    /// The request target is too long.
    #[error("the peer's request target has more than {limit} bytes")]
    TargetTooLong {
        /// [`Limits::max_target_bytes`](crate::Limits::max_target_bytes).
        limit: usize,
    },
    /// The request target holds a byte that none may hold.
    #[error("the peer's request target {target} holds byte 0x{byte:02x}, which must be percent-encoded")]
    TargetByte {
        /// The target.
        target: Excerpt,
        /// The byte.
        byte: u8,
    },
    /// The request target is in no form that its method allows (RFC 9112 3.2).
    #[error("the peer's request target {target} is in no form that {method} allows")]
    TargetForm {
        /// The target.
        target: Excerpt,
        /// The method.
        method: Excerpt,
    },
    /// The head is too large.
    #[error("the peer's head has more than {limit} bytes")]
    HeadTooLarge {
        /// [`Limits::max_head_bytes`](crate::Limits::max_head_bytes).
        limit: usize,
    },
    /// Too many header fields.
    #[error("the peer's head has more than {limit} fields")]
    TooManyFields {
        /// [`Limits::max_fields`](crate::Limits::max_fields).
        limit: usize,
    },
    /// A line among the fields that is no field: no colon, no name, a space before the colon, a byte that no name holds.
    #[error("the peer sent a field whose name is malformed in the {place}: {line}")]
    FieldName {
        /// Head or trailer section.
        place: Place,
        /// The line, or the bytes around it.
        line: Excerpt,
    },
    /// A field's value holds a control byte.
    #[error("the peer sent a field whose value holds a control byte in the {place}: {line}")]
    FieldValue {
        /// Head or trailer section.
        place: Place,
        /// The line.
        line: Excerpt,
    },
    /// A line that continues the one before, which RFC 9112 5.2 has withdrawn.
    #[error("the peer folded a field over two lines in the {place}: {line}")]
    FoldedField {
        /// Head or trailer section.
        place: Place,
        /// The continuing line.
        line: Excerpt,
    },
    /// No `Host` in an HTTP/1.1 request (RFC 9112 3.2).
    #[error("the peer sent an HTTP/1.1 request without Host")]
    NoHost,
    /// More than one `Host` (RFC 9112 3.2).
    #[error("the peer sent {count} Host fields; there must be one")]
    TwoHosts {
        /// How many.
        count: usize,
    },
    /// A `Host`, or a host within a target, that is none.
    #[error("the peer's host {value} is no host with an optional port")]
    BadHost {
        /// The value.
        value: Excerpt,
    },
    /// `Host` names another host than the target.
    #[error("the peer's Host {host} is not the host of its target {target}")]
    HostMismatch {
        /// The field's value.
        host: Excerpt,
        /// The target.
        target: Excerpt,
    },
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 6.1): the signature of request smuggling.
    #[error("the peer sent both Content-Length and Transfer-Encoding")]
    LengthAndChunked,
    /// More than one `Content-Length`, be they equal.
    #[error("the peer sent {count} Content-Length fields; there may be one")]
    TwoLengths {
        /// How many.
        count: usize,
    },
    /// A `Content-Length` that is no number: a sign, a list, nothing, or more than 2^64 - 1.
    #[error("the peer's Content-Length {value} is no number of bytes")]
    BadLength {
        /// The value.
        value: Excerpt,
    },
    /// A transfer coding that is not known here (501), or no coding at all (400).
    #[error("the peer's Transfer-Encoding {value} is not exactly \"chunked\"")]
    TransferCoding {
        /// The value.
        value: Excerpt,
        /// Whether it names a coding that exists elsewhere.
        well_formed: bool,
    },
    /// `Transfer-Encoding` in HTTP/1.0, which does not have it (RFC 9112 6.1).
    #[error("the peer sent Transfer-Encoding in an HTTP/1.0 message")]
    ChunkedInHttp10,
    /// An expectation other than `100-continue` (RFC 9110 10.1.1).
    #[error("the peer expects {value}; only 100-continue can be met")]
    Expectation {
        /// The value.
        value: Excerpt,
    },
    /// The body is, or becomes, larger than allowed.
    #[error("the peer's body has {size} bytes or more, the limit is {limit}")]
    BodyTooLarge {
        /// What was announced, or has come so far.
        size: u64,
        /// The limit in force.
        limit: u64,
    },
    /// A chunk's size is not 1 to 16 hexadecimal digits.
    #[error("the peer's chunk size is malformed: {line}")]
    ChunkSize {
        /// The line.
        line: Excerpt,
    },
    /// A chunk extension holds a byte that none may hold, or something else than an extension follows the size.
    #[error("the peer's chunk extension is malformed: {line}")]
    ChunkExtension {
        /// The line.
        line: Excerpt,
    },
    /// A chunk-size line is too long.
    #[error("the peer's chunk-size line has more than {limit} bytes")]
    ChunkLineTooLong {
        /// [`Limits::max_chunk_line_bytes`](crate::Limits::max_chunk_line_bytes).
        limit: usize,
    },
    /// All chunk extensions of a body together are too long.
    #[error("the peer's chunk extensions have more than {limit} bytes")]
    ExtensionsTooLong {
        /// [`Limits::max_extension_bytes`](crate::Limits::max_extension_bytes).
        limit: usize,
    },
    /// A chunk's data is not followed by CR LF.
    #[error("the peer's chunk is followed by byte 0x{byte:02x} where CR LF must stand")]
    ChunkEnd {
        /// The byte.
        byte: u8,
    },
    /// The trailer section is too large.
    #[error("the peer's trailer section has more than {limit} bytes")]
    TrailerTooLarge {
        /// [`Limits::max_trailer_bytes`](crate::Limits::max_trailer_bytes).
        limit: usize,
    },
    /// Too many trailer fields.
    #[error("the peer's trailer section has more than {limit} fields")]
    TooManyTrailers {
        /// [`Limits::max_trailer_fields`](crate::Limits::max_trailer_fields).
        limit: usize,
    },
    /// A trailer that would change what has been decided from the head (RFC 9110 6.5.1).
    #[error("the peer sent {name} in a trailer section, where it has no place")]
    ForbiddenTrailer {
        /// The field's name.
        name: Excerpt,
    },
    /// The connection ended in the middle of a message.
    #[error("the peer closed the connection in the middle of a {place} ({missing})")]
    Truncated {
        /// Where it ended.
        place: Place,
        /// How many bytes were still to come.
        missing: Missing,
    },
    /// `101 Switching Protocols` that was not asked for (RFC 9110 15.2.2).
    #[error("the peer switched protocols without having been asked")]
    UnaskedSwitch,
    /// A server spoke before it was asked anything, or went on behind its response.
    #[error("the peer sent bytes that answer no request, the first being 0x{byte:02x}")]
    UnaskedBytes {
        /// The first of them.
        byte: u8,
    },
}

const fn hint(byte: &u8) -> &'static str {
    // RFC 8446 5.1: 22 is the content type of a TLS handshake record.
    if *byte == 22 { " (it looks like TLS: is this an https URL on a plain port?)" } else { "" }
}

impl PeerError {
    /// Whose fault it is: always the peer's.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Peer
    }

    /// The status that tells the client so; for a [`Client`](crate::Client) it is what a gateway would not say itself
    /// (it says 502).
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            // RFC 9112 3: a method longer than any that is implemented is answered with 501.
            Self::MethodTooLong { .. } | Self::TransferCoding { well_formed: true, .. } => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::Version { well_formed: true, .. } => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            // RFC 6585 5.
            Self::HeadTooLarge { .. }
            | Self::TooManyFields { .. }
            | Self::TrailerTooLarge { .. }
            | Self::TooManyTrailers { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Expectation { .. } => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
