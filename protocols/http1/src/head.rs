//! Reads the head of a request or a response, whole and in one piece, and judges it by RFC 9112; knows no connection
//! and no state.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST, UPGRADE};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::error::{Excerpt, Place};
use crate::fields;
use crate::framing::{self, Framing};
use crate::grammar::{is_token, is_value, lists};
use crate::host::Host;
use crate::limits::{FIELDS_CEILING, Limits};
use crate::target::{Form, Target, default_port};
use crate::violation::PeerError;

/// A request's head as received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestHead {
    /// The method, case-sensitive (RFC 9110 9.1).
    pub method: Method,
    /// The target, byte for byte.
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All fields, in the order of their lines.
    pub headers: HeaderMap,
    /// The host that is asked: the target's, else the `Host` field's; `None` if neither names one, which HTTP/1.0
    /// allows, and HTTP/1.1 by an empty `Host`.
    pub host: Option<Host>,
    /// Where the body ends; `Content-Length: 0` is [`Framing::None`].
    pub body: Framing,
    /// The client waits for 100 before it sends the body (RFC 9110 10.1.1).
    pub expect_continue: bool,
    /// The client would use the connection again.
    pub keep_alive: bool,
    /// The client proposes another protocol (`Upgrade`, named by `Connection`).
    pub upgrade: bool,
}

/// A response's head as received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// The reason phrase, perhaps empty.
    pub reason: Bytes,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All fields, in the order of their lines.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub body: Framing,
    /// The server would use the connection again.
    pub keep_alive: bool,
}

/// Places for the fields that httparse finds; laid out on the stack, not initialised.
type Places<'a> = [MaybeUninit<httparse::Header<'a>>; FIELDS_CEILING];

/// Reads a request head; `head` ends with its empty line.
pub(crate) fn read_request(head: &Bytes, limits: &Limits) -> Result<RequestHead, PeerError> {
    let mut places: Places<'_> = [const { MaybeUninit::uninit() }; FIELDS_CEILING];
    let room = limits.max_fields.min(FIELDS_CEILING);
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(head, &mut places[..room]);
    let (Ok(httparse::Status::Complete(_)), Some(method), Some(target), Some(version)) =
        (outcome, parsed.method, parsed.path, parsed.version)
    else {
        return Err(diagnose_request(head, outcome.err(), limits));
    };
    check_sizes(method.len(), target.len(), limits)?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| PeerError::FirstLine { line: Excerpt::of(method.as_bytes()) })?;
    let (target, target_host) = Target::parse(head.slice_ref(target.as_bytes()), &method)?;
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let headers = fields::collect(head, parsed.headers, Place::Head)?;

    let body = framing::of_request(version, &headers)?;
    let host = decide_host(head, version, &headers, &target, target_host)?;
    let expect_continue = expects_continue(version, &headers)?;
    Ok(RequestHead {
        keep_alive: is_kept_alive(version, &headers),
        upgrade: proposes_upgrade(version, &headers),
        expect_continue: expect_continue && body != Framing::None,
        method,
        target,
        version,
        headers,
        host,
        body,
    })
}

/// Reads a response head; `head` ends with its empty line. `to_head` says that the request was HEAD.
pub(crate) fn read_response(head: &Bytes, to_head: bool, limits: &Limits) -> Result<ResponseHead, PeerError> {
    let mut places: Places<'_> = [const { MaybeUninit::uninit() }; FIELDS_CEILING];
    let room = limits.max_fields.min(FIELDS_CEILING);
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        head,
        &mut places[..room],
    );
    let (Ok(httparse::Status::Complete(_)), Some(code), Some(version)) =
        (outcome, parsed.code, parsed.version)
    else {
        return Err(diagnose_response(head, outcome.err(), limits));
    };
    let first_line = || PeerError::FirstLine { line: Excerpt::of(first_line_of(head)) };
    let status = StatusCode::from_u16(code).map_err(|_| first_line())?;
    // httparse gives an empty phrase for one with 8-bit bytes: they are cut out of the line.
    let reason = first_line_of(head).get("HTTP/1.1 200 ".len()..).unwrap_or_default();
    if !reason.iter().all(|b| is_value(*b)) {
        return Err(first_line());
    }
    let reason = head.slice_ref(reason);
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let headers = fields::collect(head, parsed.headers, Place::Head)?;
    let body = framing::of_response(version, status, to_head, &headers)?;
    let keep_alive = is_kept_alive(version, &headers) && body != Framing::UntilClose;
    Ok(ResponseHead { status, reason, version, headers, body, keep_alive })
}

fn check_sizes(method: usize, target: usize, limits: &Limits) -> Result<(), PeerError> {
    if method > limits.max_method_bytes {
        return Err(PeerError::MethodTooLong { size: method, limit: limits.max_method_bytes });
    }
    if target > limits.max_target_bytes {
        return Err(PeerError::TargetTooLong { limit: limits.max_target_bytes });
    }
    Ok(())
}

