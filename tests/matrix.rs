//! The matrix: one table of questions, asked of every back in every way that HTTP/1 knows, and answered alike; it must
//! not know how a back works.
//!
//! The answers are compared whole: interim heads, status, reason, every field, framing and body. What may differ is
//! named in [`JUDGED`], with the reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::fmt::Write as _;

use common::{Answer, Back, Backs, Client, EVERY_BACK, Ended, Head, Setup, noise};

/// The variables in which the backs may differ, and why.
const JUDGED: &[(&str, &str)] = &[
    ("CONTENT_LENGTH", "without a body SCGI must say 0 (its specification), and RFC 3875 4.1.2 forbids it"),
    ("DOCUMENT_ROOT", "only CGI knows a folder here"),
    ("GATEWAY_INTERFACE", "RFC 3875 4.1.4 means programs that are run by CGI"),
    ("HTTP_HOST", "each back has a host of its own here"),
    ("LC_CTYPE", "Python sets it in its own process"),
    ("PATH", "only CGI has a process per request, with an environment"),
    ("PATH_TRANSLATED", "only CGI knows a folder here"),
    ("PWD", "some shells and loaders set it in their own process"),
    ("QUEUE_WAIT_US", "only a request that waited has it"),
    ("RECORD", "how the fixture of CGI is told where to write"),
    ("REMOTE_PORT", "each connection has its own"),
    ("SCGI", "its specification wants it"),
    ("SCRIPT_FILENAME", "only CGI knows a file here"),
    ("SERVER_NAME", "each back has a host of its own here"),
    ("UNIQUE_ID", "each request has its own"),
];

/// How a body is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// There is none, and no field says so.
    Nothing,
    /// With a Content-Length.
    Known(usize),
    /// In chunks, so only over HTTP/1.1.
    Chunked(usize),
}

struct Question {
    method: &'static str,
    /// Below `/app`.
    path: &'static str,
    fields: &'static [(&'static str, &'static str)],
    sent: Sent,
    /// The status, and lines or fields (`name: value`) that must be in the answer.
    status: u16,
    holds: &'static [&'static str],
}

const fn ask(
    method: &'static str,
    path: &'static str,
    sent: Sent,
    status: u16,
    holds: &'static [&'static str],
) -> Question {
    Question { method, path, fields: &[], sent, status, holds }
}

const MIB: usize = 1 << 20;

use Sent::{Chunked, Known, Nothing};

