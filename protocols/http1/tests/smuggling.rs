//! Lesson 9, request smuggling: whatever two parsers could read differently is refused, and nothing is read behind it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

#[allow(dead_code, reason = "only servers are tested here")]
#[path = "common/transcript.rs"]
mod transcript;

use gatebridge_http1::Limits;
use transcript::of_server;

/// Whether the request is refused, and the one hidden behind it never seen.
#[track_caller]
fn is_refused(message: &str) {
    let lines = of_server(Limits::default(), message.as_bytes(), &[]).lines;
    assert!(lines.last().unwrap().starts_with("refused "), "{message:?}: {lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("GET /hidden")), "{message:?}: {lines:?}");
}

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn lesson_9_lengths_that_others_could_read_otherwise() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 0\r\nContent-Length: 35",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5;",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "Content-Length: \r\n 5",
        "Content-Length: 5\rX: y",
        "Content-Length: 5\nX: y",
        "Content-Length: 99999999999999999999",
        "Content-Length: 18446744073709551620",
    ] {
        is_refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{HIDDEN}"));
    }
}

#[test]
fn lesson_9_codings_that_others_could_read_otherwise() {
    for fields in [
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: x chunked",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding\x0b: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\r\n : chunked",
        "Transfer-Encoding : chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
    ] {
        is_refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{HIDDEN}"));
    }
    is_refused(&format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"));
}

#[test]
fn lesson_9_chunks_that_others_could_read_otherwise() {
    for body in [
        "\r\n\r\n",
        " \r\n\r\n",
        ";x\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\r\n\r\n",
        "0 \r\n\r\n",
        "0 ;a\r\n\r\n",
        "+0\r\n\r\n",
        "-0\r\n\r\n",
        "0x0\r\n\r\n",
        "0_0\r\n\r\n",
        "0;\n\r\n\r\n",
        "0;a\nb\r\n\r\n",
        "0;a\rb\r\n\r\n",
        "0;\0\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\n",
    ] {
        is_refused(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{HIDDEN}"
        ));
    }
}

#[test]
fn lesson_9_hosts_that_others_could_read_otherwise() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET / HTTP/1.1\r\nHost: a\r\nhost: a",
        "GET / HTTP/1.1\r\nHost: a, b",
        "GET / HTTP/1.1\r\nHost: a@b",
        "GET / HTTP/1.1\r\nHost: a/b",
        "GET / HTTP/1.1\r\nHost : a",
        "GET / HTTP/1.1\r\n Host: a",
        "GET http://a/ HTTP/1.1\r\nHost: b",
        "GET http://b@a/ HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1\r\nX: y",
    ] {
        is_refused(&format!("{head}\r\n\r\n{HIDDEN}"));
    }
}

#[test]
fn lesson_9_forms_of_target_belong_to_their_methods() {
    for line in ["GET a:80", "POST *", "CONNECT /", "CONNECT *", "CONNECT http://a/", "OPTIONS a:80"] {
        is_refused(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}"));
    }
    for line in ["OPTIONS *", "OPTIONS /", "CONNECT a:80", "GET http://a/"] {
        let message = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        let lines = of_server(Limits::default(), message.as_bytes(), &[]).lines;
        assert!(lines[0].starts_with(line), "{lines:?}");
    }
}
