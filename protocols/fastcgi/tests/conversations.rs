//! A table of dialogues, each replayed whole, byte by byte, cut at every place, and with the beginning of another
//! record behind it: what is understood must be the same.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{
    Capabilities, Client, ClientLimits, MAX_CONNS, MPXS_CONNS, ParamsLimits, Role, Server, ServerLimits,
};
use rig::{
    ABORT, BEGIN, DATA, GET_VALUES, GET_VALUES_RESULT, PARAMS, STDERR, STDIN, STDOUT, Side, UNKNOWN_TYPE,
    begin, end, hear, opened, padded, pairs, record,
};

/// What a side is told and what it must understand.
struct Dialogue {
    name: &'static str,
    told: Vec<Vec<u8>>,
    understood: &'static [&'static str],
}

fn replay<S: Side>(make: impl Fn() -> S, dialogue: &Dialogue) {
    let (name, bytes) = (dialogue.name, dialogue.told.concat());
    let understood: Vec<String> = dialogue.understood.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(hear(&mut make(), [&bytes[..]], false), understood, "{name}: whole");
    assert_eq!(hear(&mut make(), bytes.chunks(1), false), understood, "{name}: byte by byte");
    for cut in 1..bytes.len() {
        let (before, after) = bytes.split_at(cut);
        assert_eq!(hear(&mut make(), [before, after], false), understood, "{name}: cut at {cut}");
    }
    let fails = understood.last().is_some_and(|line| line.starts_with("error"));
    let trailing = [&bytes[..], &[1, STDIN, 0]].concat();
    if !fails {
        assert_eq!(hear(&mut make(), [&trailing[..]], false), understood, "{name}: with trailing data");
    }
}

/// Two requests at once; small limits on what is collected.
fn server() -> Server {
    let params =
        ParamsLimits { max_total_bytes: 300, max_name_bytes: 20, max_value_bytes: 260, max_pairs: 3 };
    let limits =
        ServerLimits { max_requests: 2, max_half_open_requests: 2, params, ..ServerLimits::default() };
    let capabilities = Capabilities { max_conns: Some(7), max_reqs: Some(9), mpxs_conns: Some(true) };
    Server::new(limits, capabilities)
}

/// Requests 1 and 2 are begun and wholly sent; GET_VALUES is asked.
fn client() -> Client {
    let mut client = Client::new(ClientLimits { max_requests: 2, ..ClientLimits::default() });
    let mut out = Vec::new();
    for _ in 0..2 {
        let id = client.begin(Role::Responder, true, &mut out).expect("begin");
        client.params(id, &mut out).and_then(|params| Ok(params.finish()?)).expect("params");
        client.end_stdin(id, &mut out).expect("stdin");
    }
    client.send_get_values(&[MAX_CONNS, MPXS_CONNS], &mut out).expect("values");
    client
}

