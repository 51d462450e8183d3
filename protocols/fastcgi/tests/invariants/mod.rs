//! What must hold for any bytes at all, as one function: the fuzz target and a property test call it. It must not know
//! where the bytes come from.

#![allow(clippy::panic, reason = "an invariant that does not hold is reported by panicking")]

use gatebridge_fastcgi::{
    Capabilities, Client, ClientEvent, ClientLimits, Error, ParamsLimits, ProtocolStatus, RequestId, Role,
    Server, ServerEvent, ServerLimits,
};

const PARAMS: ParamsLimits =
    ParamsLimits { max_total_bytes: 512, max_name_bytes: 64, max_value_bytes: 256, max_pairs: 8 };
const SERVER: ServerLimits =
    ServerLimits { max_requests: 3, max_half_open_requests: 2, params: PARAMS, max_management_bytes: 128 };
const CLIENT: ClientLimits = ClientLimits { max_requests: 3, max_management_bytes: 128 };

/// The first byte says how the rest is cut; the rest is what a peer sends, and once more what two peers do.
pub(crate) fn check(input: &[u8]) {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let stride = usize::from(seed % 16) + 1;
    for closed in [false, true] {
        let whole = server_hears([bytes], closed);
        assert_eq!(whole, server_hears(bytes.chunks(1), closed), "server, byte by byte");
        assert_eq!(whole, server_hears(bytes.chunks(stride), closed), "server, in pieces of {stride}");
        let whole = client_hears(seed, [bytes], closed);
        assert_eq!(whole, client_hears(seed, bytes.chunks(1), closed), "client, byte by byte");
        assert_eq!(whole, client_hears(seed, bytes.chunks(stride), closed), "client, in pieces of {stride}");
    }
    converse(bytes, stride);
}

/// What was understood: lines, pieces of a stream joined, and how it failed.
type Heard = (Vec<(String, Vec<u8>)>, Option<Error>);

fn push(heard: &mut Heard, line: String, content: &[u8]) {
    match heard.0.last_mut() {
        Some((last, bytes)) if *last == line && !content.is_empty() => bytes.extend_from_slice(content),
        _ => heard.0.push((line, content.to_vec())),
    }
}

fn server_hears(pieces: impl IntoIterator<Item: AsRef<[u8]>>, closed: bool) -> Heard {
    let mut server = Server::new(SERVER, Capabilities { mpxs_conns: Some(true), ..Capabilities::default() });
    let mut heard = Heard::default();
    for piece in pieces {
        server.receive(piece.as_ref());
        server_drains(&mut server, &mut heard);
    }
    if closed {
        server.receive_end();
        server_drains(&mut server, &mut heard);
    }
    heard
}

fn server_drains(server: &mut Server, heard: &mut Heard) {
    loop {
        let event = match server.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                assert!(server.should_close());
                heard.1 = Some(error);
                return;
            }
        };
        match event {
            ServerEvent::Params(id, params) => {
                assert!(params.len() <= PARAMS.max_pairs);
                let mut total = 0;
                for (name, value) in params.iter() {
                    assert!(name.len() <= PARAMS.max_name_bytes && value.len() <= PARAMS.max_value_bytes);
                    total += 2 + name.len() + value.len();
                    push(heard, format!("name of {id}"), &[name, &[0]].concat());
                    push(heard, format!("value of {id}"), &[value, &[0]].concat());
                }
                assert!(total <= PARAMS.max_total_bytes);
            }
            ServerEvent::Stdin(id, content) => piece(heard, format!("STDIN {id}"), &content),
            ServerEvent::Data(id, content) => piece(heard, format!("DATA {id}"), &content),
            ServerEvent::Answer(answer) => {
                assert!(answer.bytes.len() <= 128 && answer.bytes.len() % 8 == 0);
                push(heard, format!("{:?}", answer.reason), &[]);
            }
            other => push(heard, format!("{other:?}"), &[]),
        }
        assert!(server.requests_in_progress() <= usize::from(SERVER.max_requests));
    }
    // What waits for more bytes is a header or one bounded record, never payload.
    assert!(server.receive_buffer().len() <= SERVER.max_management_bytes + 255 + 8);
    assert!(
        server.requests_in_progress() > 0
            || !server.receive_buffer().is_empty()
            || server.receive_buffer().capacity() == 0
    );
}

fn piece(heard: &mut Heard, stream: String, content: &[u8]) {
    assert!(!content.is_empty());
    push(heard, stream, content);
}

