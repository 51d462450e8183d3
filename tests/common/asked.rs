//! What every server before a program on the interface crate is asked; must not know which server it is.
//!
//! The program is `interface-questions` of `tests/programs`, whose first lines say what it answers.

use super::{Answer, Ended, Server, eventually, noise};

/// What a server does with an upload of unknown length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunked {
    /// The program gets all of it, and its length.
    Counted,
    /// It is refused with this status.
    Refused(u16),
}

/// Bytes and sum, as `/count` tells them.
fn counted(body: &[u8]) -> String {
    let sum = body.iter().fold(0_u64, |sum, byte| sum.wrapping_add(u64::from(*byte)));
    format!("{} {sum}\n", body.len())
}

/// Heads and bodies of every size in both directions.
pub fn bodies(server: &Server, mount: &str, chunked: Chunked) {
    let at = |question: &str| format!("{mount}{question}");
    let get = server.ask("GET", &at("/hello"), &[], b"").expect(200);
    assert_eq!(
        (get.text().as_str(), get.field("content-type")),
        ("hello\n", Some("text/plain; charset=utf-8"))
    );
    let head = server.ask("HEAD", &at("/hello"), &[], b"").expect(200);
    assert_eq!((head.text().as_str(), head.ended), ("", Ended::Complete));
    assert!(head.field("content-length").is_none_or(|length| length == "6"), "{:?}", head.head);

    for length in [0, 5, 1024 * 1024] {
        let body = noise(7, length);
        let answer = server.ask("POST", &at("/count"), &[], &body).expect(200);
        assert_eq!(answer.text(), counted(&body), "{length} bytes by {mount}");
    }
    let answer = post_in_chunks(server, &at("/count"), &noise(11, 300_000));
    match chunked {
        Chunked::Counted => assert_eq!(answer.expect(200).text(), counted(&noise(11, 300_000)), "{mount}"),
        Chunked::Refused(status) => assert_eq!(answer.status(), status, "{mount}: {}", answer.text()),
    }

    let large = server.ask("GET", &at("/source/5000000"), &[], b"").expect(200);
    assert_eq!(large.body.len(), 5_000_000, "{mount}");
    assert!(large.body.iter().enumerate().all(|(at, byte)| *byte as usize == at % 251), "{mount}");
}

/// A POST whose length is not told beforehand.
fn post_in_chunks(server: &Server, target: &str, body: &[u8]) -> Answer {
    let mut client = server.connect();
    client
        .send(format!("POST {target} HTTP/1.1\r\nHost: test.example\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for piece in body.chunks(10_000) {
        // Who refuses it need not read it.
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        if client.try_send(chunk).is_err() {
            break;
        }
    }
    let _ = client.try_send("0\r\n\r\n");
    client.receive()
}

/// Statuses, fields that come twice, answers before the body is read, failures.
pub fn answers(server: &Server, mount: &str) {
    let at = |question: &str| format!("{mount}{question}");
    let answer = server.ask("GET", &at("/fields"), &[], b"").expect(202);
    assert_eq!(answer.head.fields_of("set-cookie"), ["a=1; Path=/", "b=2"], "{mount}");
    assert_eq!(answer.text(), "two cookies\n");
    let unknown = server.ask("GET", &at("/nothing"), &[], b"");
    assert_eq!(unknown.status(), 404, "{mount}");

    let refused = server.ask("POST", &at("/refuse"), &[], &noise(3, 1024 * 1024));
    assert_eq!((refused.status(), refused.text().as_str()), (403, "not for you\n"), "{mount}");

    let failed = server.ask("GET", &at("/fail"), &[], b"");
    assert_eq!(failed.status(), 500, "{mount}");
    assert!(
        !failed.text().contains("luck"),
        "{mount} tells the client what is for the operator: {}",
        failed.text()
    );
}

/// The variables of a request with an escaped path, an empty query and a field of its own. What every server has to say
/// is checked here, the rest is for the test.
pub fn variables(server: &Server, mount: &str) -> String {
    let target = format!("{mount}/environ/%C3%A4%20b?");
    let text = server.ask("GET", &target, &[("X-Own", "one"), ("Proxy", "evil")], b"").expect(200).text();
    // Lesson 43: it is always set, and lesson 1: it never is.
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_HOST=test.example",
        "HTTP_X_OWN=one",
        "PATH_INFO=/environ/\\xc3\\xa4 b",
        "QUERY_STRING=",
        "REQUEST_METHOD=GET",
        "SERVER_NAME=test.example",
        "SERVER_PROTOCOL=HTTP/1.1",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} by {mount} in\n{text}");
    }
    assert!(!text.contains("HTTP_PROXY"), "{text}");
    let (name, uri) = (format!("\nSCRIPT_NAME={mount}\n"), format!("\nREQUEST_URI={target}\n"));
    assert!(text.contains(&name) && text.contains(&uri), "{mount}:\n{text}");
    text
}

/// Twenty requests of which none is answered before all have come. `while_waiting` sees the worker when nineteen wait.
pub fn together(server: &Server, mount: &str, while_waiting: impl FnOnce()) {
    const ALL: usize = 20;
    let request = format!("GET {mount}/meet/{ALL} HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let mut clients: Vec<_> = (0..ALL).map(|_| server.connect()).collect();
    for client in &mut clients[1..] {
        client.send(&request);
    }
    while_waiting();
    clients[0].send(&request);
    for client in &mut clients {
        assert_eq!(client.receive().expect(200).text(), "met\n", "{mount}");
    }
}

/// A client that leaves amid its answer, which the program learns. `question` is `/silent` where the server tells it at
/// once, and `/ticks` where it takes a write to find out.
pub fn a_client_leaves(server: &Server, mount: &str, question: &str) {
    let left = || server.ask("GET", &format!("{mount}/left"), &[], b"").expect(200).text();
    let before: usize = left().parse().unwrap();
    let mut client = server.connect();
    client.send(format!("GET {mount}{question} HTTP/1.1\r\nHost: test.example\r\n\r\n"));
    assert_eq!(client.receive_head("GET").status, 200);
    assert!(client.receive_piece().is_ok());
    drop(client);
    eventually("the worker to be told that its client has left", || {
        (left().parse::<usize>().unwrap() > before).then_some(())
    });
}

/// A worker that is told to stop amid a request ends it first. Gives what a later request is answered with.
pub fn stopping(server: &mut Server, mount: &str) -> u16 {
    let mut client = server.connect();
    client.send(format!("GET {mount}/gate HTTP/1.1\r\nHost: test.example\r\n\r\n"));
    assert_eq!(client.receive_head("GET").status, 200);
    assert_eq!(client.receive_piece().unwrap(), b"waiting\n");
    let worker = if mount == "/scgi" { &mut server.scgi } else { &mut server.fastcgi };
    worker.terminate();
    server.gate.open();
    let mut rest = Vec::new();
    let ended = loop {
        match client.receive_piece() {
            Ok(piece) => rest.extend(piece),
            Err(ended) => break ended,
        }
    };
    assert_eq!((rest.as_slice(), ended == Ended::Cut), (&b"through\n"[..], false), "{mount}: {ended:?}");
    worker.wait();
    server.ask("GET", &format!("{mount}/hello"), &[], b"").status()
}
