//! Outputs of scripts and what they mean, each read at every cut; knows the public API only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod invariants;

use bytes::Bytes;
use gatebridge_cgi::{Event, Facts, Head, Kind, ScriptLimits, ScriptReader};
use http::Method;
use invariants::{Transcript, transcript_at_every_cut};

fn show_head(head: &Head) -> String {
    let fields =
        head.headers.iter().map(|(name, value)| format!(" {name}={}", value.as_bytes().escape_ascii()));
    let reason = head.reason.as_ref().map_or("-".into(), |reason| reason.escape_ascii().to_string());
    format!("{} {reason}{}", head.status.as_u16(), fields.collect::<String>())
}

/// A transcript in one line: the heads, the body, and what went wrong.
fn show(said: &Transcript) -> String {
    let mut shown: Vec<String> = said.informational.iter().map(show_head).collect();
    if let Some(response) = &said.response {
        let kind = match &response.kind {
            Kind::Document => "document".into(),
            Kind::LocalRedirect { path_query } => format!("local {}", path_query.escape_ascii()),
            Kind::ClientRedirect { location } => format!("client {}", location.escape_ascii()),
            Kind::ClientRedirectWithDocument { location } => {
                format!("client+document {}", location.escape_ascii())
            }
        };
        shown.push(format!("{kind}: {}", show_head(&response.head)));
        shown.push(format!("\"{}\"", said.body.escape_ascii()));
    }
    if said.discarded > 0 {
        shown.push(format!("discarded {}", said.discarded));
    }
    if let Err(error) = &said.end {
        shown.push(error.to_string());
    }
    shown.join(" | ")
}

fn read(method: Method, nph: bool, output: &str) -> String {
    show(&transcript_at_every_cut(ScriptLimits::default(), &Facts { method, nph }, output.as_bytes()))
}

fn get(output: &str) -> String {
    read(Method::GET, false, output)
}

fn check(table: &[(&str, &str)]) {
    for (output, expected) in table {
        assert_eq!(get(output), *expected, "{output:?}");
    }
}