/// RFC 9112 3.2 and 3.3: which host a request is for, and whether it says so as it must.
fn decide_host(
    head: &Bytes,
    version: Version,
    headers: &HeaderMap,
    target: &Target,
    target_host: Option<Host>,
) -> Result<Option<Host>, PeerError> {
    let mut values = headers.get_all(HOST).iter();
    let Some(value) = values.next() else {
        return if version == Version::HTTP_10 { Ok(target_host) } else { Err(PeerError::NoHost) };
    };
    let more = values.count();
    if more > 0 {
        return Err(PeerError::TwoHosts { count: 1 + more });
    }
    let field = Host::parse(&head.slice_ref(value.as_bytes()))?;
    let Some(target_host) = target_host else {
        return Ok((!field.name().is_empty()).then_some(field));
    };
    // RFC 9112 3.2.2: the target's host counts and `Host` is ignored. One that differs is refused all the same: somebody
    // on the way may have routed by it (lesson 9).
    let default = match target.form() {
        Form::Absolute => default_port(target.as_bytes().split(|b| *b == b':').next().unwrap_or_default()),
        _ => None,
    };
    // A CONNECT names its port in the target, and its Host may leave it out.
    let differs = if target.form() == Form::Authority && field.port().is_none() {
        !field.name().eq_ignore_ascii_case(target_host.name())
    } else {
        !field.is_same_place(&target_host, default)
    };
    if differs {
        return Err(PeerError::HostMismatch {
            host: Excerpt::of(value.as_bytes()),
            target: Excerpt::of(target.as_bytes()),
        });
    }
    Ok(Some(target_host))
}

/// RFC 9110 10.1.1: `Expect`.
fn expects_continue(version: Version, headers: &HeaderMap) -> Result<bool, PeerError> {
    let mut expected = false;
    for value in headers.get_all(EXPECT) {
        // RFC 9110 10.1.1: an HTTP/1.0 client cannot expect anything; the field is ignored.
        if version == Version::HTTP_10 {
            return Ok(false);
        }
        if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            return Err(PeerError::Expectation { value: Excerpt::of(value.as_bytes()) });
        }
        expected = true;
    }
    Ok(expected)
}

/// RFC 9112 9.3: whether a message lets the connection live on.
fn is_kept_alive(version: Version, headers: &HeaderMap) -> bool {
    if !headers.contains_key(CONNECTION) {
        return version == Version::HTTP_11;
    }
    if lists(headers, CONNECTION, "close") {
        return false;
    }
    version == Version::HTTP_11 || lists(headers, CONNECTION, "keep-alive")
}

/// RFC 9110 7.8: `Upgrade` counts when `Connection` names it, and never from HTTP/1.0.
fn proposes_upgrade(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11 && headers.contains_key(UPGRADE) && lists(headers, CONNECTION, "upgrade")
}

fn first_line_of(head: &[u8]) -> &[u8] {
    memchr::memmem::find(head, b"\r\n").map_or(head, |end| &head[..end])
}

/// What is wrong with a request head that httparse refused.
fn diagnose_request(head: &[u8], error: Option<httparse::Error>, limits: &Limits) -> PeerError {
    if error == Some(httparse::Error::TooManyHeaders) {
        return PeerError::TooManyFields { limit: limits.max_fields.min(FIELDS_CEILING) };
    }
    let line = first_line_of(head);
    let malformed = PeerError::FirstLine { line: Excerpt::of(line) };
    if line.contains(&b'\r') {
        return PeerError::BareCr { place: Place::Head };
    }
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return malformed;
    };
    if method.is_empty() || target.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return malformed;
    }
    if let Err(error) = check_sizes(method.len(), target.len(), limits) {
        return error;
    }
    if let Some(byte) = target.iter().copied().find(|b| !crate::grammar::is_target(*b)) {
        return PeerError::TargetByte { target: Excerpt::of(target), byte };
    }
    if let Some(error) = diagnose_version(version) {
        return error;
    }
    fields::diagnose(&head[line.len() + 2..], Place::Head).unwrap_or(malformed)
}

/// What is wrong with a response head that httparse refused.
fn diagnose_response(head: &[u8], error: Option<httparse::Error>, limits: &Limits) -> PeerError {
    if error == Some(httparse::Error::TooManyHeaders) {
        return PeerError::TooManyFields { limit: limits.max_fields.min(FIELDS_CEILING) };
    }
    let line = first_line_of(head);
    let malformed = PeerError::FirstLine { line: Excerpt::of(line) };
    if line.contains(&b'\r') {
        return PeerError::BareCr { place: Place::Head };
    }
    let version = line.split(|b| *b == b' ').next().unwrap_or_default();
    if let Some(error) = diagnose_version(version) {
        return error;
    }
    fields::diagnose(&head[line.len() + 2..], Place::Head).unwrap_or(malformed)
}

/// RFC 9112 2.3: `HTTP/` digit `.` digit, in capitals.
fn diagnose_version(version: &[u8]) -> Option<PeerError> {
    let well_formed = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    if well_formed && matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return None;
    }
    Some(PeerError::Version { version: Excerpt::of(version), well_formed })
}
