//! One table of conversations: bytes and what they mean. Each is fed whole, cut at every place, byte by byte, and with bytes
//! behind it; the same must be said every time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

#[path = "common/transcript.rs"]
mod transcript;

use gatebridge_http1::Limits;
use http::Method;
use transcript::{of_client, of_server};

struct Conversation {
    name: &'static str,
    bytes: &'static [u8],
    said: &'static [&'static str],
}

const fn row(name: &'static str, bytes: &'static [u8], said: &'static [&'static str]) -> Conversation {
    Conversation { name, bytes, said }
}

/// What clients send, and how it ends: by itself, or by the end of the connection.
const TO_SERVER: &[Conversation] = &[
    row("nothing at all", b"", &["closed"]),
    row("a GET", b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", &["GET /a?b HTTP/1.1 host=h", "end", "closed"]),
    row(
        "a POST with a length",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        &["POST / HTTP/1.1 host=h Length(5)", "body hello", "end", "closed"],
    ),
    row(
        "a length of nothing",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        &["POST / HTTP/1.1 host=h", "end", "closed"],
    ),
    row(
        "chunks, an extension, trailers",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nSum: 1\r\n\r\n",
        &["PUT / HTTP/1.1 host=h Chunked", "body hello world", "end [sum: 1]", "closed"],
    ),
    row(
        "two requests in one go",
        b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        &["GET /1 HTTP/1.1 host=h", "end", "GET /2 HTTP/1.1 host=h", "end", "closed"],
    ),
    row(
        "a request behind a body",
        b"POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        &[
            "POST /1 HTTP/1.1 host=h Length(3)",
            "body abc",
            "end",
            "GET /2 HTTP/1.1 host=h",
            "end",
            "closed",
        ],
    ),
    row(
        "nothing is read behind Connection: close",
        b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        &["GET /1 HTTP/1.1 host=h close", "end", "closed"],
    ),
    row("HTTP/1.0 closes", b"GET / HTTP/1.0\r\n\r\nGET", &["GET / HTTP/1.0 close", "end", "closed"]),
    row(
        "HTTP/1.0 may ask to be kept",
        b"GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
        &["GET /1 HTTP/1.0", "end", "GET /2 HTTP/1.0 close", "end", "closed"],
    ),
    row(
        "an empty line before a request",
        b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        &["GET / HTTP/1.1 host=h", "end", "closed"],
    ),
    row(
        "an empty line behind the last request",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
        &["GET / HTTP/1.1 host=h", "end", "closed"],
    ),
    row(
        "an expectation",
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
        &["POST / HTTP/1.1 host=h Length(1) expect", "body x", "end", "closed"],
    ),
    row(
        "an expectation of nothing, and one that HTTP/1.0 cannot have",
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\nPOST / HTTP/1.0\r\nExpect: tea\r\nContent-Length: 1\r\n\r\nx",
        &["GET / HTTP/1.1 host=h", "end", "POST / HTTP/1.0 Length(1) close", "body x", "end", "closed"],
    ),
    row(
        "an absolute target",
        b"GET http://H:80/a HTTP/1.1\r\nHost: h\r\n\r\n",
        &["GET http://H:80/a HTTP/1.1 host=H:80", "end", "closed"],
    ),
    row(
        "an upgrade that is declined",
        b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n",
        &["GET /1 HTTP/1.1 host=h upgrade", "end", "GET /2 HTTP/1.1 host=h", "end", "closed"],
    ),
    row(
        "a tunnel",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nraw bytes",
        &["CONNECT a:443 HTTP/1.1 host=a:443", "end", "switched", "body raw bytes"],
    ),
    row("a head that breaks off", b"GET / HTT", &["refused 400 Truncated { place: Head, missing: Unknown }"]),
    row(
        "a body that breaks off",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel",
        &[
            "POST / HTTP/1.1 host=h Length(5)",
            "body hel",
            "refused 400 Truncated { place: Body, missing: Bytes(2) }",
        ],
    ),
    row(
        "a chunk that breaks off",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        &[
            "POST / HTTP/1.1 host=h Chunked",
            "body hel",
            "refused 400 Truncated { place: Chunk, missing: Unknown }",
        ],
    ),
    row(
        "a trailer section that breaks off",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
        &["POST / HTTP/1.1 host=h Chunked", "refused 400 Truncated { place: Trailer, missing: Unknown }"],
    ),
    row(
        "nothing is read behind a broken request",
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        &["refused 400 NoHost"],
    ),
    row(
        "the second of two is broken",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\nHost: h\r\n\r\n",
        &["GET / HTTP/1.1 host=h", "end", "refused 400 BareLf { place: Head }"],
    ),
    row("TLS on a plain port", b"\x16\x03\x01", &["refused 400 NotHttp { byte: 22 }"]),
];

