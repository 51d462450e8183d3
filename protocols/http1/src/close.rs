//! Why a connection ends, as data with a line for the log; decides nothing.

use std::fmt;

/// Why a connection is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer said `Connection: close`.
    PeerAsked,
    /// HTTP/1.0 without `Connection: keep-alive`.
    Http10,
    /// The peer closed its side.
    PeerClosed,
    /// The peer broke the protocol or a limit.
    PeerFailed,
    /// A response was sent though no request had come (408, 400, 503).
    NoRequest,
    /// The client waited for 100 and got a final response: nobody knows whether the body comes now (RFC 9110 10.1.1).
    ExpectationUnmet,
    /// The body lasts until the connection ends.
    UntilClose,
    /// There was more body than announced; it was cut (lesson 11).
    BodyTooLong,
    /// There was less body than announced; the message is broken (lesson 11).
    BodyTooShort,
    /// The caller: the rest of the request's body is not worth reading.
    BodyUnread,
    /// The caller: the server is going down.
    Draining,
    /// The caller: this connection has had its number of requests.
    RequestLimit,
    /// The caller: a time limit has passed.
    TimedOut,
    /// The caller: this client shall not go on.
    Refused,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerAsked => "the peer asked for it",
            Self::Http10 => "the peer speaks HTTP/1.0 and did not ask to keep the connection",
            Self::PeerClosed => "the peer closed its side",
            Self::PeerFailed => "the peer broke the protocol",
            Self::NoRequest => "the response answers no request",
            Self::ExpectationUnmet => "the client waited for 100 and got a final response",
            Self::UntilClose => "the body ends where the connection ends",
            Self::BodyTooLong => "there was more body than announced",
            Self::BodyTooShort => "there was less body than announced",
            Self::BodyUnread => "the request's body was not read to its end",
            Self::Draining => "the server is going down",
            Self::RequestLimit => "the connection has had its number of requests",
            Self::TimedOut => "a time limit has passed",
            Self::Refused => "the client was refused",
        })
    }
}
