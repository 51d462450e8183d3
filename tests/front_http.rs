//! HTTP/1.1 as a well-behaved client speaks it: kept connections, pipelining, HTTP/1.0, HEAD, the four forms of a target,
//! 1xx responses. Must not know how the gateway is built.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::{Answer, Client, Ended, Folder, Gateway, fixture};

/// A script that says how it was asked, quicker to start than an interpreter.
const SAY: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s %s?%s ' \"$REQUEST_METHOD\" \"$PATH_INFO\" \
                   \"$QUERY_STRING\"\ncat\n";

struct Site {
    gateway: Gateway,
    _folder: Folder,
}

fn site() -> Site {
    let folder = Folder::new();
    folder.script("bin/say", SAY);
    folder.write("public/index.html", "welcome\n");
    folder.write("public/large", vec![b'l'; 300_000]);
    let config = format!(
        "[[route]]\npath = \"/bin/\"\ncgi = \"bin\"\n[[route]]\npath = \"/ask\"\ncgi = \"{}\"\n\
         [[route]]\npath = \"/\"\nfiles = \"public\"\n",
        fixture("questions-cgi")
    );
    Site { gateway: Gateway::start(&folder, &config), _folder: folder }
}

fn closes(client: &mut Client) {
    assert_eq!(client.receive_until_close().unwrap(), b"", "something came before the close");
}

fn is_kept(answer: &Answer) -> bool {
    answer.field("connection") != Some("close")
}

#[test]
fn a_connection_is_kept_through_many_requests() {
    let site = site();
    let mut client = site.gateway.connect();
    for round in 0..30 {
        assert_eq!(client.ask("GET", "/", &[], b"").expect(200).text(), "welcome\n");
        let said = client.ask("POST", &format!("/bin/say/{round}"), &[], b"body").expect(200);
        assert_eq!(said.text(), format!("POST /{round}? body"));
        assert!(is_kept(&said));
        assert_eq!(client.ask("GET", "/nothing/here", &[], b"").status(), 404);
    }
}

#[test]
fn the_answers_to_ten_pipelined_requests_come_in_order_and_no_body_is_taken_for_a_head() {
    let site = site();
    let mut client = site.gateway.connect();
    let mut all = Vec::new();
    for number in 0..10 {
        // The bodies look like requests, and every other one is chunked.
        let body = format!("GET /bin/say/wrong-{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        all.extend(format!("POST /bin/say/{number} HTTP/1.1\r\nHost: test.example\r\n").into_bytes());
        all.extend(match number % 2 {
            0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
            _ => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
                .into_bytes(),
        });
    }
    all.extend(b"GET / HTTP/1.1\r\nHost: test.example\r\nConnection: close\r\n\r\n");
    all.extend(b"GET /bin/say/too-late HTTP/1.1\r\nHost: test.example\r\n\r\n");
    client.send(all);
    for number in 0..10 {
        let text = client.receive().expect(200).text();
        assert!(text.starts_with(&format!("POST /{number}? GET /bin/say/wrong-{number} ")), "{text}");
    }
    let last = client.receive().expect(200);
    assert_eq!((last.text().as_str(), is_kept(&last)), ("welcome\n", false));
    closes(&mut client);
}

#[test]
fn requests_that_arrive_byte_by_byte_are_the_same_requests() {
    let site = site();
    let mut client = site.gateway.connect();
    let two = "POST /bin/say/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
               GET /bin/say/2 HTTP/1.1\r\nHost: a\r\n\r\n";
    for byte in two.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.receive().expect(200).text(), "POST /1? abc");
    assert_eq!(client.receive().expect(200).text(), "GET /2? ");
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep_the_connection() {
    let site = site();
    let mut client = site.gateway.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.receive().expect(200);
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("welcome\n", Some("keep-alive")));
    }
    client.send("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.receive().expect(200).text(), "welcome\n");
    closes(&mut client);
}

