//! What a server sends: framing, the connection's own fields, what is discarded, and when the connection ends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

use gatebridge_http1::{BodyLeft, CloseReason, Event, Framing, Limits, Response, Server};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

fn server(bytes: &[u8]) -> Server {
    let mut server = Server::new(Limits::default());
    server.receive(bytes);
    while !matches!(server.next_event().unwrap(), Event::Paused | Event::NeedData) {}
    server
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

/// The response to `request`, with `body` given as one piece.
fn answer(
    request: &[u8],
    status: u16,
    fields: &HeaderMap,
    length: Option<u64>,
    body: &[u8],
) -> (String, Server) {
    let mut server = server(request);
    let mut out = Vec::new();
    let head = Response::new(StatusCode::from_u16(status).unwrap(), fields);
    server.send_response(&head, length, &mut out).unwrap();
    let piece = server.send_body(body.len()).unwrap();
    assert_eq!(piece.payload() + piece.excess(), body.len());
    out.extend([piece.prefix(), &body[..piece.payload()], piece.suffix()].concat());
    server.send_end(None, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), server)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_10: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
const GET_10_KEPT: &[u8] = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_known_length_is_told() {
    let (text, server) = answer(GET, 200, &HeaderMap::new(), Some(5), b"hello");
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert!(server.is_idle() && !server.must_close());
}

#[test]
fn an_unknown_length_is_chunked() {
    let (text, server) = answer(GET, 200, &HeaderMap::new(), None, b"hello world, hello");
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nhello world, hello\r\n0\r\n\r\n"
    );
    assert!(server.is_idle());
}

