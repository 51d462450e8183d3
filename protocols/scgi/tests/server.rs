//! Connections as a server reads them, each at every cut, and each broken rule by name; knows the public API only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod invariants;

use bytes::Bytes;
use gatebridge_scgi::{Blame, Excerpt, Fault, Limits, Server, ServerEvent};
use invariants::transcript_at_every_cut;

/// The example of the SCGI specification, byte for byte.
const EXAMPLE: &[u8] =
    b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,\
    What is the answer to life?";

/// A netstring around the content, with the right length.
fn netstring(content: &[u8]) -> Vec<u8> {
    [content.len().to_string().as_bytes(), b":", content, b","].concat()
}

/// What is wrong with a connection.
fn fault_by(limits: Limits, connection: &[u8]) -> Fault {
    let said = transcript_at_every_cut(limits, connection);
    let error = said.error.unwrap();
    assert_eq!(error.blame(), Blame::Peer);
    assert!(error.to_string().starts_with("the SCGI peer broke the protocol: "), "{error}");
    error.fault().clone()
}

fn fault(connection: &[u8]) -> Fault {
    fault_by(Limits::default(), connection)
}

fn fault_of_headers(content: &[u8]) -> Fault {
    fault(&netstring(content))
}

#[test]
fn the_example_of_the_specification_is_understood() {
    let said = transcript_at_every_cut(Limits::default(), EXAMPLE);
    assert_eq!((said.complete, said.error), (true, None));
    assert_eq!(said.body, b"What is the answer to life?");
    let headers = said.headers.unwrap();
    assert_eq!(headers.content_length(), 27);
    assert_eq!(headers.get(b"REQUEST_URI"), Some(&Bytes::from("/deepthought")));
    assert_eq!(headers.get(b"request_uri"), None);
    let names: Vec<_> = headers.into_pairs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["CONTENT_LENGTH", "SCGI", "REQUEST_METHOD", "REQUEST_URI"]);
}

