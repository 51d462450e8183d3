//! The records of FastCGI 1.0 as plain values: headers, types, roles and fixed bodies. It must not know streams,
//! the order of records or connections.

use std::fmt;
use std::num::NonZeroU16;

use crate::error::Violation;

/// `FCGI_VERSION_1`, the only version there ever was.
pub const VERSION: u8 = 1;
/// `FCGI_HEADER_LEN`: bytes in the header of every record.
pub const HEADER_BYTES: usize = 8;
/// The most content one record can carry: its length is a 16-bit number.
pub const MAX_CONTENT_BYTES: usize = u16::MAX as usize;
/// The largest content length that needs no padding. Payload that fills several records is cut here.
pub const MAX_ALIGNED_CONTENT_BYTES: usize = MAX_CONTENT_BYTES - MAX_CONTENT_BYTES % ALIGNMENT_BYTES;
/// Records are padded to a multiple of this, as section 3.3 recommends.
pub const ALIGNMENT_BYTES: usize = 8;
/// `FCGI_LISTENSOCK_FILENO`: the descriptor on which an application finds its listening socket (section 2.2).
pub const LISTENSOCK_FILENO: i32 = 0;
/// `FCGI_KEEP_CONN`: the flag of BEGIN_REQUEST that asks the application not to close the connection.
pub const KEEP_CONN: u8 = 1;
/// The environment variable that lists the addresses from which an application accepts connections (section 3.2).
pub const WEB_SERVER_ADDRS: &str = "FCGI_WEB_SERVER_ADDRS";
/// What the name of a header begins with that an Authorizer wants turned into a variable of the request it
/// authorizes (section 6.3).
pub const VARIABLE_PREFIX: &str = "Variable-";
/// The variable that tells a Filter when its file was last modified, in seconds since 1970 (section 6.4).
pub const DATA_LAST_MOD: &str = "FCGI_DATA_LAST_MOD";
/// The variable that tells a Filter the length of its file in bytes (section 6.4).
pub const DATA_LENGTH: &str = "FCGI_DATA_LENGTH";

/// The length of the bodies of BEGIN_REQUEST, END_REQUEST and UNKNOWN_TYPE.
pub(crate) const FIXED_BODY_BYTES: usize = 8;

/// Names one request on its connection: 1 to 65535. Number 0 (`FCGI_NULL_REQUEST_ID`) belongs to management records
/// and cannot be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(NonZeroU16);

impl RequestId {
    /// Number 1, the only one on a connection that is not multiplexed.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The id of that number; `None` for 0.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record is (section 8, `FCGI_...`). Displays as the specification's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// Type 1, to the application: opens a request.
    BeginRequest,
    /// Type 2, to the application: the request is no longer wanted.
    AbortRequest,
    /// Type 3, from the application: the request is over.
    EndRequest,
    /// Type 4, a stream to the application: name-value pairs.
    Params,
    /// Type 5, a stream to the application: the request's body.
    Stdin,
    /// Type 6, a stream from the application: the response.
    Stdout,
    /// Type 7, a stream from the application: what it complains about.
    Stderr,
    /// Type 8, a stream to a Filter: the file to be filtered.
    Data,
    /// Type 9, management: the Web server asks what the application can do.
    GetValues,
    /// Type 10, management: the answer to it.
    GetValuesResult,
    /// Type 11, management: the application does not know a management type.
    UnknownType,
    /// A number the specification does not name.
    Other(u8),
}

impl RecordType {
    /// The type of that number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::BeginRequest => 1,
            Self::AbortRequest => 2,
            Self::EndRequest => 3,
            Self::Params => 4,
            Self::Stdin => 5,
            Self::Stdout => 6,
            Self::Stderr => 7,
            Self::Data => 8,
            Self::GetValues => 9,
            Self::GetValuesResult => 10,
            Self::UnknownType => 11,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeginRequest => "BEGIN_REQUEST",
            Self::AbortRequest => "ABORT_REQUEST",
            Self::EndRequest => "END_REQUEST",
            Self::Params => "PARAMS",
            Self::Stdin => "STDIN",
            Self::Stdout => "STDOUT",
            Self::Stderr => "STDERR",
            Self::Data => "DATA",
            Self::GetValues => "GET_VALUES",
            Self::GetValuesResult => "GET_VALUES_RESULT",
            Self::UnknownType => "UNKNOWN_TYPE",
            Self::Other(number) => return write!(f, "type {number}"),
        })
    }
}

/// The eight bytes before every record's content (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the record is.
    pub record_type: RecordType,
    /// The request it belongs to; 0 in a management record.
    pub request_id: u16,
    /// Bytes of content that follow.
    pub content_length: u16,
    /// Bytes after the content that mean nothing.
    pub padding_length: u8,
}

