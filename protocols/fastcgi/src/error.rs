//! What can go wrong, whose fault it is, and the offending number. It must not know how the codec works.

use crate::record::{RecordType, RequestId, Role};

/// Why a call failed. Every variant of either kind says what happened, to what, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer broke the protocol. Close the connection: nothing on it can be believed any more.
    #[error("the peer broke FastCGI: {0}; close the connection")]
    Remote(#[from] Violation),
    /// We used the codec wrongly. Nothing was sent and the connection is as it was.
    #[error("misuse of the FastCGI codec: {0}")]
    Local(#[from] Misuse),
}

impl Error {
    /// Who is to blame.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Remote(_) => Blame::Remote,
            Self::Local(_) => Blame::Local,
        }
    }
}

/// Who is to blame for an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The peer.
    Remote,
    /// The caller of the codec.
    Local,
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A record is of another version than 1. Often it is not FastCGI at all.
    #[error("a record of version {found} instead of 1 (is the peer speaking FastCGI?)")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// A record that the other side sends, not this one.
    #[error("{record_type} with id {id} goes the other way")]
    WrongDirection {
        /// The type of the record.
        record_type: RecordType,
        /// Its request id.
        id: u16,
    },
    /// A record of a request with the id of management records.
    #[error("{record_type} with id 0, which belongs to management records")]
    NullId {
        /// The type of the record.
        record_type: RecordType,
    },
    /// A management record with the id of a request.
    #[error("management record {record_type} with id {id} instead of 0")]
    ManagementId {
        /// The type of the record.
        record_type: RecordType,
        /// Its request id.
        id: u16,
    },
    /// An application's record for a request that is not in progress: never begun, or already ended.
    #[error("{record_type} for request {id}, which is not in progress")]
    UnknownId {
        /// The type of the record.
        record_type: RecordType,
        /// Its request id.
        id: RequestId,
    },
    /// BEGIN_REQUEST with an id that is in use.
    #[error("BEGIN_REQUEST with id {id}, which is in progress")]
    IdInUse {
        /// The id.
        id: RequestId,
    },
    /// A record of fixed length has another one.
    #[error("{record_type} with {found} bytes of content instead of {expected}")]
    BodyLength {
        /// The type of the record.
        record_type: RecordType,
        /// The length it has.
        found: u16,
        /// The length it must have.
        expected: u16,
    },
    /// Content for a stream that has ended, or whose turn it is not, or that the role does not have.
    #[error("{found} for request {id} ({role}) where {} was due", Awaited(.awaited))]
    OutOfOrder {
        /// The stream that came.
        found: RecordType,
        /// The request.
        id: RequestId,
        /// Its role.
        role: Role,
        /// The stream that was due; `None` when all had ended.
        awaited: Option<RecordType>,
    },
    /// The pairs of a request's PARAMS are broken or too large.
    #[error("PARAMS of request {id}: {fault}")]
    Params {
        /// The request.
        id: RequestId,
        /// What is wrong with them.
        fault: ParamsFault,
    },
    /// The pairs of a management record are broken or too large.
    #[error("{record_type}: {fault}")]
    Values {
        /// The type of the record.
        record_type: RecordType,
        /// What is wrong with them.
        fault: ParamsFault,
    },
    /// An answer to GET_VALUES that nobody sent.
    #[error("GET_VALUES_RESULT without a GET_VALUES")]
    UnaskedValues,
    /// The peer closed the connection amid requests or within a record.
    #[error("closed with {requests} requests in progress and {missing_bytes} bytes of a record missing")]
    Truncated {
        /// Requests that have not ended.
        requests: usize,
        /// The least number of bytes that would have completed the record; 0 between records.
        missing_bytes: usize,
    },
}

/// Displays the stream that was due.
struct Awaited<'a>(&'a Option<RecordType>);

impl std::fmt::Display for Awaited<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(record_type) => record_type.fmt(f),
            None => f.write_str("nothing more"),
        }
    }
}

