//! What one side writes the other reads: any message, cut anywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

use bytes::Bytes;
use gatebridge_http1::{Client, ClientEvent, Event, Framing, Limits, Request, Response, Server};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

/// A message without its first line.
#[derive(Debug, Clone)]
struct Message {
    fields: Vec<(String, Vec<u8>)>,
    pieces: Vec<Vec<u8>>,
    framing: Kind,
    trailer: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Length,
    Chunked,
}

impl Message {
    fn headers(&self) -> HeaderMap {
        let mut headers: HeaderMap = self
            .fields
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(format!("x-{name}").as_bytes()).unwrap();
                (name, HeaderValue::from_bytes(value).unwrap())
            })
            .collect();
        headers.insert("host", HeaderValue::from_static("a.example:8080"));
        headers
    }

    fn trailers(&self) -> Option<HeaderMap> {
        let value = HeaderValue::from_bytes(self.trailer.as_ref()?).unwrap();
        Some(HeaderMap::from_iter([(HeaderName::from_static("x-sum"), value)]))
    }

    fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// A field value as it comes out again: without spaces around it.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![0x21..=0x7eu8, 0x80..=0xffu8], 0..20)
}

fn message() -> impl Strategy<Value = Message> {
    (
        prop::collection::vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}", value()), 0..6),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        prop_oneof![Just(Kind::Length), Just(Kind::Chunked)],
        prop::option::of(value()),
    )
        .prop_map(|(fields, pieces, framing, trailer)| Message { fields, pieces, framing, trailer })
}

/// Pieces of `wire`, cut at these places.
fn cut(wire: &[u8], places: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(wire.len() + 1)).collect();
    places.extend([0, wire.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| Bytes::copy_from_slice(&wire[pair[0]..pair[1]])).collect()
}

fn send(message: &Message, mut frame: impl FnMut(usize) -> gatebridge_http1::Piece, wire: &mut Vec<u8>) {
    for bytes in &message.pieces {
        let piece = frame(bytes.len());
        assert_eq!((piece.payload(), piece.excess()), (bytes.len(), 0));
        wire.extend([piece.prefix(), bytes, piece.suffix()].concat());
    }
}

/// The fields without those that the codec writes itself.
fn without_framing(mut headers: HeaderMap) -> HeaderMap {
    for name in ["content-length", "transfer-encoding", "te"] {
        headers.remove(name);
    }
    headers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_read_as_they_were_written(
        method in "[A-Z]{1,12}",
        target in "/[!-\"$-~]{0,40}",
        messages in prop::collection::vec(message(), 1..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        prop_assume!(method != "CONNECT");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (mut client, mut server) = (Client::new(Limits::default()), Server::new(Limits::default()));
        for message in &messages {
            let (headers, mut wire) = (message.headers(), Vec::new());
            let framing = match message.framing {
                Kind::Length => Framing::Length(message.body().len() as u64),
                Kind::Chunked => Framing::Chunked,
            };
            client.send_request(&Request::new(&method, target.as_bytes(), &headers), framing, &mut wire).unwrap();
            send(message, |len| client.send_body(len).unwrap(), &mut wire);
            client.send_end(message.trailers().as_ref(), &mut wire).unwrap();

            let (mut head, mut body, mut end) = (None, Vec::new(), None);
            for piece in cut(&wire, &cuts) {
                server.receive(&piece);
                loop {
                    match server.next_event().unwrap() {
                        Event::Request(request) => head = Some(request),
                        Event::Body(bytes) => body.extend_from_slice(&bytes),
                        Event::End { trailers } => end = Some(trailers),
                        _ => break,
                    }
                }
            }
            let head = head.unwrap();
            prop_assert_eq!(head.method, method.clone());
            prop_assert_eq!(head.target.as_str(), &target);
            prop_assert_eq!(without_framing(head.headers), headers);
            prop_assert_eq!(body, message.body());
            let trailers = message.trailers().filter(|_| message.framing == Kind::Chunked);
            prop_assert_eq!(end.unwrap(), trailers);

            // Both begin again behind an answer.
            let (none, mut wire) = (HeaderMap::new(), Vec::new());
            server.send_response(&Response::new(StatusCode::OK, &none), Some(0), &mut wire).unwrap();
            server.send_end(None, &mut wire).unwrap();
            client.receive(&wire);
            while !matches!(client.next_event().unwrap(), ClientEvent::End { .. }) {}
            prop_assert!(client.is_idle() && server.is_idle());
        }
    }

    #[test]
    fn responses_are_read_as_they_were_written(
        status in 200..600u16,
        reason in prop::collection::vec(prop_oneof![0x20..=0x7eu8, 0x80..=0xffu8], 0..12),
        message in message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        http10 in any::<bool>(),
        head_only in any::<bool>(),
    ) {
        let (mut client, mut server) = (Client::new(Limits::default()), Server::new(Limits::default()));
        let method = if head_only { Method::HEAD } else { Method::GET };
        let mut asking = message.headers();
        asking.insert("te", HeaderValue::from_static("trailers"));
        let mut wire = Vec::new();
        client.send_request(&Request::new(&method, b"/", &asking), Framing::None, &mut wire).unwrap();
        client.send_end(None, &mut wire).unwrap();
        // `TE` belongs to the connection, and our own client does not send it on: the request is written by hand.
        let version = if http10 { "1.0" } else { "1.1" };
        server.receive(format!("{method} / HTTP/{version}\r\nHost: a\r\nTE: trailers\r\n\r\n").as_bytes());
        while !matches!(server.next_event().unwrap(), Event::Paused) {}

        let (headers, mut wire) = (message.headers(), Vec::new());
        let status = StatusCode::from_u16(status).unwrap();
        let length = (message.framing == Kind::Length).then(|| message.body().len() as u64);
        let head = Response::new(status, &headers).reason(&reason);
        let framing = server.send_response(&head, length, &mut wire).unwrap();
        if framing == Framing::None {
            prop_assert!(head_only || [204, 304].contains(&status.as_u16()));
            for bytes in &message.pieces {
                prop_assert_eq!(server.send_body(bytes.len()).unwrap().payload(), 0);
            }
        } else {
            send(&message, |len| server.send_body(len).unwrap(), &mut wire);
        }
        server.send_end(message.trailers().as_ref(), &mut wire).unwrap();

        let (mut head, mut body, mut end) = (None, Vec::new(), None);
        for piece in cut(&wire, &cuts) {
            client.receive(&piece);
            read(&mut client, &mut head, &mut body, &mut end);
        }
        if server.must_close() {
            client.receive_end();
            read(&mut client, &mut head, &mut body, &mut end);
        }
        let head = head.unwrap();
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(&head.reason[..], &reason[..]);
        let mut told = without_framing(head.headers);
        told.remove("connection");
        prop_assert_eq!(told, headers);
        prop_assert_eq!(body, if framing == Framing::None { Vec::new() } else { message.body() });
        prop_assert_eq!(end.unwrap(), message.trailers().filter(|_| framing == Framing::Chunked));
        prop_assert_eq!(client.must_close(), server.must_close());
    }
}

fn read(
    client: &mut Client,
    head: &mut Option<gatebridge_http1::ResponseHead>,
    body: &mut Vec<u8>,
    end: &mut Option<Option<HeaderMap>>,
) {
    loop {
        match client.next_event().unwrap() {
            ClientEvent::Response(response) => *head = Some(response),
            ClientEvent::Body(bytes) => body.extend_from_slice(&bytes),
            ClientEvent::End { trailers } => *end = Some(trailers),
            _ => return,
        }
    }
}