#[rustfmt::skip] // a table
const QUESTIONS: &[Question] = &[
    ask("GET", "/hello", Nothing, 200, &["hello", "content-type: text/plain"]),
    ask("GET", "", Nothing, 200, &["hello"]),
    ask("HEAD", "/hello", Nothing, 200, &["content-type: text/plain"]),
    ask("HEAD", "/head", Nothing, 200, &["content-length: 9"]),
    ask("GET", "/head", Nothing, 200, &["content-length: 9", "head body"]),
    ask("POST", "/count", Known(100_000), 200, &["100000 "]),
    ask("POST", "/count", Chunked(100_000), 200, &["100000 "]),
    ask("POST", "/count", Known(0), 200, &["0 e3b0c44298fc1c149afbf4c8996fb924"]),
    ask("POST", "/count", Chunked(0), 200, &["0 e3b0c44298fc1c149afbf4c8996fb924"]),
    ask("POST", "/count", Nothing, 200, &["0 e3b0c44298fc1c149afbf4c8996fb924"]),
    ask("PUT", "/count", Known(1), 200, &["1 "]),
    ask("POST", "/echo", Known(3 * MIB), 200, &[]),
    ask("POST", "/echo", Chunked(3 * MIB), 200, &[]),
    ask("POST", "/environ", Known(5), 200, &["CONTENT_LENGTH=5", "REQUEST_METHOD=POST"]),
    ask("POST", "/environ", Chunked(5), 200, &["CONTENT_LENGTH=5"]),
    ask("DELETE", "/environ", Nothing, 200, &["REQUEST_METHOD=DELETE"]),
    ask("GET", "/environ?a=1&b=%20%3F&c=+?", Nothing, 200,
        &["QUERY_STRING=a=1&b=%20%3F&c=+?", "REQUEST_URI=/app/environ?a=1&b=%20%3F&c=+?"]),
    ask("GET", "/environ?", Nothing, 200, &["QUERY_STRING=", "REQUEST_URI=/app/environ?"]),
    ask("GET", "/environ/a%20b/%C3%A4%FF/100%25/", Nothing, 200,
        &["PATH_INFO=/environ/a b/\\xC3\\xA4\\xFF/100%/", "SCRIPT_NAME=/app", "REQUEST_URI=/app/environ/a%20b/%C3%A4%FF/100%25/"]),
    Question { fields: &[("Cookie", "a=1"), ("Cookie", "b=2; c=3")],
        ..ask("GET", "/environ", Nothing, 200, &["HTTP_COOKIE=a=1; b=2; c=3"]) },
    Question { fields: &[("X-Twice", "one"), ("x-twice", "two"), ("Accept", "*/*"), ("X-Empty", "")],
        ..ask("GET", "/environ", Nothing, 200, &["HTTP_X_TWICE=one, two", "HTTP_ACCEPT=*/*", "HTTP_X_EMPTY="]) },
    Question { fields: &[("Content-Type", "text/x; y=\"\u{e4}\"")],
        ..ask("POST", "/environ", Known(1), 200, &["CONTENT_TYPE=text/x; y=\"\\xC3\\xA4\""]) },
    Question { fields: &[("Authorization", "Basic eDp5"), ("Proxy", "http://evil.test/"), ("TE", "trailers")],
        ..ask("GET", "/environ", Nothing, 200, &["GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=gatebridge/"]) },
    ask("GET", "/status/299/My%20Own%20Words", Nothing, 299, &["see the status"]),
    ask("GET", "/status/404", Nothing, 404, &["see the status"]),
    ask("GET", "/status/304/Not%20Modified", Nothing, 304, &["content-type: text/plain"]),
    ask("GET", "/no-content", Nothing, 204, &[]),
    ask("GET", "/no-such-question", Nothing, 404, &["no such question"]),
    ask("GET", "/redirect/client", Nothing, 302, &["location: http://elsewhere.example/there?x=1"]),
    ask("GET", "/redirect/document", Nothing, 301, &["location: http://elsewhere.example/", "moved"]),
    ask("GET", "/redirect/local?q=1", Nothing, 200,
        &["QUERY_STRING=from=redirect", "REDIRECT_URL=/app/redirect/local", "REDIRECT_QUERY_STRING=q=1"]),
    ask("POST", "/redirect/local", Known(7), 200, &["REQUEST_METHOD=GET", "REDIRECT_REQUEST_METHOD=POST"]),
    ask("HEAD", "/redirect/local", Nothing, 200, &["content-type: text/plain"]),
    ask("GET", "/redirect/loop", Nothing, 500, &[]),
    ask("GET", "/redirect/missing", Nothing, 404, &[]),
    ask("GET", "/early-hints", Nothing, 200, &["after the hints"]),
    ask("GET", "/fields", Nothing, 200,
        &["set-cookie: a=1; Path=/", "set-cookie: b=2", "last-modified: Sunday, 06-Nov-94 08:49:37 GMT", "x-empty: "]),
    ask("GET", "/hop-by-hop", Nothing, 200, &["clean"]),
    ask("GET", "/stderr", Nothing, 200, &["see the log"]),
    ask("GET", "/length/right", Nothing, 200, &["content-length: 5", "12345"]),
    ask("GET", "/length/negative", Nothing, 502, &[]),
    ask("GET", "/length/list", Nothing, 502, &[]),
    ask("GET", "/length/twice", Nothing, 502, &[]),
    ask("GET", "/length/word", Nothing, 502, &[]),
    ask("GET", "/bad/cr", Nothing, 502, &[]),
    ask("GET", "/bad/nul", Nothing, 502, &[]),
    ask("GET", "/bad/no-colon", Nothing, 502, &[]),
    ask("GET", "/bad/name", Nothing, 502, &[]),
    ask("GET", "/bad/no-head", Nothing, 502, &[]),
    ask("GET", "/bad/no-fields", Nothing, 502, &[]),
    ask("GET", "/bad/half", Nothing, 502, &[]),
    ask("GET", "/bad/unended", Nothing, 502, &[]),
    ask("GET", "/bad/status-word", Nothing, 502, &[]),
    ask("GET", "/bad/status-low", Nothing, 502, &[]),
    ask("GET", "/bad/status-high", Nothing, 502, &[]),
    ask("GET", "/bad/two-status", Nothing, 502, &[]),
    ask("GET", "/bad/framed", Nothing, 502, &[]),
    ask("GET", "/bad/nothing", Nothing, 502, &[]),
    ask("GET", "/huge-head", Nothing, 502, &[]),
    ask("GET", "/many-fields", Nothing, 502, &[]),
    ask("GET", "/big/1000000", Nothing, 200, &[]),
    ask("HEAD", "/big/1000000", Nothing, 200, &[]),
];

