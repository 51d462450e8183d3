//! Each way to fail, by its name: what brings it about, whose fault it is, which status tells it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

use gatebridge_http1::{
    Blame, Client, CloseReason, Event, Framing, Limits, Missing, PeerError, Place, Request, Response,
    SendError, Server, state::State, state::Word,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

const LIMITS: Limits = Limits {
    max_target_bytes: 32,
    max_method_bytes: 8,
    max_head_bytes: 256,
    max_fields: 4,
    max_blank_lines: 2,
    max_chunk_line_bytes: 24,
    max_extension_bytes: 30,
    max_trailer_bytes: 64,
    max_trailer_fields: 2,
    max_body_bytes: 10,
};

/// How a server refuses these bytes.
#[track_caller]
fn refused(status: u16, bytes: &[u8]) -> PeerError {
    let mut server = Server::new(LIMITS);
    server.receive(bytes);
    let error = loop {
        match server.next_event() {
            Err(error) => break error,
            Ok(Event::NeedData) => server.receive_end(),
            Ok(Event::Paused | Event::Closed) => panic!("it was not refused"),
            Ok(_) => {}
        }
    };
    assert_eq!(error.status().as_u16(), status, "{error}");
    assert_eq!(error.blame(), Blame::Peer);
    assert!(error.to_string().starts_with("the peer"), "{error}");
    assert_eq!(server.close_reason(), Some(CloseReason::PeerFailed));
    error
}

/// How it refuses a GET with this line among its fields.
#[track_caller]
fn refused_field(status: u16, line: &str) -> PeerError {
    refused(status, format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n").as_bytes())
}

/// How it refuses this text as a chunked body.
#[track_caller]
fn refused_chunks(status: u16, body: &str) -> PeerError {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    refused(status, format!("{head}{body}").as_bytes())
}

#[test]
fn not_http() {
    let error = refused(400, b"\x16\x03\x01");
    assert!(matches!(error, PeerError::NotHttp { byte: 0x16 }));
    assert!(error.to_string().contains("TLS"), "{error}");
    assert!(!refused(400, b"\0").to_string().contains("TLS"));
}

#[test]
fn blank_lines() {
    let error = refused(400, b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(error, PeerError::BlankLines { limit: 2 }));
}

#[test]
fn bare_lf() {
    assert!(matches!(refused(400, b"GET / HTTP/1.1\n"), PeerError::BareLf { place: Place::Head }));
    assert!(matches!(refused(400, b"\n"), PeerError::BareLf { place: Place::Head }));
    assert!(matches!(refused_chunks(400, "5\nhello"), PeerError::BareLf { place: Place::Chunk }));
    assert!(matches!(refused_chunks(400, "0\r\nX: y\n"), PeerError::BareLf { place: Place::Trailer }));
}

#[test]
fn bare_cr() {
    assert!(matches!(refused(400, b"GET /\r HTTP/1.1\r\n\r\n"), PeerError::BareCr { place: Place::Head }));
    assert!(matches!(refused(400, b"\rG"), PeerError::BareCr { place: Place::Head }));
    assert!(matches!(refused_field(400, "X: a\rb"), PeerError::BareCr { place: Place::Head }));
    assert!(matches!(refused_chunks(400, "5;\ra\r\n"), PeerError::BareCr { place: Place::Chunk }));
    assert!(matches!(refused_chunks(400, "0\r\nX: \r\r\n\r\n"), PeerError::BareCr { place: Place::Trailer }));
}

#[test]
fn first_line() {
    for line in ["GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GE:T / HTTP/1.1", "GET\t/ HTTP/1.1"] {
        let error = refused(400, format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        assert!(matches!(error, PeerError::FirstLine { .. }), "{line}: {error:?}");
    }
}

#[test]
fn method_too_long() {
    let error = refused(501, b"LONGMETHOD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(error, PeerError::MethodTooLong { size: 10, limit: 8 }));
}

#[test]
fn version() {
    for (version, status) in
        [("HTTP/2.0", 505), ("HTTP/1.2", 505), ("HTTP/0.9", 505), ("http/1.1", 400), ("HTTP/1.10", 400)]
    {
        let error = refused(status, format!("GET / {version}\r\nHost: a\r\n\r\n").as_bytes());
        assert!(matches!(error, PeerError::Version { well_formed, .. } if well_formed == (status == 505)));
    }
}

#[test]
fn target_too_long() {
    let whole = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(32));
    assert!(matches!(refused(414, whole.as_bytes()), PeerError::TargetTooLong { limit: 32 }));
    let endless = format!("GET /{}", "a".repeat(300));
    assert!(matches!(refused(414, endless.as_bytes()), PeerError::TargetTooLong { limit: 32 }));
}

#[test]
fn target_byte() {
    for (target, wrong) in [(&b"/a#b"[..], b'#'), (b"/\xc3\xa4", 0xc3), (b"/\x7f", 0x7f), (b"/\x01", 1)] {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert!(matches!(refused(400, &request), PeerError::TargetByte { byte, .. } if byte == wrong));
    }
}

#[test]
fn target_form() {
    for line in [
        "GET *",
        "GET a",
        "GET a:80",
        "CONNECT /",
        "CONNECT a",
        "GET ftp://a/",
        "GET http:/a",
        "GET http:///a",
    ] {
        let error = refused(400, format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert!(matches!(error, PeerError::TargetForm { .. }), "{line}: {error:?}");
    }
}

#[test]
fn head_too_large() {
    let error = refused_field(431, &format!("X: {}", "x".repeat(300)));
    assert!(matches!(error, PeerError::HeadTooLarge { limit: 256 }));
}

#[test]
fn too_many_fields() {
    assert!(matches!(
        refused_field(431, "X: 1\r\nX: 2\r\nX: 3\r\nX: 4"),
        PeerError::TooManyFields { limit: 4 }
    ));
}

#[test]
fn field_name() {
    for line in ["X", ": x", "X : y", "X Y: z", "X(: y"] {
        let error = refused_field(400, line);
        assert!(matches!(error, PeerError::FieldName { place: Place::Head, .. }), "{line}: {error:?}");
    }
    assert!(matches!(
        refused_chunks(400, "0\r\nX\r\n\r\n"),
        PeerError::FieldName { place: Place::Trailer, .. }
    ));
}

#[test]
fn field_value() {
    for line in ["X: \0", "X: a\x01", "X: \x7f"] {
        let error = refused_field(400, line);
        assert!(matches!(error, PeerError::FieldValue { place: Place::Head, .. }), "{line:?}: {error:?}");
    }
    let error = refused_chunks(400, "0\r\nX: \0\r\n\r\n");
    assert!(matches!(error, PeerError::FieldValue { place: Place::Trailer, .. }));
}

#[test]
fn folded_field() {
    for line in ["X: a\r\n b", "X: a\r\n\tb", "X: a\r\n "] {
        assert!(matches!(refused_field(400, line), PeerError::FoldedField { place: Place::Head, .. }));
    }
    let error = refused_chunks(400, "0\r\nX: a\r\n b\r\n\r\n");
    assert!(matches!(error, PeerError::FoldedField { place: Place::Trailer, .. }));
}

#[test]
fn no_host() {
    assert!(matches!(refused(400, b"GET / HTTP/1.1\r\n\r\n"), PeerError::NoHost));
}

#[test]
fn two_hosts() {
    assert!(matches!(refused_field(400, "Host: a"), PeerError::TwoHosts { count: 2 }));
}

#[test]
fn bad_host() {
    for host in
        ["a b", "u@a", "a/b", "[::1", "[::1%25e]", "::1", "a:b", "a:65536", "a:-1", ":80", "a%2", "a,b c"]
    {
        let error = refused(400, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(matches!(error, PeerError::BadHost { .. }), "{host}: {error:?}");
    }
}

#[test]
fn host_mismatch() {
    for (target, host) in
        [("http://a/", "b"), ("http://a/", "a:8080"), ("https://a/", "a:80"), ("http://a:1/", "")]
    {
        let error = refused(400, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(matches!(error, PeerError::HostMismatch { .. }), "{target} {host}");
    }
    let error = refused(400, b"CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n");
    assert!(matches!(error, PeerError::HostMismatch { .. }));
}

#[test]
fn length_and_chunked() {
    let error = refused_field(400, "Content-Length: 5\r\nTransfer-Encoding: chunked");
    assert!(matches!(error, PeerError::LengthAndChunked));
}

#[test]
fn two_lengths() {
    let error = refused_field(400, "Content-Length: 5\r\nContent-Length: 5");
    assert!(matches!(error, PeerError::TwoLengths { count: 2 }));
}

#[test]
fn bad_length() {
    for value in ["", "+5", "-5", "5, 5", "5,", "0x5", "5 5", "18446744073709551616", "\"5\"", "5\u{b2}"] {
        let error = refused_field(400, &format!("Content-Length: {value}"));
        assert!(matches!(error, PeerError::BadLength { .. }), "{value}: {error:?}");
    }
}

#[test]
fn transfer_coding() {
    for (value, status) in [
        ("gzip", 501),
        ("gzip, chunked", 501),
        ("identity", 501),
        ("gzip;level=9, chunked", 501),
        ("", 400),
        (",chunked", 400),
        ("chunked, chunked", 400),
        ("chunked\r\nTransfer-Encoding: chunked", 400),
        ("chunked, gzip", 400),
        ("chunked;q=1", 400),
        ("\"chunked\"", 400),
    ] {
        let error = refused_field(status, &format!("Transfer-Encoding: {value}"));
        assert!(matches!(error, PeerError::TransferCoding { .. }), "{value}: {error:?}");
    }
}

#[test]
fn chunked_in_http10() {
    let error = refused(400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(matches!(error, PeerError::ChunkedInHttp10));
}

#[test]
fn expectation() {
    assert!(matches!(refused_field(417, "Expect: tea"), PeerError::Expectation { .. }));
    assert!(matches!(refused_field(417, "Expect: 100-continue, tea"), PeerError::Expectation { .. }));
}

#[test]
fn body_too_large() {
    let error = refused(413, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert!(matches!(error, PeerError::BodyTooLarge { size: 11, limit: 10 }));
    // Before its data comes, by its size.
    assert!(matches!(refused_chunks(413, "b\r\n"), PeerError::BodyTooLarge { size: 11, limit: 10 }));
    let error = refused_chunks(413, "6\r\nabcdef\r\n5\r\n");
    assert!(matches!(error, PeerError::BodyTooLarge { size: 11, limit: 10 }));
    let error = refused_chunks(413, "1\r\na\r\nffffffffffffffff\r\n");
    assert!(matches!(error, PeerError::BodyTooLarge { size: u64::MAX, limit: 10 }));
}

#[test]
fn chunk_size() {
    for line in ["", " ", "+5", "-5", "0x5", " 5", "5 ", "5\t", "g", "5 ;a", "00000000000000005", "0_5"] {
        let error = refused_chunks(400, &format!("{line}\r\nhello\r\n0\r\n\r\n"));
        assert!(matches!(error, PeerError::ChunkSize { .. }), "{line:?}: {error:?}");
    }
}

#[test]
fn chunk_extension() {
    for line in ["5;", "5;\0", "5;a\x01", "5;\x7f"] {
        let error = refused_chunks(400, &format!("{line}\r\nhello\r\n0\r\n\r\n"));
        assert!(matches!(error, PeerError::ChunkExtension { .. }), "{line:?}: {error:?}");
    }
}

#[test]
fn chunk_line_too_long() {
    let error = refused_chunks(400, &format!("5;{}", "x".repeat(30)));
    assert!(matches!(error, PeerError::ChunkLineTooLong { limit: 24 }));
}

#[test]
fn extensions_too_long() {
    let error = refused_chunks(400, &"1;abcdefghi\r\na\r\n".repeat(4));
    assert!(matches!(error, PeerError::ExtensionsTooLong { limit: 30 }));
}

#[test]
fn chunk_end() {
    assert!(matches!(refused_chunks(400, "1\r\nab"), PeerError::ChunkEnd { byte: b'b' }));
    assert!(matches!(refused_chunks(400, "1\r\na\n"), PeerError::ChunkEnd { byte: b'\n' }));
    assert!(matches!(refused_chunks(400, "1\r\na\rb"), PeerError::ChunkEnd { byte: b'b' }));
}

#[test]
fn trailer_too_large() {
    let error = refused_chunks(431, &format!("0\r\nX: {}", "x".repeat(64)));
    assert!(matches!(error, PeerError::TrailerTooLarge { limit: 64 }));
}

#[test]
fn too_many_trailers() {
    let error = refused_chunks(431, "0\r\nX: 1\r\nX: 2\r\nX: 3\r\n\r\n");
    assert!(matches!(error, PeerError::TooManyTrailers { limit: 2 }));
}

#[test]
fn forbidden_trailer() {
    for name in
        ["Content-Length", "transfer-encoding", "Host", "Authorization", "Cookie", "If-Match", "Proxy"]
    {
        let error = refused_chunks(400, &format!("0\r\n{name}: 1\r\n\r\n"));
        assert!(matches!(error, PeerError::ForbiddenTrailer { .. }), "{name}: {error:?}");
    }
}

#[test]
fn truncated() {
    let error = refused(400, b"GET /");
    assert!(matches!(error, PeerError::Truncated { place: Place::Head, missing: Missing::Unknown }));
    let error = refused(400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    assert!(matches!(error, PeerError::Truncated { place: Place::Body, missing: Missing::Bytes(6) }));
    assert!(matches!(refused_chunks(400, "5\r\nab"), PeerError::Truncated { place: Place::Chunk, .. }));
    assert!(matches!(refused_chunks(400, "0\r\nX"), PeerError::Truncated { place: Place::Trailer, .. }));
}

/// A client that has sent a GET.
fn asking() -> Client {
    let mut client = Client::new(LIMITS);
    let headers = host();
    client.send_request(&Request::new(&Method::GET, b"/", &headers), Framing::None, &mut Vec::new()).unwrap();
    client.send_end(None, &mut Vec::new()).unwrap();
    client
}

fn host() -> HeaderMap {
    HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a"))])
}

#[test]
fn unasked_switch_by_the_server() {
    let mut client = asking();
    client.receive(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert!(matches!(client.next_event(), Err(PeerError::UnaskedSwitch)));
}

#[test]
fn unasked_bytes() {
    let mut client = Client::new(LIMITS);
    client.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert!(matches!(client.next_event(), Err(PeerError::UnaskedBytes { byte: b'H' })));
    assert!(client.must_close());
}

/// A server that has read a GET with this line among its fields.
fn asked(line: &str) -> Server {
    let mut server = Server::new(LIMITS);
    server.receive(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n").as_bytes());
    while !matches!(server.next_event().unwrap(), Event::Paused | Event::NeedData) {}
    server
}

/// The error, which is ours; nothing was written.
#[track_caller]
fn ours(outcome: Result<impl std::fmt::Debug, SendError>, out: &[u8]) -> SendError {
    assert!(out.is_empty(), "{}", out.escape_ascii());
    let error = outcome.unwrap_err();
    assert_eq!(error.blame(), Blame::Caller);
    error
}

#[test]
fn out_of_turn() {
    let (mut server, headers, mut out) = (asked(""), HeaderMap::new(), Vec::new());
    let error = ours(server.send_body(5), &out);
    assert!(matches!(error, SendError::OutOfTurn { word: Word::Body, state: State::OwesResponse }));
    server.send_response(&Response::new(StatusCode::OK, &headers), Some(0), &mut out).unwrap();
    out.clear();
    let error = ours(server.send_response(&Response::new(StatusCode::OK, &headers), None, &mut out), &out);
    assert!(matches!(error, SendError::OutOfTurn { word: Word::Response, state: State::OwesBody }));
    let error = ours(server.send_informational(StatusCode::EARLY_HINTS, &headers, &mut out), &out);
    assert!(matches!(error, SendError::OutOfTurn { word: Word::Informational, .. }));
    let error = ours(server.send_continue(&mut out), &out);
    assert!(matches!(error, SendError::OutOfTurn { word: Word::Informational, .. }));
    let mut client = asking();
    let request = host();
    let error = client.send_request(&Request::new(&Method::GET, b"/", &request), Framing::None, &mut out);
    assert!(matches!(ours(error, &out), SendError::OutOfTurn { word: Word::Request, state: State::Done }));
}

#[test]
fn body_too_short() {
    let (mut server, headers, mut out) = (asked(""), HeaderMap::new(), Vec::new());
    server.send_response(&Response::new(StatusCode::OK, &headers), Some(5), &mut out).unwrap();
    server.send_body(3).unwrap();
    out.clear();
    let error = ours(server.send_end(None, &mut out), &out);
    assert_eq!(error, SendError::BodyTooShort { declared: 5, missing: 2 });
    assert!(server.must_close());
    assert_eq!(server.close_reason(), Some(CloseReason::BodyTooShort));
    let mut client = Client::new(LIMITS);
    client.send_request(&Request::new(&Method::PUT, b"/", &host()), Framing::Length(5), &mut out).unwrap();
    let error = client.send_end(None, &mut out).unwrap_err();
    assert_eq!(error, SendError::BodyTooShort { declared: 5, missing: 5 });
    assert!(client.must_close());
}

#[test]
fn status() {
    let (mut server, headers, mut out) = (asked(""), HeaderMap::new(), Vec::new());
    let error =
        ours(server.send_response(&Response::new(StatusCode::CONTINUE, &headers), None, &mut out), &out);
    assert!(matches!(error, SendError::Status { status: StatusCode::CONTINUE, word: Word::Response }));
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        let error = ours(server.send_informational(status, &headers, &mut out), &out);
        assert_eq!(error, SendError::Status { status, word: Word::Informational });
    }
}

#[test]
fn reason() {
    let (mut server, headers, mut out) = (asked(""), HeaderMap::new(), Vec::new());
    for reason in [&b"OK\r\nX: y"[..], b"OK\n", b"\0"] {
        let head = Response::new(StatusCode::OK, &headers).reason(reason);
        let error = ours(server.send_response(&head, None, &mut out), &out);
        assert!(matches!(error, SendError::Reason { .. }));
    }
}

#[test]
fn unasked_switch_by_us() {
    let (headers, mut out) = (HeaderMap::new(), Vec::new());
    for line in ["", "Upgrade: x\r\n", "Connection: upgrade\r\n"] {
        assert_eq!(ours(asked(line).send_switch(&headers, &mut out), &out), SendError::UnaskedSwitch);
    }
}

#[test]
fn target() {
    let mut out = Vec::new();
    for target in [&b""[..], b"/ HTTP/1.1\r\nX: y", b"/#a", b"/\xe4"] {
        let headers = host();
        let request = Request::new(&Method::GET, target, &headers);
        let error = Client::new(LIMITS).send_request(&request, Framing::None, &mut out);
        assert!(matches!(ours(error, &out), SendError::Target { .. }));
    }
}

#[test]
fn host_of_a_request() {
    let (mut headers, mut out) = (HeaderMap::new(), Vec::new());
    let request = Request::new(&Method::GET, b"/", &headers);
    let error = Client::new(LIMITS).send_request(&request, Framing::None, &mut out);
    assert_eq!(ours(error, &out), SendError::Host { count: 0 });
    for _ in 0..2 {
        headers.append(header::HOST, HeaderValue::from_static("a"));
    }
    let request = Request::new(&Method::GET, b"/", &headers);
    let error = Client::new(LIMITS).send_request(&request, Framing::None, &mut out);
    assert_eq!(ours(error, &out), SendError::Host { count: 2 });
}

#[test]
fn request_until_close() {
    let (headers, mut out) = (host(), Vec::new());
    let request = Request::new(&Method::PUT, b"/", &headers);
    let error = Client::new(LIMITS).send_request(&request, Framing::UntilClose, &mut out);
    assert_eq!(ours(error, &out), SendError::RequestUntilClose);
}

#[test]
fn forbidden_trailer_of_ours() {
    let (mut server, headers, mut out) = (asked("TE: trailers\r\n"), HeaderMap::new(), Vec::new());
    server.send_response(&Response::new(StatusCode::OK, &headers), None, &mut out).unwrap();
    out.clear();
    let name = HeaderName::from_static("content-length");
    let trailers = HeaderMap::from_iter([(name, HeaderValue::from_static("1"))]);
    let error = ours(server.send_end(Some(&trailers), &mut out), &out);
    assert!(matches!(error, SendError::ForbiddenTrailer { .. }));
    server.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"0\r\n\r\n");
}

#[test]
fn every_close_reason_has_a_line() {
    let reasons = [
        CloseReason::PeerAsked,
        CloseReason::Http10,
        CloseReason::PeerClosed,
        CloseReason::PeerFailed,
        CloseReason::NoRequest,
        CloseReason::ExpectationUnmet,
        CloseReason::UntilClose,
        CloseReason::BodyTooLong,
        CloseReason::BodyTooShort,
        CloseReason::BodyUnread,
        CloseReason::Draining,
        CloseReason::RequestLimit,
        CloseReason::TimedOut,
        CloseReason::Refused,
    ];
    let lines: std::collections::BTreeSet<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), reasons.len());
}