/// What is wrong with a stream of name-value pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsFault {
    /// The whole is longer than allowed.
    #[error("{needed} bytes or more, {limit} allowed")]
    TotalTooLong {
        /// Bytes that are there or announced; `usize::MAX` when they cannot even be counted.
        needed: usize,
        /// The limit.
        limit: usize,
    },
    /// A name is longer than allowed.
    #[error("a name of {length} bytes, {limit} allowed")]
    NameTooLong {
        /// Its announced length in bytes.
        length: u32,
        /// The limit.
        limit: usize,
    },
    /// A value is longer than allowed.
    #[error("a value of {length} bytes, {limit} allowed")]
    ValueTooLong {
        /// Its announced length in bytes.
        length: u32,
        /// The limit.
        limit: usize,
    },
    /// There are more pairs than allowed.
    #[error("more than {limit} pairs")]
    TooManyPairs {
        /// The limit.
        limit: usize,
    },
    /// The stream ended within a pair.
    #[error("ended within a pair, {missing} bytes early")]
    Unfinished {
        /// The least number of bytes that would have completed the pair.
        missing: usize,
    },
}

/// How the caller misused the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The request is not in progress: never begun, ended, or (for a client) aborted.
    #[error("request {id} is not in progress")]
    UnknownId {
        /// The id given.
        id: RequestId,
    },
    /// As many requests as allowed are in progress.
    #[error("{limit} requests are in progress, no more are allowed on this connection")]
    TooManyRequests {
        /// The limit.
        limit: u16,
    },
    /// The connection takes no new request.
    #[error("the connection takes no new request: {0}")]
    NotReusable(#[from] Unclean),
    /// The stream has ended, or it is not its turn, or the role does not have it.
    #[error("{sent} for request {id} ({role}) where {} is due", Awaited(.awaited))]
    OutOfOrder {
        /// The stream that was to be sent.
        sent: RecordType,
        /// The request.
        id: RequestId,
        /// Its role.
        role: Role,
        /// The stream that is due; `None` when all have ended.
        awaited: Option<RecordType>,
    },
    /// Content of no bytes, which on the wire would end the stream. Say that the stream ends instead.
    #[error("{record_type} without content for request {id} would end the stream")]
    EmptyContent {
        /// The stream.
        record_type: RecordType,
        /// The request.
        id: RequestId,
    },
    /// A name or value that the format cannot express.
    #[error("a name or value of {length} bytes, {MAX_PAIR_PART_BYTES} can be expressed")]
    PairTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More names were asked for than one GET_VALUES record holds.
    #[error("GET_VALUES of {length} bytes, one record holds 65535")]
    TooManyNames {
        /// The length it would have in bytes.
        length: usize,
    },
}

/// The longest name or value that a pair can hold: 31 bits.
pub(crate) const MAX_PAIR_PART_BYTES: usize = 0x7fff_ffff;

/// Why a client's connection may not carry another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclean {
    /// The peer broke the protocol.
    #[error("the peer broke the protocol")]
    Broken,
    /// The peer has closed it.
    #[error("the peer has closed it")]
    Closed,
    /// A request was begun without KEEP_CONN: the application closes after it.
    #[error("request {id} did not ask to keep it open")]
    NotKept {
        /// That request.
        id: RequestId,
    },
    /// A request ended before its streams to the application had: what the application does with the rest is unknown.
    #[error("request {id} was answered before all of it was sent")]
    InputUnfinished {
        /// That request.
        id: RequestId,
    },
    /// Requests have not had their END_REQUEST.
    #[error("{requests} requests are in progress")]
    InProgress {
        /// How many.
        requests: usize,
    },
    /// An answer to GET_VALUES is still to come.
    #[error("an answer to GET_VALUES is still to come")]
    ValuesAwaited,
    /// Bytes have come that belong to no request, or padding is still to come.
    #[error("bytes are left over after the last END_REQUEST")]
    LeftOver,
}
