//! The server for development, asked by raw bytes; knows nothing of its threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gatebridge_interface::{HEADER_TIMEOUT_MS, Settings, Stop};
use rig::{DEADLINE, shape};

struct Server {
    address: SocketAddr,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Stop::new().unwrap());
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || shape::serve_http(listener, &Settings::default(), &told));
        Self { address, stop, thread: Some(thread) }
    }

    fn begin(&self, request: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_ref()).unwrap();
        stream
    }

    /// The answer without its `Date`, which is checked.
    fn ask(&self, request: &str) -> String {
        let answer = rest(&mut self.begin(request));
        let (before, after) = answer.split_once("Date: ").unwrap_or_else(|| panic!("no Date in {answer}"));
        before.to_owned() + after.split_once("\r\n").unwrap().1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop();
        if !std::thread::panicking() {
            self.thread.take().unwrap().join().unwrap().unwrap();
        }
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn it_speaks_http() {
    let server = Server::new();
    let get = |path: &str| server.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.example:99\r\n\r\n"));
    let hello = get("/hello");
    assert!(hello.starts_with("HTTP/1.1 200 OK\r\n") && hello.ends_with("\r\n\r\nhello\n"), "{hello}");
    assert!(hello.contains("Content-Length: 6\r\n") && hello.contains("Connection: close\r\n"), "{hello}");
    let head = server.ask("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("Content-Length: 6\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let environ = get("/%65nviron?a=b");
    for line in
        ["SERVER_NAME=a.example", "PATH_INFO=/environ", "REQUEST_URI=/%65nviron?a=b", "REMOTE_ADDR=127.0.0.1"]
    {
        assert!(environ.contains(&format!("{line}\n")), "no {line} in {environ}");
    }
    assert!(get("/fail").starts_with("HTTP/1.1 500 "));
    assert!(get("/empty").starts_with("HTTP/1.1 204 "));
    assert!(get("/pieces").ends_with("\r\n\r\n2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n"));
    let hints = rest(&mut server.begin("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(
        hints.starts_with("HTTP/1.1 103 Early Hints\r\n") && hints.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{hints}"
    );
    assert!(get("/big/100000").len() > 100_000);
}

#[test]
fn bodies_come_by_length_and_by_chunks() {
    let server = Server::new();
    let post = "POST /count HTTP/1.1\r\nHost: a\r\n";
    let answer = server.ask(&format!("{post}Content-Length: 5\r\n\r\n12345"));
    assert!(answer.ends_with("5 of Some(5)\n"), "{answer}");
    let answer =
        server.ask(&format!("{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"));
    assert!(answer.ends_with("7 of None\n"), "{answer}");
    let mut waiting = server.begin(format!("{post}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    let mut interim = [0; 25];
    waiting.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    waiting.write_all(b"12").unwrap();
    assert!(rest(&mut waiting).ends_with("2 of Some(2)\n"));
}

#[test]
fn a_spare_connection_does_not_hold_up_a_stop() {
    let server = Server::new();
    let spare = server.begin("");
    // Whoever connects later is accepted later.
    server.ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    let told = Instant::now();
    drop(server);
    assert!(told.elapsed() < Duration::from_millis(HEADER_TIMEOUT_MS), "its request was waited for");
    drop(spare);
}

#[test]
fn what_is_wrong_is_refused_or_cut() {
    let server = Server::new();
    let refused = rest(&mut server.begin("GET /hello HTTP/1.1\r\n\r\n"));
    assert!(refused.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refused}");
    drop(server.begin(""));
    let cut = server.begin("GET /fail-late HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answer = Vec::new();
    let _reset = { cut }.read_to_end(&mut answer);
    assert!(!answer.ends_with(b"0\r\n\r\n"), "{}", answer.escape_ascii());
    drop(server.begin("GET /until-aborted HTTP/1.1\r\nHost: a\r\n\r\n"));
    let unread =
        "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n".to_owned() + &"x".repeat(300_000);
    assert!(server.ask(&unread).ends_with("\r\n\r\nhello\n"), "lesson 39");
}
