//! Writes heads and trailer sections in one pass; knows what may stand in them, not whose turn it is.

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::chunked::is_forbidden;
use crate::error::{Excerpt, SendError};
use crate::framing::Framing;
use crate::grammar::{is_target, is_value, list};

/// A response to send, borrowed from whoever has it.
///
/// Of `headers` the codec leaves out what belongs to one connection only (RFC 9110 7.6.1): `Connection` and the fields that
/// it names, `Keep-Alive`, `Proxy-Connection`, `Transfer-Encoding`, `TE`, `Upgrade` (but for 426), and
/// `Content-Length`, which it writes itself from the length that it is told.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The final status, 200 or above.
    pub status: StatusCode,
    /// The reason phrase; without one, the usual phrase of the status.
    pub reason: Option<&'a [u8]>,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// The `Date` to write if `headers` has none.
    pub date: Option<&'a HeaderValue>,
}

impl<'a> Response<'a> {
    /// A response with the usual reason phrase and without a date of ours.
    #[must_use]
    pub const fn new(status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self { status, reason: None, headers, date: None }
    }

    /// With this reason phrase.
    #[must_use]
    pub const fn reason(mut self, reason: &'a [u8]) -> Self {
        self.reason = Some(reason);
        self
    }

    /// With this `Date`, unless the headers have one (RFC 9110 6.6.1).
    #[must_use]
    pub const fn date(mut self, date: &'a HeaderValue) -> Self {
        self.date = Some(date);
        self
    }
}

/// A request to send, borrowed from whoever has it. The connection's own fields are left out as for [`Response`].
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, byte for byte, in the form that the method wants.
    pub target: &'a [u8],
    /// The fields; exactly one `Host` among them.
    pub headers: &'a HeaderMap,
    /// Propose the protocols that `headers` name in `Upgrade`.
    pub upgrade: bool,
}

impl<'a> Request<'a> {
    /// A request that proposes no upgrade.
    #[must_use]
    pub const fn new(method: &'a Method, target: &'a [u8], headers: &'a HeaderMap) -> Self {
        Self { method, target, headers, upgrade: false }
    }
}

/// What a head says about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing: HTTP/1.1 keeps connections.
    Silent,
    /// It ends with this exchange.
    Close,
    /// It is kept, for a peer of HTTP/1.0 who has asked so.
    KeepAlive,
    /// Another protocol is offered or begins.
    Upgrade,
}

/// What a head says about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Nothing.
    Nothing,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl From<Framing> for Says {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::UntilClose => Self::Nothing,
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked,
        }
    }
}

/// Room that is asked for at once for a head of an ordinary size.
const HEAD_ROOM: usize = 256;

pub(crate) fn response(
    response: &Response<'_>,
    persistence: Persistence,
    says: Says,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    let reason = match response.reason {
        // RFC 9112 4: tabs, spaces, visible and 8-bit characters.
        Some(reason) if !reason.iter().all(|b| is_value(*b)) => {
            return Err(SendError::Reason { reason: Excerpt::of(reason) });
        }
        Some(reason) => reason,
        None => response.status.canonical_reason().unwrap_or_default().as_bytes(),
    };
    out.reserve(HEAD_ROOM);
    // RFC 9112 2.3: the version says what we speak, not what the client spoke.
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.status.as_str().as_bytes());
    // RFC 9112 4: the space is written also where no phrase follows it.
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
    if let Some(date) = response.date
        && !response.headers.contains_key(DATE)
    {
        field(out, "Date", date.as_bytes());
    }
    let keeps_upgrade =
        response.status == StatusCode::UPGRADE_REQUIRED || persistence == Persistence::Upgrade;
    end_to_end(response.headers, keeps_upgrade, out);
    connection(persistence, keeps_upgrade && response.headers.contains_key(UPGRADE), out);
    body(says, out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

pub(crate) fn request(
    request: &Request<'_>,
    persistence: Persistence,
    says: Says,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    if request.target.is_empty() || !request.target.iter().all(|b| is_target(*b)) {
        return Err(SendError::Target { target: Excerpt::of(request.target) });
    }
    // RFC 9112 3.2.
    let count = request.headers.get_all(HOST).iter().count();
    if count != 1 {
        return Err(SendError::Host { count });
    }
    out.reserve(HEAD_ROOM);
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    end_to_end(request.headers, request.upgrade, out);
    connection(persistence, request.upgrade && request.headers.contains_key(UPGRADE), out);
    body(says, out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A trailer section and the last chunk before it. Nothing is written if a field is refused.
pub(crate) fn last_chunk(trailers: Option<&HeaderMap>, out: &mut Vec<u8>) -> Result<(), SendError> {
    if let Some(name) = trailers.and_then(|trailers| trailers.keys().find(|name| is_forbidden(name))) {
        return Err(SendError::ForbiddenTrailer { name: Excerpt::of(name.as_str().as_bytes()) });
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        field(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The fields that are not the connection's own (RFC 9110 7.6.1).
fn end_to_end(headers: &HeaderMap, keeps_upgrade: bool, out: &mut Vec<u8>) {
    let names_more = headers.contains_key(CONNECTION);
    for (name, value) in headers {
        if name == UPGRADE && keeps_upgrade {
            field(out, name.as_str(), value.as_bytes());
            continue;
        }
        if is_of_connection(name) || *name == CONTENT_LENGTH {
            continue;
        }
        // Whatever Connection names is the connection's too; a field that says what a message is cannot be dropped that way.
        if names_more && *name != HOST && is_named(headers, name) {
            continue;
        }
        field(out, name.as_str(), value.as_bytes());
    }
}

fn is_named(headers: &HeaderMap, name: &HeaderName) -> bool {
    list(headers, CONNECTION).any(|element| element.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

fn is_of_connection(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == TE
        || *name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn connection(persistence: Persistence, offers_upgrade: bool, out: &mut Vec<u8>) {
    let value: &[u8] = match (persistence, offers_upgrade) {
        (Persistence::Close, true) => b"close, upgrade",
        (Persistence::Close, false) => b"close",
        (Persistence::KeepAlive, false) => b"keep-alive",
        (Persistence::KeepAlive, true) => b"keep-alive, upgrade",
        (Persistence::Upgrade, _) | (Persistence::Silent, true) => b"upgrade",
        (Persistence::Silent, false) => return,
    };
    field(out, "Connection", value);
}

fn body(says: Says, out: &mut Vec<u8>) {
    match says {
        Says::Nothing => {}
        Says::Length(n) => field(out, "Content-Length", itoa::Buffer::new().format(n).as_bytes()),
        Says::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// One field line. Names are case-insensitive (RFC 9110 5.1) and written With-Capitals, as HTTP/1 is read by people.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    let mut begins = true;
    for byte in &mut out[start..] {
        if begins {
            byte.make_ascii_uppercase();
        }
        begins = *byte == b'-';
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
