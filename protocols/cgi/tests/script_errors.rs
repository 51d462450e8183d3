//! Outputs that are no response: each error by name, at every cut; knows the public API only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod invariants;

use bytes::Bytes;
use gatebridge_cgi::{Blame, Event, Excerpt, Facts, LineFault, ScriptError, ScriptLimits, ScriptReader};
use invariants::transcript_at_every_cut;

const SMALL: ScriptLimits = ScriptLimits { max_head_bytes: 40, max_fields: 2, max_informational: 1 };

fn refused_by(limits: ScriptLimits, nph: bool, output: &[u8]) -> ScriptError {
    let facts = Facts { nph, ..Facts::default() };
    let said = transcript_at_every_cut(limits, &facts, output);
    let error = said.end.unwrap_err();
    assert_eq!(error.blame(), Blame::Script);
    assert!(!error.to_string().bytes().any(|byte| byte.is_ascii_control()), "{error}");
    error
}

fn refused(output: &[u8]) -> ScriptError {
    refused_by(ScriptLimits::default(), false, output)
}

fn line(line: usize, fault: LineFault, text: &[u8]) -> ScriptError {
    ScriptError::Line { line, fault, text: Excerpt::of(text) }
}

#[test]
fn lesson_12_an_output_that_ends_in_its_head_is_no_success() {
    for output in [&b""[..], b"C", b"Content-Type: a/b", b"Content-Type: a/b\n", b"Status: 103\n\n"] {
        assert_eq!(refused(output), ScriptError::Premature { received: output.len() as u64 });
    }
}

#[test]
fn an_empty_first_line_is_refused() {
    assert_eq!(refused(b"\nContent-Type: a/b\n\n"), ScriptError::NoHead { line: 1 });
    assert_eq!(refused(b"\r\n"), ScriptError::NoHead { line: 1 });
    assert_eq!(refused(b"Status: 103\n\n\nStatus: 200\n\n"), ScriptError::NoHead { line: 3 });
}

#[test]
fn a_body_without_a_cgi_field_is_refused() {
    assert_eq!(refused(b"X: 1\n\nx"), ScriptError::NoCgiField);
}

