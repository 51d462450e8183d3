//! Clients that leave, and clients that lie: who has gone is noticed while a program runs, and what could be read in two ways
//! is not read at all. Must not know how either is found out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::io::Write as _;
use std::time::Duration;

use rustix::process::Signal;
use socket2::SockRef;

use common::{Client, Folder, Gateway, Record, SOON, fixture, noise, process};

/// More than any buffer of the gateway's own.
const MUCH: usize = 200_000;

struct Site {
    gateway: Gateway,
    record: Record,
    folder: Folder,
}

fn site(listen: &str) -> Site {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    folder.script(
        "cgi-bin/stalls",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nso far\\n'\necho \"started $$\" >\"$RECORD\"\nexec sleep 1000000\n",
    );
    // Reads half of what it is sent.
    folder.script(
        "cgi-bin/half",
        "#!/bin/sh\nhead -c 100000 >/dev/null\necho \"started $$\" >\"$RECORD\"\nexec sleep 1000000\n",
    );
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n{listen}\n[[listen]]\naddress = \"unix:gate.sock\"\n{listen}\n\
         [[route]]\npath = \"/bad\"\ncgi = \"{}\"\nenv = {{ RECORD = \"{1}\" }}\n\
         [[route]]\npath = \"/bin\"\ncgi = \"cgi-bin\"\nenv = {{ RECORD = \"{1}\" }}\n\
         [[route]]\npath = \"/ask\"\ncgi = \"{2}\"\n",
        fixture("cgi"),
        record.path().display(),
        fixture("questions-cgi")
    );
    Site { gateway: Gateway::start(&folder, &config), record, folder }
}

impl Site {
    /// A connection whose program runs and waits, by this path.
    fn waiting(&self, path: &str) -> (Client, u32) {
        self.waiting_on(self.gateway.connect(), path)
    }

    fn waiting_on(&self, mut client: Client, path: &str) -> (Client, u32) {
        let mark = self.record.events.mark();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        (client, self.record.started_after(mark))
    }
}

fn ends_soon(program: u32) {
    assert!(process::ends_within(program, SOON), "the program runs on without its client");
}

#[test]
fn lesson_49_a_client_that_closes_or_resets_ends_its_program() {
    let site = site("");
    let (client, program) = site.waiting("/bad/silent");
    drop(client);
    ends_soon(program);
    let (client, program) = site.waiting("/bad/silent");
    client.reset();
    ends_soon(program);
    let (client, program) =
        site.waiting_on(Client::connect_unix(&site.folder.join("gate.sock")), "/bad/silent");
    drop(client);
    ends_soon(program);
    let (client, program) = site.waiting("/bad/silent");
    client.half_close();
    ends_soon(program);
}

#[test]
fn it_is_noticed_behind_pipelined_bytes_that_nobody_has_read() {
    let site = site("");
    for reset in [false, true] {
        let (mut client, program) = site.waiting("/bad/silent");
        client.send("GET /ask HTTP/1.1\r\nHost: a\r\n\r\n".repeat(MUCH / 30));
        assert!(process::runs(program), "unread bytes are no reason to end it");
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        ends_soon(program);
    }
}

#[test]
fn a_reset_is_noticed_behind_a_body_that_nobody_reads() {
    let site = site("");
    // The body of a request whose program reads only half of it, so that the gateway cannot read on either.
    let mark = site.record.events.mark();
    let mut client = std::net::TcpStream::connect(site.gateway.address()).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    client.write_all(b"POST /bin/half HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").unwrap();
    while client.write(&[b'x'; 65_536]).is_ok() {}
    let program = site.record.started_after(mark);
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    ends_soon(program);
}

#[test]
fn a_client_that_pipelines_without_end_is_not_served_without_end() {
    let site = site("");
    let (mut client, program) = site.waiting("/bin/stalls");
    let mut sender = client.sender();
    let stuffing = std::thread::spawn(move || {
        let requests = b"GET /ask/hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        // Far more than any kernel buffers; it would never come to an end if it were kept.
        for _ in 0..1_000 {
            sender.write_all(&requests).unwrap();
        }
    });
    assert_eq!(client.receive_head("GET").status, 200);
    stuffing.join().unwrap();
    assert!(process::runs(program));
    assert!(process::peak_resident_kib(site.gateway.id()) < 64 * 1024);
    drop(client);
    ends_soon(program);
}

