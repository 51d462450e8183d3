//! What others got wrong with FastCGI, each by its number: 13 lengths, 14 records, 15 half-open and aborted requests,
//! 17 stale answers.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{
    Capabilities, Client, ClientEvent, ClientLimits, Error, ParamsFault, ParamsLimits, ProtocolStatus,
    RequestId, Role, Server, ServerEvent, ServerLimits, Unclean, Violation,
};
use rig::{ABORT, PARAMS, STDERR, STDIN, STDOUT, begin, end, hear, opened, padded, pairs, record};

/// A client whose request 1 has its variables; STDIN is not ended.
fn asking(limits: ClientLimits) -> Client {
    let mut client = Client::new(limits);
    ask(&mut client);
    client
}

fn ask(client: &mut Client) -> RequestId {
    let out = &mut Vec::new();
    let id = client.begin(Role::Responder, true, out).expect("begin");
    client.params(id, out).expect("params").finish().expect("pairs");
    id
}

fn asked() -> Client {
    let mut client = asking(ClientLimits::default());
    client.end_stdin(RequestId::FIRST, &mut Vec::new()).expect("stdin");
    client
}

fn server(max_requests: u16, max_half_open_requests: u16) -> Server {
    let limits = ServerLimits { max_requests, max_half_open_requests, ..ServerLimits::default() };
    Server::new(limits, Capabilities::default())
}

#[test]
fn lesson_13_lengths_are_checked_before_memory_is_taken() {
    let huge = ParamsLimits {
        max_total_bytes: usize::MAX,
        max_name_bytes: usize::MAX,
        max_value_bytes: usize::MAX,
        max_pairs: usize::MAX,
    };
    let limits = ServerLimits { params: huge, ..ServerLimits::default() };
    let mut server = Server::new(limits, Capabilities::default());
    // Name and value of 2^31 - 1 bytes each, whose sum overflows 32 bits: nothing is reserved for them.
    let lengths = record(PARAMS, 1, &[0xff; 8]);
    assert_eq!(hear(&mut server, [begin(1, 1, 1), lengths], false), ["BEGIN 1 RESPONDER keep"]);

    let defaults = ParamsLimits::default();
    for (limits, fault) in [
        (ParamsLimits { max_total_bytes: 7, ..defaults }, ParamsFault::TotalTooLong { needed: 8, limit: 7 }),
        (
            ParamsLimits { max_name_bytes: usize::MAX, max_value_bytes: usize::MAX, ..defaults },
            ParamsFault::TotalTooLong { needed: 8 + 2 * 0x7fff_ffff, limit: defaults.max_total_bytes },
        ),
        (defaults, ParamsFault::NameTooLong { length: 0x7fff_ffff, limit: defaults.max_name_bytes }),
        (
            ParamsLimits { max_name_bytes: usize::MAX, ..defaults },
            ParamsFault::ValueTooLong { length: 0x7fff_ffff, limit: defaults.max_value_bytes },
        ),
        (ParamsLimits { max_pairs: 0, ..defaults }, ParamsFault::TooManyPairs { limit: 0 }),
    ] {
        let limits = ServerLimits { params: limits, ..ServerLimits::default() };
        let mut server = Server::new(limits, Capabilities::default());
        server.receive(&[begin(1, 1, 1), record(PARAMS, 1, &[0xff; 8])].concat());
        server.next_event().expect("BEGIN_REQUEST");
        let violation = Violation::Params { id: RequestId::FIRST, fault };
        assert_eq!(server.next_event(), Err(Error::Remote(violation)));
    }
}

#[test]
fn lesson_13_a_record_that_announces_too_much_is_refused_by_its_header() {
    let params = ParamsLimits { max_total_bytes: 100, ..ParamsLimits::default() };
    let limits = ServerLimits { params, ..ServerLimits::default() };
    let mut server = Server::new(limits, Capabilities::default());
    let header = &record(PARAMS, 1, &[0; 101])[..8];
    let heard = hear(&mut server, [&begin(1, 1, 1)[..], header], false);
    assert!(heard[1].contains("101 bytes or more, 100 allowed"), "{heard:?}");
}

