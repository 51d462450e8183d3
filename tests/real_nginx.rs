//! nginx in front of the gateway by `proxy_pass`, as on most sites; it must not know what stands behind the gateway.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Client, Ended, Folder, Gateway, Peer, Record, SOON, fixture, noise, process};

/// nginx before a gateway before the questions, at `/app`, and the misbehaving CGI programs, at `/cgi`.
struct Site {
    folder: Folder,
    gateway: Gateway,
    record: Record,
    _nginx: Peer,
}

/// What nginx is told to send along: the client's own claim first, then what nginx saw (a public address, here).
const FORWARDED: &str = "proxy_set_header X-Forwarded-For \"$http_x_forwarded_for, 203.0.113.9\";\n\
    proxy_set_header X-Forwarded-Proto https;\nproxy_set_header X-Forwarded-Host www.example.org;\n\
    proxy_set_header Host $host;\n";

impl Site {
    fn new(trusted: &str) -> Self {
        let folder = Folder::new();
        let record = Record::new(&folder, "record");
        let config = format!(
            "[[listen]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [{trusted}]\n\
             [[route]]\npath = \"/app\"\ncgi = \"{}\"\n\
             [[route]]\npath = \"/cgi/\"\ncgi = \"{}\"\nenv = {{ RECORD = \"{}\" }}\n",
            fixture("questions-cgi"),
            fixture("cgi"),
            record.path().display()
        );
        let gateway = Gateway::start(&folder, &config);
        let front = format!("unix:{}", folder.join("nginx.sock").display());
        let http = format!(
            "upstream gatebridge {{ server {}; keepalive 4; }}\n\
             server {{ listen {front}; client_max_body_size 0;\n\
             location / {{ proxy_pass http://gatebridge; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             proxy_buffering off; proxy_request_buffering off;\n{FORWARDED} }} }}",
            gateway.address()
        );
        let nginx = Peer::nginx(&folder, &http, &front);
        Self { folder, gateway, record, _nginx: nginx }
    }

    fn connect(&self) -> Client {
        Client::connect_unix(&self.folder.join("nginx.sock"))
    }

    /// The environ that a program gets for a request whose client makes false claims.
    fn environ(&self) -> String {
        let claims = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "ftp")];
        self.connect().ask("GET", "/app/environ", &claims, b"").expect(200).text()
    }
}

fn assert_lines(environ: &str, lines: &[&str]) {
    for line in lines {
        assert!(environ.lines().any(|other| other == *line), "no {line} in\n{environ}");
    }
}

#[test]
fn lesson_36_a_listed_proxy_is_believed() {
    let environ = Site::new("\"127.0.0.0/8\"").environ();
    assert_lines(&environ, &["REMOTE_ADDR=203.0.113.9", "HTTPS=on", "REQUEST_SCHEME=https"]);
    assert!(!environ.contains("\nREMOTE_ADDR=6.6.6.6"), "the client's own claim was believed:\n{environ}");
    assert_lines(&environ, &["SERVER_NAME=www.example.org"]);
}

#[test]
fn lesson_36_an_unlisted_proxy_is_not_believed() {
    for trusted in ["", "\"10.0.0.0/8\", \"::1\""] {
        let environ = Site::new(trusted).environ();
        assert_lines(&environ, &["REMOTE_ADDR=127.0.0.1", "REQUEST_SCHEME=http", "SERVER_NAME=test.example"]);
        assert!(!environ.contains("\nHTTPS="), "{environ}");
    }
}

#[test]
fn bodies_pass_both_proxies_whole() {
    let site = Site::new("\"127.0.0.1\"");
    let body = noise(11, 3_000_000);
    let mut client = site.connect();
    for _ in 0..3 {
        let answer = client.ask("POST", "/app/count", &[], &body).expect(200).text();
        assert!(answer.starts_with("3000000 "), "{answer}");
        assert_eq!(client.ask("GET", "/app/big/1000000", &[], b"").expect(200).body.len(), 1_000_000);
    }
    let pieces = noise(12, 100_000);
    let mut chunked = Vec::new();
    for piece in pieces.chunks(1_000) {
        chunked.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answer = client.ask("POST", "/app/echo", &[("Transfer-Encoding", "chunked")], &chunked).expect(200);
    assert_eq!(answer.body, pieces);
}

#[test]
fn a_body_that_breaks_off_is_cut_through_nginx_too() {
    let site = Site::new("\"127.0.0.1\"");
    let answer = site.connect().ask("GET", "/cgi/exits-after-head", &[], b"");
    assert_eq!((answer.status(), answer.ended), (200, Ended::Cut));
    assert_eq!(site.connect().ask("GET", "/cgi/exit-3", &[], b"").status(), 502);
    site.gateway.wait_for_line("the database is not at home");
}

#[test]
fn a_client_that_leaves_nginx_ends_the_script() {
    let site = Site::new("\"127.0.0.1\"");
    let mut client = site.connect();
    client.send("GET /cgi/silent HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let script = site.record.started();
    drop(client);
    assert!(process::ends_within(script, SOON), "it runs on");
}
