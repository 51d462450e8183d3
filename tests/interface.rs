//! Programs on the interface crate behind the gateway: each example answers the same as a CGI script, as a FastCGI worker
//! and as an SCGI worker. It must not know how they find out what they are.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::{Answer, Folder, Gateway, noise, process};
use rustix::process::Signal;

/// The ways to run a program, and the first part of their paths.
const WAYS: [&str; 3] = ["cgi", "fastcgi", "scgi"];

/// The variables that are no request's own, or that no two requests share: the names that a route gives, its folder, the
/// client's port, what FastCGI adds, and what the gateway lets a process of its own inherit.
const DIFFERENT: [&str; 11] = [
    "DOCUMENT_ROOT",
    "FCGI_ROLE",
    "LANG",
    "PATH",
    "PATH_TRANSLATED",
    "REMOTE_PORT",
    "REQUEST_URI",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "TZ",
    "UNIQUE_ID",
];

/// The lines of the environ example that say something about the request.
fn request(text: &str) -> BTreeSet<&str> {
    let variables = text.lines().filter_map(|line| Some((line, line.split_once('=')?.0)));
    variables.filter(|(_, name)| !DIFFERENT.contains(name)).map(|(line, _)| line).collect()
}

/// An example that cargo has built beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.is_file(), "{} is missing; `cargo build --examples` builds it", path.display());
    path
}

/// A gateway that runs an example in every way.
fn gateway(name: &str) -> Gateway {
    let program = example(name);
    let mut config = format!("[[route]]\npath = \"/cgi\"\ncgi = \"{}\"\n", program.display());
    for way in ["fastcgi", "scgi"] {
        config += &format!(
            "[pool.{way}]\nspeak = \"{way}\"\ncommand = [\"{}\"]\nworkers = 1\n\
             [[route]]\npath = \"/{way}\"\npool = \"{way}\"\n",
            program.display()
        );
    }
    Gateway::new(&config)
}

/// What of an answer has to be the same: all but the date.
fn essence(answer: &Answer) -> (u16, String, Vec<(String, String)>, Vec<u8>) {
    let fields = answer.head.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date"));
    (answer.status(), answer.head.reason.clone(), fields.cloned().collect(), answer.body.clone())
}

#[test]
fn hello_answers_the_same_in_every_way() {
    let gateway = gateway("hello");
    for method in ["GET", "HEAD", "POST"] {
        let body: &[u8] = if method == "POST" { b"unread" } else { b"" };
        let answers = WAYS.map(|way| gateway.ask(method, &format!("/{way}"), &[], body).expect(200));
        let first = essence(&answers[0]);
        let text = if method == "HEAD" { "" } else { "Hello from Rust\n" };
        assert_eq!((answers[0].text().as_str(), answers[0].field("content-length")), (text, Some("16")));
        for (way, answer) in WAYS.iter().zip(&answers) {
            assert_eq!(essence(answer), first, "{method} by {way}");
        }
    }
}

#[test]
fn environ_is_told_the_same_in_every_way() {
    let gateway = gateway("environ");
    let body = noise(7, 300_000);
    let told = WAYS.map(|way| {
        let target = format!("/{way}/more/path?a=b&c");
        let fields =
            [("X-Own", "one"), ("X-Own", "two"), ("Cookie", "a=1"), ("Content-Type", "text/x-noise")];
        let answer = gateway.ask("POST", &target, &fields, &body).expect(200).text();
        assert!(answer.ends_with("\n300000 bytes of body\n"), "{way}: {answer}");
        for line in
            ["HTTP_X_OWN=one, two", "QUERY_STRING=a=b&c", "PATH_INFO=/more/path", "CONTENT_LENGTH=300000"]
        {
            assert!(answer.lines().any(|other| other == line), "no {line} by {way} in\n{answer}");
        }
        answer
    });
    for (way, text) in WAYS.iter().zip(&told) {
        assert_eq!(request(text), request(&told[0]), "{way}");
    }
}

#[test]
fn a_worker_is_kept_and_a_script_is_not() {
    let folder = Folder::new();
    let program = example("hello");
    let config = format!(
        "[pool.kept]\nspeak = \"fastcgi\"\ncommand = [\"{}\"]\nworkers = 1\n[[route]]\npath = \"/\"\npool = \"kept\"\n",
        program.display()
    );
    let mut gateway = Gateway::start(&folder, &config);
    let mut client = gateway.connect();
    client.ask("GET", "/", &[], b"").expect(200);
    let before: Vec<_> = process::descendants(gateway.id()).into_iter().map(|process| process.id).collect();
    for _ in 0..50 {
        client.ask("GET", "/", &[], b"").expect(200);
    }
    let after: Vec<_> = process::descendants(gateway.id()).into_iter().map(|process| process.id).collect();
    assert_eq!((before.len(), before), (1, after));
    drop(client);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
}
