//! Random conversations of several requests at once, cut anywhere: what either side says is what the other hears, and
//! nothing else.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeMap;

use gatebridge_fastcgi::{
    Capabilities, Client, ClientLimits, ParamsLimits, ProtocolStatus, RecordFraming, RequestId, Role, Server,
    ServerLimits,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rig::hear;

const REQUESTS: u16 = 4;

/// What one request says in either direction.
#[derive(Debug, Clone)]
struct Exchange {
    role: Role,
    params: Vec<(Vec<u8>, Vec<u8>)>,
    stdin: Vec<Vec<u8>>,
    data: Vec<Vec<u8>>,
    stdout: Vec<Vec<u8>>,
    stderr: Vec<Vec<u8>>,
    ends: (bool, bool),
    status: (u32, u8),
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 1..40), 0..4)
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let role = prop_oneof![Just(Role::Responder), Just(Role::Authorizer), Just(Role::Filter)];
    let long = vec(any::<u8>(), 120..140);
    let part = prop_oneof![4 => vec(any::<u8>(), 0..10), 1 => long];
    let params = vec((part.clone(), part), 0..6);
    let ends = (any::<bool>(), any::<bool>());
    (role, params, pieces(), pieces(), pieces(), pieces(), ends, (any::<u32>(), 0_u8..5)).prop_map(
        |(role, params, stdin, data, stdout, stderr, ends, status)| Exchange {
            role,
            params,
            stdin: if role == Role::Authorizer { Vec::new() } else { stdin },
            data: if role == Role::Filter { data } else { Vec::new() },
            stdout,
            stderr,
            ends,
            status,
        },
    )
}

/// What is said of one request, record by record, and what is to be heard of it.
#[derive(Default)]
struct Script {
    records: Vec<Vec<u8>>,
    heard: Vec<String>,
}

fn framed(framing: RecordFraming, payload: &[u8]) -> Vec<u8> {
    assert_eq!(framing.content_length, payload.len());
    [&framing.header, payload, framing.padding()].concat()
}

fn appended(append: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out);
    out
}

/// Appends a stream of pieces as it is to be heard.
fn hearing(heard: &mut Vec<String>, stream: &str, id: RequestId, pieces: &[Vec<u8>]) {
    if !pieces.is_empty() {
        heard.push(format!("{stream} {id} {}", pieces.concat().escape_ascii()));
    }
}

fn request(client: &mut Client, exchange: &Exchange) -> (RequestId, Script) {
    let mut out = Vec::new();
    let id = client.begin(exchange.role, true, &mut out).expect("begin");
    let mut script =
        Script { records: Vec::new(), heard: vec![format!("BEGIN {id} {} keep", exchange.role)] };
    let mut writer = client.params(id, &mut out).expect("params");
    let mut listed = format!("PARAMS {id}");
    for (name, value) in &exchange.params {
        writer.pair(name, value);
        listed += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
    }
    writer.finish().expect("pairs");
    script.records.push(out);
    script.heard.push(listed);
    if exchange.role != Role::Authorizer {
        for piece in &exchange.stdin {
            script.records.push(framed(client.send_stdin(id, piece.len()).expect("stdin"), piece));
        }
        script.records.push(appended(|out| client.end_stdin(id, out).expect("stdin")));
        hearing(&mut script.heard, "STDIN", id, &exchange.stdin);
        script.heard.push(format!("STDIN {id} ends"));
    }
    if exchange.role == Role::Filter {
        for piece in &exchange.data {
            script.records.push(framed(client.send_data(id, piece.len()).expect("data"), piece));
        }
        script.records.push(appended(|out| client.end_data(id, out).expect("data")));
        hearing(&mut script.heard, "DATA", id, &exchange.data);
        script.heard.push(format!("DATA {id} ends"));
    }
    (id, script)
}

fn answer(server: &mut Server, id: RequestId, exchange: &Exchange) -> Script {
    let mut script = Script::default();
    for piece in &exchange.stderr {
        script.records.push(framed(server.send_stderr(id, piece.len()).expect("stderr"), piece));
    }
    hearing(&mut script.heard, "STDERR", id, &exchange.stderr);
    for piece in &exchange.stdout {
        script.records.push(framed(server.send_stdout(id, piece.len()).expect("stdout"), piece));
    }
    hearing(&mut script.heard, "STDOUT", id, &exchange.stdout);
    let (end_stdout, end_stderr) = exchange.ends;
    if end_stdout {
        script.records.push(appended(|out| server.end_stdout(id, out).expect("stdout")));
        script.heard.push(format!("STDOUT {id} ends"));
    }
    if end_stderr {
        script.records.push(appended(|out| server.end_stderr(id, out).expect("stderr")));
        script.heard.push(format!("STDERR {id} ends"));
    }
    let (app_status, protocol_status) = exchange.status;
    let protocol_status = ProtocolStatus::from_number(protocol_status);
    if !end_stderr && !exchange.stderr.is_empty() {
        script.heard.push(format!("STDERR {id} ends"));
    }
    let completed = protocol_status == ProtocolStatus::RequestComplete;
    if !end_stdout && (completed || !exchange.stdout.is_empty()) {
        script.heard.push(format!("STDOUT {id} ends"));
    }
    script.heard.push(format!("END {id} {app_status} {protocol_status}"));
    script.records.push(appended(|out| {
        server.end_request(id, app_status, protocol_status, out).expect("end");
    }));
    script
}

