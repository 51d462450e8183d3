//! The words of the conversation: what each side can be told by the other. It must not know how they are read.

use bytes::Bytes;

use crate::management::Values;
use crate::params::Params;
use crate::record::{ProtocolStatus, RequestId, Role};

/// What the application said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// A piece of the response, as large as it came: a record may arrive in several pieces. Never empty.
    Stdout(RequestId, Bytes),
    /// The response is complete. STDERR may still follow, END_REQUEST must.
    StdoutEnd(RequestId),
    /// A piece of what the application complains about. Never empty.
    Stderr(RequestId, Bytes),
    /// It complains no more.
    StderrEnd(RequestId),
    /// The request is over and its id is free. The ends of STDOUT and STDERR may not have been said before.
    EndRequest {
        /// The request.
        id: RequestId,
        /// The application's own status; for a Responder what a CGI script would give to `exit`.
        app_status: u32,
        /// How it ended for the protocol.
        protocol_status: ProtocolStatus,
    },
    /// The answer to GET_VALUES.
    Values(Values),
    /// The application does not know a type of management record that we sent.
    UnknownType(u8),
}

/// What the Web server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A request begins; its variables follow.
    BeginRequest {
        /// The request.
        id: RequestId,
        /// What we are asked to do.
        role: Role,
        /// Whether the connection is to stay open after it.
        keep_conn: bool,
    },
    /// All variables of the request.
    Params(RequestId, Params),
    /// A piece of the request's body, as large as it came: a record may arrive in several pieces. Never empty.
    Stdin(RequestId, Bytes),
    /// The body is complete.
    StdinEnd(RequestId),
    /// A piece of the file that a Filter is to filter. Never empty.
    Data(RequestId, Bytes),
    /// The file is complete.
    DataEnd(RequestId),
    /// The Web server no longer wants the answer. Nothing more comes for the request: wake whoever reads its body.
    /// [`Server::end_request`](crate::Server::end_request) is still due, soon.
    Abort(RequestId),
    /// A whole record that answers for us: write it to the connection, between other records. It answers GET_VALUES or
    /// a management type that is not known, or refuses a request.
    Answer(Answer),
}

/// A record that the codec itself answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it is about.
    pub reason: AnswerReason,
    /// The record, ready to be written.
    pub bytes: Bytes,
}

/// What an [`Answer`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerReason {
    /// It tells the [`Capabilities`](crate::Capabilities).
    Values,
    /// It says that a management type is not known.
    UnknownType(u8),
    /// It refuses a request.
    Refused {
        /// The request, which was never shown.
        id: RequestId,
        /// Why.
        protocol_status: ProtocolStatus,
    },
}
