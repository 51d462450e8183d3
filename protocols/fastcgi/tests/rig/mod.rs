//! What the FastCGI tests share: records written by hand, both sides fed in any pieces, events as lines of text. It
//! must not use the codec's own writers, so that a mistake in them cannot hide one in the readers.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use gatebridge_fastcgi::{AnswerReason, Client, ClientEvent, Error, Params, Server, ServerEvent};

pub(crate) const BEGIN: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const END: u8 = 3;
pub(crate) const PARAMS: u8 = 4;
pub(crate) const STDIN: u8 = 5;
pub(crate) const STDOUT: u8 = 6;
pub(crate) const STDERR: u8 = 7;
pub(crate) const DATA: u8 = 8;
pub(crate) const GET_VALUES: u8 = 9;
pub(crate) const GET_VALUES_RESULT: u8 = 10;
pub(crate) const UNKNOWN_TYPE: u8 = 11;

/// A record, padded by so many bytes that are not zero: padding means nothing.
pub(crate) fn padded(record_type: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("the content fits into a record");
    let mut record = vec![1, record_type];
    record.extend(id.to_be_bytes());
    record.extend(length.to_be_bytes());
    record.extend([padding, 0]);
    record.extend(content);
    record.extend(std::iter::repeat_n(0xAA, padding.into()));
    record
}

/// A record without padding.
pub(crate) fn record(record_type: u8, id: u16, content: &[u8]) -> Vec<u8> {
    padded(record_type, id, content, 0)
}

/// BEGIN_REQUEST with that role and those flags.
pub(crate) fn begin(id: u16, role: u8, flags: u8) -> Vec<u8> {
    record(BEGIN, id, &[0, role, flags, 0, 0, 0, 0, 0])
}

/// END_REQUEST.
pub(crate) fn end(id: u16, app_status: u8, protocol_status: u8) -> Vec<u8> {
    record(END, id, &[0, 0, 0, app_status, protocol_status, 0, 0, 0])
}

/// Name-value pairs with lengths of one byte.
pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        bytes.extend([name.len(), value.len()].map(|length| u8::try_from(length).expect("short")));
        bytes.extend(name.bytes().chain(value.bytes()));
    }
    bytes
}

/// BEGIN_REQUEST (Responder, kept), PARAMS with one pair and its end.
pub(crate) fn opened(id: u16) -> Vec<u8> {
    [begin(id, 1, 1), record(PARAMS, id, &pairs(&[("A", "b")])), record(PARAMS, id, b"")].concat()
}

/// Either side, as what can be fed.
pub(crate) trait Side {
    fn feed(&mut self, bytes: &[u8]);
    fn finish(&mut self);
    /// The next event: the stream it is a piece of and its bytes, or a line.
    fn next(&mut self) -> Result<Option<Said>, Error>;
}

/// An event in a form in which pieces of one stream can be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Piece(&'static str, u16, Vec<u8>),
    Line(String),
}

impl Said {
    fn piece(stream: &'static str, id: gatebridge_fastcgi::RequestId, bytes: &Bytes) -> Self {
        assert!(!bytes.is_empty(), "a piece of {stream} without bytes");
        Self::Piece(stream, id.get(), bytes.to_vec())
    }
}

impl Side for Client {
    fn feed(&mut self, bytes: &[u8]) {
        self.receive(bytes);
    }

    fn finish(&mut self) {
        self.receive_end();
    }

    fn next(&mut self) -> Result<Option<Said>, Error> {
        Ok(self.next_event()?.map(|event| match event {
            ClientEvent::Stdout(id, bytes) => Said::piece("STDOUT", id, &bytes),
            ClientEvent::Stderr(id, bytes) => Said::piece("STDERR", id, &bytes),
            ClientEvent::StdoutEnd(id) => Said::Line(format!("STDOUT {id} ends")),
            ClientEvent::StderrEnd(id) => Said::Line(format!("STDERR {id} ends")),
            ClientEvent::EndRequest { id, app_status, protocol_status } => {
                Said::Line(format!("END {id} {app_status} {protocol_status}"))
            }
            ClientEvent::Values(values) => Said::Line(format!("VALUES{}", list(values.pairs()))),
            ClientEvent::UnknownType(number) => Said::Line(format!("UNKNOWN_TYPE {number}")),
        }))
    }
}

impl Side for Server {
    fn feed(&mut self, bytes: &[u8]) {
        self.receive(bytes);
    }

    fn finish(&mut self) {
        self.receive_end();
    }

    fn next(&mut self) -> Result<Option<Said>, Error> {
        Ok(self.next_event()?.map(|event| match event {
            ServerEvent::BeginRequest { id, role, keep_conn } => {
                Said::Line(format!("BEGIN {id} {role}{}", if keep_conn { " keep" } else { "" }))
            }
            ServerEvent::Params(id, params) => Said::Line(format!("PARAMS {id}{}", list(&params))),
            ServerEvent::Stdin(id, bytes) => Said::piece("STDIN", id, &bytes),
            ServerEvent::Data(id, bytes) => Said::piece("DATA", id, &bytes),
            ServerEvent::StdinEnd(id) => Said::Line(format!("STDIN {id} ends")),
            ServerEvent::DataEnd(id) => Said::Line(format!("DATA {id} ends")),
            ServerEvent::Abort(id) => Said::Line(format!("ABORT {id}")),
            ServerEvent::Answer(answer) => {
                assert_eq!(answer.bytes.len() % 8, 0, "{answer:?} is not whole");
                Said::Line(match answer.reason {
                    AnswerReason::Values => format!("answer {}", answer.bytes.escape_ascii()),
                    AnswerReason::UnknownType(number) => format!("answer UNKNOWN_TYPE {number}"),
                    AnswerReason::Refused { id, protocol_status } => format!("refuse {id} {protocol_status}"),
                })
            }
        }))
    }
}

fn list(params: &Params) -> String {
    let pair = |(name, value): (&[u8], &[u8])| format!(" {}={}", name.escape_ascii(), value.escape_ascii());
    params.iter().map(pair).collect()
}

/// Feeds the pieces one after the other and then, if wanted, the end of the connection; returns what was said,
/// adjacent pieces of a stream joined, and the error as the last line.
pub(crate) fn hear(
    side: &mut impl Side,
    pieces: impl IntoIterator<Item: AsRef<[u8]>>,
    closed: bool,
) -> Vec<String> {
    let mut heard = Vec::new();
    let mut failed = None;
    for piece in pieces {
        side.feed(piece.as_ref());
        failed = failed.or(drain(side, &mut heard));
    }
    if closed {
        side.finish();
        failed = failed.or(drain(side, &mut heard));
    }
    let lines = heard.into_iter().map(|said| match said {
        Said::Piece(stream, id, bytes) => format!("{stream} {id} {}", bytes.escape_ascii()),
        Said::Line(line) => line,
    });
    lines.chain(failed.map(|error| format!("error: {error}"))).collect()
}

fn drain(side: &mut impl Side, heard: &mut Vec<Said>) -> Option<Error> {
    loop {
        match side.next() {
            Ok(None) => return None,
            Ok(Some(said)) => join(heard, said),
            Err(error) => return Some(error),
        }
    }
}

/// Appends an event; a piece of a stream joins the piece before it.
fn join(heard: &mut Vec<Said>, said: Said) {
    if let (Some(Said::Piece(stream, id, bytes)), Said::Piece(next_stream, next_id, more)) =
        (heard.last_mut(), &said)
        && (*stream, *id) == (*next_stream, *next_id)
    {
        bytes.extend(more);
        return;
    }
    heard.push(said);
}
