//! What has to hold for any bytes: shared by the tests and the fuzz target, so it knows the public API only.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "included by path in several crates")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "only tests and the fuzz target use it"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use gatebridge_cgi::{
    Environ, Event, Facts, Head, Kind, Listing, ScriptError, ScriptLimits, ScriptReader, ScriptResponse,
    names,
};
use http::Method;

/// Everything that a reader said about one output, with the pieces of the body put together again.
#[derive(Debug, PartialEq, Eq)]
pub struct Transcript {
    pub informational: Vec<Head>,
    pub response: Option<ScriptResponse>,
    pub body: Vec<u8>,
    pub discarded: u64,
    pub end: Result<(), ScriptError>,
}

/// Hands the pieces to a reader, one at a time, and writes down what it says.
pub fn transcript(
    limits: ScriptLimits,
    facts: &Facts,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> Transcript {
    let mut reader = ScriptReader::new(limits, facts.clone());
    let mut said =
        Transcript { informational: Vec::new(), response: None, body: Vec::new(), discarded: 0, end: Ok(()) };
    let mut pieces = pieces.into_iter();
    loop {
        match reader.next_event() {
            Ok(Event::NeedData) => match pieces.next() {
                Some(piece) => reader.receive(Bytes::copy_from_slice(piece.as_ref())),
                None => reader.receive_end(),
            },
            Ok(Event::Informational(head)) => {
                assert!(said.response.is_none(), "a 1xx after the final head");
                assert!(head.status.is_informational());
                said.informational.push(head);
            }
            Ok(Event::Response(response)) => {
                assert!(said.response.replace(response).is_none(), "two responses");
                assert!(reader.has_responded());
            }
            Ok(Event::Body(piece)) => {
                assert!(!piece.is_empty() && said.response.is_some(), "an empty or early piece of body");
                said.body.extend_from_slice(&piece);
            }
            Ok(Event::End) => {
                assert!(said.response.is_some(), "an end without a response");
                assert_eq!(reader.next_event(), Ok(Event::End));
                break;
            }
            Err(error) => {
                assert_eq!(reader.next_event(), Err(error.clone()), "an error stays");
                said.end = Err(error);
                break;
            }
        }
    }
    if said.end.is_ok() {
        said.discarded = reader.discarded();
    }
    said
}

/// Reads an output whole, at every cut in two and byte by byte, and demands the same transcript each time.
pub fn transcript_at_every_cut(limits: ScriptLimits, facts: &Facts, output: &[u8]) -> Transcript {
    let whole = transcript(limits, facts, [output]);
    for cut in 0..=output.len() {
        let (first, second) = output.split_at(cut);
        let cut_in_two = transcript(limits, facts, [first, second]);
        assert_same(&whole, &cut_in_two, &format!("cut at byte {cut}"));
    }
    assert_same(&whole, &transcript(limits, facts, output.chunks(1)), "byte by byte");
    whole
}

fn assert_same(whole: &Transcript, other: &Transcript, how: &str) {
    // When the output is refused in its body, how much of the body was given out before depends on the
    // pieces.
    assert_eq!(whole, other, "{how}");
}

/// Any bytes as script output: the first three choose method, limits and the size of the pieces.
pub fn script_output(data: &[u8]) {
    let [choice, size, rest @ ..] = data else { return };
    let method = if choice & 1 == 0 { Method::GET } else { Method::HEAD };
    let facts = Facts { method, nph: choice & 2 != 0 };
    let limits = if choice & 4 == 0 {
        ScriptLimits::default()
    } else {
        ScriptLimits { max_head_bytes: 64, max_fields: 3, max_informational: 1 }
    };
    let whole = transcript(limits, &facts, [rest]);
    let pieces = transcript(limits, &facts, rest.chunks(usize::from(*size).max(1)));
    assert_same(&whole, &pieces, "in pieces");
    for head in whole.informational.iter().chain(whole.response.as_ref().map(|response| &response.head)) {
        sane_head(head, limits);
    }
    assert!(whole.informational.len() <= limits.max_informational);
    if let Some(response) = &whole.response {
        sane_response(response, &facts, &whole);
    }
}

fn sane_head(head: &Head, limits: ScriptLimits) {
    assert!(head.headers.len() <= limits.max_fields);
    for (name, value) in &head.headers {
        assert!(
            !value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "{name} splits the response"
        );
    }
    for gone in ["status", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"] {
        assert!(!head.headers.contains_key(gone), "{gone} passed");
    }
    let reason = head.reason.as_deref().unwrap_or_default();
    assert!(!reason.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
}

fn sane_response(response: &ScriptResponse, facts: &Facts, whole: &Transcript) {
    assert!(response.head.status.as_u16() >= 200);
    if facts.method == Method::HEAD || !response.has_body() {
        assert!(whole.body.is_empty());
    } else if let (Some(declared), Ok(())) = (response.head.content_length, &whole.end) {
        assert_eq!(whole.body.len() as u64, declared);
    }
    if let Kind::LocalRedirect { path_query } = &response.kind {
        assert!(path_query.starts_with(b"/") && !path_query.starts_with(b"//"));
    }
}

/// Lists an environ, and demands that no name comes twice.
pub fn listed(environ: &Environ, listing: Listing) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = BTreeMap::new();
    environ.walk_with(listing, &mut |name: &[u8], value: &[u8]| {
        let twice = list.insert(name.to_vec(), value.to_vec());
        assert!(twice.is_none(), "{} came twice", name.escape_ascii());
    });
    list
}

/// Any bytes as variables, `name NUL value NUL` and so on.
pub fn variables(data: &[u8]) {
    let strings: Vec<&[u8]> = data.split(|&byte| byte == 0).collect();
    let pairs = strings
        .chunks_exact(2)
        .map(|pair| (Bytes::copy_from_slice(pair[0]), Bytes::copy_from_slice(pair[1])));
    let Ok(environ) = Environ::from_variables(pairs) else { return };
    for listing in [Listing::CGI, Listing::FASTCGI, Listing::SCGI, Listing::CGI.with_shell_guard()] {
        let list = listed(&environ, listing);
        assert!(!list.keys().any(|name| name.eq_ignore_ascii_case(names::HTTP_PROXY.as_bytes())));
        for never in
            ["HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_CONNECTION", "SCGI"]
        {
            assert!(!list.contains_key(never.as_bytes()), "{never} listed");
        }
        for always in [names::PATH_INFO, names::QUERY_STRING, names::REQUEST_METHOD, names::REMOTE_ADDR] {
            assert!(
                list.contains_key(always.as_bytes()) || listing == Listing::CGI.with_shell_guard(),
                "no {always}"
            );
        }
    }
    let list = listed(&environ, Listing::FASTCGI);
    let again = Environ::from_variables(list.clone()).expect("what we list we can read");
    assert_eq!(listed(&again, Listing::FASTCGI), list, "a second reading changes nothing");
}