#[test]
fn an_empty_piece_is_no_last_chunk() {
    let (text, _) = answer(GET, 200, &HeaderMap::new(), None, b"");
    assert!(text.ends_with("\r\n\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn http10_gets_the_end_of_the_connection() {
    for request in [GET_10, GET_10_KEPT] {
        let (text, server) = answer(request, 200, &HeaderMap::new(), None, b"hello");
        assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
        assert!(server.must_close());
    }
}

#[test]
fn http10_is_kept_if_it_asks_and_the_length_is_known() {
    let (text, server) = answer(GET_10_KEPT, 200, &HeaderMap::new(), Some(5), b"hello");
    assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello");
    assert!(server.is_idle());
}

#[test]
fn lesson_48_a_body_to_head_is_discarded() {
    let (text, server) = answer(HEAD, 200, &HeaderMap::new(), Some(5), b"hello");
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert!(server.is_idle());
    let (text, _) = answer(HEAD, 200, &HeaderMap::new(), None, b"hello");
    assert_eq!(text, "HTTP/1.1 200 OK\r\n\r\n");
    for status in [204, 304] {
        let (text, _) = answer(GET, status, &HeaderMap::new(), Some(5), b"hello");
        assert!(text.ends_with("\r\n\r\n") && !text.contains("Content-Length"), "{text}");
        let (text, _) = answer(HEAD, status, &HeaderMap::new(), Some(5), b"hello");
        assert!(!text.contains("Content-Length"), "{text}");
    }
}

#[test]
fn lesson_11_too_much_body_is_cut_and_the_connection_not_reused() {
    let (text, server) = answer(GET, 200, &HeaderMap::new(), Some(3), b"hello");
    assert!(text.ends_with("\r\n\r\nhel"), "{text}");
    assert!(server.must_close());
    assert_eq!(server.close_reason(), Some(CloseReason::BodyTooLong));
}

#[test]
fn lesson_46_the_reason_phrase_is_kept() {
    let (mut server, none, mut out) = (server(GET), HeaderMap::new(), Vec::new());
    let head = Response::new(StatusCode::OK, &none).reason(b"Gr\xfc\xdf Gott");
    server.send_response(&head, Some(0), &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 200 Gr\xfc\xdf Gott\r\n"));
}

#[test]
fn a_status_without_a_phrase_has_an_empty_one() {
    let (text, _) = answer(GET, 299, &HeaderMap::new(), Some(0), b"");
    assert!(text.starts_with("HTTP/1.1 299 \r\n"), "{text}");
}

#[test]
fn lesson_10_the_connections_own_fields_are_dropped() {
    let fields = headers(&[
        ("connection", "close, X-Private"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "gzip"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("content-length", "77"),
        ("x-private", "1"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=b"),
    ]);
    let (text, server) = answer(GET, 200, &fields, Some(0), b"");
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(server.is_idle(), "a program's Connection: close closes nothing");
}

#[test]
fn a_date_is_written_once() {
    let (mut kept, none, mut out) = (server(GET), HeaderMap::new(), Vec::new());
    let date = HeaderValue::from_static("Sat, 21 Nov 2026 12:00:00 GMT");
    kept.send_response(&Response::new(StatusCode::OK, &none).date(&date), Some(0), &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n");
    let own = headers(&[("date", "Sun, 22 Nov 2026 12:00:00 GMT")]);
    out.clear();
    server(GET).send_response(&Response::new(StatusCode::OK, &own).date(&date), Some(0), &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn upgrade_required_names_the_protocol() {
    let fields = headers(&[("upgrade", "TLS/1.0")]);
    let (text, _) = answer(GET, 426, &fields, Some(0), b"");
    assert!(text.contains("Upgrade: TLS/1.0\r\nConnection: upgrade\r\n"), "{text}");
}

#[test]
fn informational_heads_precede_the_response() {
    let (mut server, mut out) = (server(GET), Vec::new());
    let hints = headers(&[("link", "</a>; rel=preload")]);
    assert!(server.send_informational(StatusCode::EARLY_HINTS, &hints, &mut out).unwrap());
    assert!(server.send_informational(StatusCode::PROCESSING, &HeaderMap::new(), &mut out).unwrap());
    assert_eq!(
        out,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    );
}

#[test]
fn informational_heads_never_go_to_http10() {
    let (mut server, mut out) = (server(GET_10), Vec::new());
    assert!(!server.send_informational(StatusCode::EARLY_HINTS, &HeaderMap::new(), &mut out).unwrap());
    assert!(out.is_empty());
}

const EXPECTING: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

#[test]
fn continue_is_sent_once_and_only_to_who_waits() {
    let (mut waiting, mut out) = (server(EXPECTING), Vec::new());
    assert!(waiting.awaits_continue());
    waiting.send_continue(&mut out).unwrap();
    waiting.send_continue(&mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(!waiting.awaits_continue());
    out.clear();
    server(GET).send_continue(&mut out).unwrap();
    assert!(out.is_empty());
    // It did not wait after all.
    let mut eager = server(EXPECTING);
    eager.receive(b"x");
    assert!(!eager.awaits_continue());
    assert!(matches!(eager.next_event().unwrap(), Event::Body(_)));
    assert!(!eager.awaits_continue());
    out.clear();
    eager.send_continue(&mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_client_that_ended_its_side_is_answered_and_told_of_the_end() {
    let mut half_closed = server(GET);
    half_closed.receive_end();
    assert!(matches!(half_closed.next_event().unwrap(), Event::Paused));
    let (none, mut out) = (HeaderMap::new(), Vec::new());
    half_closed.send_response(&Response::new(StatusCode::OK, &none), Some(0), &mut out).unwrap();
    half_closed.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(half_closed.close_reason(), Some(CloseReason::PeerClosed));
    assert!(half_closed.must_close());
}

#[test]
fn a_final_answer_to_who_waits_closes() {
    let (mut server, none, mut out) = (server(EXPECTING), HeaderMap::new(), Vec::new());
    server.send_response(&Response::new(StatusCode::PAYLOAD_TOO_LARGE, &none), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert!(out.ends_with(b"Connection: close\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(server.close_reason(), Some(CloseReason::ExpectationUnmet));
    assert!(server.must_close());
}

#[test]
fn lesson_39_an_early_answer_leaves_the_body_to_be_drained() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    let (mut server, none, mut out) = (server(request), HeaderMap::new(), Vec::new());
    assert_eq!(server.request_body_left(), BodyLeft::Exactly(7));
    server.send_response(&Response::new(StatusCode::OK, &none), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert!(!server.must_close() && !server.is_idle());
    server.receive(b"defghijGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(server.next_event().unwrap(), Event::Body(rest) if rest == "defghij"));
    assert!(matches!(server.next_event().unwrap(), Event::End { .. }));
    assert_eq!(server.request_body_left(), BodyLeft::Nothing);
    assert!(matches!(server.next_event().unwrap(), Event::Request(_)));
}

#[test]
fn the_caller_may_give_the_body_up() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut server, none, mut out) = (server(request), HeaderMap::new(), Vec::new());
    assert_eq!(server.request_body_left(), BodyLeft::Unknown);
    server.close_after(CloseReason::BodyUnread);
    assert!(!server.must_close());
    server.send_response(&Response::new(StatusCode::OK, &none), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert!(out.windows(17).any(|w| w == b"Connection: close"));
    assert!(server.must_close());
    // Lingering close: what still comes may be read and thrown away.
    server.receive(b"1\r\na\r\n0\r\n\r\n");
    assert!(matches!(server.next_event().unwrap(), Event::Body(_)));
    assert!(matches!(server.next_event().unwrap(), Event::End { .. }));
    assert!(matches!(server.next_event().unwrap(), Event::Closed));
}

#[test]
fn an_idle_connection_closes_at_once_when_told() {
    let mut server = Server::new(Limits::default());
    assert!(server.is_idle() && !server.must_close());
    server.close_after(CloseReason::Draining);
    assert!(server.must_close());
}

#[test]
fn a_slow_client_is_told_before_its_request_is_whole() {
    let (mut server, none, mut out) = (server(b"GET / HT"), HeaderMap::new(), Vec::new());
    server.send_response(&Response::new(StatusCode::REQUEST_TIMEOUT, &none), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(server.close_reason(), Some(CloseReason::NoRequest));
    assert!(server.must_close());
}

#[test]
fn a_broken_body_still_gets_its_answer() {
    let mut server = server(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    server.receive(b"zz\r\n");
    let error = server.next_event().unwrap_err();
    let (none, mut out) = (HeaderMap::new(), Vec::new());
    server.send_response(&Response::new(error.status(), &none), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(server.must_close());
}

#[test]
fn a_switch_hands_the_bytes_over() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\nraw";
    let (mut server, mut out) = (server(upgrade), Vec::new());
    server.send_switch(&headers(&[("upgrade", "x"), ("content-length", "5")]), &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    assert!(matches!(server.next_event().unwrap(), Event::Switched));
    assert_eq!(server.take_leftover(), "raw");
    assert!(!server.must_close());
}

#[test]
fn trailers_go_to_who_takes_them() {
    let trailers = headers(&[("x-sum", "1")]);
    for (te, end) in [("TE: trailers\r\n", "0\r\nX-Sum: 1\r\n\r\n"), ("", "0\r\n\r\n")] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{te}\r\n");
        let (mut server, none, mut out) = (server(request.as_bytes()), HeaderMap::new(), Vec::new());
        server.send_response(&Response::new(StatusCode::OK, &none), None, &mut out).unwrap();
        out.clear();
        server.send_end(Some(&trailers), &mut out).unwrap();
        assert_eq!(out, end.as_bytes());
    }
}

#[test]
fn chunk_sizes_are_written_right() {
    let mut server = server(GET);
    let framing =
        server.send_response(&Response::new(StatusCode::OK, &HeaderMap::new()), None, &mut Vec::new());
    assert_eq!(framing.unwrap(), Framing::Chunked);
    for len in [1, 9, 15, 16, 255, 256, 4095, 65_536, usize::MAX] {
        let piece = server.send_body(len).unwrap();
        assert_eq!(piece.prefix(), format!("{len:x}\r\n").as_bytes());
        assert_eq!((piece.payload(), piece.suffix()), (len, &b"\r\n"[..]));
    }
}

#[test]
fn a_routes_own_limit_counts() {
    let mut known = server(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(known.limit_body(9).unwrap_err().status(), 413);
    assert_eq!(known.next_event().unwrap_err().status(), 413);
    let mut unknown = server(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    unknown.limit_body(4).unwrap();
    unknown.receive(b"5\r\n");
    assert_eq!(unknown.next_event().unwrap_err().status(), 413);
}

#[test]
fn an_idle_connection_holds_no_memory() {
    let mut server = Server::new(Limits::default());
    assert_eq!(server.receive_buffer().capacity(), 0);
    server.receive(GET);
    while !matches!(server.next_event().unwrap(), Event::Paused) {}
    let mut out = Vec::new();
    server.send_response(&Response::new(StatusCode::OK, &HeaderMap::new()), Some(0), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    server.release_buffer();
    assert!(server.is_idle());
    assert_eq!(server.receive_buffer().capacity(), 0);
    assert!(size_of::<Server>() <= 384, "{} bytes a connection", size_of::<Server>());
}

#[test]
fn a_body_is_a_slice_of_the_buffer() {
    let mut server = server(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    let buffer = server.receive_buffer();
    buffer.reserve(4096);
    buffer.extend_from_slice(b"body");
    let place = buffer.as_ptr();
    let Event::Body(body) = server.next_event().unwrap() else { panic!("no body") };
    assert_eq!(body.as_ptr(), place);
}