#[test]
fn pipelined_requests_behind_a_slow_one_are_served_when_it_has_ended() {
    let site = site("");
    let (mut client, program) = site.waiting("/bin/stalls");
    client.send("GET /ask/hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200));
    assert_eq!(client.receive_head("GET").status, 200);
    process::signal(program, Signal::KILL);
    let end = std::iter::from_fn(|| Some(client.receive_piece())).find_map(Result::err);
    assert_eq!(end, Some(common::Ended::Cut), "what broke off is not followed by another answer");

    // Now one that ends well: the bytes that were put aside are read as they came.
    let gated = site.folder.join("gate");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &gated,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    site.folder.script(
        "cgi-bin/waits",
        format!(
            "#!/bin/sh\necho \"started $$\" >\"$RECORD\"\nread -r _ <{}\nprintf 'Content-Type: text/plain\\n\\nat last\\n'\n",
            gated.display()
        ),
    );
    let (mut client, _) = site.waiting("/bin/waits");
    for number in 0..400 {
        client.send(format!("GET /bin/{number:0100} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    std::fs::write(&gated, "go\n").unwrap();
    assert_eq!(client.receive().expect(200).text(), "at last\n");
    for _ in 0..400 {
        assert_eq!(client.receive().status(), 404);
    }
}

#[test]
fn it_is_noticed_while_the_body_still_comes() {
    let site = site("");
    for reset in [false, true] {
        let mark = site.record.events.mark();
        let mut client = site.gateway.connect();
        client.send("POST /bin/half HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
        client.send(vec![b'x'; 150_000]);
        let program = site.record.started_after(mark);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        ends_soon(program);
    }
}

#[test]
fn it_is_noticed_while_a_response_is_under_way_and_says_nothing() {
    let site = site("");
    for reset in [false, true] {
        let (mut client, program) = site.waiting("/bin/stalls");
        assert_eq!(client.receive_head("GET").status, 200);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        ends_soon(program);
    }
}

#[test]
fn with_half_close_a_client_may_close_its_sending_side_and_is_served() {
    let site = site("half_close = true");
    let mut client = site.gateway.connect();
    client.send("POST /ask/count HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send(noise(3, MUCH));
    client.half_close();
    assert!(client.receive().expect(200).text().starts_with("200000 "));
    assert_eq!(client.receive_until_close().unwrap(), b"");
    // One that closed before it was even asked for.
    let mut client = site.gateway.connect();
    client.send("GET /ask/big/1000000 HTTP/1.1\r\nHost: a\r\n\r\nGET /ask/hello HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    assert_eq!(client.receive().expect(200).body.len(), 1_000_000);
    assert_eq!(client.receive().expect(200).text(), "hello\n");
}

#[test]
fn with_half_close_a_reset_is_still_noticed() {
    let site = site("half_close = true");
    let (client, program) = site.waiting("/bad/silent");
    client.reset();
    ends_soon(program);
    let (client, program) =
        site.waiting_on(Client::connect_unix(&site.folder.join("gate.sock")), "/bad/silent");
    drop(client);
    ends_soon(program);
}

/// Each could be read as one request by one reader and as another, or as two, by the next.
const SMUGGLING: &[(&str, &str)] = &[
    (
        "both framings",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"),
    ("the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n"),
    ("a plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n"),
    ("a minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n"),
    ("hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n"),
    ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    ("a length beyond 64 bits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (
        "chunked and more",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n"),
    ("a folded field", "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\n"),
    ("a bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("a bare LF between fields", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("a bare CR", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    ("a NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("two hosts, one in the target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("authority-form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "a chunk with a bare LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    ),
    (
        "a chunk of another size",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ),
    (
        "a signed chunk",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "a chunk in 0x",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    ),
    (
        "a chunk beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx\r\n0\r\n\r\n",
    ),
    (
        "a framing trailer",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
];

#[test]
fn lesson_9_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered() {
    let site = site("");
    for (what, request) in SMUGGLING {
        let request = request.replace(" / ", " /ask/count ").replace("http://a/", "http://a/ask/count");
        let mut client = site.gateway.connect();
        client.send(format!("{request}GET /ask/hello HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.receive();
        assert!(matches!(answer.status(), 400 | 501), "{what}: {}", answer.status());
        assert_eq!(answer.field("connection"), Some("close"), "{what}");
        assert_eq!(client.receive_until_close().unwrap(), b"", "{what}: something behind it was answered");
    }
}

#[test]
fn what_is_no_http_is_told_so_and_closed() {
    let site = site("");
    for hello in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = site.gateway.connect();
        client.send(hello);
        let status = client.receive().status();
        assert!(matches!(status, 400 | 505), "{hello:?}: {status}");
        assert_eq!(client.receive_until_close().unwrap(), b"");
    }
}