fn client_hears(seed: u8, pieces: impl IntoIterator<Item: AsRef<[u8]>>, closed: bool) -> Heard {
    let mut client = Client::new(CLIENT);
    let out = &mut Vec::new();
    for number in 0..usize::from(seed >> 4) % 4 {
        let Ok(id) = client.begin(Role::Authorizer, true, out) else {
            panic!("request {number} was refused")
        };
        assert!(client.params(id, out).is_ok_and(|params| params.finish().is_ok()));
        if seed >> 6 == 1 && number == 1 {
            assert!(client.abort(id, out).is_ok());
        }
    }
    if seed >> 7 == 1 {
        assert!(client.send_get_values(&[], out).is_ok());
    }
    let mut heard = Heard::default();
    for piece in pieces {
        client.receive(piece.as_ref());
        client_drains(&mut client, &mut heard);
    }
    if closed {
        client.receive_end();
        client_drains(&mut client, &mut heard);
    }
    heard
}

fn client_drains(client: &mut Client, heard: &mut Heard) {
    loop {
        let event = match client.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                assert!(!client.is_reusable());
                heard.1 = Some(error);
                return;
            }
        };
        match event {
            ClientEvent::Stdout(id, content) => piece(heard, format!("STDOUT {id}"), &content),
            ClientEvent::Stderr(id, content) => piece(heard, format!("STDERR {id}"), &content),
            other => push(heard, format!("{other:?}"), &[]),
        }
    }
    if client.is_reusable() {
        assert!(client.requests_in_progress() == 0 && client.receive_buffer().is_empty());
    }
    assert!(client.receive_buffer().len() <= CLIENT.max_management_bytes + 255 + 8);
}

/// The bytes drive both sides at once: each says what the byte tells it if it may, the wires carry it in pieces, and
/// neither may ever accuse the other.
fn converse(script: &[u8], stride: usize) {
    let mut client = Client::new(CLIENT);
    let mut server = Server::new(SERVER, Capabilities::default());
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    for &step in script {
        let id = RequestId::new(u16::from(step >> 4) % 4 + 1).unwrap_or(RequestId::FIRST);
        let length = usize::from(step >> 2) + 1;
        let _misuse = match step % 16 {
            0 => client.begin(Role::Responder, true, &mut to_server).map(drop),
            1 => client.begin(Role::Filter, true, &mut to_server).map(drop),
            2 => client.params(id, &mut to_server).and_then(|mut params| {
                params.pair(&script[..length.min(60).min(script.len())], &[step; 200]);
                Ok(params.finish()?)
            }),
            3 => client.send_stdin(id, length).map(|framing| frame(framing, step, &mut to_server)),
            4 => client.end_stdin(id, &mut to_server),
            5 => client.send_data(id, length).map(|framing| frame(framing, step, &mut to_server)),
            6 => client.end_data(id, &mut to_server),
            7 => client.abort(id, &mut to_server),
            8 => client.send_get_values(&[gatebridge_fastcgi::MPXS_CONNS], &mut to_server),
            9 => server.send_stdout(id, length).map(|framing| frame(framing, step, &mut to_client)),
            10 => server.send_stderr(id, length).map(|framing| frame(framing, step, &mut to_client)),
            11 => server.end_stdout(id, &mut to_client),
            12 => server.end_stderr(id, &mut to_client),
            13 => {
                let status = ProtocolStatus::from_number(step >> 4);
                server.end_request(id, step.into(), status, &mut to_client)
            }
            14 => {
                carry_to_server(&mut server, &mut to_server, stride, &mut to_client);
                Ok(())
            }
            _ => {
                carry_to_client(&mut client, &mut to_client, stride);
                Ok(())
            }
        };
    }
    carry_to_server(&mut server, &mut to_server, usize::MAX, &mut to_client);
    carry_to_client(&mut client, &mut to_client, usize::MAX);
}

fn frame(framing: gatebridge_fastcgi::RecordFraming, filling: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&framing.header);
    out.extend(std::iter::repeat_n(filling, framing.content_length));
    out.extend_from_slice(framing.padding());
}

fn carry_to_server(server: &mut Server, wire: &mut Vec<u8>, length: usize, answers: &mut Vec<u8>) {
    let rest = wire.split_off(length.min(wire.len()));
    server.receive(wire);
    *wire = rest;
    loop {
        match server.next_event() {
            Ok(None) => return,
            Ok(Some(ServerEvent::Answer(answer))) => answers.extend_from_slice(&answer.bytes),
            Ok(Some(_)) => {}
            Err(error) => panic!("the client's own words: {error}"),
        }
    }
}

fn carry_to_client(client: &mut Client, wire: &mut Vec<u8>, length: usize) {
    let rest = wire.split_off(length.min(wire.len()));
    client.receive(wire);
    *wire = rest;
    loop {
        match client.next_event() {
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(error) => panic!("the server's own words: {error}"),
        }
    }
}
