//! The FastCGI runner over a unix socket, asked by the codec's other side; knows nothing of its threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::io::Write as _;
use std::net::Shutdown;

use gatebridge_fastcgi::{Capabilities, ClientEvent, MAX_CONNS, MAX_REQS, MPXS_CONNS, ProtocolStatus, Role};
use gatebridge_interface::{INPUT_BYTES, MAX_INPUT_BYTES, Settings};
use rig::fastcgi::Worker;

const COMPLETE: Option<(u32, ProtocolStatus)> = Some((0, ProtocolStatus::RequestComplete));

fn settings(threads: usize) -> Settings {
    Settings::default().threads(threads)
}

#[test]
fn one_connection_carries_many_requests() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    for _ in 0..3 {
        let reply = peer.ask("GET", "/hello", b"");
        assert_eq!(
            reply.text(),
            "Status: 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nhello\n"
        );
        assert_eq!(reply.ended, COMPLETE);
    }
    let reply = peer.ask("POST", "/echo", b"one two three");
    assert_eq!(reply.body(), b"one two three");
    let environ = String::from_utf8(peer.ask("GET", "/environ", b"").body().to_vec()).unwrap();
    for line in ["REQUEST_METHOD=GET", "SCRIPT_NAME=/questions", "FCGI_ROLE=RESPONDER", "HTTP_X_FROM=test"] {
        assert!(environ.lines().any(|other| other == line), "no {line} in {environ}");
    }
    assert_eq!(peer.ask("GET", "/nowhere", b"").text().lines().next(), Some("Status: 404 Not Found"));
    assert!(peer.client.is_reusable());
}

#[test]
fn without_keep_conn_the_worker_closes() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let mut out = Vec::new();
    let id = peer.client.begin(Role::Responder, false, &mut out).unwrap();
    let mut params = peer.client.params(id, &mut out).unwrap();
    for (name, value) in rig::variables("GET", "/big/100000", None) {
        params.pair(name.as_bytes(), value.as_bytes());
    }
    params.finish().unwrap();
    peer.client.end_stdin(id, &mut out).unwrap();
    peer.write(&out);
    let (mut received, mut ended) = (0, false);
    loop {
        let mut bytes = [0; 4096];
        let count = std::io::Read::read(&mut peer.stream, &mut bytes).unwrap();
        if count == 0 {
            break;
        }
        peer.client.receive(&bytes[..count]);
        while let Some(event) = peer.client.next_event().unwrap() {
            match event {
                ClientEvent::Stdout(_, bytes) => received += bytes.len(),
                ClientEvent::EndRequest { .. } => ended = true,
                _ => {}
            }
        }
    }
    assert!(ended && received > 100_000, "{received}");
}

#[test]
fn get_values_tells_the_truth() {
    let worker = Worker::new(settings(3));
    let mut peer = worker.connect();
    let mut out = Vec::new();
    peer.client.send_get_values(&[MAX_CONNS, MAX_REQS, MPXS_CONNS], &mut out).unwrap();
    peer.write(&out);
    let told = loop {
        let mut bytes = [0; 4096];
        let count = std::io::Read::read(&mut peer.stream, &mut bytes).unwrap();
        peer.client.receive(&bytes[..count]);
        if let Some(ClientEvent::Values(values)) = peer.client.next_event().unwrap() {
            break values.capabilities();
        }
    };
    assert_eq!(told, Capabilities { max_conns: Some(512), max_reqs: Some(3), mpxs_conns: Some(true) });
}

#[test]
fn requests_of_one_connection_are_worked_on_at_once() {
    let worker = Worker::new(settings(2));
    let mut peer = worker.connect();
    let waiting = peer.begin(Role::Responder, "POST", "/count", Some("5"));
    let quick = peer.begin(Role::Responder, "GET", "/hello", None);
    peer.end_stdin(quick);
    assert_eq!(peer.finish(quick).body(), b"hello\n");
    peer.stdin(waiting, b"12345");
    peer.end_stdin(waiting);
    assert_eq!(peer.finish(waiting).body(), b"5 of Some(5)\n");
}