#[test]
fn servers_understand_requests() {
    let dialogues = [
        Dialogue {
            name: "a Responder without a body",
            told: vec![opened(1), record(STDIN, 1, b"")],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1 A=b", "STDIN 1 ends"],
        },
        Dialogue {
            name: "no variables at all, connection not kept",
            told: vec![begin(1, 1, 0), record(PARAMS, 1, b""), record(STDIN, 1, b"")],
            understood: &["BEGIN 1 RESPONDER", "PARAMS 1", "STDIN 1 ends"],
        },
        Dialogue {
            name: "an unknown flag and reserved bytes that are not zero",
            told: vec![record(BEGIN, 1, &[0, 1, 0xFF, 1, 2, 3, 4, 5])],
            understood: &["BEGIN 1 RESPONDER keep"],
        },
        Dialogue {
            name: "a body in several records with padding of all kinds",
            told: vec![
                opened(1),
                padded(STDIN, 1, b"one ", 4),
                padded(STDIN, 1, b"two ", 255),
                padded(STDIN, 1, b"three", 0),
                padded(STDIN, 1, b"", 17),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1 A=b", "STDIN 1 one two three", "STDIN 1 ends"],
        },
        Dialogue {
            name: "pairs split over records, also within a length",
            told: vec![
                begin(1, 1, 1),
                record(PARAMS, 1, &[4]),
                padded(PARAMS, 1, &[0x80, 0], 3),
                record(PARAMS, 1, &[0, 3, b'N', b'A']),
                record(PARAMS, 1, b"MEval"),
                record(PARAMS, 1, b""),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1 NAME=val"],
        },
        Dialogue {
            name: "four-byte lengths for short names; the same name twice; empty names and values",
            told: vec![
                begin(1, 1, 1),
                record(PARAMS, 1, b"\x80\0\0\x01\x80\0\0\x02Nab"),
                record(PARAMS, 1, b"\x01\0N\0\0"),
                record(PARAMS, 1, b""),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1 N=ab N= ="],
        },
        Dialogue {
            name: "an Authorizer has no STDIN, yet one is ended",
            told: vec![begin(1, 2, 1), record(PARAMS, 1, b""), record(STDIN, 1, b"")],
            understood: &["BEGIN 1 AUTHORIZER keep", "PARAMS 1"],
        },
        Dialogue {
            name: "a Filter gets STDIN, then DATA",
            told: vec![
                begin(1, 3, 1),
                record(PARAMS, 1, b""),
                record(STDIN, 1, b"in"),
                record(STDIN, 1, b""),
                record(DATA, 1, b"file"),
                record(DATA, 1, b""),
            ],
            understood: &[
                "BEGIN 1 FILTER keep",
                "PARAMS 1",
                "STDIN 1 in",
                "STDIN 1 ends",
                "DATA 1 file",
                "DATA 1 ends",
            ],
        },
        Dialogue {
            name: "streams ended twice",
            told: vec![
                begin(1, 1, 1),
                record(PARAMS, 1, b""),
                record(PARAMS, 1, b""),
                record(STDIN, 1, b""),
                record(STDIN, 1, b""),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1", "STDIN 1 ends"],
        },
        Dialogue {
            name: "two requests interleaved",
            told: vec![
                opened(1),
                opened(700),
                record(STDIN, 700, b"b"),
                record(STDIN, 1, b"a"),
                record(STDIN, 700, b""),
                record(STDIN, 1, b""),
            ],
            understood: &[
                "BEGIN 1 RESPONDER keep",
                "PARAMS 1 A=b",
                "BEGIN 700 RESPONDER keep",
                "PARAMS 700 A=b",
                "STDIN 700 b",
                "STDIN 1 a",
                "STDIN 700 ends",
                "STDIN 1 ends",
            ],
        },
        Dialogue {
            name: "an abort: the rest of the request means nothing",
            told: vec![
                opened(1),
                record(STDIN, 1, b"half"),
                record(ABORT, 1, b""),
                record(STDIN, 1, b"more"),
                record(ABORT, 1, b""),
                record(ABORT, 9, b""),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "PARAMS 1 A=b", "STDIN 1 half", "ABORT 1"],
        },
        Dialogue {
            name: "an abort before the variables were complete",
            told: vec![
                begin(1, 1, 1),
                record(PARAMS, 1, b"\x04"),
                record(ABORT, 1, b""),
                record(PARAMS, 1, b""),
            ],
            understood: &["BEGIN 1 RESPONDER keep", "ABORT 1"],
        },
        Dialogue {
            name: "records of requests that are not in progress are ignored",
            told: vec![record(STDIN, 3, b"stray"), record(PARAMS, 4, b"x"), record(DATA, 3, b""), opened(3)],
            understood: &["BEGIN 3 RESPONDER keep", "PARAMS 3 A=b"],
        },
        Dialogue {
            name: "unknown types: answered with id 0, else skipped",
            told: vec![padded(42, 0, b"what?", 3), record(99, 1, b"skipped"), record(12, 0, b"")],
            understood: &["answer UNKNOWN_TYPE 42", "answer UNKNOWN_TYPE 12"],
        },
        Dialogue {
            name: "GET_VALUES amid a request; unknown names are left out",
            told: vec![
                begin(1, 1, 1),
                padded(
                    GET_VALUES,
                    0,
                    &pairs(&[("FCGI_MPXS_CONNS", ""), ("NO", ""), ("FCGI_MAX_REQS", "")]),
                    2,
                ),
            ],
            understood: &[
                "BEGIN 1 RESPONDER keep",
                r#"answer \x01\n\x00\x00\x00\"\x06\x00\r\x01FCGI_MAX_REQS9\x0f\x01FCGI_MPXS_CONNS1\x00\x00\x00\x00\x00\x00"#,
            ],
        },
        Dialogue {
            name: "a role that does not exist; its records are ignored",
            told: vec![begin(1, 4, 1), record(PARAMS, 1, b"x"), begin(2, 1, 1)],
            understood: &["refuse 1 UNKNOWN_ROLE", "BEGIN 2 RESPONDER keep"],
        },
        Dialogue {
            name: "one request more than allowed",
            told: vec![opened(1), opened(2), opened(3), record(STDIN, 3, b"x"), record(STDIN, 2, b"")],
            understood: &[
                "BEGIN 1 RESPONDER keep",
                "PARAMS 1 A=b",
                "BEGIN 2 RESPONDER keep",
                "PARAMS 2 A=b",
                "refuse 3 OVERLOADED",
                "STDIN 2 ends",
            ],
        },
        Dialogue {
            name: "HTTP",
            told: vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()],
            understood: &[
                "error: the peer broke FastCGI: a record of version 71 instead of 1 (is the peer speaking \
                 FastCGI?); close the connection",
            ],
        },
        Dialogue {
            name: "a name that is too long, in pieces",
            told: vec![opened(1), begin(2, 1, 1), record(PARAMS, 2, b"\x80\0\0\x15\x01")],
            understood: &[
                "BEGIN 1 RESPONDER keep",
                "PARAMS 1 A=b",
                "BEGIN 2 RESPONDER keep",
                "error: the peer broke FastCGI: PARAMS of request 2: a name of 21 bytes, 20 allowed; close the \
                 connection",
            ],
        },
        Dialogue {
            name: "variables too long in all",
            told: vec![begin(1, 1, 1), record(PARAMS, 1, &[b'x'; 301])],
            understood: &[
                "BEGIN 1 RESPONDER keep",
                "error: the peer broke FastCGI: PARAMS of request 1: 301 bytes or more, 300 allowed; close the \
                 connection",
            ],
        },
    ];
    for dialogue in &dialogues {
        replay(server, dialogue);
    }
}

#[test]
fn clients_understand_answers() {
    let dialogues = [
        Dialogue {
            name: "a response with its end, and success",
            told: vec![record(STDOUT, 1, b"Status: 200\n\nhi"), record(STDOUT, 1, b""), end(1, 0, 0)],
            understood: &[r"STDOUT 1 Status: 200\n\nhi", "STDOUT 1 ends", "END 1 0 REQUEST_COMPLETE"],
        },
        Dialogue {
            name: "END_REQUEST without the end of STDOUT; padding up to 255",
            told: vec![
                padded(STDOUT, 1, b"a", 7),
                padded(STDOUT, 1, b"b", 255),
                padded(rig::END, 1, &[0, 0, 1, 2, 0, 9, 9, 9], 255),
            ],
            understood: &["STDOUT 1 ab", "END 1 258 REQUEST_COMPLETE"],
        },
        Dialogue {
            name: "STDERR before, amid and after STDOUT",
            told: vec![
                record(STDERR, 1, b"x"),
                record(STDOUT, 1, b"o"),
                record(STDERR, 1, b"y"),
                record(STDOUT, 1, b""),
                record(STDERR, 1, b"z"),
                record(STDERR, 1, b""),
                end(1, 3, 0),
            ],
            understood: &[
                "STDERR 1 x",
                "STDOUT 1 o",
                "STDERR 1 y",
                "STDOUT 1 ends",
                "STDERR 1 z",
                "STDERR 1 ends",
                "END 1 3 REQUEST_COMPLETE",
            ],
        },
        Dialogue {
            name: "streams ended twice",
            told: vec![
                record(STDOUT, 1, b""),
                record(STDOUT, 1, b""),
                record(STDERR, 1, b""),
                record(STDERR, 1, b""),
            ],
            understood: &["STDOUT 1 ends", "STDERR 1 ends"],
        },
        Dialogue {
            name: "two requests interleaved",
            told: vec![
                record(STDOUT, 2, b"b"),
                record(STDOUT, 1, b"a"),
                end(2, 0, 0),
                record(STDOUT, 1, b"a"),
                end(1, 0, 0),
            ],
            understood: &[
                "STDOUT 2 b",
                "STDOUT 1 a",
                "END 2 0 REQUEST_COMPLETE",
                "STDOUT 1 a",
                "END 1 0 REQUEST_COMPLETE",
            ],
        },
        Dialogue {
            name: "refusals of every kind",
            told: vec![end(1, 0, 1), end(2, 0, 2)],
            understood: &["END 1 0 CANT_MPX_CONN", "END 2 0 OVERLOADED"],
        },
        Dialogue {
            name: "refusals of the other kinds",
            told: vec![end(1, 0, 3), end(2, 0, 200)],
            understood: &["END 1 0 UNKNOWN_ROLE", "END 2 0 protocol status 200"],
        },
        Dialogue {
            name: "values between the records of a request",
            told: vec![
                record(STDOUT, 1, b"a"),
                padded(GET_VALUES_RESULT, 0, &pairs(&[("FCGI_MAX_CONNS", "5")]), 1),
                record(STDOUT, 1, b"a"),
            ],
            understood: &["STDOUT 1 a", "VALUES FCGI_MAX_CONNS=5", "STDOUT 1 a"],
        },
        Dialogue {
            name: "an application that does not know GET_VALUES",
            told: vec![record(UNKNOWN_TYPE, 0, &[9, 0, 0, 0, 0, 0, 0, 0])],
            understood: &["UNKNOWN_TYPE 9"],
        },
        Dialogue {
            name: "unknown types are skipped",
            told: vec![padded(77, 1, b"skipped", 5), padded(78, 0, b"skipped", 1), record(STDOUT, 1, b"a")],
            understood: &["STDOUT 1 a"],
        },
        Dialogue {
            name: "a record for a request that has ended",
            told: vec![end(1, 0, 0), record(STDOUT, 1, b"late")],
            understood: &[
                "END 1 0 REQUEST_COMPLETE",
                "error: the peer broke FastCGI: STDOUT for request 1, which is not in progress; close the \
                 connection",
            ],
        },
    ];
    for dialogue in &dialogues {
        replay(client, dialogue);
    }
}

#[test]
fn an_aborted_request_is_dropped_until_it_ends() {
    let make = || {
        let mut client = client();
        client.abort(gatebridge_fastcgi::RequestId::FIRST, &mut Vec::new()).expect("abort");
        client
    };
    let dialogue = Dialogue {
        name: "what comes late",
        told: vec![
            record(STDOUT, 1, b"late"),
            record(STDOUT, 2, b"b"),
            record(STDERR, 1, b"late"),
            record(STDOUT, 1, b""),
            record(STDOUT, 1, b"more"),
            end(1, 1, 0),
        ],
        understood: &["STDOUT 2 b", "END 1 1 REQUEST_COMPLETE"],
    };
    replay(make, &dialogue);
}
