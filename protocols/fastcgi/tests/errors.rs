//! One test for each way in which either side can fail: whose fault, with which number, and that the failure stays.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{
    Blame, Capabilities, Client, Error, Misuse, ParamsFault, ParamsLimits, ProtocolStatus, RecordType,
    RequestId, Role, Server, ServerLimits, Unclean, Violation,
};
use rig::{
    ABORT, BEGIN, DATA, GET_VALUES, GET_VALUES_RESULT, PARAMS, STDERR, STDIN, STDOUT, Side, UNKNOWN_TYPE,
    begin, end, opened, pairs, record,
};

const FIRST: RequestId = RequestId::FIRST;

/// A client whose request 1 is begun and wholly sent.
fn client() -> Client {
    let mut client = Client::default();
    let mut out = Vec::new();
    let id = client.begin(Role::Responder, true, &mut out).expect("begin");
    client.params(id, &mut out).expect("params").finish().expect("pairs");
    client.end_stdin(id, &mut out).expect("stdin");
    client
}

fn server() -> Server {
    let params = ParamsLimits { max_total_bytes: 40, max_name_bytes: 10, max_value_bytes: 20, max_pairs: 2 };
    let limits = ServerLimits { params, max_management_bytes: 50, ..ServerLimits::default() };
    Server::new(limits, Capabilities::default())
}

/// Feeds the bytes, and the end if wanted, until the side fails, and checks that it goes on failing.
fn failure(mut side: impl Side, bytes: &[u8], closed: bool) -> Violation {
    side.feed(bytes);
    if closed {
        side.finish();
    }
    let error = loop {
        match side.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing failed"),
            Err(error) => break error,
        }
    };
    side.feed(&opened(1));
    assert_eq!(side.next(), Err(error), "a failure stays");
    assert_eq!(error.blame(), Blame::Remote);
    assert!(error.to_string().contains("close the connection"), "{error}");
    let Error::Remote(violation) = error else { panic!("{error} is not the peer's fault") };
    violation
}

fn params_fault(content: &[u8]) -> ParamsFault {
    let bytes = [begin(1, 1, 1), record(PARAMS, 1, content), record(PARAMS, 1, b"")].concat();
    match failure(server(), &bytes, false) {
        Violation::Params { id: FIRST, fault } => fault,
        other => panic!("{other}"),
    }
}

/// Checks blame and wording of a misuse and returns it.
fn misuse<T: std::fmt::Debug>(result: Result<T, Error>) -> Misuse {
    let error = result.expect_err("misused");
    assert_eq!(error.blame(), Blame::Local);
    assert!(error.to_string().starts_with("misuse of the FastCGI codec: "), "{error}");
    match error {
        Error::Local(misuse) => misuse,
        Error::Remote(violation) => panic!("{violation}"),
    }
}

#[test]
fn version() {
    assert_eq!(failure(server(), &[2], false), Violation::Version { found: 2 });
    assert_eq!(failure(client(), b"HTTP/1.1 400 Bad Request", false), Violation::Version { found: b'H' });
}

#[test]
fn wrong_direction() {
    for (number, record_type) in [
        (rig::END, RecordType::EndRequest),
        (STDOUT, RecordType::Stdout),
        (STDERR, RecordType::Stderr),
        (GET_VALUES_RESULT, RecordType::GetValuesResult),
        (UNKNOWN_TYPE, RecordType::UnknownType),
    ] {
        let wrong = Violation::WrongDirection { record_type, id: 1 };
        assert_eq!(failure(server(), &record(number, 1, b""), false), wrong);
    }
    for (number, record_type) in [
        (BEGIN, RecordType::BeginRequest),
        (ABORT, RecordType::AbortRequest),
        (PARAMS, RecordType::Params),
        (STDIN, RecordType::Stdin),
        (DATA, RecordType::Data),
        (GET_VALUES, RecordType::GetValues),
    ] {
        let wrong = Violation::WrongDirection { record_type, id: 1 };
        assert_eq!(failure(client(), &record(number, 1, b""), false), wrong);
    }
}

#[test]
fn null_id() {
    let to_server = Violation::NullId { record_type: RecordType::Stdin };
    assert_eq!(failure(server(), &record(STDIN, 0, b"x"), false), to_server);
    assert_eq!(
        failure(server(), &begin(0, 1, 1), false),
        Violation::NullId { record_type: RecordType::BeginRequest }
    );
    assert_eq!(
        failure(client(), &end(0, 0, 0), false),
        Violation::NullId { record_type: RecordType::EndRequest }
    );
}