#[test]
fn a_kept_connection_holds_no_thread() {
    let worker = Worker::new(settings(1));
    let mut peers: Vec<_> = (0..8).map(|_| worker.connect()).collect();
    for round in 0..3 {
        for peer in &mut peers {
            assert_eq!(peer.ask("GET", "/hello", b"").ended, COMPLETE, "round {round}");
        }
    }
}

#[test]
fn bodies_stream_both_ways_with_back_pressure() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    // The answer begins before the body has ended.
    let id = peer.begin(Role::Responder, "POST", "/first-byte", Some("2"));
    peer.stdin(id, b"1");
    while peer.reply(id).body() != b"1\n" {
        assert!(peer.read(), "closed");
    }
    peer.stdin(id, b"2");
    peer.end_stdin(id);
    assert_eq!(peer.finish(id).ended, COMPLETE);
    // Nobody reads the body: it stops on the way.
    let mut other = worker.connect();
    let busy = other.begin(Role::Responder, "POST", "/first-byte", Some("2"));
    other.stdin(busy, b"1");
    while other.reply(busy).body() != b"1\n" {
        assert!(other.read(), "closed");
    }
    let id = peer.begin(Role::Responder, "POST", "/count", Some("40000000"));
    peer.stream.set_nonblocking(true).unwrap();
    let record = [&[1, 5, 0, id.get() as u8, 0xff, 0xf8, 0, 0][..], &[b'x'; 65528]].concat();
    let mut sent = 0;
    let mut at = 0;
    // Nothing announces that nothing is taken any more: the worker is given time to take too much.
    let mut stuck = std::time::Instant::now();
    while stuck.elapsed() < std::time::Duration::from_millis(300) && sent < 40_000_000 {
        match peer.stream.write(&record[at..]) {
            Ok(count) => {
                sent += count;
                at = (at + count) % record.len();
                stuck = std::time::Instant::now();
            }
            Err(_) => std::thread::yield_now(),
        }
    }
    assert!(sent < 4 * INPUT_BYTES + 1_000_000, "{sent} bytes were taken that nobody reads");
    other.stdin(busy, b"x");
    other.end_stdin(busy);
    assert_eq!(other.finish(busy).ended, COMPLETE);
    // Now the thread is free, and all of it is read.
    peer.stream.set_nonblocking(false).unwrap();
    peer.write(&record[at..]);
    sent += record.len() - at;
    let mut left = 40_000_000 - sent / record.len() * 65528;
    while left > 0 {
        let now = left.min(65528);
        peer.stdin(id, &vec![b'y'; now]);
        left -= now;
    }
    peer.end_stdin(id);
    assert_eq!(peer.finish(id).body(), b"40000000 of Some(40000000)\n");
}

#[test]
fn a_full_request_does_not_starve_its_neighbour() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    // The one thread works on the first request, whose body stands behind the body of the second.
    let first = peer.begin(Role::Responder, "POST", "/count", Some("3"));
    let second = peer.begin(Role::Responder, "POST", "/count", Some("2000000"));
    peer.stdin(second, &vec![b'x'; 2_000_000]);
    peer.end_stdin(second);
    peer.stdin(first, b"abc");
    peer.end_stdin(first);
    assert_eq!(peer.finish(first).body(), b"3 of Some(3)\n");
    assert_eq!(peer.finish(second).body(), b"2000000 of Some(2000000)\n");
}