#[test]
fn the_end_of_the_body_needs_no_end_of_the_connection() {
    let mut server = Server::default();
    server.receive(Bytes::from_static(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,"));
    assert!(
        matches!(server.next_event(), Ok(ServerEvent::Request(headers)) if headers.content_length() == 0)
    );
    assert_eq!(server.next_event(), Ok(ServerEvent::End));
    assert_eq!(server.send(Bytes::from_static(b"Status: 200\n\n")), "Status: 200\n\n");
}

#[test]
fn nothing_is_copied_that_came_in_one_piece() {
    let connection = Bytes::from_static(EXAMPLE);
    let mut server = Server::default();
    server.receive(connection.clone());
    let Ok(ServerEvent::Request(headers)) = server.next_event() else { panic!("no request") };
    assert_eq!(headers.pairs()[0].0.as_ptr(), connection[3..].as_ptr());
    let Ok(ServerEvent::Body(body)) = server.next_event() else { panic!("no body") };
    assert_eq!(body.as_ptr(), connection[74..].as_ptr());
}

#[test]
fn an_empty_value_is_a_value() {
    let content = b"CONTENT_LENGTH\x000\0SCGI\x001\0PATH_INFO\0\0";
    let said = transcript_at_every_cut(Limits::default(), &netstring(content));
    assert_eq!(said.headers.unwrap().get(b"PATH_INFO"), Some(&Bytes::new()));
}

#[test]
fn lesson_16_the_length_is_digits() {
    for (connection, byte) in
        [(&b"+1:x,"[..], b'+'), (b"1 :x,", b' '), (b"0x1:", b'x'), (b"GET / HTTP/1.1", b'G')]
    {
        assert_eq!(fault(connection), Fault::LengthByte { byte });
    }
    assert_eq!(fault(b":,"), Fault::NoLength);
}

#[test]
fn lesson_16_the_length_has_no_leading_zero() {
    assert_eq!(fault(b"01:x,"), Fault::LeadingZero);
    assert_eq!(fault(b"00:,"), Fault::LeadingZero);
}

#[test]
fn lesson_16_the_length_is_bounded_before_anything_is_kept() {
    let limits = Limits { max_header_bytes: 99, max_headers: 8 };
    assert_eq!(fault_by(limits, b"100:"), Fault::HeaderTooLarge { size: 100, limit: 99 });
    // However many digits come: the first that goes beyond the limit is the last that is read.
    let digits = [b'9'; 1000];
    assert_eq!(fault_by(limits, &digits), Fault::HeaderTooLarge { size: 999, limit: 99 });
    let fits = netstring(b"CONTENT_LENGTH\x000\0SCGI\x001\0");
    let limits = Limits { max_header_bytes: 24, max_headers: 2 };
    assert!(transcript_at_every_cut(limits, &fits).complete);
}

#[test]
fn headers_are_counted() {
    let limits = Limits { max_header_bytes: 99, max_headers: 2 };
    let connection = netstring(b"CONTENT_LENGTH\x000\0SCGI\x001\0A\0B\0");
    assert_eq!(fault_by(limits, &connection), Fault::TooManyHeaders { limit: 2 });
}

#[test]
fn lesson_16_the_netstring_ends_with_a_comma() {
    assert_eq!(fault(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0;"), Fault::NoComma { byte: b';' });
    assert_eq!(fault(b"0:\n"), Fault::NoComma { byte: b'\n' });
}

#[test]
fn lesson_16_strings_end_with_a_nul() {
    assert_eq!(fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\x001"), Fault::NotTerminated);
}

#[test]
fn lesson_16_strings_come_in_pairs() {
    assert_eq!(fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\0"), Fault::OddStrings { count: 3 });
}

#[test]
fn a_name_is_not_empty() {
    assert_eq!(fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\x001\0\0x\0"), Fault::EmptyName { index: 3 });
}

#[test]
fn lesson_47_content_length_comes_first_and_once() {
    let first = |name: &[u8]| Fault::LengthNotFirst { first: Excerpt::of(name) };
    assert_eq!(fault_of_headers(b"SCGI\x001\0CONTENT_LENGTH\x000\0"), first(b"SCGI"));
    assert_eq!(fault_of_headers(b"content_length\x000\0SCGI\x001\0"), first(b"content_length"));
    assert_eq!(fault_of_headers(b""), first(b""));
    let twice = fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\x001\0CONTENT_LENGTH\x000\0");
    assert_eq!(twice, Fault::Duplicate { name: Excerpt::of(b"CONTENT_LENGTH") });
}

#[test]
fn lesson_16_content_length_is_digits() {
    for value in ["", "-1", "+1", "1 ", "0x1", "1,1", "18446744073709551616"] {
        let found = fault_of_headers(format!("CONTENT_LENGTH\0{value}\0SCGI\x001\0").as_bytes());
        assert_eq!(found, Fault::ContentLength { value: Excerpt::of(value.as_bytes()) });
    }
}

#[test]
fn lesson_16_scgi_is_present_and_1() {
    assert_eq!(fault_of_headers(b"CONTENT_LENGTH\x000\0A\x001\0"), Fault::NoScgi);
    let found = fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\x002\0");
    assert_eq!(found, Fault::ScgiVersion { value: Excerpt::of(b"2") });
}

#[test]
fn lesson_16_no_name_comes_twice() {
    let found = fault_of_headers(b"CONTENT_LENGTH\x000\0SCGI\x001\0A\x001\0A\x001\0");
    assert_eq!(found, Fault::Duplicate { name: Excerpt::of(b"A") });
}

#[test]
fn a_truncated_header_is_an_error() {
    for cut in 0..74 {
        assert_eq!(fault(&EXAMPLE[..cut]), Fault::HeaderTruncated { received: cut as u64 });
    }
}

#[test]
fn lesson_16_a_truncated_body_is_an_error() {
    for cut in 74..EXAMPLE.len() {
        let received = cut as u64 - 74;
        assert_eq!(fault(&EXAMPLE[..cut]), Fault::BodyTruncated { declared: 27, received });
    }
}

#[test]
fn lesson_16_bytes_after_the_body_are_an_error() {
    let said = transcript_at_every_cut(Limits::default(), &[EXAMPLE, b"!"].concat());
    assert!(said.complete, "the request itself was fine");
    assert_eq!(said.error.unwrap().fault(), &Fault::ExtraBytes { declared: 27 });
}

#[test]
fn bytes_after_the_end_are_the_callers_mistake() {
    let mut server = Server::default();
    server.receive_end();
    server.receive(Bytes::from_static(b"x"));
    let error = server.next_event().unwrap_err();
    assert_eq!(error.blame(), Blame::Caller);
    assert!(matches!(error.fault(), Fault::Order { .. }));
}