impl Header {
    /// The header of a record with so much content, padded to [`ALIGNMENT_BYTES`].
    pub const fn aligned(record_type: RecordType, request_id: u16, content_length: u16) -> Self {
        let padding_length = (content_length.wrapping_neg() % ALIGNMENT_BYTES as u16) as u8;
        Self { record_type, request_id, content_length, padding_length }
    }

    /// Reads a header. The reserved byte is ignored.
    ///
    /// # Errors
    /// [`Violation::Version`] when it is not of version 1.
    pub const fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Result<Self, Violation> {
        let [version, number, id_high, id_low, length_high, length_low, padding_length, _reserved] = bytes;
        if version != VERSION {
            return Err(Violation::Version { found: version });
        }
        Ok(Self {
            record_type: RecordType::from_number(number),
            request_id: u16::from_be_bytes([id_high, id_low]),
            content_length: u16::from_be_bytes([length_high, length_low]),
            padding_length,
        })
    }

    /// The header as it goes over the wire.
    pub const fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [id_high, id_low] = self.request_id.to_be_bytes();
        let [length_high, length_low] = self.content_length.to_be_bytes();
        let number = self.record_type.number();
        [VERSION, number, id_high, id_low, length_high, length_low, self.padding_length, 0]
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record_type, request_id, content_length, padding_length } = self;
        write!(f, "{record_type} id {request_id}, {content_length} bytes")?;
        if *padding_length > 0 { write!(f, " + {padding_length} padding") } else { Ok(()) }
    }
}

/// What an application is asked to do for a request (section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Role 1: answers, as a CGI script does. Gets PARAMS and STDIN.
    Responder,
    /// Role 2: says whether the request may go on. Gets PARAMS.
    Authorizer,
    /// Role 3: answers by filtering a file. Gets PARAMS, STDIN and DATA.
    Filter,
}

impl Role {
    /// The role of that number; `None` when the specification names none.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Responder),
            2 => Some(Self::Authorizer),
            3 => Some(Self::Filter),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::Responder => 1,
            Self::Authorizer => 2,
            Self::Filter => 3,
        }
    }

    /// The word that the variable FCGI_ROLE carries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responder => "RESPONDER",
            Self::Authorizer => "AUTHORIZER",
            Self::Filter => "FILTER",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the application says that a request ended, apart from its own exit status (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtocolStatus {
    /// 0: it ran to its end.
    RequestComplete,
    /// 1: refused, the application takes one request at a time on a connection. Another connection may do.
    CantMultiplex,
    /// 2: refused, the application has run out of something. Later, or another worker, may do.
    Overloaded,
    /// 3: refused, the application does not know the role.
    UnknownRole,
    /// A number the specification does not name.
    Other(u8),
}

impl ProtocolStatus {
    /// The status of that number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::RequestComplete,
            1 => Self::CantMultiplex,
            2 => Self::Overloaded,
            3 => Self::UnknownRole,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::RequestComplete => 0,
            Self::CantMultiplex => 1,
            Self::Overloaded => 2,
            Self::UnknownRole => 3,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for ProtocolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestComplete => "REQUEST_COMPLETE",
            Self::CantMultiplex => "CANT_MPX_CONN",
            Self::Overloaded => "OVERLOADED",
            Self::UnknownRole => "UNKNOWN_ROLE",
            Self::Other(number) => return write!(f, "protocol status {number}"),
        })
    }
}

/// The body of BEGIN_REQUEST (section 5.1). The role is a bare number here: whoever receives it may not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeginRequest {
    /// The number of the role asked for.
    pub role: u16,
    /// The flags; only [`KEEP_CONN`] has a meaning.
    pub flags: u8,
}

impl BeginRequest {
    /// Reads the body. Reserved bytes are ignored.
    pub const fn from_bytes(body: [u8; 8]) -> Self {
        Self { role: u16::from_be_bytes([body[0], body[1]]), flags: body[2] }
    }

    /// The body as it goes over the wire.
    pub const fn to_bytes(self) -> [u8; 8] {
        let [high, low] = self.role.to_be_bytes();
        [high, low, self.flags, 0, 0, 0, 0, 0]
    }

    /// Whether the application is asked to keep the connection open after this request.
    pub const fn keep_conn(self) -> bool {
        self.flags & KEEP_CONN != 0
    }
}

/// The body of END_REQUEST (section 5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndRequest {
    /// The application's own status: for a Responder what a CGI script would give to `exit`.
    pub app_status: u32,
    /// How the request ended for the protocol.
    pub protocol_status: ProtocolStatus,
}

impl EndRequest {
    /// Reads the body. Reserved bytes are ignored.
    pub const fn from_bytes(body: [u8; 8]) -> Self {
        Self {
            app_status: u32::from_be_bytes([body[0], body[1], body[2], body[3]]),
            protocol_status: ProtocolStatus::from_number(body[4]),
        }
    }

    /// The body as it goes over the wire.
    pub const fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.app_status.to_be_bytes();
        [a, b, c, d, self.protocol_status.number(), 0, 0, 0]
    }
}