#[test]
fn lesson_39_an_answer_before_its_body_does_not_stop_who_sends_it() {
    let worker = Worker::new(settings(1));
    // The one thread is busy while as much of the body comes as the worker holds.
    const PIECE: [u8; 16 * 1024] = [b'x'; 16 * 1024];
    let mut busy = worker.connect();
    let first = busy.begin(Role::Responder, "POST", "/echo", None);
    let mut peer = worker.connect();
    let length = (8 * INPUT_BYTES).to_string();
    let refused = peer.begin(Role::Responder, "POST", "/hello", Some(&length));
    peer.stdin(refused, &[b'x'; INPUT_BYTES]);
    for count in 1..=50 {
        // Each piece that comes back is a turn in which the other connection was read as well.
        busy.stdin(first, &PIECE);
        while busy.reply(first).body().len() < count * PIECE.len() {
            assert!(busy.read(), "closed");
        }
    }
    busy.end_stdin(first);
    assert_eq!(busy.finish(first).ended, COMPLETE);
    peer.stdin(refused, &vec![b'x'; 7 * INPUT_BYTES]);
    peer.end_stdin(refused);
    let reply = peer.finish(refused);
    assert_eq!((reply.body(), reply.ended), (&b"hello\n"[..], COMPLETE));
}

#[test]
fn lesson_15_a_body_that_nobody_can_hold_is_refused() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let first = peer.begin(Role::Responder, "POST", "/count", Some("3"));
    let length = MAX_INPUT_BYTES + 1_000_000;
    let second = peer.begin(Role::Responder, "POST", "/count", Some(&length.to_string()));
    peer.stdin(second, &vec![b'x'; length]);
    peer.end_stdin(second);
    peer.stdin(first, b"abc");
    peer.end_stdin(first);
    assert_eq!(peer.finish(first).body(), b"3 of Some(3)\n");
    assert_eq!(peer.finish(second).ended, Some((0, ProtocolStatus::Overloaded)));
    assert_eq!(peer.ask("GET", "/hello", b"").body(), b"hello\n");
}

#[test]
fn lesson_15_an_abort_wakes_who_reads_the_body() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let id = peer.begin(Role::Responder, "POST", "/first-byte", Some("100"));
    peer.stdin(id, b"1");
    while peer.reply(id).body() != b"1\n" {
        assert!(peer.read(), "closed");
    }
    peer.abort(id);
    assert_eq!(peer.finish(id).ended, COMPLETE);
    assert_eq!(peer.ask("GET", "/hello", b"").body(), b"hello\n");
}

#[test]
fn lesson_15_an_abort_reaches_flag_and_queue() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let asking = peer.begin(Role::Responder, "GET", "/until-aborted", None);
    let queued = peer.begin(Role::Responder, "GET", "/panic", None);
    peer.abort(queued);
    peer.abort(asking);
    assert_eq!(peer.finish(asking).ended, COMPLETE);
    let reply = peer.finish(queued);
    assert_eq!((reply.ended, reply.stderr.is_empty()), (COMPLETE, true), "it was called though nobody waits");
}

#[test]
fn lesson_15_an_abort_ends_a_body_that_nobody_gets() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let id = peer.begin(Role::Responder, "HEAD", "/big/999999999999999", None);
    // The head does not wait for the end.
    while peer.reply(id).text().is_empty() {
        assert!(peer.read(), "closed");
    }
    peer.abort(id);
    assert_eq!(peer.finish(id).ended, COMPLETE);
    assert_eq!(peer.ask("GET", "/hello", b"").body(), b"hello\n");
}

#[test]
fn lesson_49_a_closed_connection_is_an_abort() {
    let worker = Worker::new(settings(1));
    for half in [false, true] {
        let mut peer = worker.connect();
        let id = peer.begin(Role::Responder, "GET", "/until-aborted", None);
        peer.end_stdin(id);
        if half {
            peer.stream.shutdown(Shutdown::Write).unwrap();
        }
        drop(peer);
        // The one thread is free again.
        assert_eq!(worker.connect().ask("GET", "/hello", b"").ended, COMPLETE, "half: {half}");
    }
}

#[test]
fn a_half_closed_connection_still_gets_its_answer() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let id = peer.begin(Role::Responder, "GET", "/big/3000000", None);
    peer.end_stdin(id);
    peer.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.finish(id).body().len(), 3_000_000);
    assert!(!peer.read(), "it is not closed");
}

