//! What has to hold for any bytes: shared by the tests and the fuzz target, so it knows the public API only.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "included by path in several crates")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "only tests and the fuzz target use it"
)]

use bytes::Bytes;
use gatebridge_scgi::{Error, Headers, Limits, Server, ServerEvent, encode_request};

/// Everything that a server said about one connection, with the pieces of the body put together again.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript {
    pub headers: Option<Headers>,
    pub body: Vec<u8>,
    pub complete: bool,
    pub error: Option<Error>,
}

/// Hands the pieces to a server, one at a time, and writes down what it says until the connection ends.
pub fn transcript(limits: Limits, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Transcript {
    let mut server = Server::new(limits);
    let mut said = Transcript { headers: None, body: Vec::new(), complete: false, error: None };
    let mut pieces = pieces.into_iter();
    let mut ended = false;
    loop {
        match server.next_event() {
            Ok(ServerEvent::Request(headers)) => {
                assert!(said.headers.replace(headers).is_none(), "two requests");
                continue;
            }
            Ok(ServerEvent::Body(piece)) => {
                assert!(!piece.is_empty() && said.headers.is_some() && !said.complete);
                said.body.extend_from_slice(&piece);
                continue;
            }
            Ok(ServerEvent::End) if !said.complete => {
                said.complete = true;
                continue;
            }
            Ok(ServerEvent::End) if ended => return said,
            Ok(ServerEvent::End) => {}
            Ok(ServerEvent::NeedData) => assert!(!ended, "the end needs no data"),
            Err(error) => {
                assert_eq!(server.next_event(), Err(error.clone()), "an error stays");
                said.error = Some(error);
                return said;
            }
        }
        match pieces.next() {
            Some(piece) => server.receive(Bytes::copy_from_slice(piece.as_ref())),
            None => {
                server.receive_end();
                ended = true;
            }
        }
    }
}

/// Reads a connection whole, at every cut in two and byte by byte, and demands the same transcript each time.
pub fn transcript_at_every_cut(limits: Limits, connection: &[u8]) -> Transcript {
    let whole = transcript(limits, [connection]);
    for cut in 0..=connection.len() {
        let (first, second) = connection.split_at(cut);
        assert_eq!(transcript(limits, [first, second]), whole, "cut at byte {cut}");
    }
    assert_eq!(transcript(limits, connection.chunks(1)), whole, "byte by byte");
    whole
}

/// Any bytes as a connection: the first two choose the limits and the size of the pieces.
pub fn connection(data: &[u8]) {
    let [choice, size, rest @ ..] = data else { return };
    let limits =
        if choice & 1 == 0 { Limits::default() } else { Limits { max_header_bytes: 64, max_headers: 3 } };
    let whole = transcript(limits, [rest]);
    assert_eq!(transcript(limits, rest.chunks(usize::from(*size).max(1))), whole);
    let Some(headers) = &whole.headers else {
        assert!(whole.error.is_some() && !whole.complete);
        return;
    };
    let pairs = headers.pairs();
    assert!(pairs.len() <= limits.max_headers);
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    assert!(bytes <= limits.max_header_bytes);
    assert_eq!(pairs[0].0, "CONTENT_LENGTH");
    assert!(
        pairs
            .iter()
            .enumerate()
            .all(|(at, (name, _))| !pairs[at + 1..].iter().any(|(other, _)| other == name))
    );
    assert_eq!(whole.complete, whole.body.len() as u64 == headers.content_length());
    assert!(whole.complete || whole.error.is_some());
    // What was read can be written, and says the same then.
    let written = encode_request(pairs.iter().filter(|(name, _)| name != "SCGI").cloned())
        .expect("what we read we can write");
    let again = transcript(Limits::default(), [&written[..], &whole.body]);
    let again = again.headers.expect("what we write we can read");
    assert_eq!(again.content_length(), headers.content_length());
    assert!(pairs.iter().all(|(name, value)| again.get(name) == Some(value)));
}
