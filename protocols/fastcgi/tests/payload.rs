//! What becomes of payload and of memory: slices, as they come, and nothing held when nothing is going on.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use gatebridge_fastcgi::{Client, ClientEvent, Role, Server, ServerEvent};
use rig::{STDIN, STDOUT, end, hear, opened, record};

/// A client whose request 1 is begun and wholly sent.
fn client() -> Client {
    let mut client = Client::default();
    let mut out = Vec::new();
    let id = client.begin(Role::Responder, true, &mut out).expect("begin");
    client.params(id, &mut out).expect("params").finish().expect("pairs");
    client.end_stdin(id, &mut out).expect("stdin");
    client
}

#[test]
fn content_is_handed_out_before_its_record_is_complete() {
    let mut client = client();
    let record = record(STDOUT, 1, &[b'x'; 60_000]);
    assert_eq!(hear(&mut client, [&record[..9]], false), ["STDOUT 1 x"]);
    assert_eq!(hear(&mut client, [&record[9..12]], false), ["STDOUT 1 xxx"]);
}

#[test]
fn content_is_a_slice_of_the_receive_buffer() {
    let mut client = client();
    client.receive(&record(STDOUT, 1, b"not copied"));
    let before = client.receive_buffer()[8..].as_ptr();
    let Ok(Some(ClientEvent::Stdout(_, bytes))) = client.next_event() else { panic!("no STDOUT") };
    assert_eq!((&bytes[..], bytes.as_ptr()), (&b"not copied"[..], before));

    let mut server = Server::default();
    hear(&mut server, [opened(1)], false);
    server.receive(&record(STDIN, 1, b"not copied"));
    let before = server.receive_buffer()[8..].as_ptr();
    let Ok(Some(ServerEvent::Stdin(_, bytes))) = server.next_event() else { panic!("no STDIN") };
    assert_eq!((&bytes[..], bytes.as_ptr()), (&b"not copied"[..], before));
}

#[test]
fn an_idle_connection_holds_no_memory() {
    let mut client = client();
    client.receive_buffer().reserve(16 * 1024);
    hear(&mut client, [end(1, 0, 0)], false);
    assert_eq!(client.receive_buffer().capacity(), 0);
    let mut server = Server::default();
    server.receive_buffer().reserve(16 * 1024);
    hear(&mut server, [record(99, 1, b"skipped")], false);
    assert_eq!(server.receive_buffer().capacity(), 0);
}

#[test]
fn params_show_no_values_in_logs() {
    let mut server = Server::default();
    server.receive(&opened(1));
    server.next_event().expect("BEGIN_REQUEST");
    let Ok(Some(ServerEvent::Params(_, params))) = server.next_event() else { panic!("no PARAMS") };
    assert_eq!(format!("{params:?}"), r#"{"A": 1}"#);
}