/// What servers send to a GET, and then the end of the connection.
const TO_CLIENT: &[Conversation] = &[
    row(
        "a length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        &["HTTP/1.1 200 OK Length(5)", "body hello", "end", "closed"],
    ),
    row(
        "chunks and a trailer",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\n\r\n",
        &["HTTP/1.1 200 OK Chunked", "body a", "end [sum: 1]", "closed"],
    ),
    row(
        "the end of the connection",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        &["HTTP/1.1 200 OK UntilClose close", "body hello", "end", "closed"],
    ),
    row(
        "1xx heads before the response",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        &["100", "103 [link: </a>]", "HTTP/1.1 204  None", "end", "closed"],
    ),
    row(
        "304 has no body whatever it says",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        &["HTTP/1.1 304 Not Modified None", "end", "closed"],
    ),
    row(
        "HTTP/1.0 ends by itself",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        &["HTTP/1.0 200 OK Length(1) close", "body a", "end", "closed"],
    ),
    row(
        "a body that breaks off",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        &[
            "HTTP/1.1 200 OK Length(5)",
            "body hel",
            "refused 400 Truncated { place: Body, missing: Bytes(2) }",
        ],
    ),
    row("no answer", b"", &["refused 400 Truncated { place: Head, missing: Unknown }"]),
    row(
        "two answers to one question",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP",
        &["HTTP/1.1 200 OK None", "end", "refused 400 UnaskedBytes { byte: 72 }"],
    ),
    row(
        "an upgrade that nobody proposed",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &["refused 400 UnaskedSwitch"],
    ),
];

/// Says it whole, cut at each place, cut at each pair of places if it is short, and byte by byte.
fn at_every_cut(bytes: &[u8], mut feed: impl FnMut(&[usize]) -> Vec<String>, said: &[&str], name: &str) {
    assert_eq!(feed(&[]), said, "{name}, whole");
    for cut in 0..=bytes.len() {
        assert_eq!(feed(&[cut]), said, "{name}, cut at {cut}");
        assert_eq!(feed(&[cut, cut + 1]), said, "{name}, cut at {cut} and behind the next byte");
    }
    let each: Vec<usize> = (0..bytes.len()).collect();
    assert_eq!(feed(&each), said, "{name}, byte by byte");
}

#[test]
fn a_server_understands_whatever_the_cuts() {
    for Conversation { name, bytes, said } in TO_SERVER {
        let feed = |cuts: &[usize]| of_server(Limits::default(), bytes, cuts).lines;
        at_every_cut(bytes, feed, said, name);
    }
}

#[test]
fn a_client_understands_whatever_the_cuts() {
    for Conversation { name, bytes, said } in TO_CLIENT {
        let feed = |cuts: &[usize]| of_client(Limits::default(), &Method::GET, bytes, true, cuts).lines;
        at_every_cut(bytes, feed, said, name);
    }
}

#[test]
fn bytes_behind_a_conversation_change_nothing_before_them() {
    for Conversation { name, bytes, said } in TO_SERVER {
        // What comes to its own end; a broken-off message would go on with the bytes behind.
        if said.iter().any(|line| line.contains("Truncated") || line == &"switched") {
            continue;
        }
        let more = [bytes, &b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n"[..]].concat();
        let lines = of_server(Limits::default(), &more, &[]).lines;
        let before = said.strip_suffix(&["closed"]).unwrap_or(said);
        assert_eq!(lines[..before.len()], *before, "{name}");
    }
}

#[test]
fn a_head_response_has_a_length_but_no_body() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let lines = of_client(Limits::default(), &Method::HEAD, bytes, false, &[]).lines;
    assert_eq!(lines, ["HTTP/1.1 200 OK None", "end"]);
}

#[test]
fn a_connect_response_begins_the_tunnel() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw bytes";
    let lines = of_client(Limits::default(), &Method::CONNECT, bytes, false, &[]).lines;
    assert_eq!(lines, ["HTTP/1.1 200 OK None", "switched", "body raw bytes"]);
    let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let lines = of_client(Limits::default(), &Method::CONNECT, refused, false, &[]).lines;
    assert_eq!(lines, ["HTTP/1.1 403 Forbidden Length(2)", "body no", "end"]);
}
