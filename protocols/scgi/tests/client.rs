//! Requests as a client writes them, and what it refuses to write; knows the public API only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use gatebridge_scgi::{
    Blame, Client, ClientEvent, Error, Excerpt, Fault, HeaderWriter, Limits, Message, encode_request,
};

fn writer(headers: &[(&str, &str)]) -> HeaderWriter {
    let mut writer = HeaderWriter::default();
    for (name, value) in headers {
        writer.append(name.as_bytes(), value.as_bytes());
    }
    writer
}

fn refused(headers: &[(&str, &str)]) -> Fault {
    callers_fault(encode_request(headers.iter().copied()))
}

fn callers_fault(result: Result<Bytes, Error>) -> Fault {
    let error = result.unwrap_err();
    assert_eq!(error.blame(), Blame::Caller);
    assert!(error.to_string().starts_with("this request cannot be sent by SCGI: "), "{error}");
    error.fault().clone()
}

/// A client that has sent the headers of a body of this length.
fn client_with_body(length: &str) -> Client {
    let mut client = Client::default();
    client.send(Message::Headers(writer(&[("CONTENT_LENGTH", length)]))).unwrap();
    client
}

#[test]
fn the_example_of_the_specification_is_written() {
    let headers = [("CONTENT_LENGTH", "27"), ("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/deepthought")];
    let expected = b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,";
    assert_eq!(&encode_request(headers).unwrap()[..], expected);
    assert_eq!(&writer(&headers).finish().unwrap()[..], expected);
}

#[test]
fn lesson_47_content_length_comes_first_and_once_also_without_a_body() {
    assert_eq!(
        &encode_request([("CONTENT_LENGTH", "0")]).unwrap()[..],
        b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,"
    );
    let first = |name: &[u8]| Fault::LengthNotFirst { first: Excerpt::of(name) };
    assert_eq!(refused(&[("REQUEST_METHOD", "GET"), ("CONTENT_LENGTH", "0")]), first(b"REQUEST_METHOD"));
    assert_eq!(refused(&[]), first(b""));
    let twice = refused(&[("CONTENT_LENGTH", "0"), ("A", "1"), ("CONTENT_LENGTH", "0")]);
    assert_eq!(twice, Fault::Duplicate { name: Excerpt::of(b"CONTENT_LENGTH") });
}

#[test]
fn every_length_of_the_length_is_patched_in() {
    // 24 bytes are there already, and 3 more around the value: one digit more at each power of ten.
    for size in [99, 100, 999, 1000, 9999, 10_000, 99_999, 100_000] {
        let value = "x".repeat(size - 27);
        let bytes = encode_request([("CONTENT_LENGTH", "0"), ("A", &value)]).unwrap();
        let start = format!("{size}:CONTENT_LENGTH\0");
        assert!(bytes.starts_with(start.as_bytes()), "{size}");
        assert_eq!(bytes.len(), size + size.to_string().len() + 2);
        assert!(bytes.ends_with(b"x\0,"));
    }
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    for value in ["", "-1", "1 ", "18446744073709551616"] {
        let expected = Fault::ContentLength { value: Excerpt::of(value.as_bytes()) };
        assert_eq!(refused(&[("CONTENT_LENGTH", value)]), expected);
    }
}

#[test]
fn lesson_16_what_the_server_would_refuse_is_not_written() {
    let length = ("CONTENT_LENGTH", "0");
    let of = |name: &str| Excerpt::of(name.as_bytes());
    assert_eq!(refused(&[length, ("", "x")]), Fault::EmptyName { index: 3 });
    assert_eq!(refused(&[length, ("A\0B", "x")]), Fault::Nul { name: of("A\0B") });
    assert_eq!(refused(&[length, ("A", "x\0y")]), Fault::Nul { name: of("A") });
    assert_eq!(refused(&[length, ("A", "1"), ("B", "1"), ("A", "2")]), Fault::Duplicate { name: of("A") });
    assert_eq!(refused(&[length, ("SCGI", "1")]), Fault::Duplicate { name: of("SCGI") });
}