#[test]
fn errors_are_told_to_the_operator_and_not_to_the_client() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    for (path, told) in [
        ("/fail", "no luck today"),
        ("/fail-held", "no luck after a start"),
        ("/panic", "it panicked"),
        ("/no-type", "no Content-Type"),
    ] {
        let reply = peer.ask("GET", path, b"");
        assert!(
            reply.text().starts_with("Status: 500 Internal Server Error\r\n"),
            "{path}: {}",
            reply.text()
        );
        let stderr = String::from_utf8_lossy(&reply.stderr).into_owned();
        assert!(stderr.contains(told) && !reply.text().contains(told), "{path}: {stderr}");
        assert_eq!(reply.ended, COMPLETE);
    }
    let reply = peer.ask("GET", "/complain", b"");
    assert_eq!((reply.stderr.as_slice(), reply.body()), (&b"the cellar is wet\n"[..], &b"complained\n"[..]));
}

#[test]
fn lesson_12_a_broken_answer_never_looks_whole() {
    let worker = Worker::new(settings(2));
    let mut peer = worker.connect();
    let id = peer.begin(Role::Responder, "GET", "/fail-late", None);
    peer.end_stdin(id);
    while peer.read() {}
    let reply = peer.reply(id).clone();
    assert_eq!((reply.body(), reply.ended), (&b"this has left"[..], None));
    // Beside another request the connection stays, and the application status tells.
    let mut peer = worker.connect();
    let other = peer.begin(Role::Responder, "POST", "/count", Some("1"));
    let id = peer.begin(Role::Responder, "GET", "/fail-late", None);
    peer.end_stdin(id);
    assert_eq!(peer.finish(id).ended, Some((1, ProtocolStatus::RequestComplete)));
    peer.stdin(other, b"1");
    peer.end_stdin(other);
    assert_eq!(peer.finish(other).ended, COMPLETE);
}

#[test]
fn every_role_is_usable() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let id = peer.begin(Role::Authorizer, "GET", "/role", Some("17"));
    assert_eq!(peer.finish(id).body(), b"AUTHORIZER   Some(0)");
    let id = peer.begin(Role::Filter, "POST", "/role", Some("5"));
    peer.stdin(id, b"stdin");
    peer.end_stdin(id);
    peer.data(id, b"the file");
    assert_eq!(peer.finish(id).body(), b"FILTER stdin the file None");
    let id = peer.begin(Role::Responder, "POST", "/role", None);
    peer.stdin(id, b"no length");
    peer.end_stdin(id);
    assert_eq!(peer.finish(id).body(), b"RESPONDER no length  None", "lesson 44");
}

#[test]
fn a_filter_that_answers_early_waits_for_its_turn() {
    let worker = Worker::new(settings(2));
    let mut peer = worker.connect();
    for (path, length) in [("/hello", 1), ("/echo", 1_000_000), ("/hello", 1_000_000)] {
        let id = peer.begin(Role::Filter, "POST", path, Some(&length.to_string()));
        peer.stdin(id, &vec![b'x'; length]);
        // Meanwhile another request is answered; the Filter would have been long ago.
        assert_eq!(peer.ask("GET", "/hello", b"").ended, COMPLETE);
        assert_eq!(peer.reply(id).stdout, b"");
        peer.end_stdin(id);
        peer.data(id, b"the file");
        let reply = peer.finish(id);
        assert_eq!(reply.ended, COMPLETE);
        assert_eq!(reply.body().len(), if path == "/echo" { length } else { 6 });
    }
}

#[test]
fn head_hints_and_bodiless_answers() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let reply = peer.ask("HEAD", "/hello", b"");
    assert_eq!(reply.text(), "Status: 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\n");
    let reply = peer.ask("GET", "/hints", b"");
    assert!(
        reply
            .text()
            .starts_with("Status: 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\nStatus: 200")
    );
    assert_eq!(peer.ask("GET", "/empty", b"").text(), "Status: 204 No Content\r\nx-note: nothing\r\n\r\n");
    assert!(peer.ask("GET", "/restart", b"").text().starts_with("Status: 503 Service Unavailable\r\n"));
    assert_eq!(peer.ask("GET", "/pieces", b"").body(), b"0\n1\n2\n");
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(peer.ask("GET", "/file", b"").body() == file, "the file is another one");
}

