//! Each limit, reached and passed by one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

#[allow(dead_code, reason = "only servers are tested here")]
#[path = "common/transcript.rs"]
mod transcript;

use gatebridge_http1::Limits;
use gatebridge_http1::limits::FIELDS_CEILING;
use transcript::of_server;

/// The last thing that is said to these bytes.
fn last(limits: Limits, bytes: &str) -> String {
    of_server(limits, bytes.as_bytes(), &[]).lines.pop().unwrap()
}

/// `message(n)` is taken for the limit and refused one above it, with this status and error.
#[track_caller]
fn reaches(limits: Limits, limit: usize, message: impl Fn(usize) -> String, refusal: &str) {
    assert_eq!(last(limits, &message(limit)), "closed", "{limit}");
    let said = last(limits, &message(limit + 1));
    assert!(said.starts_with(refusal), "{}: {said}", limit + 1);
    // Not only a byte too much: also what never ends is refused, and is not kept.
    let said = last(limits, &message(limit * 40));
    assert!(said.starts_with("refused "), "{said}");
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn target_bytes() {
    let limits = Limits { max_target_bytes: 100, ..Limits::default() };
    let message = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - 1));
    reaches(limits, 100, message, "refused 414 TargetTooLong { limit: 100 }");
}

#[test]
fn method_bytes() {
    let limits = Limits { max_method_bytes: 5, ..Limits::default() };
    let message = |n: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(n));
    reaches(limits, 5, message, "refused 501 MethodTooLong { size: 6, limit: 5 }");
}

#[test]
fn head_bytes() {
    let limits = Limits { max_head_bytes: 200, ..Limits::default() };
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let message = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(n - frame));
    reaches(limits, 200, message, "refused 431 HeadTooLarge { limit: 200 }");
}

#[test]
fn fields() {
    let limits = Limits { max_fields: 10, ..Limits::default() };
    let message = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1));
    reaches(limits, 10, message, "refused 431 TooManyFields { limit: 10 }");
    // The ceiling holds whatever the limit says.
    let limits = Limits { max_fields: usize::MAX, ..Limits::default() };
    reaches(limits, FIELDS_CEILING, message, "refused 431 TooManyFields { limit: 256 }");
}

#[test]
fn blank_lines() {
    let limits = Limits { max_blank_lines: 3, ..Limits::default() };
    let message = |n: usize| format!("{}GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n".repeat(n));
    reaches(limits, 3, message, "refused 400 BlankLines { limit: 3 }");
}

#[test]
fn blank_lines_count_anew_for_each_request() {
    let limits = Limits { max_blank_lines: 1, ..Limits::default() };
    let said = of_server(limits, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3).as_bytes(), &[]).lines;
    assert_eq!(said.len(), 7, "{said:?}");
}

#[test]
fn chunk_line_bytes() {
    let limits = Limits { max_chunk_line_bytes: 20, ..Limits::default() };
    let message = |n: usize| chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(n - 4)));
    reaches(limits, 20, message, "refused 400 ChunkLineTooLong { limit: 20 }");
}

#[test]
fn extension_bytes() {
    let limits = Limits { max_extension_bytes: 30, ..Limits::default() };
    // Three extensions of ten bytes, one of them longer by what is too much.
    let message = |n: usize| {
        let first = format!("1;{}\r\na\r\n", "x".repeat(n - 21));
        chunked(&format!("{first}1;23456789a\r\na\r\n0;23456789a\r\n\r\n"))
    };
    reaches(limits, 30, message, "refused 400 ExtensionsTooLong { limit: 30 }");
}

#[test]
fn trailer_bytes() {
    let limits = Limits { max_trailer_bytes: 40, ..Limits::default() };
    let message = |n: usize| chunked(&format!("0\r\nX: {}\r\n\r\n", "x".repeat(n - 7)));
    reaches(limits, 40, message, "refused 431 TrailerTooLarge { limit: 40 }");
}

#[test]
fn trailer_fields() {
    let limits = Limits { max_trailer_fields: 4, ..Limits::default() };
    let message = |n: usize| chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(n)));
    reaches(limits, 4, message, "refused 431 TooManyTrailers { limit: 4 }");
}

#[test]
fn body_bytes() {
    let limits = Limits { max_body_bytes: 50, ..Limits::default() };
    let body = |n: usize| "x".repeat(n);
    let known = |n: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n{}", body(n));
    reaches(limits, 50, known, "refused 413 BodyTooLarge { size: 51, limit: 50 }");
    let one_chunk = |n: usize| chunked(&format!("{n:x}\r\n{}\r\n0\r\n\r\n", body(n)));
    reaches(limits, 50, one_chunk, "refused 413 BodyTooLarge { size: 51, limit: 50 }");
    let small_chunks = |n: usize| chunked(&format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(n)));
    reaches(limits, 50, small_chunks, "refused 413 BodyTooLarge { size: 51, limit: 50 }");
}

#[test]
fn a_body_without_end_is_limited_too() {
    use gatebridge_http1::{Client, ClientEvent, Framing, Request};
    let limits = Limits { max_body_bytes: 5, ..Limits::default() };
    let mut client = Client::new(limits);
    let headers = http::HeaderMap::from_iter([(http::header::HOST, http::HeaderValue::from_static("a"))]);
    let request = Request::new(&http::Method::GET, b"/", &headers);
    client.send_request(&request, Framing::None, &mut Vec::new()).unwrap();
    client.receive(b"HTTP/1.1 200 OK\r\n\r\nhello!");
    assert!(matches!(client.next_event().unwrap(), ClientEvent::Response(_)));
    assert!(matches!(client.next_event().unwrap(), ClientEvent::Body(body) if body == "hello"));
    assert_eq!(client.next_event().unwrap_err().status(), 413);
}