#[test]
fn lesson_14_padding_is_always_consumed() {
    for padding in 0..=255 {
        let told = [
            padded(STDOUT, 1, b"a", padding),
            padded(77, 1, b"", padding),
            padded(STDOUT, 1, b"", padding),
            padded(rig::END, 1, &[0; 8], padding),
        ];
        let mut client = asked();
        let understood = ["STDOUT 1 a", "STDOUT 1 ends", "END 1 0 REQUEST_COMPLETE"];
        assert_eq!(hear(&mut client, [told.concat()], false), understood);
        assert!(client.is_reusable(), "after {padding} bytes of padding");
    }
}

#[test]
fn lesson_14_stderr_may_follow_the_end_of_stdout() {
    let told = [record(STDOUT, 1, b""), record(STDERR, 1, b"late"), end(1, 0, 0)];
    let understood = ["STDOUT 1 ends", "STDERR 1 late", "END 1 0 REQUEST_COMPLETE"];
    assert_eq!(hear(&mut asked(), told, false), understood);
}

#[test]
fn lesson_14_end_request_may_come_without_the_end_of_stdout() {
    let mut client = asked();
    hear(&mut client, [record(STDOUT, 1, b"all"), end(1, 0, 0)], false);
    assert!(client.is_reusable());
}

#[test]
fn lesson_14_unknown_types_are_answered_with_id_0_and_skipped_otherwise() {
    let mut server = server(1, 1);
    server.receive(&[record(200, 0, b"x"), record(200, 5, b"x")].concat());
    let Ok(Some(ServerEvent::Answer(answer))) = server.next_event() else { panic!("no answer") };
    assert_eq!(answer.bytes[..], record(rig::UNKNOWN_TYPE, 0, &[200, 0, 0, 0, 0, 0, 0, 0])[..]);
    assert_eq!(server.next_event(), Ok(None));
}

#[test]
fn lesson_14_another_version_or_an_id_never_used_ends_the_connection() {
    for (told, complaint) in
        [(vec![0, 6, 0, 1], "version 0"), (record(STDOUT, 42, b"someone else's"), "request 42")]
    {
        let mut client = asked();
        let heard = hear(&mut client, [told], false);
        assert!(heard[0].contains(complaint), "{heard:?}");
        assert_eq!(client.unclean(), Some(Unclean::Broken));
    }
}

#[test]
fn lesson_15_half_open_requests_are_bounded() {
    let mut server = server(1000, 3);
    let flood: Vec<Vec<u8>> = (1..=100).map(|id| begin(id, 1, 1)).collect();
    let heard = hear(&mut server, flood, false);
    assert_eq!(heard.iter().filter(|line| line.starts_with("BEGIN")).count(), 3);
    assert_eq!(heard.iter().filter(|line| line.ends_with("OVERLOADED")).count(), 97);
    assert_eq!(server.requests_in_progress(), 3);
    // Once the variables of one are complete there is room for another.
    let heard = hear(&mut server, [record(PARAMS, 2, b""), begin(101, 1, 1)], false);
    assert_eq!(heard, ["PARAMS 2", "BEGIN 101 RESPONDER keep"]);
}

#[test]
fn lesson_15_too_many_requests_are_answered_and_not_collected() {
    let mut single = server(1, 1);
    let understood = ["BEGIN 1 RESPONDER keep", "PARAMS 1 A=b", "refuse 2 CANT_MPX_CONN"];
    assert_eq!(hear(&mut single, [opened(1), opened(2), record(STDIN, 2, b"x")], false), understood);
    let mut several = server(2, 2);
    let heard = hear(&mut several, [opened(1), opened(2), opened(3)], false);
    assert_eq!(heard.last().map(String::as_str), Some("refuse 3 OVERLOADED"));
    assert_eq!(several.requests_in_progress(), 2);
}

#[test]
fn lesson_15_an_abort_arrives_while_the_body_is_awaited() {
    let mut server = server(1, 1);
    let heard = hear(&mut server, [opened(1), record(STDIN, 1, b"half"), record(ABORT, 1, b"")], false);
    assert_eq!(heard.last().map(String::as_str), Some("ABORT 1"));
    let mut out = Vec::new();
    server.end_request(RequestId::FIRST, 1, ProtocolStatus::RequestComplete, &mut out).expect("end");
    assert_eq!(out, [record(STDOUT, 1, b""), end(1, 1, 0)].concat());
    assert_eq!(server.requests_in_progress(), 0);
}

