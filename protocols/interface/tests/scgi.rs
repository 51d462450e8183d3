//! The SCGI runner over TCP and unix sockets, asked by the codec's other side; knows nothing of its threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gatebridge_interface::{HEADER_TIMEOUT_MS, Settings, Stop};
use gatebridge_scgi::HeaderWriter;
use rig::{DEADLINE, shape, variables};

struct Worker {
    address: SocketAddr,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Worker {
    fn new(threads: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, settings) = (Arc::new(Stop::new().unwrap()), Settings::default().threads(threads));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || shape::serve_scgi(listener, &settings, &told));
        Self { address, stop, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn begin(&self, method: &str, path: &str, length: usize) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&head(method, path, length)).unwrap();
        stream
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> String {
        let mut stream = self.begin(method, path, body.len());
        stream.write_all(body).unwrap();
        rest(&mut stream)
    }

    fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.stop();
        if !std::thread::panicking() {
            self.wait();
        }
    }
}

fn head(method: &str, path: &str, length: usize) -> Vec<u8> {
    let mut headers = HeaderWriter::new();
    headers.append(b"CONTENT_LENGTH", length.to_string().as_bytes());
    for (name, value) in variables(method, path, None) {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers.finish().unwrap().to_vec()
}

fn rest(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_request_is_answered_and_the_connection_closed() {
    let worker = Worker::new(1);
    let answer = worker.ask("GET", "/hello", b"");
    assert_eq!(answer, "Status: 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n");
    assert!(worker.ask("POST", "/echo", b"one two").ends_with("\r\n\r\none two"));
    assert!(worker.ask("HEAD", "/hello", b"").ends_with("content-length: 6\r\n\r\n"));
    assert!(worker.ask("GET", "/environ", b"").contains("\nHTTP_X_FROM=test\n"));
    assert!(worker.ask("GET", "/hints", b"").starts_with("Status: 103 Early Hints\r\n"));
    assert!(worker.ask("GET", "/fail", b"").starts_with("Status: 500 "));
    assert!(worker.ask("GET", "/panic", b"").starts_with("Status: 500 "));
    assert!(worker.ask("GE T", "/hello", b"").starts_with("Status: 400 "));
    assert_eq!(rig::body(worker.ask("GET", "/big/1234567", b"").as_bytes()).len(), 1_234_567);
}

#[test]
fn a_unix_socket_does_as_well() {
    let (path, listener) = rig::fastcgi::listener();
    let stop = Arc::new(Stop::new().unwrap());
    let told = Arc::clone(&stop);
    let worker = std::thread::spawn(move || shape::serve_scgi(listener, &Settings::default(), &told));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&head("GET", "/hello", 0)).unwrap();
    assert!(rest(&mut stream).ends_with("\r\n\r\nhello\n"));
    stop.stop();
    worker.join().unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let worker = Worker::new(1);
    let mut stream = worker.connect();
    stream.set_nodelay(true).unwrap();
    for byte in [&head("POST", "/echo", 3)[..], b"abc"].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(rest(&mut stream).ends_with("\r\n\r\nabc"));
}

#[test]
fn bodies_stream_both_ways() {
    let worker = Worker::new(1);
    let mut stream = worker.begin("POST", "/first-byte", 2);
    stream.write_all(b"1").unwrap();
    let mut answer = Vec::new();
    while rig::body(&answer) != b"1\n" {
        let mut bytes = [0; 100];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed");
        answer.extend_from_slice(&bytes[..count]);
    }
    stream.write_all(b"2").unwrap();
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn lesson_39_an_answer_survives_a_body_that_nobody_reads() {
    let worker = Worker::new(1);
    let mut stream = worker.begin("POST", "/hello", 3_000_000);
    let writer = {
        let mut stream = stream.try_clone().unwrap();
        std::thread::spawn(move || stream.write_all(&vec![b'x'; 3_000_000]))
    };
    assert!(rest(&mut stream).ends_with("\r\n\r\nhello\n"));
    stream.shutdown(Shutdown::Both).unwrap();
    let _ = writer.join().unwrap();
}

#[test]
fn lesson_49_a_closed_connection_is_an_abort() {
    let worker = Worker::new(1);
    drop(worker.begin("GET", "/until-aborted", 0));
    // The one thread is free again.
    assert!(worker.ask("GET", "/hello", b"").ends_with("hello\n"));
    let mut stream = worker.begin("POST", "/count", 5);
    stream.write_all(b"123").unwrap();
    drop(stream);
    assert!(worker.ask("GET", "/hello", b"").ends_with("hello\n"));
}

#[test]
fn lesson_12_a_broken_answer_is_a_reset() {
    let worker = Worker::new(1);
    let mut stream = worker.begin("GET", "/fail-late", 0);
    let mut answer = Vec::new();
    let error = stream.read_to_end(&mut answer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_is_no_scgi_ends_its_own_connection_only() {
    let worker = Worker::new(1);
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"5:hello,", b"012:", b"99999999999999:"] {
        let mut stream = worker.connect();
        stream.write_all(wrong).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "{}", wrong.escape_ascii());
    }
    drop(worker.connect());
    assert!(worker.ask("GET", "/hello", b"").ends_with("hello\n"));
}

#[test]
fn told_to_stop_it_finishes_what_is_in_flight() {
    let mut worker = Worker::new(2);
    let mut stream = worker.begin("POST", "/first-byte", 2);
    stream.write_all(b"1").unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    worker.stop.stop();
    stream.write_all(b"2").unwrap();
    assert!(rest(&mut stream).ends_with("\r\n\r\n1\n"));
    worker.wait();
}

#[test]
fn who_says_nothing_does_not_hold_up_a_stop() {
    let mut worker = Worker::new(2);
    let mute = worker.connect();
    // Whoever connects later is accepted later.
    worker.ask("GET", "/hello", b"");
    let told = Instant::now();
    worker.stop.stop();
    worker.wait();
    assert!(told.elapsed() < Duration::from_millis(HEADER_TIMEOUT_MS), "its header was waited for");
    drop(mute);
}

#[test]
fn a_long_body_comes_whole() {
    let worker = Worker::new(1);
    for length in [65_536, 300_000, 3_000_000] {
        let body = vec![b'x'; length];
        let answer = worker.ask("POST", "/count", &body);
        assert!(answer.ends_with(&format!("\r\n\r\n{length} of Some({length})\n")), "{answer}");
    }
}