#[test]
fn management_id() {
    let to_server = Violation::ManagementId { record_type: RecordType::GetValues, id: 3 };
    assert_eq!(failure(server(), &record(GET_VALUES, 3, b""), false), to_server);
    let to_client = Violation::ManagementId { record_type: RecordType::UnknownType, id: 1 };
    assert_eq!(failure(client(), &record(UNKNOWN_TYPE, 1, &[9; 8]), false), to_client);
}

#[test]
fn unknown_id() {
    let id = RequestId::new(2).expect("not 0");
    let never_begun = Violation::UnknownId { record_type: RecordType::Stdout, id };
    assert_eq!(failure(client(), &record(STDOUT, 2, b"x"), false), never_begun);
}

#[test]
fn id_in_use() {
    assert_eq!(
        failure(server(), &[opened(1), begin(1, 1, 1)].concat(), false),
        Violation::IdInUse { id: FIRST }
    );
}

#[test]
fn body_length() {
    let begin = Violation::BodyLength { record_type: RecordType::BeginRequest, found: 7, expected: 8 };
    assert_eq!(failure(server(), &record(BEGIN, 1, &[0, 1, 0, 0, 0, 0, 0]), false), begin);
    let end = Violation::BodyLength { record_type: RecordType::EndRequest, found: 5, expected: 8 };
    assert_eq!(failure(client(), &record(rig::END, 1, &[0; 5]), false), end);
    let unknown = Violation::BodyLength { record_type: RecordType::UnknownType, found: 9, expected: 8 };
    assert_eq!(failure(client(), &record(UNKNOWN_TYPE, 0, &[0; 9]), false), unknown);
}

#[test]
fn out_of_order() {
    let wrong = |found, role, awaited| Violation::OutOfOrder { found, id: FIRST, role, awaited };
    let (begun, no_params) = (begin(1, 3, 1), record(PARAMS, 1, b""));
    for (bytes, violation) in [
        (
            [begun.clone(), record(STDIN, 1, b"")].concat(),
            wrong(RecordType::Stdin, Role::Filter, Some(RecordType::Params)),
        ),
        (
            [begun, no_params.clone(), record(DATA, 1, b"early")].concat(),
            wrong(RecordType::Data, Role::Filter, Some(RecordType::Stdin)),
        ),
        (
            [begin(1, 2, 1), no_params, record(STDIN, 1, b"a body")].concat(),
            wrong(RecordType::Stdin, Role::Authorizer, None),
        ),
        (
            [opened(1), record(DATA, 1, b"x")].concat(),
            wrong(RecordType::Data, Role::Responder, Some(RecordType::Stdin)),
        ),
        (
            [opened(1), record(STDIN, 1, b""), record(STDIN, 1, b"after the end")].concat(),
            wrong(RecordType::Stdin, Role::Responder, None),
        ),
        (
            [opened(1), record(PARAMS, 1, b"after the end")].concat(),
            wrong(RecordType::Params, Role::Responder, Some(RecordType::Stdin)),
        ),
    ] {
        assert_eq!(failure(server(), &bytes, false), violation);
    }
    let after_end = [record(STDOUT, 1, b""), record(STDOUT, 1, b"after the end")].concat();
    assert_eq!(failure(client(), &after_end, false), wrong(RecordType::Stdout, Role::Responder, None));
}

#[test]
fn params_total_too_long() {
    assert_eq!(params_fault(&[0; 41]), ParamsFault::TotalTooLong { needed: 41, limit: 40 });
    // Two values of 20 are allowed each, and announce 46 bytes in all.
    let two = pairs(&[("A", "01234567890123456789"), ("B", "01234567890123456789")]);
    assert_eq!(params_fault(&two[..30]), ParamsFault::TotalTooLong { needed: 46, limit: 40 });
}

#[test]
fn params_name_too_long() {
    assert_eq!(params_fault(b"\x0b\x01"), ParamsFault::NameTooLong { length: 11, limit: 10 });
}

#[test]
fn params_value_too_long() {
    let fault = ParamsFault::ValueTooLong { length: 0x7fff_ffff, limit: 20 };
    assert_eq!(params_fault(b"\x01\xff\xff\xff\xff"), fault);
}