#[test]
fn rfc_3875_6_2_1_documents() {
    check(&[
        ("Content-Type: text/plain\n\nhi", r#"document: 200 - content-type=text/plain | "hi""#),
        ("content-TYPE:text/plain \t\r\n\r\n", r#"document: 200 - content-type=text/plain | """#),
        (
            "Content-Type: a/b\r\nX: 1\nY:2\r\n\nx\r\n\n",
            r#"document: 200 - content-type=a/b x=1 y=2 | "x\r\n\n""#,
        ),
        ("Content-Type: a/b\nSet-Cookie: a\nSet-Cookie: b\n\n", {
            r#"document: 200 - content-type=a/b set-cookie=a set-cookie=b | """#
        }),
        (
            "Content-Type: a/b\nStatus: 404 Not Found\n\nx",
            r#"document: 404 Not Found content-type=a/b | "x""#,
        ),
        ("Status: 204\n\n", r#"document: 204 - | """#),
        ("X-Text: \u{e9}\u{fc}\nContent-Type: a/b\n\n", {
            r#"document: 200 - x-text=\xc3\xa9\xc3\xbc content-type=a/b | """#
        }),
        // A field of the server's own, which the client must not see (RFC 3875 6.3.5).
        ("X-CGI-Own: 1\nContent-Type: a/b\n\n", r#"document: 200 - content-type=a/b | """#),
    ]);
}

#[test]
fn rfc_3875_6_2_2_local_redirects() {
    check(&[
        ("Location: /a%20b?c=d\n\n", r#"local /a%20b?c=d: 302 - location=/a%20b?c=d | """#),
        ("Location: /a\nX-CGI-Note: 1\n\n", r#"local /a: 302 - location=/a | """#),
        ("Location: /a\n\nignored", r#"local /a: 302 - location=/a | "" | discarded 7"#),
    ]);
}

#[test]
fn rfc_3875_6_2_3_client_redirects() {
    check(&[
        ("Location: http://a.example/\n\n", {
            r#"client http://a.example/: 302 - location=http://a.example/ | """#
        }),
        // With another field the client has to see, or with a status, it is no local redirect.
        ("Location: /a\nSet-Cookie: b\n\n", r#"client /a: 302 - location=/a set-cookie=b | """#),
        ("Status: 302 Found\nLocation: /a\n\n", r#"client /a: 302 Found location=/a | """#),
        ("Location: /a\nStatus: 307\n\n", r#"client /a: 307 - location=/a | """#),
        // "//" names another host, and a relative reference no path.
        ("Location: //b.example/\n\n", r#"client //b.example/: 302 - location=//b.example/ | """#),
        ("Location: next\n\n", r#"client next: 302 - location=next | """#),
    ]);
}

#[test]
fn rfc_3875_6_2_4_client_redirects_with_document() {
    check(&[
        ("Status: 302 Found\nLocation: http://a/\nContent-Type: a/b\n\nx", {
            r#"client+document http://a/: 302 Found location=http://a/ content-type=a/b | "x""#
        }),
        ("Location: /a\nContent-Type: a/b\n\nx", {
            r#"client+document /a: 302 - location=/a content-type=a/b | "x""#
        }),
        // 201 is no redirect, though it has a Location.
        ("Status: 201 Created\nLocation: /a\n\n", r#"document: 201 Created location=/a | """#),
    ]);
}

#[test]
fn lesson_46_status_may_come_anywhere_and_keeps_its_reason() {
    check(&[
        ("Status: 404\n\n", r#"document: 404 - | """#),
        ("status:418 I am a  teapot \n\n", r#"document: 418 I am a  teapot | """#),
        ("STATUS: 599 \r\nX: 1\n\n", r#"document: 599 - x=1 | """#),
        ("X: 1\nStatus: 999 Odd: \u{e9}\n\n", r#"document: 999 Odd: \xc3\xa9 x=1 | """#),
        ("Status: \nContent-Type: a/b\n\n", r#"document: 200 - content-type=a/b | """#),
        // Dates in odd formats pass as they are.
        ("Content-Type: a/b\nLast-Modified: yesterday at 5\n\n", {
            r#"document: 200 - content-type=a/b last-modified=yesterday at 5 | """#
        }),
    ]);
}

#[test]
fn a_status_line_is_understood() {
    check(&[
        ("HTTP/1.1 200 OK\r\nX: 1\r\n\r\nhi", r#"document: 200 OK x=1 | "hi""#),
        ("HTTP/1.0 404\n\n", r#"document: 404 - | """#),
        ("HTTP/1.1 200 OK\nStatus: 200 Okay\n\n", r#"document: 200 OK | """#),
    ]);
    assert_eq!(read(Method::GET, true, "HTTP/1.0 200 Fine\n\nx"), r#"document: 200 Fine | "x""#);
}

#[test]
fn informational_heads_come_before_the_final_one() {
    check(&[
        ("Status: 103 Early Hints\nLink: </a>; rel=preload\n\nContent-Type: a/b\n\nx", {
            r#"103 Early Hints link=</a>; rel=preload | document: 200 - content-type=a/b | "x""#
        }),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\nStatus: 204\r\n\r\n",
            { r#"100 Continue | 102 Processing | document: 204 - | """# },
        ),
    ]);
}

#[test]
fn a_field_without_a_value_counts_as_not_sent() {
    check(&[
        ("Location:\nContent-Type: a/b\nContent-Length: \n\nx", r#"document: 200 - content-type=a/b | "x""#),
        (
            "Content-Type:\nContent-Type: a/b\nX-Empty:\n\n",
            r#"document: 200 - content-type=a/b x-empty= | """#,
        ),
    ]);
}

#[test]
fn a_head_without_a_cgi_field_needs_to_have_no_body() {
    check(&[
        ("X: 1\n\n", r#"document: 200 - x=1 | """#),
        ("Content-Length: 0\n\n", r#"document: 200 - content-length=0 | """#),
        ("X: 1\n\nbody", "the script sent a body, but none of Content-Type, Location and Status before it"),
    ]);
}

#[test]
fn hop_by_hop_fields_are_stripped() {
    let output = "Status: 200\nConnection: X-Hop, close\nX-Hop: 1\nKeep-Alive: 5\nUpgrade: h2c\nTE: x\nTrailer: y\n\
        Transfer-Encoding: identity\nProxy-Connection: z\nX-Stays: 1\n\n";
    assert_eq!(get(output), r#"document: 200 - x-stays=1 | """#);
}

#[test]
fn lesson_11_a_body_that_is_too_long_is_cut() {
    check(&[
        ("Content-Type: a/b\nContent-Length: 3\n\nabc", {
            r#"document: 200 - content-type=a/b content-length=3 | "abc""#
        }),
        ("Content-Type: a/b\nContent-Length: 3\n\nabcdef", {
            r#"document: 200 - content-type=a/b content-length=3 | "abc" | discarded 3"#
        }),
    ]);
}

#[test]
fn lesson_48_a_body_that_nobody_asked_for_is_discarded() {
    let output = "Content-Type: a/b\nContent-Length: 5\n\nhello";
    let expected = r#"document: 200 - content-type=a/b content-length=5 | "" | discarded 5"#;
    assert_eq!(read(Method::HEAD, false, output), expected);
    let output = "Content-Type: a/b\nContent-Length: 5\n\n";
    let expected = r#"document: 200 - content-type=a/b content-length=5 | """#;
    assert_eq!(read(Method::HEAD, false, output), expected, "and one that is missing is not missed");
    check(&[
        ("Status: 204\nContent-Length: 1\n\nx", r#"document: 204 - | "" | discarded 1"#),
        ("Status: 304\nContent-Length: 9\n\n", r#"document: 304 - content-length=9 | """#),
    ]);
}

#[test]
fn the_body_is_never_copied() {
    let output = Bytes::from_static(b"Content-Type: a/b\n\nthe body");
    let mut reader = ScriptReader::new(ScriptLimits::default(), Facts::default());
    reader.receive(output.clone());
    assert!(matches!(reader.next_event(), Ok(Event::Response(_))));
    let Ok(Event::Body(body)) = reader.next_event() else { panic!("no body") };
    assert_eq!(body.as_ptr(), output[19..].as_ptr(), "the piece behind the head is a slice of what came");
    let piece = Bytes::from(vec![b'x'; 100_000]);
    reader.receive(piece.clone());
    let Ok(Event::Body(body)) = reader.next_event() else { panic!("no body") };
    assert_eq!((body.as_ptr(), body.len()), (piece.as_ptr(), piece.len()));
    assert_eq!(reader.received(), output.len() as u64 + 100_000);
}

#[test]
fn a_response_is_held_back_only_while_a_body_could_make_it_wrong() {
    let after = |output: &'static str| {
        let mut reader = ScriptReader::new(ScriptLimits::default(), Facts::default());
        reader.receive(Bytes::from_static(output.as_bytes()));
        let event = reader.next_event().unwrap();
        (matches!(event, Event::Response(_)), reader.has_responded())
    };
    assert_eq!(after("Status: 200\n\n"), (true, true));
    assert_eq!(after("X: 1\nContent-Length: 0\n\n"), (true, true));
    assert_eq!(after("X: 1\n\n"), (false, false), "without a CGI field, the end has to come first");
}

#[test]
fn each_head_has_the_whole_limit_for_itself() {
    let limits = ScriptLimits { max_head_bytes: 20, ..ScriptLimits::default() };
    let output = b"Status: 103\nX: 123\n\nStatus: 200\nX: 123\n\nthe body is not bounded here";
    let said = transcript_at_every_cut(limits, &Facts::default(), output);
    assert_eq!((said.informational.len(), said.end), (1, Ok(())));
}
