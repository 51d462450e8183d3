//! How many threads it takes to wait for many requests at once: one test in a process of its own, so that it counts no
//! threads but its own. It must not know the runners' insides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use gatebridge_fastcgi::Role;
use gatebridge_interface::tokio::{Application, application, lint, serve_fastcgi, serve_scgi};
use gatebridge_interface::{Settings, Stop};
use gatebridge_scgi::HeaderWriter;
use rig::fastcgi::{Peer, listener};
use rig::{tasks, variables};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Barrier;

/// Requests that wait at the same time.
const REQUESTS: usize = 500;
/// The main thread, the test's, the worker's, and one that a runtime might have started by the way.
const THREADS: usize = 4;

/// Answers when so many requests wait for an answer, with the number of threads that there are then.
fn meeting() -> impl Application {
    let barrier = Arc::new(Barrier::new(REQUESTS));
    lint(application(move |_, _, start| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            let threads = std::fs::read_dir("/proc/self/task")?.count();
            start.answer(200, [("Content-Type", "text/plain")], format!("{threads}")).await
        }
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speak {
    FastCgi,
    Scgi,
}

/// Runs a worker while `ask` asks it.
fn with_worker(speak: Speak, ask: impl FnOnce(&dyn Fn() -> UnixStream) -> Vec<String>) {
    let (path, listener): (_, UnixListener) = listener();
    let stop = Arc::new(Stop::new().unwrap());
    let told = Arc::clone(&stop);
    let settings = Settings::default().max_connection_requests(REQUESTS as u16);
    let worker = std::thread::spawn(move || {
        tasks::run(async {
            match speak {
                Speak::FastCgi => serve_fastcgi(meeting(), listener, &settings, &told).await,
                Speak::Scgi => serve_scgi(meeting(), listener, &settings, &told).await,
            }
        })
    });
    let answers = ask(&|| UnixStream::connect(&path).unwrap());
    stop.stop();
    worker.join().unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(answers.len(), REQUESTS);
    for answer in answers {
        let threads: usize = answer.parse().unwrap_or_else(|_| panic!("{speak:?}: {answer}"));
        assert!(threads <= THREADS, "{speak:?}: {threads} threads wait");
    }
}

fn scgi(mut stream: UnixStream) -> UnixStream {
    let mut headers = HeaderWriter::new();
    headers.append(b"CONTENT_LENGTH", b"0");
    for (name, value) in variables("GET", "/", None) {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    stream.set_read_timeout(Some(rig::DEADLINE)).unwrap();
    stream.write_all(&headers.finish().unwrap()).unwrap();
    stream
}

fn body(answer: &[u8]) -> String {
    String::from_utf8_lossy(rig::body(answer)).into_owned()
}

#[test]
fn five_hundred_requests_wait_on_a_handful_of_threads() {
    // Two descriptors for each connection are more than many a shell allows at first.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // On one connection.
    with_worker(Speak::FastCgi, |connect| {
        let mut peer = Peer::with_limit(connect(), REQUESTS as u16);
        let requests: Vec<_> = (0..REQUESTS).map(|_| peer.begin(Role::Responder, "GET", "/", None)).collect();
        requests.into_iter().map(|id| body(&peer.finish(id).stdout)).collect()
    });
    // On many.
    with_worker(Speak::FastCgi, |connect| {
        let begin = |mut peer: Peer| (peer.begin(Role::Responder, "GET", "/", None), peer);
        let peers: Vec<_> = (0..REQUESTS).map(|_| begin(Peer::new(connect()))).collect();
        peers.into_iter().map(|(id, mut peer)| body(&peer.finish(id).stdout)).collect()
    });
    with_worker(Speak::Scgi, |connect| {
        let streams: Vec<_> = (0..REQUESTS).map(|_| scgi(connect())).collect();
        let rest = |mut stream: UnixStream| {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            body(&answer)
        };
        streams.into_iter().map(rest).collect()
    });
}