/// A way to ask: the version, and where the gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// HTTP/1.1, all questions on one connection as long as the gateway keeps it.
    Kept,
    /// HTTP/1.1 over a Unix socket, a connection for each.
    Unix,
    /// HTTP/1.0 without keep-alive.
    Old,
}

impl Question {
    fn bytes(&self, back: Back, way: Way) -> (String, Vec<u8>) {
        let version = if way == Way::Old { "1.0" } else { "1.1" };
        let mut head =
            format!("{} /app{} HTTP/{version}\r\nHost: {}\r\n", self.method, self.path, back.host());
        for (name, value) in self.fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let body = match self.sent {
            Sent::Nothing => Vec::new(),
            Sent::Known(length) => {
                write!(head, "Content-Length: {length}\r\n").unwrap();
                noise(1, length)
            }
            Sent::Chunked(length) => {
                head += "Transfer-Encoding: chunked\r\n";
                chunked(&noise(1, length))
            }
        };
        (head + "\r\n", body)
    }

    fn put(&self, client: &mut Client, back: Back, way: Way) -> Answer {
        let (head, body) = self.bytes(back, way);
        client.send(head);
        let mut sender = client.sender();
        // From another thread: an answer may come before the whole body is taken.
        let sending = std::thread::spawn(move || sender.write_all(&body));
        let answer = client.receive_to(self.method);
        drop(sending);
        answer
    }

    /// What is wrong with an answer by itself.
    fn complaint(&self, answer: &Answer, way: Way) -> Option<String> {
        if answer.status() != self.status {
            return Some(format!("status {}, not {}", answer.status(), self.status));
        }
        let fields = answer.head.fields.iter();
        let fields: Vec<String> =
            fields.map(|(name, value)| format!("{}: {value}", name.to_lowercase())).collect();
        let text = answer.text();
        let missing = self
            .holds
            .iter()
            .find(|part| !fields.iter().any(|field| field == *part) && !text.contains(**part));
        if let Some(part) = missing {
            return Some(format!("no {part:?} in {fields:?}\n{text}"));
        }
        // RFC 9110 15.2: a client of HTTP/1.0 does not know them.
        let hints = usize::from(self.path.ends_with("early-hints") && way != Way::Old);
        if answer.interim.len() != hints {
            return Some(format!("{} interim heads, not {hints}", answer.interim.len()));
        }
        let (Sent::Known(length) | Sent::Chunked(length)) = self.sent else { return None };
        let echoed = self.path != "/echo" || answer.body == noise(1, length);
        (!echoed).then(|| {
            format!("{} bytes came back over {way:?}, and not those of the question", answer.body.len())
        })
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An odd size, so that chunks do not fit into anybody's buffers.
    for chunk in body.chunks(9973) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// An answer as text that must be the same for every back.
///
/// Its framing is judged, because it is no word of the program: a body that is whole when its head is there gets a
/// length, another gets chunks or the close, and which it is may be an accident of time.
fn shape(question: &Question, answer: &Answer) -> String {
    let mut shape = String::new();
    for head in answer.interim.iter().chain([&answer.head]) {
        shape += &shape_of_head(head);
    }
    shape += if answer.ended == Ended::Cut { "cut\n" } else { "whole\n" };
    let text = answer.text();
    if question.path.starts_with("/environ") || question.path.starts_with("/redirect/local") {
        let is_judged = |line: &str| JUDGED.iter().any(|(name, _)| line.split('=').next() == Some(name));
        shape.extend(text.lines().filter(|line| !is_judged(line)).map(|line| format!("{line}\n")));
    } else if answer.status() >= 400 && text.starts_with("<!doctype") {
        shape += &text.lines().filter(|line| !line.contains("Request <code>")).collect::<String>();
    } else {
        shape += &text;
    }
    shape
}

fn shape_of_head(head: &Head) -> String {
    let is_judged =
        |name: &str| ["date", "content-length", "transfer-encoding"].contains(&&*name.to_lowercase());
    let mut fields: Vec<_> = head.fields.iter().filter(|(name, _)| !is_judged(name)).collect();
    // Fields of one name keep their order.
    fields.sort_by_key(|(name, _)| name.to_lowercase());
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{} {} {}\n{fields}\n", head.version, head.status, head.reason)
}

struct Asker<'a> {
    backs: &'a Backs,
    way: Way,
    kept: Option<Client>,
}

impl Asker<'_> {
    fn ask(&mut self, question: &Question, back: Back) -> Answer {
        let kept = self.kept.take();
        let mut client = kept.unwrap_or_else(|| match self.way {
            Way::Unix => Client::connect_unix(&self.backs.gateway.unix_paths()[0]),
            Way::Kept | Way::Old => self.backs.gateway.connect(),
        });
        let answer = question.put(&mut client, back, self.way);
        let closes = answer.field("connection") == Some("close");
        if self.way == Way::Kept && answer.ended == Ended::Complete && !closes {
            self.kept = Some(client);
        }
        answer
    }
}