#[test]
fn lesson_10_invalid_lines_are_refused_with_their_number() {
    use LineFault::{Folded, Name, NoColon, Value};
    for (output, expected) in [
        (&b"<html>\n\n"[..], line(1, NoColon, b"<html>")),
        (b"Traceback (most recent call last):\n\n", line(1, Name, b"Traceback (most recent call last):")),
        (b"A: 1\nB : 2\n\n", line(2, Name, b"B : 2")),
        (b"A: 1\n: 2\n\n", line(2, Name, b": 2")),
        (b"A: 1\r\nB\xe9: 2\r\n\r\n", line(2, Name, b"B\xe9: 2")),
        (b"A: 1\rB: 2\n\n", line(1, Value, b"A: 1\rB: 2")),
        (b"A: 1\r\r\n\n", line(1, Value, b"A: 1\r")),
        (b"A: 1\0\n\n", line(1, Value, b"A: 1\0")),
        (b"A: \x1b[31m\n\n", line(1, Value, b"A: \x1b[31m")),
        (b"A: 1\n more\n\n", line(2, Folded, b" more")),
        (b"Status: 103\n\nA: 1\n\tmore\n\n", line(4, Folded, b"\tmore")),
    ] {
        assert_eq!(refused(output), expected);
    }
    let shown = refused(b"A: 1\nB\0C\n\n").to_string();
    assert_eq!(shown, r#"the script's line 2 is not valid: it has no colon: "B\x00C""#);
}

#[test]
fn a_long_line_is_shown_in_part() {
    let output = [&[b'x'; 5000][..], b"\n"].concat();
    assert!(refused(&output).to_string().len() < 200);
}

#[test]
fn lesson_10_a_status_is_three_digits() {
    use LineFault::{Status, Switching, Value};
    for (text, fault) in [
        (&b"Status: 20"[..], Status),
        (b"Status: 2000", Status),
        (b"Status: 099 Low", Status),
        (b"Status: 000", Status),
        (b"Status: +20", Status),
        (b"Status: OK", Status),
        (b"Status: 200OK", Status),
        (b"Status: HTTP/1.1 200 OK", Status),
        (b"Status: 101 Switching Protocols", Switching),
        (b"HTTP/1.1 2x0 OK", Status),
        (b"HTTP/1.1 200 O\x07K", Value),
        (b"HTTP/1.1200 OK", LineFault::NoStatusLine),
        (b"HTTP/one 200 OK", LineFault::NoStatusLine),
    ] {
        assert_eq!(refused(&[text, b"\n\n"].concat()), line(1, fault, text));
    }
}

#[test]
fn a_non_parsed_header_script_begins_with_a_status_line() {
    let error = refused_by(ScriptLimits::default(), true, b"Content-Type: a/b\n\n");
    assert_eq!(error, line(1, LineFault::NoStatusLine, b"Content-Type: a/b"));
}

#[test]
fn lesson_11_a_length_is_digits() {
    for text in [&b"-1"[..], b"+1", b"1, 1", b"0x10", b"1 2", b"18446744073709551616", b"1.0"] {
        let text = [b"Content-Length: ", text].concat();
        assert_eq!(refused(&[&text[..], b"\n\n"].concat()), line(1, LineFault::Length, &text));
    }
}

#[test]
fn a_framed_body_is_refused() {
    let text = b"Transfer-Encoding: chunked";
    assert_eq!(refused(&[&text[..], b"\n\n"].concat()), line(1, LineFault::TransferCoding, text));
}

#[test]
fn lesson_10_what_may_come_once_comes_once() {
    for (field, value) in
        [("Status", "200"), ("Content-Type", "a/b"), ("Location", "/a"), ("Content-Length", "1")]
    {
        let output = format!("{field}: {value}\nX: 1\n{}: {value}\n\n", field.to_lowercase());
        assert_eq!(refused(output.as_bytes()), ScriptError::Duplicate { field, line: 3 });
    }
}

#[test]
fn two_statuses_are_refused() {
    let error = refused(b"HTTP/1.1 200 OK\nStatus: 404\n\n");
    assert_eq!(error, ScriptError::StatusConflict { status_line: 200, field: 404 });
}

#[test]
fn a_head_is_bounded_before_it_is_kept() {
    assert_eq!(refused_by(SMALL, false, &[b'x'; 41]), ScriptError::HeadTooLarge { limit: 40 });
    let fits = b"Status: 200\nX: 789012345678901234567890\n";
    assert_eq!(fits.len(), 40);
    let error = refused_by(SMALL, false, &[&fits[..], b"\n"].concat());
    assert_eq!(error, ScriptError::HeadTooLarge { limit: 40 });
    let mut reader = ScriptReader::new(SMALL, Facts::default());
    reader.receive(Bytes::from_static(&fits[..39]));
    assert_eq!(reader.next_event(), Ok(Event::NeedData), "up to the limit it is a head");
}

#[test]
fn fields_are_counted() {
    assert_eq!(refused_by(SMALL, false, b"A: 1\nB: 2\nC: 3\n\n"), ScriptError::TooManyFields { limit: 2 });
}

#[test]
fn informational_heads_are_counted() {
    let error = refused_by(SMALL, false, b"Status: 103\n\nStatus: 103\n\nStatus: 200\n\n");
    assert_eq!(error, ScriptError::TooManyInformational { limit: 1 });
}

#[test]
fn lesson_11_a_body_that_is_too_short_is_an_error() {
    let error = refused(b"Content-Type: a/b\nContent-Length: 5\n\nabc");
    assert_eq!(error, ScriptError::BodyTooShort { declared: 5, received: 3 });
    assert!(error.to_string().contains('5') && error.to_string().contains('3'));
}

#[test]
fn bytes_after_the_end_are_the_callers_mistake() {
    let mut reader = ScriptReader::new(ScriptLimits::default(), Facts::default());
    reader.receive_end();
    reader.receive(Bytes::from_static(b"x"));
    let error = reader.next_event().unwrap_err();
    assert_eq!((&error, error.blame()), (&ScriptError::ReceiveAfterEnd, Blame::Caller));
}
