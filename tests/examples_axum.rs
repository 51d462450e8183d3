//! The axum router, asked in every way that there is. It must not know how a router becomes a program.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Answer, EVERY_WAY, Way, Ways, noise};

/// Fields of the server, not of the program.
const SERVERS_FIELDS: [&str; 3] = ["date", "server", "connection"];

/// What of an answer has to be the same.
fn essence(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let fields = answer.head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut fields: Vec<_> = fields.filter(|(name, _)| !SERVERS_FIELDS.contains(&name.as_str())).collect();
    fields.sort();
    (answer.status(), fields, answer.body.clone())
}

#[test]
fn the_router_answers_the_same_in_every_way() {
    let ways = Ways::new("axum_router");
    let json: &[_] = &[("Content-Type", "application/json")];
    let long = format!("[{}1]", "1, ".repeat(100_000));
    for (method, path, fields, body, status, text) in [
        ("GET", "/hello/you", &[][..], "", 200, "Hello you\n"),
        ("GET", "/hello/a%20%C3%A4?c=d", &[], "", 200, "Hello a ä\n"),
        ("HEAD", "/hello/you", &[], "", 200, ""),
        ("POST", "/sum", json, "[1, 2.5, 4]", 200, "7.5"),
        ("POST", "/sum", json, &long, 200, "100001.0"),
        (
            "POST",
            "/sum",
            json,
            "no json",
            400,
            "Failed to parse the request body as JSON: expected ident at line 1 column 2",
        ),
        ("POST", "/sum", &[], "[1]", 415, "Expected request with `Content-Type: application/json`"),
        ("POST", "/hello/you", &[], "unread", 405, ""),
        ("GET", "/nowhere", &[], "", 404, ""),
    ] {
        let answers =
            EVERY_WAY.map(|way| ways.ask(way, method, path, fields, body.as_bytes()).expect(status));
        assert_eq!(answers[0].text(), text, "{method} {path}");
        for (way, answer) in EVERY_WAY.iter().zip(&answers) {
            assert_eq!(essence(answer), essence(&answers[0]), "{method} {path} by {way:?}");
        }
    }
    for way in EVERY_WAY {
        let index = ways.ask(way, "GET", "/", &[], b"").expect(200).text();
        assert!(index.starts_with(&format!("{}/hello/you\n", way.mount())), "{way:?}: {index}");
        let noise = noise(11, 200_000);
        assert_eq!(ways.ask(way, "POST", "/sum", json, &noise).status(), 400, "{way:?}");
    }
}

#[test]
fn a_stream_without_an_end_is_sent_as_it_comes() {
    let ways = Ways::new("axum_router");
    for way in EVERY_WAY {
        let mut client = ways.connect(way);
        client.send(format!("GET {}/ticks HTTP/1.1\r\nHost: {}.test\r\n\r\n", way.mount(), way.name()));
        let head = client.receive_head("GET");
        assert_eq!((head.status, head.field("content-length")), (200, None), "{way:?}");
        let mut text = String::new();
        while text.lines().count() < 3 {
            text += std::str::from_utf8(&client.receive_piece().expect("the ticks have ended")).unwrap();
        }
        assert!(text.starts_with("tick 0\ntick 1\ntick 2"), "{way:?}: {text}");
    }
}

#[test]
fn state_lasts_as_long_as_its_process() {
    let ways = Ways::new("axum_router");
    for way in EVERY_WAY {
        // More than there are workers, so that one of them was asked again.
        let visits = (0..9).map(|_| ways.ask(way, "GET", "/visits", &[], b"").expect(200).text());
        let most: u64 = visits.map(|text| text.trim().parse().unwrap()).max().unwrap();
        assert_eq!(most == 1, way == Way::Cgi, "{way:?}: {most}");
    }
}