#[test]
fn the_first_mistake_is_the_one_that_is_told() {
    assert_eq!(refused(&[("CONTENT_LENGTH", "0"), ("", "x"), ("A", "\0")]), Fault::EmptyName { index: 3 });
}

#[test]
fn headers_are_bounded() {
    let limits = Limits { max_header_bytes: 28, max_headers: 3 };
    let fault = |headers: &[(&str, &str)]| {
        let mut writer = HeaderWriter::with_limits(limits);
        headers.iter().for_each(|(name, value)| writer.append(name.as_bytes(), value.as_bytes()));
        writer.finish().map_err(|error| error.fault().clone())
    };
    let length = ("CONTENT_LENGTH", "0");
    assert!(fault(&[length, ("A", "1")]).is_ok());
    assert_eq!(fault(&[length, ("A", "12")]), Err(Fault::HeaderTooLarge { size: 29, limit: 28 }));
    let limits = Limits { max_header_bytes: 99, max_headers: 3 };
    let mut writer = HeaderWriter::with_limits(limits);
    for name in ["CONTENT_LENGTH", "A", "B"] {
        writer.append(name.as_bytes(), b"0");
    }
    assert_eq!(callers_fault(writer.finish()), Fault::TooManyHeaders { limit: 3 });
}

#[test]
fn the_body_passes_by() {
    let mut client = client_with_body("10");
    let body = Bytes::from_static(b"helloworld");
    for piece in [body.slice(..5), body.slice(5..), Bytes::new()] {
        let sent = client.send(Message::Body(piece.clone())).unwrap();
        assert_eq!((sent.as_ptr(), sent.len()), (piece.as_ptr(), piece.len()), "not copied");
    }
    assert_eq!(client.send(Message::End).unwrap(), Bytes::new());
}

#[test]
fn the_body_is_as_long_as_the_headers_say() {
    let mut client = client_with_body("3");
    let body = Message::Body(Bytes::from_static(b"four"));
    assert_eq!(callers_fault(client.send(body)), Fault::ExtraBytes { declared: 3 });
    client.send(Message::Body(Bytes::from_static(b"tw"))).unwrap();
    assert_eq!(callers_fault(client.send(Message::End)), Fault::BodyTruncated { declared: 3, received: 2 });
}

#[test]
fn a_wrong_order_is_refused() {
    let order = |result| assert!(matches!(callers_fault(result), Fault::Order { .. }));
    order(Client::new().send(Message::Body(Bytes::new())));
    order(Client::new().send(Message::End));
    let mut client = client_with_body("0");
    order(client.send(Message::Headers(writer(&[("CONTENT_LENGTH", "0")]))));
    client.send(Message::End).unwrap();
    order(client.send(Message::End));
    order(client.send(Message::Body(Bytes::new())));
}

#[test]
fn the_answer_is_what_came_until_the_end() {
    let mut client = client_with_body("5");
    assert_eq!(client.next_event(), Ok(ClientEvent::NeedData));
    // The answer may come before the request is complete.
    let output = Bytes::from_static(b"Status: 200\n\nearly");
    client.receive(output.clone());
    client.receive(Bytes::new());
    let Ok(ClientEvent::Output(seen)) = client.next_event() else { panic!("no output") };
    assert_eq!((seen.as_ptr(), seen.len()), (output.as_ptr(), output.len()), "not copied");
    assert_eq!(client.next_event(), Ok(ClientEvent::NeedData));
    client.receive(Bytes::from_static(b"more"));
    client.receive_end();
    assert_eq!(client.next_event(), Ok(ClientEvent::Output("more".into())));
    client.receive(Bytes::from_static(b"too late"));
    assert_eq!(client.next_event(), Ok(ClientEvent::End));
    assert_eq!(client.next_event(), Ok(ClientEvent::End));
}