#[test]
fn variables_that_make_no_request_are_refused() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let reply = peer.ask("GE T", "/hello", b"");
    assert!(reply.text().starts_with("Status: 400 Bad Request\r\n"), "{}", reply.text());
    assert!(String::from_utf8_lossy(&reply.stderr).contains("REQUEST_METHOD"), "{reply:?}");
}

#[test]
fn what_is_no_fastcgi_ends_its_own_connection_only() {
    let worker = Worker::new(settings(1));
    let mut kept = worker.connect();
    assert_eq!(kept.ask("GET", "/hello", b"").ended, COMPLETE);
    let mut peer = worker.connect();
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(std::io::Read::read(&mut peer.stream, &mut [0; 16]).unwrap_or(0), 0);
    assert_eq!(kept.ask("GET", "/hello", b"").ended, COMPLETE);
}

#[test]
fn lesson_15_half_open_requests_are_limited() {
    let worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    let mut refused = 0;
    for number in 1..=20_u8 {
        peer.write(&[1, 1, 0, number, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    }
    while refused < 12 {
        let mut record = [0; 16];
        std::io::Read::read_exact(&mut peer.stream, &mut record).unwrap();
        assert_eq!((record[1], record[12]), (3, 2), "END_REQUEST with OVERLOADED: {record:?}");
        refused += 1;
    }
}

#[test]
fn a_single_request_per_connection_can_be_asked_for() {
    let worker = Worker::new(settings(1).max_connection_requests(1));
    let mut peer = worker.connect();
    let first = peer.begin(Role::Responder, "POST", "/count", Some("1"));
    let second = peer.begin(Role::Responder, "GET", "/hello", None);
    assert_eq!(peer.finish(second).ended, Some((0, ProtocolStatus::CantMultiplex)));
    peer.stdin(first, b"1");
    peer.end_stdin(first);
    assert_eq!(peer.finish(first).ended, COMPLETE);
}

#[test]
fn told_to_stop_it_finishes_what_is_in_flight() {
    let mut worker = Worker::new(settings(1));
    let mut idle = worker.connect();
    assert_eq!(idle.ask("GET", "/hello", b"").ended, COMPLETE);
    let mut peer = worker.connect();
    let id = peer.begin(Role::Responder, "POST", "/first-byte", Some("2"));
    let queued = peer.begin(Role::Responder, "GET", "/hello", None);
    peer.stdin(id, b"1");
    while peer.reply(id).body() != b"1\n" {
        assert!(peer.read(), "closed");
    }
    worker.stop.stop();
    assert!(!idle.read(), "an idle connection is closed at once");
    let refused = peer.begin(Role::Responder, "GET", "/hello", None);
    assert_eq!(peer.finish(refused).ended, Some((0, ProtocolStatus::Overloaded)));
    peer.last_stdin(id, b"2");
    assert_eq!(peer.finish(id).ended, COMPLETE);
    assert_eq!(peer.finish(queued).body(), b"hello\n");
    worker.wait();
    // What the worker had not read of the refused request makes the end a reset.
    let end = std::io::Read::read(&mut peer.stream, &mut [0]).map_err(|error| error.kind());
    assert!(
        matches!(end, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)),
        "it outlives the worker: {end:?}"
    );
}

#[test]
fn a_request_that_never_comes_whole_does_not_keep_a_worker() {
    let mut worker = Worker::new(settings(1));
    let mut peer = worker.connect();
    peer.write(&[1, 1, 0, 7, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
    // What comes later on the same connection has been read, so the first one has been, too.
    let mut out = Vec::new();
    peer.client.send_get_values(&[MAX_REQS], &mut out).unwrap();
    peer.write(&out);
    std::io::Read::read_exact(&mut peer.stream, &mut [0; 8]).unwrap();
    worker.end();
}