/// Asks everything of every back, and fails with all that was wrong.
fn check(way: Way) {
    let more = "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"unix:front.sock\"\n";
    let backs = Backs::with(&EVERY_BACK, Setup { more, ..Setup::default() });
    let mut wrong = String::new();
    let mut askers = EVERY_BACK.map(|_| Asker { backs: &backs, way, kept: None });
    for question in QUESTIONS {
        if way == Way::Old && matches!(question.sent, Sent::Chunked(_)) {
            continue; // RFC 9112 6.1: HTTP/1.0 knows no chunks
        }
        let name = format!("{} {}", question.method, question.path);
        let mut first: Option<String> = None;
        for (back, asker) in EVERY_BACK.into_iter().zip(&mut askers) {
            let answer = asker.ask(question, back);
            if let Some(complaint) = question.complaint(&answer, way) {
                writeln!(wrong, "{name}: {back:?}: {complaint}").unwrap();
            }
            let shape = shape(question, &answer);
            match &first {
                None => first = Some(shape),
                Some(first) if *first == shape => {}
                Some(first) => {
                    writeln!(wrong, "{name}: {back:?} differs:\n{}", difference(first, &shape)).unwrap()
                }
            }
        }
    }
    assert!(wrong.is_empty(), "over {way:?}:\n{wrong}");
    backs.assert_sound();
}

/// The lines that only one of two texts has.
fn difference(one: &str, other: &str) -> String {
    let only = |sign: &str, these: &str, those: &str| -> String {
        let lines = these.lines().filter(|line| !those.lines().any(|that| that == *line));
        lines
            .take(20)
            .map(|line| format!("{sign} {}\n", line.chars().take(200).collect::<String>()))
            .collect()
    };
    only("-", one, other) + &only("+", other, one)
}

#[test]
fn every_back_answers_alike_on_kept_connections() {
    check(Way::Kept);
}

#[test]
fn every_back_answers_alike_over_a_unix_socket() {
    check(Way::Unix);
}

#[test]
fn every_back_answers_alike_over_http_1_0() {
    check(Way::Old);
}

#[test]
fn every_back_streams_in_both_directions_at_once() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let mut client = backs.gateway.connect();
        client
            .send(format!("POST /app/talk HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\n", back.host()));
        let head = client.receive_head("POST");
        assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")), "{back:?}");
        assert_eq!(client.receive_piece(), Ok(b"first\n".to_vec()), "{back:?}");
        client.send("0123456789");
        assert_eq!(client.receive_piece(), Ok(b"last 10\n".to_vec()), "{back:?}");
        assert_eq!(client.receive_piece(), Err(Ended::Complete), "{back:?}");
    }
}

#[test]
fn every_back_answers_pipelined_questions_in_their_order() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let host = back.host();
        let mut client = backs.gateway.connect();
        let post = format!("POST /app/count HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc");
        let get = |path: &str| format!("GET /app{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.send(get("/hello") + &post + &get("/status/404") + &get("/hello"));
        let answers: Vec<_> =
            (0..4).map(|_| client.receive()).map(|answer| (answer.status(), answer.text())).collect();
        assert_eq!(answers[0], (200, "hello\n".to_owned()), "{back:?}");
        assert!(answers[1].1.starts_with("3 ba7816bf"), "{back:?}: {answers:?}");
        assert_eq!((answers[2].0, &answers[3]), (404, &answers[0]), "{back:?}");
    }
}
