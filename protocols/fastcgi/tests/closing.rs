//! Who closes the connection and when (section 3.5), and what an abort leaves behind (section 5.4).

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{Capabilities, ProtocolStatus, RequestId, Server, ServerLimits};
use rig::{ABORT, PARAMS, STDIN, STDOUT, begin, end, hear, opened, record};

const COMPLETE: ProtocolStatus = ProtocolStatus::RequestComplete;

fn server(max_requests: u16) -> Server {
    let limits = ServerLimits { max_requests, max_half_open_requests: 1, ..ServerLimits::default() };
    Server::new(limits, Capabilities::default())
}

fn id(number: u16) -> RequestId {
    RequestId::new(number).expect("not 0")
}

#[test]
fn an_application_closes_after_a_request_that_did_not_ask_to_keep_the_connection() {
    for (flags, closes) in [(0, true), (1, false)] {
        let mut server = server(1);
        hear(&mut server, [begin(1, 1, flags), record(PARAMS, 1, b""), record(STDIN, 1, b"")], false);
        assert!(!server.should_close(), "the request is in progress");
        server.end_request(id(1), 0, COMPLETE, &mut Vec::new()).expect("end");
        assert_eq!(server.should_close(), closes);
    }
}

#[test]
fn an_application_closes_after_refusing_a_request_that_did_not_ask_to_keep_the_connection() {
    for (flags, closes) in [(0, true), (1, false)] {
        let mut server = server(1);
        assert_eq!(hear(&mut server, [begin(1, 9, flags)], false), ["refuse 1 UNKNOWN_ROLE"]);
        assert_eq!(server.should_close(), closes);
    }
}

#[test]
fn an_application_closes_only_when_no_request_is_in_progress() {
    let mut server = server(2);
    let unkept = [begin(2, 1, 0), record(PARAMS, 2, b"")];
    hear(&mut server, [opened(1), unkept.concat()], false);
    server.end_request(id(2), 0, COMPLETE, &mut Vec::new()).expect("end");
    assert!(!server.should_close(), "request 1 is in progress");
    server.end_request(id(1), 0, COMPLETE, &mut Vec::new()).expect("end");
    assert!(server.should_close());
}

#[test]
fn an_application_may_answer_after_the_web_server_has_closed_its_direction() {
    let mut server = server(1);
    let heard = hear(&mut server, [opened(1), record(STDIN, 1, b"")], true);
    assert_eq!(heard.last().map(String::as_str), Some("STDIN 1 ends"));
    assert!(!server.should_close());
    server.end_request(id(1), 0, COMPLETE, &mut Vec::new()).expect("end");
    assert!(server.should_close());
}

#[test]
fn an_aborted_request_awaits_nothing() {
    let mut server = server(3);
    let heard = hear(&mut server, [begin(1, 3, 1), record(ABORT, 1, b""), begin(2, 2, 1)], false);
    let understood = ["BEGIN 1 FILTER keep", "ABORT 1", "BEGIN 2 AUTHORIZER keep"];
    assert_eq!(heard, understood, "it is no longer half open");
    assert!(server.send_stdout(id(1), 1).is_ok(), "it may say why at once");
    assert_eq!(hear(&mut server, [record(PARAMS, 2, b"")], true), ["PARAMS 2"], "nothing was cut off");
    assert_eq!(server.requests_in_progress(), 2, "END_REQUEST is still due");
}

#[test]
fn end_request_ends_what_is_open() {
    let told = [opened(1)];
    let end = |status| end(1, 0, status);
    let (no_stdout, no_stderr) = (record(STDOUT, 1, b""), record(rig::STDERR, 1, b""));
    for (stdout, stderr, status, said) in [
        (false, false, 0, [no_stdout.clone(), end(0)].concat()),
        (true, true, 0, [no_stderr, no_stdout.clone(), end(0)].concat()),
        (true, false, 3, [no_stdout, end(3)].concat()),
        (false, false, 2, end(2)),
    ] {
        let (mut server, mut out) = (server(1), Vec::new());
        hear(&mut server, &told, false);
        assert!(!stdout || server.send_stdout(id(1), 1).is_ok());
        assert!(!stderr || server.send_stderr(id(1), 1).is_ok());
        server.end_request(id(1), 0, ProtocolStatus::from_number(status), &mut out).expect("end");
        assert_eq!(out, said);
    }
}