#[test]
fn params_too_many_pairs() {
    assert_eq!(params_fault(&[0; 5]), ParamsFault::TooManyPairs { limit: 2 });
}

#[test]
fn params_unfinished() {
    assert_eq!(params_fault(b"\x04\x03NAMEva"), ParamsFault::Unfinished { missing: 1 });
    assert_eq!(params_fault(b"\x80\0"), ParamsFault::Unfinished { missing: 1 });
}

#[test]
fn values() {
    let record_type = RecordType::GetValues;
    let fault = ParamsFault::Unfinished { missing: 2 };
    let broken = Violation::Values { record_type, fault };
    assert_eq!(failure(server(), &record(GET_VALUES, 0, b"\x01\x02N"), false), broken);
    let fault = ParamsFault::TotalTooLong { needed: 51, limit: 50 };
    let too_long = Violation::Values { record_type, fault };
    assert_eq!(failure(server(), &record(GET_VALUES, 0, &[0; 51])[..8], false), too_long);
}

#[test]
fn unasked_values() {
    assert_eq!(failure(client(), &record(GET_VALUES_RESULT, 0, b""), false), Violation::UnaskedValues);
}

#[test]
fn truncated() {
    let cut = |requests, missing_bytes| Violation::Truncated { requests, missing_bytes };
    assert_eq!(failure(client(), b"", true), cut(1, 0), "no answer at all");
    assert_eq!(failure(client(), &record(STDOUT, 1, b""), true), cut(1, 0), "no END_REQUEST");
    assert_eq!(failure(client(), &record(STDOUT, 1, b"hello")[..11], true), cut(1, 2), "amid content");
    assert_eq!(failure(client(), &end(1, 0, 0)[..3], true), cut(1, 5), "amid a header");
    assert_eq!(failure(client(), &rig::padded(99, 1, b"x", 9)[..10], true), cut(1, 8), "amid padding");
    assert_eq!(failure(client(), &[end(1, 0, 0), vec![1]].concat(), true), cut(0, 7), "after the end");
    assert_eq!(failure(server(), &opened(1), true), cut(1, 0), "amid a request");
}

#[test]
fn misuse_unknown_id() {
    let unknown = Misuse::UnknownId { id: FIRST };
    let mut server = server();
    assert_eq!(misuse(server.send_stdout(FIRST, 1)), unknown);
    assert_eq!(misuse(server.end_stderr(FIRST, &mut Vec::new())), unknown);
    assert_eq!(misuse(server.end_request(FIRST, 0, ProtocolStatus::Overloaded, &mut Vec::new())), unknown);
    let mut client = Client::default();
    assert_eq!(misuse(client.abort(FIRST, &mut Vec::new())), unknown);
    let id = client.begin(Role::Responder, true, &mut Vec::new()).expect("begin");
    client.abort(id, &mut Vec::new()).expect("abort");
    assert_eq!(misuse(client.send_stdin(id, 1)), unknown, "an aborted request takes nothing more");
}

#[test]
fn misuse_too_many_requests() {
    assert_eq!(
        misuse(client().begin(Role::Responder, true, &mut Vec::new())),
        Misuse::TooManyRequests { limit: 1 }
    );
}

#[test]
fn misuse_not_reusable() {
    let mut client = Client::default();
    let mut out = Vec::new();
    let id = client.begin(Role::Authorizer, false, &mut out).expect("begin");
    client.params(id, &mut out).expect("params").finish().expect("pairs");
    client.receive(&end(1, 0, 0));
    while client.next_event().expect("no failure").is_some() {}
    assert_eq!(
        misuse(client.begin(Role::Authorizer, true, &mut out)),
        Misuse::NotReusable(Unclean::NotKept { id })
    );
}

#[test]
fn misuse_out_of_order() {
    let out = &mut Vec::new();
    let mut client = Client::default();
    let id = client.begin(Role::Filter, true, out).expect("begin");
    let wrong = |sent, awaited| Misuse::OutOfOrder { sent, id, role: Role::Filter, awaited };
    assert_eq!(misuse(client.send_stdin(id, 1)), wrong(RecordType::Stdin, Some(RecordType::Params)));
    client.params(id, out).expect("params").finish().expect("pairs");
    assert_eq!(misuse(client.params(id, out)), wrong(RecordType::Params, Some(RecordType::Stdin)));
    assert_eq!(misuse(client.end_data(id, out)), wrong(RecordType::Data, Some(RecordType::Stdin)));
    client.end_stdin(id, out).expect("stdin");
    client.end_data(id, out).expect("data");
    assert_eq!(misuse(client.end_data(id, out)), wrong(RecordType::Data, None));

    let mut server = server();
    server.receive(&opened(1));
    while server.next_event().expect("no failure").is_some() {}
    server.end_stdout(FIRST, out).expect("stdout");
    let wrong =
        Misuse::OutOfOrder { sent: RecordType::Stdout, id: FIRST, role: Role::Responder, awaited: None };
    assert_eq!(misuse(server.send_stdout(FIRST, 1)), wrong);
    assert_eq!(misuse(server.end_stdout(FIRST, out)), wrong);
}

