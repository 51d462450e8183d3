//! Every limit: what is just allowed passes, one more does not.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{
    Capabilities, Client, ClientLimits, MAX_ALIGNED_CONTENT_BYTES, MAX_CONNS, MAX_REQS, MPXS_CONNS, Misuse,
    ParamsLimits, RequestId, Role, Server, ServerEvent, ServerLimits,
};
use rig::{GET_VALUES, GET_VALUES_RESULT, PARAMS, begin, hear, opened, pairs, record};

/// Whether a server with these limits takes these pairs.
fn takes(limits: ParamsLimits, content: &[u8]) -> bool {
    let mut server =
        Server::new(ServerLimits { params: limits, ..ServerLimits::default() }, Capabilities::default());
    let told = [begin(1, 1, 1), record(PARAMS, 1, content), record(PARAMS, 1, b"")];
    hear(&mut server, told, false).last().is_some_and(|line| line.starts_with("PARAMS"))
}

#[test]
fn params() {
    let limits = ParamsLimits { max_total_bytes: 20, max_name_bytes: 3, max_value_bytes: 5, max_pairs: 2 };
    for (allowed, one_more) in [
        (vec![("abc", "")], vec![("abcd", "")]),
        (vec![("", "12345")], vec![("", "123456")]),
        (vec![("", ""), ("", "")], vec![("", ""), ("", ""), ("", "")]),
        (vec![("abc", "12345"), ("abc", "12345")], vec![("abc", "12345"), ("abc", "12345"), ("", "")]),
    ] {
        assert!(takes(limits, &pairs(&allowed)), "{allowed:?}");
        assert!(!takes(limits, &pairs(&one_more)), "{one_more:?}");
    }
    let total = pairs(&[("abc", "12345"), ("abc", "12345")]);
    assert!(takes(ParamsLimits { max_total_bytes: total.len(), ..limits }, &total));
    assert!(!takes(ParamsLimits { max_total_bytes: total.len() - 1, ..limits }, &total));
}

#[test]
fn requests_of_a_server() {
    for max_requests in [0, 1, 2, 5] {
        let limits = ServerLimits { max_requests, ..ServerLimits::default() };
        let mut server = Server::new(limits, Capabilities::default());
        let heard = hear(&mut server, (1..=6).map(opened), false);
        let taken = heard.iter().filter(|line| line.starts_with("BEGIN")).count();
        assert_eq!(taken, usize::from(max_requests.max(1)), "{heard:?}");
    }
}

#[test]
fn requests_of_a_client() {
    for max_requests in [0, 1, 3, u16::MAX] {
        let mut client = Client::new(ClientLimits { max_requests, ..ClientLimits::default() });
        for number in 1..=max_requests.max(1) {
            let id = client.begin(Role::Responder, true, &mut Vec::new());
            assert_eq!(id.map(RequestId::get), Ok(number));
        }
        let limit = max_requests.max(1);
        let refused = client.begin(Role::Responder, true, &mut Vec::new());
        assert_eq!(refused, Err(Misuse::TooManyRequests { limit }.into()));
    }
}

#[test]
fn management_records() {
    let content = pairs(&[("FCGI_MAX_CONNS", "1")]);
    for (max_management_bytes, takes) in [(content.len(), true), (content.len() - 1, false)] {
        let limits = ServerLimits { max_management_bytes, ..ServerLimits::default() };
        let mut server = Server::new(limits, Capabilities::default());
        let heard = hear(&mut server, [record(GET_VALUES, 0, &content)], false);
        assert_eq!(heard[0].starts_with("answer"), takes, "{heard:?}");

        let mut client = Client::new(ClientLimits { max_management_bytes, ..ClientLimits::default() });
        client.send_get_values(&[MAX_CONNS], &mut Vec::new()).expect("values");
        let heard = hear(&mut client, [record(GET_VALUES_RESULT, 0, &content)], false);
        assert_eq!(heard[0].starts_with("VALUES"), takes, "{heard:?}");
    }
}

#[test]
fn records_hold_65535_bytes_and_longer_payload_is_cut_where_no_padding_is_needed() {
    let mut client = Client::default();
    let out = &mut Vec::new();
    let id = client.begin(Role::Responder, true, out).expect("begin");
    client.params(id, out).expect("params").finish().expect("pairs");
    for (offered, taken, padding) in [
        (1, 1, 7),
        (8, 8, 0),
        (65_529, 65_529, 7),
        (65_535, 65_535, 1),
        (65_536, 65_528, 0),
        (1 << 40, 65_528, 0),
    ] {
        let framing = client.send_stdin(id, offered).expect("stdin");
        assert_eq!((framing.content_length, framing.padding().len()), (taken, padding), "{offered}");
        assert_eq!((framing.content_length + framing.padding().len()) % 8, 0);
    }
    assert_eq!(MAX_ALIGNED_CONTENT_BYTES, 65_528);
}

#[test]
fn variables_longer_than_a_record_go_over_several() {
    for length in [0, 127, 128, 65_500, 65_518, 65_519, 65_520, 65_521, 65_528, 65_536, 200_000] {
        let value = vec![b'v'; length];
        let (mut client, mut out) = (Client::default(), Vec::new());
        let id = client.begin(Role::Responder, true, &mut out).expect("begin");
        let mut writer = client.params(id, &mut out).expect("params");
        writer.pair(b"NAME", &value);
        writer.pair(&value, b"2");
        writer.pair(b"THIRD", b"3");
        writer.finish().expect("pairs");
        assert_eq!(out.len() % 8, 0, "all records are aligned");

        let wide = ParamsLimits {
            max_total_bytes: 1 << 20,
            max_name_bytes: 1 << 20,
            max_value_bytes: 1 << 20,
            max_pairs: 3,
        };
        let limits = ServerLimits { params: wide, ..ServerLimits::default() };
        let mut server = Server::new(limits, Capabilities::default());
        server.receive(&out);
        server.next_event().expect("BEGIN_REQUEST");
        let Ok(Some(ServerEvent::Params(_, params))) = server.next_event() else {
            panic!("{length}: no PARAMS")
        };
        let found: Vec<_> = params.iter().collect();
        assert_eq!(found, [(&b"NAME"[..], &value[..]), (&value[..], b"2"), (b"THIRD", b"3")]);
    }
}

#[test]
fn capabilities_are_told_and_understood() {
    for capabilities in [
        Capabilities::default(),
        Capabilities { max_conns: Some(0), max_reqs: Some(u32::MAX), mpxs_conns: Some(false) },
        Capabilities { max_conns: None, max_reqs: Some(50), mpxs_conns: Some(true) },
    ] {
        let mut server = Server::new(ServerLimits::default(), capabilities);
        let (mut client, mut question) = (Client::default(), Vec::new());
        let names = [MAX_CONNS, MAX_REQS, MPXS_CONNS, "FCGI_OF_TOMORROW", MAX_CONNS];
        client.send_get_values(&names, &mut question).expect("values");
        server.receive(&question);
        let Ok(Some(ServerEvent::Answer(answer))) = server.next_event() else { panic!("no answer") };
        client.receive(&answer.bytes);
        let Ok(Some(gatebridge_fastcgi::ClientEvent::Values(values))) = client.next_event() else {
            panic!("no values")
        };
        assert_eq!(values.capabilities(), capabilities);
        assert!(client.is_reusable());
    }
}