/// Puts the records of all requests into one stream of bytes: of each in its order, of all in any.
fn interleave(scripts: &BTreeMap<RequestId, Script>, choices: &[usize]) -> Vec<u8> {
    let mut rest: Vec<_> = scripts.values().map(|script| script.records.iter()).collect();
    let mut bytes = Vec::new();
    for &choice in choices {
        let count = rest.len();
        if let Some(record) = rest.get_mut(choice % count).and_then(Iterator::next) {
            bytes.extend_from_slice(record);
        }
    }
    bytes.extend(rest.into_iter().flatten().flatten());
    bytes
}

/// Cuts bytes at any places.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths {
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

/// The lines about one request, its adjacent pieces joined: other requests may have come between them.
fn about(id: RequestId, heard: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in heard.iter().filter(|line| line.split(' ').nth(1) == Some(&id.to_string())) {
        let stream = format!("{} {id} ", line.split(' ').next().unwrap_or_default());
        let is_piece = !line.ends_with(" ends") && ["STD", "DAT"].contains(&&line[..3]);
        match lines.last_mut() {
            Some(last) if is_piece && last.starts_with(&stream) => *last += &line[stream.len()..],
            _ => lines.push(line.clone()),
        }
    }
    lines
}

fn check(scripts: &BTreeMap<RequestId, Script>, heard: &[String]) {
    for (id, script) in scripts {
        assert_eq!(about(*id, heard), script.heard);
    }
    let lines: usize = scripts
        .keys()
        .map(|id| heard.iter().filter(|line| line.split(' ').nth(1) == Some(&id.to_string())).count())
        .sum();
    assert_eq!(lines, heard.len(), "something else was heard: {heard:?}");
}

proptest! {
    #[test]
    fn what_is_said_is_heard(
        exchanges in vec(exchange(), 1..=usize::from(REQUESTS)),
        choices in vec(any::<usize>(), 0..60),
        lengths in vec(0_usize..50, 0..60),
    ) {
        let mut client = Client::new(ClientLimits { max_requests: REQUESTS, ..ClientLimits::default() });
        let limits = ServerLimits { max_requests: REQUESTS, ..ServerLimits::default() };
        let mut server = Server::new(limits, Capabilities::default());

        let mut requests = BTreeMap::new();
        let mut by_id = BTreeMap::new();
        for exchange in &exchanges {
            let (id, script) = request(&mut client, exchange);
            requests.insert(id, script);
            by_id.insert(id, exchange);
        }
        let bytes = interleave(&requests, &choices);
        check(&requests, &hear(&mut server, cut(&bytes, &lengths), false));
        prop_assert_eq!(server.requests_in_progress(), exchanges.len());

        let answers = by_id.iter().map(|(id, exchange)| (*id, answer(&mut server, *id, exchange))).collect();
        let bytes = interleave(&answers, &choices);
        check(&answers, &hear(&mut client, cut(&bytes, &lengths), false));
        prop_assert!(client.is_reusable());
        prop_assert_eq!(server.requests_in_progress(), 0);
        prop_assert!(!server.should_close());
    }

    #[test]
    fn variables_of_any_length_arrive(
        lengths in vec((0_usize..70_000, 0_usize..140_000), 0..3),
        pieces in vec(1_usize..70_000, 0..8),
    ) {
        let wide = ParamsLimits { max_total_bytes: 1 << 20, max_name_bytes: 1 << 20, max_value_bytes: 1 << 20, max_pairs: 3 };
        let mut server = Server::new(ServerLimits { params: wide, ..ServerLimits::default() }, Capabilities::default());
        let (mut client, mut out) = (Client::default(), bytes::BytesMut::from(&b"kept"[..]));
        let id = client.begin(Role::Authorizer, true, &mut out).expect("begin");
        let mut writer = client.params(id, &mut out).expect("params");
        let mut listed = "PARAMS 1".to_owned();
        for (name, value) in &lengths {
            let (name, value) = ("n".repeat(*name), "v".repeat(*value));
            writer.pair(name.as_bytes(), value.as_bytes());
            listed += &format!(" {name}={value}");
        }
        writer.finish().expect("pairs");
        prop_assert_eq!(&out[..4], b"kept");
        let heard = hear(&mut server, cut(&out[4..], &pieces), true);
        prop_assert_eq!(&heard[1], &listed);
        prop_assert_eq!(heard.len(), 2);
    }
}
