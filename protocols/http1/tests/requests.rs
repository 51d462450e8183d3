//! What a client sends, and when its connection can be used again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

use gatebridge_http1::{Client, ClientEvent, CloseReason, Framing, Limits, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

/// A client that has sent a request with this body, and what it wrote.
fn asked(method: &Method, fields: &HeaderMap, framing: Framing, body: &[u8]) -> (Client, String) {
    let (mut client, mut out) = (Client::new(Limits::default()), Vec::new());
    client.send_request(&Request::new(method, b"/a?b", fields), framing, &mut out).unwrap();
    let piece = client.send_body(body.len()).unwrap();
    out.extend([piece.prefix(), &body[..piece.payload()], piece.suffix()].concat());
    client.send_end(None, &mut out).unwrap();
    (client, String::from_utf8(out).unwrap())
}

/// Feeds a response and reads it to where nothing more is said.
fn answered(client: &mut Client, bytes: &[u8]) {
    client.receive(bytes);
    while !matches!(
        client.next_event().unwrap(),
        ClientEvent::NeedData | ClientEvent::Paused | ClientEvent::Closed | ClientEvent::Switched
    ) {}
}

#[test]
fn a_request_is_framed_as_it_is_told() {
    let host = headers(&[("host", "a")]);
    let (_, text) = asked(&Method::GET, &host, Framing::None, b"");
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, text) = asked(&Method::PUT, &host, Framing::Length(5), b"hello");
    assert_eq!(text, "PUT /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    let (_, text) = asked(&Method::PUT, &host, Framing::Chunked, b"hello");
    assert_eq!(
        text,
        "PUT /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
}

#[test]
fn the_connections_own_fields_are_dropped_but_never_host() {
    let fields = headers(&[
        ("host", "a"),
        ("connection", "close, host, x-private"),
        ("x-private", "1"),
        ("content-length", "77"),
        ("transfer-encoding", "gzip"),
        ("upgrade", "h2c"),
        ("x-public", "2"),
    ]);
    let (_, text) = asked(&Method::GET, &fields, Framing::None, b"");
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nHost: a\r\nX-Public: 2\r\n\r\n");
}

#[test]
fn a_connection_is_used_again_behind_a_whole_answer() {
    let (mut client, _) = asked(&Method::GET, &headers(&[("host", "a")]), Framing::None, b"");
    assert!(!client.is_idle());
    answered(&mut client, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    assert!(!client.is_idle());
    answered(&mut client, b"k");
    assert!(client.is_idle() && !client.must_close() && client.close_reason().is_none());
    client.receive(b"?");
    assert!(!client.is_idle(), "bytes came that answer nothing");
}

#[test]
fn a_connection_that_the_server_closed_is_not_idle() {
    let (mut client, _) = asked(&Method::GET, &headers(&[("host", "a")]), Framing::None, b"");
    answered(&mut client, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.is_idle());
    client.receive_end();
    assert!(!client.is_idle());
    assert!(matches!(client.next_event().unwrap(), ClientEvent::Closed));
    assert_eq!(client.close_reason(), Some(CloseReason::PeerClosed));
    assert!(client.must_close());
}

#[test]
fn what_ends_a_connection_is_known_from_the_head() {
    for (head, reason) in [
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", CloseReason::PeerAsked),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", CloseReason::Http10),
        ("HTTP/1.1 200 OK\r\n\r\n", CloseReason::UntilClose),
    ] {
        let (mut client, _) = asked(&Method::GET, &headers(&[("host", "a")]), Framing::None, b"");
        answered(&mut client, head.as_bytes());
        assert_eq!(client.close_reason(), Some(reason), "{head}");
        assert!(!client.is_idle());
    }
}

#[test]
fn an_answer_before_the_request_is_whole_leaves_the_rest_to_send() {
    let (mut client, mut out) = (Client::new(Limits::default()), Vec::new());
    let host = headers(&[("host", "a")]);
    client.send_request(&Request::new(&Method::PUT, b"/", &host), Framing::Length(3), &mut out).unwrap();
    answered(&mut client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(!client.is_idle() && !client.must_close());
    client.send_body(3).unwrap();
    client.send_end(None, &mut out).unwrap();
    assert!(client.is_idle());
}

#[test]
fn lesson_11_too_much_body_is_cut_and_the_connection_not_reused() {
    let (client, text) = asked(&Method::PUT, &headers(&[("host", "a")]), Framing::Length(3), b"hello");
    assert!(text.ends_with("\r\n\r\nhel"), "{text}");
    assert_eq!(client.close_reason(), Some(CloseReason::BodyTooLong));
}

#[test]
fn an_upgrade_is_proposed_and_its_bytes_handed_over() {
    let (mut client, mut out) = (Client::new(Limits::default()), Vec::new());
    let fields = headers(&[("host", "a"), ("upgrade", "x")]);
    let request = Request { upgrade: true, ..Request::new(&Method::GET, b"/", &fields) };
    client.send_request(&request, Framing::None, &mut out).unwrap();
    client.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    answered(
        &mut client,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
    );
    assert!(matches!(client.next_event().unwrap(), ClientEvent::Switched));
    assert_eq!(client.take_leftover(), "raw");
}

#[test]
fn the_last_request_says_so() {
    let (mut client, mut out) = (Client::new(Limits::default()), Vec::new());
    client.close_after(CloseReason::Draining);
    let host = headers(&[("host", "a")]);
    client.send_request(&Request::new(&Method::GET, b"/", &host), Framing::None, &mut out).unwrap();
    client.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(!client.must_close(), "the answer is still to come");
    answered(&mut client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(client.must_close());
}
