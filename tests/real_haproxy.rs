//! A program on the interface crate as a FastCGI worker of HAProxy, which asks what it can do (FCGI_GET_VALUES) and sends
//! many requests over one connection. It must not know how the program keeps them apart.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::asked::{self, Chunked};
use common::{Server, eventually};

const MOUNT: &str = "/fastcgi";

#[test]
fn bodies_pass_whole() {
    // "Only requests with a known size are considered as valid", its manual says.
    asked::bodies(&Server::haproxy(), MOUNT, Chunked::Refused(400));
}

#[test]
fn answers_pass_as_they_are() {
    asked::answers(&Server::haproxy(), MOUNT);
}

#[test]
fn variables_say_what_was_asked() {
    let text = asked::variables(&Server::haproxy(), MOUNT);
    assert!(text.contains("\nSERVER_SOFTWARE=HAProxy "), "{text}");
}

#[test]
fn twenty_requests_share_one_connection() {
    let server = Server::haproxy();
    server.ask("GET", "/fastcgi/hello", &[], b"").expect(200);
    let before = server.fastcgi.sockets();
    asked::together(&server, MOUNT, || {});
    for _ in 0..20 {
        server.ask("GET", "/fastcgi/hello", &[], b"").expect(200);
    }
    assert_eq!(server.fastcgi.sockets(), before, "the socket that listens, and one connection");
    assert_eq!(before.len(), 2);
}

#[test]
fn the_program_learns_that_its_client_has_left() {
    // It sends no ABORT_REQUEST, and closes the connection when nobody else is on it: so nobody else may ask.
    let server = Server::haproxy();
    let mut client = server.connect();
    client.send("GET /fastcgi/ticks HTTP/1.1\r\nHost: test.example\r\n\r\n");
    assert_eq!(client.receive_head("GET").status, 200);
    assert!(client.receive_piece().is_ok());
    assert_eq!(server.fastcgi.sockets().len(), 2, "the socket that listens, and one connection");
    drop(client);
    eventually("the end of the connection", || (server.fastcgi.sockets().len() == 1).then_some(()));
    assert_eq!(server.ask("GET", "/fastcgi/left", &[], b"").expect(200).text(), "1");
}

#[test]
fn a_worker_that_is_told_to_stop_ends_its_requests() {
    let mut server = Server::haproxy();
    assert_eq!(asked::stopping(&mut server, MOUNT), 503);
}
