//! Programs as a gateway starts them: this test starts itself as a CGI program and as a worker, and finds out from
//! outside what it does. It must not call a runner in its own process.
//!
//! It has a `main` of its own, because what a CGI program writes to standard output is its answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![allow(clippy::print_stdout, reason = "it prints what a test harness prints")]

mod rig;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use gatebridge_fastcgi::Role;
use gatebridge_interface::{EXIT_BROKEN, EXIT_NO_CGI, EXIT_NO_SOCKET};
use gatebridge_scgi::HeaderWriter;
use rig::fastcgi::{Peer, listener};
use rig::{shape, variables};
use rustix::process::{Pid, Signal, kill_process};

/// Set when this program is to be the program that is tested.
const PROGRAM: &str = "GATEBRIDGE_TEST_PROGRAM";

#[allow(unreachable_pub, missing_docs, reason = "asynchronous_processes calls it")]
pub fn main() -> ExitCode {
    if let Ok(way) = std::env::var(PROGRAM) {
        return shape::program(&way);
    }
    let tests: [(&str, fn()); 20] = [
        ("a_small_answer_is_one_write", a_small_answer_is_one_write),
        ("a_cgi_program_answers", a_cgi_program_answers),
        ("a_body_is_read_to_its_length_and_no_further", a_body_is_read_to_its_length_and_no_further),
        (
            "lesson_39_an_unread_socket_does_not_take_the_answer",
            lesson_39_an_unread_socket_does_not_take_the_answer,
        ),
        ("lesson_44_chunks_without_a_length_are_a_body", lesson_44_chunks_without_a_length_are_a_body),
        ("a_body_may_be_a_file", a_body_may_be_a_file),
        ("a_program_may_answer_with_a_file", a_program_may_answer_with_a_file),
        ("lesson_48_head_has_no_body", lesson_48_head_has_no_body),
        ("hints_go_to_gatebridge_only", hints_go_to_gatebridge_only),
        ("errors_become_500_or_an_exit_status", errors_become_500_or_an_exit_status),
        ("a_full_log_takes_no_answer", a_full_log_takes_no_answer),
        ("a_reader_that_leaves_is_an_abort", a_reader_that_leaves_is_an_abort),
        ("a_cgi_program_starts_no_thread", a_cgi_program_starts_no_thread),
        ("wrong_starts_explain_themselves", wrong_starts_explain_themselves),
        ("listen_is_a_server_for_development", listen_is_a_server_for_development),
        ("lesson_7_arguments_from_a_query_change_nothing", lesson_7_arguments_from_a_query_change_nothing),
        ("a_listening_socket_is_fastcgi", a_listening_socket_is_fastcgi),
        ("or_scgi_when_the_first_bytes_say_so", or_scgi_when_the_first_bytes_say_so),
        ("sigterm_ends_a_worker_after_its_requests", sigterm_ends_a_worker_after_its_requests),
        ("every_runner_watches_in_debug_builds", every_runner_watches_in_debug_builds),
    ];
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, test) in tests.into_iter().filter(|(name, _)| name.contains(&filter)) {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// Under every runner an application that breaks the contract fails where debug assertions are on, and nowhere else.
fn every_runner_watches_in_debug_builds() {
    let status = if cfg!(debug_assertions) { "500 Internal Server Error" } else { "200 OK" };
    let begins = format!("Status: {status}\r\n");
    let output = program("bare").envs(variables("GET", "/no-type", None)).output().unwrap();
    assert!(text(&output.stdout).starts_with(&begins), "CGI: {}", text(&output.stdout));
    assert_eq!(text(&output.stderr).contains("lint: "), cfg!(debug_assertions), "{}", text(&output.stderr));

    let worker = Running::start("bare");
    let reply = Peer::new(worker.connect()).ask("GET", "/no-type", b"");
    assert!(reply.text().starts_with(&begins), "FastCGI: {}", reply.text());
    let worker = Running::start("bare");
    assert!(ask_scgi(&worker, "/no-type").starts_with(&begins), "SCGI");

    if cfg!(feature = "development") {
        let (mut child, address) = develop("bare");
        let answer = ask_http(&address, "/no-type");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "HTTP: {answer}");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

fn program(way: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().env(PROGRAM, way).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn cgi(method: &str, path: &str, length: Option<&str>) -> Command {
    let mut command = program("serve");
    command.envs(variables(method, path, length));
    command
}

fn with_body(mut command: Command, body: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read its body makes this fail, and that is allowed.
    let _ = stdin.write_all(body);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn ask(method: &str, path: &str, body: &[u8]) -> String {
    let length = body.len().to_string();
    let output = with_body(cgi(method, path, (!body.is_empty()).then_some(&length)), body);
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

fn a_small_answer_is_one_write() {
    // A pair of datagram sockets keeps writes apart.
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut child = cgi("GET", "/hello", None).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    let mut buffer = [0; 4096];
    ours.set_read_timeout(Some(rig::DEADLINE)).unwrap();
    let count = ours.recv(&mut buffer).unwrap();
    let whole = "Status: 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n";
    assert_eq!(text(&buffer[..count]), whole);
    assert!(child.wait().unwrap().success());
    ours.set_nonblocking(true).unwrap();
    assert!(ours.recv(&mut buffer).is_err(), "there was a second write");
}

fn a_cgi_program_answers() {
    assert!(ask("POST", "/echo", b"one two three").ends_with("\r\n\r\none two three"));
    assert!(ask("GET", "/environ", b"").contains("\nPATH_INFO=/environ\n"));
    assert_eq!(ask("GET", "/empty", b""), "Status: 204 No Content\r\nx-note: nothing\r\n\r\n");
    assert!(ask("GET", "/restart", b"").starts_with("Status: 503 "));
    assert_eq!(rig::body(ask("GET", "/big/1234567", b"").as_bytes()).len(), 1_234_567);
    let explicit = program("cgi").envs(variables("GET", "/hello", None)).output().unwrap();
    assert!(text(&explicit.stdout).ends_with("hello\n"));
}

fn a_body_is_read_to_its_length_and_no_further() {
    let longer = with_body(cgi("POST", "/count", Some("5")), b"12345 and what does not belong to it");
    assert!(text(&longer.stdout).ends_with("5 of Some(5)\n"), "{}", text(&longer.stdout));
    let none = with_body(cgi("POST", "/count", None), b"nothing announced this");
    assert!(text(&none.stdout).ends_with("0 of Some(0)\n"), "{}", text(&none.stdout));
    // The pipe stays open: whoever waited for its end would wait for ever.
    let mut child = cgi("POST", "/count", Some("3")).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"abc").unwrap();
    assert!(child.wait().unwrap().success());
    drop(stdin);
    let cut = with_body(cgi("POST", "/count", Some("50")), b"cut");
    assert!(text(&cut.stdout).starts_with("Status: 500 "), "{}", text(&cut.stdout));
    assert!(text(&cut.stderr).contains("3 of 50 bytes"), "{}", text(&cut.stderr));
}

/// One socket for input and output, as Apache's mod_cgid has it.
fn with_socket(mut command: Command) -> (UnixStream, Child) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(rig::DEADLINE)).unwrap();
    let theirs = OwnedFd::from(theirs);
    let child = command.stdin(theirs.try_clone().unwrap()).stdout(theirs).spawn().unwrap();
    (ours, child)
}

fn lesson_39_an_unread_socket_does_not_take_the_answer() {
    for path in ["/hello", "/fail"] {
        let (mut ours, mut child) = with_socket(cgi("POST", path, Some("300000")));
        // The half of it, so that the program ends while there is something to come.
        ours.write_all(&[b'x'; 150_000]).unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).unwrap();
        let whole = answer.ends_with("\r\n\r\nhello\n") || answer.starts_with("Status: 500 ");
        assert!(whole, "{answer}");
        // It need not wait for ever.
        let _ = ours.write_all(&[b'x'; 150_000]);
        drop(ours);
        assert!(child.wait().unwrap().success());
    }
}

fn lesson_44_chunks_without_a_length_are_a_body() {
    let ask = |method: &str, coding: &str| {
        let mut command = cgi(method, "/count", None);
        command.env("HTTP_TRANSFER_ENCODING", coding);
        let output = with_body(command, &[b'x'; 100_000]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(rig::body(&output.stdout))
    };
    assert_eq!(ask("POST", "chunked"), "100000 of None\n");
    // Nobody says that there is a body.
    assert_eq!(ask("POST", "identity"), "0 of Some(0)\n");
    assert_eq!(ask("GET", "chunked"), "0 of Some(0)\n");
}

fn a_body_may_be_a_file() {
    let path = std::env::temp_dir().join(format!("gi-{}-upload", std::process::id()));
    std::fs::write(&path, "uploaded").unwrap();
    let output = cgi("POST", "/upload-file", Some("8")).stdin(File::open(&path).unwrap()).output().unwrap();
    assert!(text(&output.stdout).ends_with("a file: uploaded"), "{}", text(&output.stdout));
    std::fs::remove_file(path).unwrap();
    assert!(ask("POST", "/upload-file", b"uploaded").ends_with("no file"));
}

fn a_program_may_answer_with_a_file() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let output = cgi("GET", "/file", None).output().unwrap();
    assert!(text(&output.stdout[..200]).contains(&format!("content-length: {}\r\n", file.len())));
    assert!(rig::body(&output.stdout) == file, "the file is another one");
}

fn lesson_48_head_has_no_body() {
    assert!(ask("HEAD", "/hello", b"").ends_with("content-length: 6\r\n\r\n"));
    assert!(ask("HEAD", "/file", b"").ends_with("\r\n\r\n"));
    assert!(ask("HEAD", "/big/1000000", b"").ends_with("content-length: 1000000\r\n\r\n"));
}

fn hints_go_to_gatebridge_only() {
    let hinted = ask("GET", "/hints", b"");
    assert!(
        hinted.starts_with(
            "Status: 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\nStatus: 200 OK\r\n"
        )
    );
    for (name, value) in [("SERVER_SOFTWARE", "nginx/1.22"), ("SERVER_PROTOCOL", "HTTP/1.0")] {
        let output = cgi("GET", "/hints", None).env(name, value).output().unwrap();
        assert!(text(&output.stdout).starts_with("Status: 200 OK\r\n"), "{name}: {}", text(&output.stdout));
        assert!(text(&output.stdout).ends_with("hints: false\n"));
    }
    // The same in a worker, where the server before it is another one with each request.
    let worker = Running::start("serve");
    let mut peer = Peer::new(worker.connect());
    assert!(peer.ask("GET", "/hints", b"").text().starts_with("Status: 103 "));
    let id =
        peer.begin_with(Role::Responder, "GET", "/hints", &[("SERVER_SOFTWARE", "Apache/2.4.62 (Debian)")]);
    peer.end_stdin(id);
    let told = peer.finish(id).text();
    assert!(told.starts_with("Status: 200 OK\r\n") && told.ends_with("hints: false\n"), "{told}");
}

fn errors_become_500_or_an_exit_status() {
    for path in ["/fail", "/fail-held", "/panic", "/no-type"] {
        let output = cgi("GET", path, None).output().unwrap();
        assert!(text(&output.stdout).starts_with("Status: 500 "), "{path}: {}", text(&output.stdout));
        assert!(output.status.success(), "{path}: the answer is whole");
        assert!(
            text(&output.stderr).contains(&format!("GET /questions{path}: the application failed: ")),
            "{}",
            text(&output.stderr)
        );
    }
    let late = cgi("GET", "/fail-late", None).output().unwrap();
    assert_eq!(late.status.code(), Some(EXIT_BROKEN.into()), "lesson 12");
    assert!(
        text(&late.stdout).ends_with("this has left") && text(&late.stderr).contains("no luck in the end")
    );
    let complaint = cgi("GET", "/complain", None).output().unwrap();
    assert_eq!(text(&complaint.stderr), "the cellar is wet\n");
}

fn a_full_log_takes_no_answer() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let output = cgi("GET", "/fail", None).stderr(full()).output().unwrap();
    assert!(text(&output.stdout).starts_with("Status: 500 "), "CGI: {}", text(&output.stdout));
    let worker = Running::logging("serve", full());
    let answer = ask_scgi(&worker, "/fail");
    assert!(answer.starts_with("Status: 500 "), "SCGI: {answer}");
}

