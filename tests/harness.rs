//! The harness itself, against peers of the standard library; it must not need the gateway.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use common::peer::{Peer, test_program};
use common::{Client, Ended, Folder, Record, noise, process};

/// Serves `answer` once to whoever connects, after it has read a head, and ends the connection.
fn serve_once(answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn the_reader_takes_interim_heads_and_chunks() {
    let mut client = Client::connect(serve_once(
        "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\n",
    ));
    let answer = client.ask("GET", "/", &[], b"").expect(200);
    assert_eq!(answer.interim[0].status, 103);
    assert_eq!(answer.text(), "abcdefg");
    assert_eq!(answer.ended, Ended::Complete);
}

#[test]
fn the_reader_knows_a_cut_body_from_a_whole_one() {
    for (answer, ended) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Ended::Complete),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", Ended::Cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Ended::Cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", Ended::Cut),
        ("HTTP/1.0 200 OK\r\n\r\nabc", Ended::Close),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ended::Complete),
    ] {
        assert_eq!(Client::connect(serve_once(answer)).ask("GET", "/", &[], b"").ended, ended, "{answer:?}");
    }
}

#[test]
fn a_record_tells_what_a_program_saw_and_a_pidfd_when_it_ended() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo started $$ >\"$RECORD\"; exec sleep 1000"]).env("RECORD", record.path());
    let peer = Peer::start(command);
    let id = record.started();
    assert_eq!(id, peer.id());
    assert!(process::runs(id));
    assert!(!process::ends_within(id, Duration::from_millis(10)));
    assert!(process::children(std::process::id()).iter().any(|child| child.id == id));
    assert!(process::descriptors(id) >= 3);
    assert!(process::resident_kib(id) > 0);
    peer.kill();
    assert!(process::ends_within(id, Duration::ZERO));
}

/// An nginx location `/KIND`, KIND being `fastcgi` or `scgi`, before the worker at `address`.
fn location(kind: &str, address: &str) -> String {
    format!(
        "location ~ ^/{kind}(/.*)$ {{ include /etc/nginx/{kind}_params; {kind}_param PATH_INFO $1;\n\
         {kind}_param SCRIPT_NAME /{kind}; {kind}_pass {address}; }}\n"
    )
}

/// nginx in front of the workers of the fixtures: they must be sound before they can judge the gateway.
#[test]
fn the_workers_answer_nginx_alike() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let [front, fastcgi, scgi] = ["front", "fastcgi", "scgi"]
        .map(|name| format!("unix:{}", folder.join(&format!("{name}.sock")).display()));
    let path = record.path().to_str().unwrap();
    let _fastcgi = Peer::fastcgi_worker(&fastcgi, &["--record", path]);
    let _scgi = Peer::scgi_worker(&scgi, &["--record", path]);
    let http = format!(
        "server {{ listen {front}; client_max_body_size 0;\n{}{}}}",
        location("fastcgi", &fastcgi),
        location("scgi", &scgi)
    );
    let _nginx = Peer::nginx(&folder, &http, &front);
    // nginx does not read the answer while it writes a long body: keep this one below a socket's buffer.
    let body = noise(1, 50_000);
    let ask = |method: &str, path: &str, body: &[u8]| {
        let mut client = Client::connect_unix(&folder.join("front.sock"));
        client.ask(method, path, &[("Connection", "close")], body)
    };
    for kind in ["fastcgi", "scgi"] {
        assert_eq!(ask("GET", &format!("/{kind}/hello"), b"").expect(200).text(), "hello\n");
        assert_eq!(ask("POST", &format!("/{kind}/echo"), &body).expect(200).body, body);
        assert!(ask("POST", &format!("/{kind}/count"), &body).expect(200).text().starts_with("50000 "));
        assert_eq!(ask("GET", &format!("/{kind}/status/404/Gone"), b"").status(), 404);
        assert_eq!(ask("GET", &format!("/{kind}/bad/half"), b"").status(), 502);
        assert_eq!(ask("GET", &format!("/{kind}/big/1000000"), b"").expect(200).body.len(), 1_000_000);
        let environ = ask("GET", &format!("/{kind}/environ?a=%20"), b"").expect(200).text();
        assert!(environ.contains("\nQUERY_STRING=a=%20\n"), "{environ}");
    }
    let mark = record.events.mark();
    let mut client = Client::connect_unix(&folder.join("front.sock"));
    client.send("GET /fastcgi/silent HTTP/1.1\r\nHost: test.example\r\n\r\n");
    record.events.wait_for_after(mark, "request GET /silent");
    drop(client);
    record.events.wait_for_after(mark, "closed");
    let unsound = record.events.matching("unsound");
    assert!(unsound.iter().all(|line| line == "unsound two variables SCRIPT_NAME"), "{unsound:?}"); // nginx does that
}

#[test]
fn the_transfer_program_answers_nginx_alike() {
    let folder = Folder::new();
    let address = |name: &str| format!("unix:{}", folder.join(&format!("{name}.sock")).display());
    let transfer = test_program("transfer");
    let worker = |kind: &str| {
        let mut command = Command::new(&transfer);
        command.args([kind, &address(kind)]);
        Peer::start_at(command, &address(kind))
    };
    let _workers = (worker("fastcgi"), worker("scgi"));
    let locations = location("fastcgi", &address("fastcgi")) + &location("scgi", &address("scgi"));
    let http = format!("server {{ listen {}; client_max_body_size 0;\n{locations}}}", address("front"));
    let _nginx = Peer::nginx(&folder, &http, &address("front"));
    let body = noise(2, 1_000_000);
    let sum: u64 = body.iter().map(|&byte| u64::from(byte)).sum();
    for kind in ["fastcgi", "scgi"] {
        let ask = |path: &str, body: &[u8]| {
            let mut client = Client::connect_unix(&folder.join("front.sock"));
            client.ask("POST", &format!("/{kind}{path}"), &[], body).expect(200)
        };
        assert_eq!(ask("/sink", &body).text(), format!("1000000 {sum}\n"));
        let source = ask("/source/1000000", b"").body;
        assert!(source.iter().zip((0..=250).cycle()).all(|(byte, expected)| *byte == expected));
        assert_eq!(source.len(), 1_000_000);
        assert_eq!(ask("/loop", &body[..1000]).body, &body[..1000]);
    }
}
