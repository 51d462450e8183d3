//! What a request's head says beside its fields: target, host, persistence, proposals.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

use gatebridge_http1::{Event, Form, Framing, Limits, RequestHead, Server};
use http::Version;

#[track_caller]
fn read(bytes: &[u8]) -> RequestHead {
    let mut server = Server::new(Limits::default());
    server.receive(bytes);
    match server.next_event() {
        Ok(Event::Request(head)) => head,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn a_target_is_kept_and_taken_apart() {
    for (line, form, path, query) in [
        ("GET /", Form::Origin, "/", None),
        ("GET /a/b?c=d?e", Form::Origin, "/a/b", Some("c=d?e")),
        ("GET /a?", Form::Origin, "/a", Some("")),
        ("GET //a//b", Form::Origin, "//a//b", None),
        ("GET /%2e%2E/%00", Form::Origin, "/%2e%2E/%00", None),
        ("GET /a:b@c", Form::Origin, "/a:b@c", None),
        ("GET http://h/a?b", Form::Absolute, "/a", Some("b")),
        ("GET HTTP://h", Form::Absolute, "/", None),
        ("GET https://h?b", Form::Absolute, "/", Some("b")),
        ("OPTIONS http://h:80/", Form::Absolute, "/", None),
        ("OPTIONS *", Form::Asterisk, "", None),
        ("CONNECT h:443", Form::Authority, "", None),
    ] {
        let host = if line.starts_with("GET https") { "h:443" } else { "h" };
        let head = read(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let target = line.split_once(' ').unwrap().1;
        assert_eq!(head.target.as_str(), target);
        assert_eq!(head.target.as_bytes(), target.as_bytes());
        assert_eq!(
            (head.target.form(), head.target.path(), head.target.query()),
            (form, path, query),
            "{line}"
        );
    }
}

#[test]
fn a_host_is_kept_and_taken_apart() {
    for (text, name, port) in [
        ("a", "a", None),
        ("A.Example", "A.Example", None),
        ("a:8080", "a", Some(8080)),
        ("a:", "a", None),
        ("a:0", "a", Some(0)),
        ("a:00000080", "a", Some(80)),
        ("a:65535", "a", Some(65535)),
        ("127.0.0.1:80", "127.0.0.1", Some(80)),
        ("[::1]", "[::1]", None),
        ("[2001:db8::1]:443", "[2001:db8::1]", Some(443)),
        ("a_b-c~d", "a_b-c~d", None),
        ("a%20b", "a%20b", None),
    ] {
        let host = read(format!("GET / HTTP/1.1\r\nHost: \t{text} \r\n\r\n").as_bytes()).host.unwrap();
        assert_eq!((host.as_str(), host.name(), host.port()), (text, name, port));
    }
}

#[test]
fn no_host_is_none() {
    assert!(read(b"GET / HTTP/1.0\r\n\r\n").host.is_none());
    assert!(read(b"GET / HTTP/1.1\r\nHost:\r\n\r\n").host.is_none());
}

#[test]
fn the_targets_host_counts() {
    let head = read(b"GET http://A:80/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.host.unwrap().as_str(), "A:80");
    let head = read(b"GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(head.host.unwrap().as_str(), "a");
    let head = read(b"GET http://a/ HTTP/1.0\r\n\r\n");
    assert_eq!(head.host.unwrap().as_str(), "a");
    let head = read(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.host.unwrap().port(), Some(443));
}

#[test]
fn persistence_follows_version_and_connection() {
    for (version, connection, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: foo,close ,bar\r\n", false),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ] {
        let head = read(format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n").as_bytes());
        assert_eq!(head.keep_alive, kept, "{version} {connection}");
        assert_eq!(head.version == Version::HTTP_11, version == "1.1");
    }
}

#[test]
fn an_upgrade_is_proposed_by_two_fields_and_http11() {
    for (version, fields, proposed) in [
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
        ("1.1", "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", true),
        ("1.1", "Upgrade: websocket\r\n", false),
        ("1.1", "Connection: Upgrade\r\n", false),
        ("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false),
    ] {
        let head = read(format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.upgrade, proposed, "{version} {fields}");
    }
}

#[test]
fn fields_keep_their_order_and_lose_the_spaces_around_them() {
    let head = read(b"GET / HTTP/1.1\r\nHost: a\r\nX:1\r\nY: \t2 3\t \r\nx: \xe4\xff\r\nZ:\r\n\r\n");
    let values: Vec<&[u8]> = head.headers.get_all("x").iter().map(|value| value.as_bytes()).collect();
    assert_eq!(values, [&b"1"[..], b"\xe4\xff"]);
    assert_eq!(head.headers["y"], "2 3");
    assert_eq!(head.headers["z"], "");
    assert_eq!(head.headers.len(), 5);
}

#[test]
fn a_body_is_framed_as_the_fields_say() {
    for (fields, framing) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::None),
        ("Content-Length: 007\r\n", Framing::Length(7)),
        ("Content-Length: 18446744073709551615\r\n", Framing::Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: \tCHUNKED \r\n", Framing::Chunked),
    ] {
        let head = read(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.body, framing, "{fields}");
    }
}