/// FastCGI 1.0 6.2 and 6.4: what an application must have read before it writes.
#[test]
fn misuse_out_of_order_before_the_input_that_must_come_first() {
    let no_params = record(PARAMS, 1, b"");
    for (role, told, awaited) in [
        (Role::Responder, begin(1, 1, 1), RecordType::Params),
        (Role::Authorizer, begin(1, 2, 1), RecordType::Params),
        (Role::Filter, [begin(1, 3, 1), no_params.clone()].concat(), RecordType::Stdin),
    ] {
        let mut server = server();
        server.receive(&told);
        while server.next_event().expect("no failure").is_some() {}
        let wrong = |sent| Misuse::OutOfOrder { sent, id: FIRST, role, awaited: Some(awaited) };
        assert_eq!(misuse(server.send_stdout(FIRST, 1)), wrong(RecordType::Stdout));
        assert_eq!(misuse(server.send_stderr(FIRST, 1)), wrong(RecordType::Stderr));
        server.receive(if role == Role::Filter { &[1, STDIN, 0, 1, 0, 0, 0, 0] } else { &no_params });
        while server.next_event().expect("no failure").is_some() {}
        assert!(server.send_stdout(FIRST, 1).is_ok(), "{role}");
    }
}

#[test]
fn misuse_leaves_the_output_as_it_was() {
    let mut out = Vec::new();
    let mut client = Client::default();
    assert!(client.end_stdin(FIRST, &mut out).is_err());
    assert!(client.params(FIRST, &mut out).is_err());
    assert!(server().end_stdout(FIRST, &mut out).is_err());
    assert_eq!(out, b"");
}

#[test]
fn misuse_empty_content() {
    let empty = |record_type| Misuse::EmptyContent { record_type, id: FIRST };
    assert_eq!(misuse(client().send_stdin(FIRST, 0)), empty(RecordType::Stdin));
    assert_eq!(misuse(server().send_stderr(FIRST, 0)), empty(RecordType::Stderr));
}

#[test]
fn misuse_too_many_names() {
    let name = "N".repeat(65_532);
    let out = &mut Vec::new();
    assert!(Client::default().send_get_values(&[&name[..65_530]], out).is_ok());
    assert_eq!(
        misuse(Client::default().send_get_values(&[&name], out)),
        Misuse::TooManyNames { length: 65_537 }
    );
}

/// A pair of 2 GiB is not made here: only the wording is checked.
#[test]
fn misuse_pair_too_long() {
    let error = Error::from(Misuse::PairTooLong { length: 1 << 31 });
    assert_eq!(misuse::<()>(Err(error)), Misuse::PairTooLong { length: 1 << 31 });
    assert!(error.to_string().contains("2147483648 bytes, 2147483647 can be expressed"), "{error}");
}

#[test]
fn unclean_says_why() {
    let mut kept = client();
    assert_eq!(kept.unclean(), Some(Unclean::InProgress { requests: 1 }));
    kept.receive(&end(1, 0, 0));
    while kept.next_event().expect("no failure").is_some() {}
    assert_eq!(kept.unclean(), None);
    kept.send_get_values(&[], &mut Vec::new()).expect("values");
    assert_eq!(kept.unclean(), Some(Unclean::ValuesAwaited));
    kept.receive(&record(GET_VALUES_RESULT, 0, b""));
    while kept.next_event().expect("no failure").is_some() {}
    assert_eq!(kept.unclean(), None);
    kept.receive(&[1]);
    assert_eq!(kept.unclean(), Some(Unclean::LeftOver));
    kept.receive_end();
    assert_eq!(kept.unclean(), Some(Unclean::Closed));
    assert!(kept.next_event().is_err());
    assert_eq!(kept.unclean(), Some(Unclean::Broken));
}