#[test]
fn lesson_17_only_a_clean_connection_is_reused() {
    let mut client = asked();
    assert!(!client.is_reusable(), "no answer yet");
    hear(&mut client, [record(STDOUT, 1, b"a"), record(STDOUT, 1, b"")], false);
    assert!(!client.is_reusable(), "no END_REQUEST yet");
    hear(&mut client, [&end(1, 0, 0)[..15]], false);
    assert!(!client.is_reusable(), "half an END_REQUEST");
    hear(&mut client, [&end(1, 0, 0)[15..]], false);
    assert!(client.is_reusable());
    client.receive(&record(STDERR, 1, b"late"));
    assert!(!client.is_reusable(), "bytes after the last END_REQUEST");
    assert!(client.next_event().is_err());
    assert!(!client.is_reusable(), "for good");
    assert!(client.begin(Role::Responder, true, &mut Vec::new()).is_err());
}

#[test]
fn lesson_17_the_rest_of_an_answer_never_reaches_the_next_request() {
    let mut client = asked();
    let out = &mut Vec::new();
    client.abort(RequestId::FIRST, out).expect("abort");
    assert!(!client.is_reusable(), "the aborted request has not ended");
    assert!(client.begin(Role::Responder, true, out).is_err(), "its id is not free");
    let heard =
        hear(&mut client, [record(STDOUT, 1, b"SECRET"), record(STDERR, 1, b"SECRET"), end(1, 0, 0)], false);
    assert_eq!(heard, ["END 1 0 REQUEST_COMPLETE"]);
    assert!(client.is_reusable());
    ask(&mut client);
    assert_eq!(hear(&mut client, [record(STDOUT, 1, b"mine")], false), ["STDOUT 1 mine"]);
}

#[test]
fn lesson_17_an_answer_before_the_whole_request_was_sent_spoils_the_connection() {
    let mut client = asking(ClientLimits::default());
    let framing = client.send_stdin(RequestId::FIRST, 10).expect("stdin");
    assert_eq!(framing.content_length, 10);
    hear(&mut client, [end(1, 0, 0)], false);
    assert_eq!(client.unclean(), Some(Unclean::InputUnfinished { id: RequestId::FIRST }));
    assert!(client.begin(Role::Responder, true, &mut Vec::new()).is_err());
}

#[test]
fn lesson_17_a_cut_answer_is_never_taken_for_a_complete_one() {
    let answer = [record(STDOUT, 1, &pairs(&[("", "text")])), record(STDOUT, 1, b""), end(1, 0, 0)].concat();
    for cut in 0..answer.len() {
        let mut client = asked();
        let heard = hear(&mut client, [&answer[..cut]], true);
        assert!(
            heard.last().is_some_and(|line| line.contains("closed with 1 requests")),
            "cut at {cut}: {heard:?}"
        );
        assert!(!client.is_reusable());
    }
    let mut client = asked();
    assert_eq!(
        hear(&mut client, [answer], true).last().map(String::as_str),
        Some("END 1 0 REQUEST_COMPLETE")
    );
    assert!(!client.is_reusable(), "it is closed");
}

#[test]
fn lesson_17_ids_are_taken_lowest_first_and_only_when_free() {
    let mut client = Client::new(ClientLimits { max_requests: 3, ..ClientLimits::default() });
    let ids: Vec<u16> = (0..3).map(|_| ask(&mut client).get()).collect();
    assert_eq!(ids, [1, 2, 3]);
    for id in 1..=3 {
        let id = RequestId::new(id).expect("not 0");
        client.end_stdin(id, &mut Vec::new()).expect("stdin");
    }
    client.receive(&end(2, 0, 0));
    let ended = client.next_event().expect("no failure");
    assert!(matches!(ended, Some(ClientEvent::EndRequest { .. })), "{ended:?}");
    assert_eq!(ask(&mut client).get(), 2);
}