fn a_reader_that_leaves_is_an_abort() {
    let mut child = cgi("GET", "/until-aborted", None).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let mut child = cgi("GET", "/big/100000000", None).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "nobody made a mistake");
}

fn a_cgi_program_starts_no_thread() {
    let mut child = cgi("POST", "/first-byte", Some("2")).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"1").unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
    assert_eq!(threads, 1);
    stdin.write_all(b"2").unwrap();
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn wrong_starts_explain_themselves() {
    let output = program("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(EXIT_NO_SOCKET.into()));
    let said = text(&output.stderr);
    assert!(said.contains("CGI") && said.contains("FastCGI") && said.contains("gatebridge serve"), "{said}");
    let output = program("cgi").output().unwrap();
    assert_eq!(output.status.code(), Some(EXIT_NO_CGI.into()));
    assert!(text(&output.stderr).contains("REQUEST_METHOD"), "{}", text(&output.stderr));
}

fn listen_is_a_server_for_development() {
    if !cfg!(feature = "development") {
        let output = program("serve").args(["--listen", "127.0.0.1:0"]).output().unwrap();
        assert!(text(&output.stderr).contains("`development`"), "{}", text(&output.stderr));
        return;
    }
    let (mut child, address) = develop("serve");
    let answer = ask_http(&address, "/hello");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    let output = program("serve").args(["--listen", "nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(EXIT_NO_SOCKET.into()));
    assert!(text(&output.stderr).contains("\"nowhere\""), "{}", text(&output.stderr));
}

/// The program as a server for development, and its address.
fn develop(way: &str) -> (Child, String) {
    let mut child = program(way).args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stderr.as_mut().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
    (child, address.to_owned())
}

fn ask_http(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn lesson_7_arguments_from_a_query_change_nothing() {
    let output = cgi("GET", "/hello", None).args(["--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(text(&output.stdout).ends_with("hello\n"), "{}", text(&output.stderr));
}

struct Running(Child, std::path::PathBuf);

impl Running {
    fn start(way: &str) -> Self {
        Self::logging(way, Stdio::piped())
    }

    fn logging(way: &str, log: impl Into<Stdio>) -> Self {
        let (path, listener) = listener();
        let child = program(way).stdin(OwnedFd::from(listener)).stderr(log).spawn().unwrap();
        Self(child, path)
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.1).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(&self.1);
    }
}

fn a_listening_socket_is_fastcgi() {
    let mut worker = Running::start("serve");
    // Who says nothing, and who leaves, keeps nobody up.
    let mute = worker.connect();
    drop(worker.connect());
    let mut peer = Peer::new(worker.connect());
    assert_eq!(peer.ask("GET", "/hello", b"").body(), b"hello\n");
    let mut mute = Peer::new(mute);
    assert_eq!(mute.ask("GET", "/hello", b"").body(), b"hello\n");
    worker.signal(Signal::TERM);
    assert!(worker.0.wait().unwrap().success());
}

fn or_scgi_when_the_first_bytes_say_so() {
    let mut worker = Running::start("serve");
    for _ in 0..2 {
        let answer = ask_scgi(&worker, "/hello");
        assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    }
    worker.signal(Signal::INT);
    assert!(worker.0.wait().unwrap().success());
}

fn ask_scgi(worker: &Running, path: &str) -> String {
    let mut headers = HeaderWriter::new();
    headers.append(b"CONTENT_LENGTH", b"0");
    for (name, value) in variables("GET", path, None) {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    let mut stream = worker.connect();
    stream.write_all(&headers.finish().unwrap()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn sigterm_ends_a_worker_after_its_requests() {
    let mut worker = Running::start("serve");
    let mut peer = Peer::new(worker.connect());
    let id = peer.begin(Role::Responder, "POST", "/first-byte", Some("2"));
    peer.stdin(id, b"1");
    while peer.reply(id).body() != b"1\n" {
        assert!(peer.read(), "closed");
    }
    worker.signal(Signal::TERM);
    peer.stdin(id, b"2");
    peer.end_stdin(id);
    assert!(peer.finish(id).ended.is_some());
    assert!(worker.0.wait().unwrap().success());

    // A second signal does not wait.
    let mut worker = Running::start("serve");
    let mut peer = Peer::new(worker.connect());
    let id = peer.begin(Role::Responder, "POST", "/first-byte", Some("2"));
    peer.stdin(id, b"1");
    while peer.reply(id).body() != b"1\n" {
        assert!(peer.read(), "closed");
    }
    worker.signal(Signal::TERM);
    // The first one has been understood when new requests are refused.
    loop {
        let refused = peer.begin(Role::Responder, "GET", "/hello", None);
        peer.end_stdin(refused);
        if peer.finish(refused).stdout.is_empty() {
            break;
        }
    }
    worker.signal(Signal::TERM);
    assert_eq!(worker.0.wait().unwrap().code(), Some(gatebridge_interface::EXIT_IMPATIENT.into()));
}