#[test]
fn a_body_of_unknown_length_ends_with_the_connection_in_http_1_0() {
    let site = site();
    let mut client = site.gateway.connect();
    client.send("GET /ask/big/1000000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.receive();
    assert_eq!((answer.body.len(), answer.ended), (1_000_000, Ended::Close));
    assert!(answer.field("transfer-encoding").is_none(), "RFC 9112 6.1: HTTP/1.0 knows no chunks");
}

#[test]
fn a_body_of_unknown_length_that_breaks_off_is_no_orderly_close_in_http_1_0() {
    let site = site();
    let mut client = site.gateway.connect();
    client.send("GET /ask/crash/after HTTP/1.0\r\n\r\n");
    // The reset may overtake the head.
    if let Ok(head) = client.try_receive_head("GET") {
        assert_eq!(head.status, 200);
        let end = std::iter::from_fn(|| Some(client.receive_piece())).find_map(Result::err);
        assert_eq!(end, Some(Ended::Cut));
    }
}

#[test]
fn what_came_before_a_break_reaches_the_client() {
    let site = site();
    let answer = site.gateway.get("/ask/crash/after");
    assert_eq!((answer.status(), answer.ended), (200, Ended::Cut));
    assert_eq!(answer.text(), "this is not the whole\n");
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let site = site();
    let mut client = site.gateway.connect();
    for path in ["/", "/large", "/bin/say", "/ask/head", "/nothing/here"] {
        let get = client.ask("GET", path, &[], b"");
        let head = client.ask("HEAD", path, &[], b"");
        assert_eq!((head.status(), &head.body[..]), (get.status(), &b""[..]), "{path}");
        if !path.starts_with("/bin") {
            assert_eq!(head.field("content-length"), get.field("content-length"), "{path}");
        }
        assert!(is_kept(&head), "{path}");
    }
}

#[test]
fn options_asterisk_is_answered_by_the_gateway() {
    let site = site();
    let mut client = site.gateway.connect();
    assert_eq!(client.ask("OPTIONS", "*", &[], b"").expect(204).body, b"");
    assert_eq!(client.ask("GET", "/", &[], b"").expect(200).text(), "welcome\n");
    client.send("GET * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.receive().status(), 400);
}

#[test]
fn connect_is_not_implemented_and_what_follows_is_not_taken_for_a_request() {
    let site = site();
    let mut client = site.gateway.connect();
    client.send("CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example:443\r\n\r\n");
    client.send("GET /bin/say HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.receive().expect(501);
    assert!(!is_kept(&answer));
    closes(&mut client);
}

#[test]
fn the_absolute_form_names_host_and_path() {
    let site = site();
    let mut client = site.gateway.connect();
    client.send("GET http://other.example:81/ask/environ?a=b HTTP/1.1\r\nHost: other.example:81\r\n\r\n");
    let text = client.receive().expect(200).text();
    for line in ["SERVER_NAME=other.example", "PATH_INFO=/environ", "QUERY_STRING=a=b"] {
        assert!(text.lines().any(|other| other == line), "no {line} in\n{text}");
    }
    client.send("GET http://other.example HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(client.receive().expect(200).text(), "welcome\n");
}

#[test]
fn a_path_that_does_not_decode_is_400_and_the_connection_lives() {
    let site = site();
    let mut client = site.gateway.connect();
    for path in ["/%zz", "/%00", "/a%0ab", "/../../etc/passwd"] {
        let answer = client.ask("GET", path, &[], b"");
        assert!(matches!(answer.status(), 400 | 404), "{path}: {}", answer.status());
        assert!(is_kept(&answer), "{path}");
    }
}

#[test]
fn early_hints_reach_a_client_of_http_1_1_and_no_other() {
    let site = site();
    let answer = site.gateway.get("/ask/early-hints").expect(200);
    assert_eq!(answer.interim.iter().map(|head| head.status).collect::<Vec<_>>(), [103]);
    assert_eq!(answer.interim[0].field("link"), Some("</style.css>; rel=preload"));
    let mut old = site.gateway.connect();
    old.send("GET /ask/early-hints HTTP/1.0\r\n\r\n");
    let answer = old.receive().expect(200);
    assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "after the hints\n"));
}

#[test]
fn hints_that_come_in_one_write_with_the_answer_are_passed_on() {
    let folder = Folder::new();
    folder.write("both", "Status: 103 Early Hints\nLink: </a>\n\nContent-Type: text/plain\n\nboth\n");
    folder.script("bin/x", format!("#!/bin/sh\nexec cat {}\n", folder.join("both").display()));
    let gateway = Gateway::start(&folder, "[[route]]\npath = \"/\"\ncgi = \"bin\"\n");
    let answer = gateway.get("/x").expect(200);
    assert_eq!((answer.interim.len(), answer.text().as_str()), (1, "both\n"));
}

#[test]
fn continue_is_sent_when_a_program_wants_the_body_and_only_then() {
    let site = site();
    let mut client = site.gateway.connect();
    let expects = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    };
    client.send(expects("/ask/count"));
    assert_eq!(client.receive_head("POST").status, 100);
    client.send("body");
    let answer = client.receive().expect(200);
    assert!(answer.text().starts_with("4 ") && answer.interim.is_empty(), "{answer:?}");
    // Nobody wants it: no such path.
    client.send(expects("/bin/nothing"));
    let answer = client.receive();
    assert_eq!((answer.status(), answer.interim.len()), (404, 0));
    // RFC 9110 10.1.1: whether the body comes now is not known, so the connection cannot go on.
    assert!(!is_kept(&answer));
    closes(&mut client);
}

#[test]
fn an_unknown_expectation_is_refused() {
    let site = site();
    let mut client = site.gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n");
    assert_eq!(client.receive().status(), 417);
}

#[test]
fn a_file_is_over_when_its_last_byte_is_sent() {
    // Not when the client says its next word: the record comes while the connection is silent.
    let site = site();
    let mut client = site.gateway.connect();
    assert_eq!(client.ask("GET", "/large", &[], b"").expect(200).body.len(), 300_000);
    let line = site.gateway.stdout.wait_for("GET /large ");
    assert!(line.contains(" 200 300000 "), "{line}");
    drop(client);
}
