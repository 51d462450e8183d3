//! The programs of `cgi-bin`, each called as its first lines tell people to; it must not know the misbehaving fixtures.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::peer::workspace_program;
use common::{Answer, Ended, Folder, Gateway, SOON, noise, process, repository};
use std::fs;
use std::os::unix::fs::symlink;

/// The configuration that is shipped, as the README starts it, but at a free port.
#[test]
fn the_start_page_lists_every_program() {
    let folder = Folder::new();
    let hello_rust = workspace_program("cgi-programs", "hello-rust");
    for (name, to) in [("cgi-bin", "cgi-bin"), ("public", "public"), ("gatebridge.toml", "gatebridge.toml")] {
        symlink(repository().join(to), folder.join(name)).unwrap();
    }
    fs::create_dir_all(folder.join("target/release")).unwrap();
    symlink(hello_rust, folder.join("target/release/hello-rust")).unwrap();
    let gateway = Gateway::serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    let page = gateway.get("/").expect(200);
    let list = gateway.get("/programs").expect(200);
    assert_contains(&list, &["href=\"/cgi-bin/hello.sh\"", "href=\"/cgi-bin/hello-rust\"", "href=\"/\""]);
    for entry in fs::read_dir(repository().join("cgi-bin")).unwrap() {
        assert_contains(&page, &[&format!("{}", entry.unwrap().file_name().display())]);
    }
    for (link, _) in page.text().split("href=\"").skip(1).filter_map(|rest| rest.split_once('"')) {
        assert_eq!(
            gateway.get(&format!("/{link}")).status(),
            match link {
                "cgi-bin/crash" => 502,
                "cgi-bin/hello.pl/teapot" => 418,
                _ => 200,
            }
        );
    }
}

fn serve() -> Gateway {
    let hello_rust = workspace_program("cgi-programs", "hello-rust");
    Gateway::new(&format!(
        "[[route]]\npath = \"/cgi-bin/\"\ncgi = \"{}\"\n[[route]]\npath = \"/cgi-bin/hello-rust\"\ncgi = \"{hello_rust}\"\n",
        repository().join("cgi-bin").display()
    ))
}

fn assert_contains(answer: &Answer, parts: &[&str]) {
    let text = answer.text();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn every_program_answers() {
    let gateway = serve();
    let mut count = 0;
    for entry in fs::read_dir(repository().join("cgi-bin")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "crash" && name != "slow-stream" {
            gateway.get(&format!("/cgi-bin/{name}")).expect(200);
        }
        count += 1;
    }
    assert_eq!(count, 11, "a new program wants a test here");
}

#[test]
fn the_hellos_say_hello() {
    let gateway = serve();
    let hello = gateway.get("/cgi-bin/hello.sh/some/path").expect(200);
    assert_contains(
        &hello,
        &["Hello from sh, 127.0.0.1!", "/cgi-bin/hello.sh/some/path with the method GET."],
    );
    let hello = gateway.get("/cgi-bin/hello-rust/some/path").expect(200);
    assert_contains(
        &hello,
        &["Hello from Rust, 127.0.0.1!", "/cgi-bin/hello-rust/some/path with the method GET."],
    );
    let hello = gateway.get("/cgi-bin/hello.py?name=%3Cb%3EAda").expect(200);
    assert_contains(&hello, &["Hello from Python, &lt;b&gt;Ada!"]);
    assert_contains(&gateway.get("/cgi-bin/hello.pl").expect(200), &["Hello from Perl v5."]);
    assert_eq!(gateway.get("/cgi-bin/hello.pl/teapot").expect(418).head.reason, "I'm a teapot");
}

#[test]
fn environ_shows_every_variable_sorted_and_escaped() {
    let gateway = serve();
    let answer = gateway.ask("GET", "/cgi-bin/environ/%C3%A9?q=a\\b", &[("X-One", "eins")], b"").expect(200);
    assert_contains(
        &answer,
        &["\nPATH_INFO=/\\xC3\\xA9\n", "\nQUERY_STRING=q=a\\\\b\n", "\nHTTP_X_ONE=eins\n"],
    );
    assert_contains(&answer, &["\nGATEWAY_INTERFACE=CGI/1.1\n", "\nSERVER_PROTOCOL=HTTP/1.1\n"]);
    let text = answer.text();
    assert!(text.lines().is_sorted_by_key(|line| line.split('=').next().unwrap().to_owned()), "{text}");
}

#[test]
fn echo_gives_the_body_back() {
    let gateway = serve();
    let body = noise(13, 2_000_000);
    assert_eq!(gateway.ask("POST", "/cgi-bin/echo", &[], &body).expect(200).body, body);
}

#[test]
fn form_shows_what_was_typed() {
    let gateway = serve();
    let fields = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = gateway.ask("POST", "/cgi-bin/form", &fields, b"name=%3CAda%3E&message=a%0Ab").expect(200);
    assert_contains(&answer, &["<th>name<td>&lt;Ada&gt;", "<th>message<td>a\nb", "action=\"/cgi-bin/form\""]);
    gateway.ask("POST", "/cgi-bin/form", &fields, &[b'x'; 70_000]).expect(413);
}

#[test]
fn upload_reports_size_and_sum_of_each_file() {
    let gateway = serve();
    let part = |name: &str| {
        format!("--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n")
    };
    let mut body = part("line-breaks").into_bytes();
    body.extend(b"\r\n\r\n\r\n--cut in the middle\r\n");
    body.extend(
        part("empty").bytes().chain(*b"\r\n").chain(part("abc").bytes()).chain(*b"abc\r\n--cut--\r\n"),
    );
    let fields = [("Content-Type", "multipart/form-data; boundary=cut")];
    let answer = gateway.ask("POST", "/cgi-bin/upload", &fields, &body).expect(200);
    assert_contains(
        &answer,
        &[
            "<tr><td>line-breaks<td>25<td>",
            "<tr><td>empty<td>0<td><code>e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855<",
            "<tr><td>abc<td>3<td><code>ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad<",
        ],
    );
    gateway.ask("POST", "/cgi-bin/upload", &[("Content-Type", "text/plain")], b"x").expect(415);
}

#[test]
fn slow_stream_arrives_line_by_line_and_ends_with_its_reader() {
    let gateway = serve();
    let mut client = gateway.connect();
    client.send("GET /cgi-bin/slow-stream HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(client.receive_head("GET").field("content-type"), Some("text/event-stream"));
    assert_eq!(client.receive_piece(), Ok(b"event: tick\ndata: line 1 of 10\n\n".to_vec()));
    assert_eq!(client.receive_piece(), Ok(b"event: tick\ndata: line 2 of 10\n\n".to_vec()));
    let script = process::children(gateway.id())[0].id;
    drop(client);
    assert!(process::ends_within(script, SOON), "the script runs on without a reader");
}

#[test]
fn redirect_shows_the_three_kinds() {
    let gateway = serve();
    let answer = gateway.get("/cgi-bin/redirect/local").expect(200);
    assert_contains(&answer, &["Hello from sh"]);
    assert_eq!(answer.field("location"), None, "a local redirect stays inside");
    let to = Some("http://test.example/cgi-bin/hello.sh");
    assert_eq!(gateway.get("/cgi-bin/redirect/client").expect(302).field("location"), to);
    let answer = gateway.get("/cgi-bin/redirect/document").expect(303);
    assert_eq!((answer.field("location"), answer.text().as_str()), (to, "It is over there.\n"));
}

#[test]
fn stderr_goes_into_the_log() {
    let gateway = serve();
    gateway.get("/cgi-bin/stderr").expect(200);
    gateway.wait_for_line("A first line for the log.");
    gateway.wait_for_line("A second line, of the request ");
}

#[test]
fn crash_is_502_before_its_head_and_cut_short_after() {
    let gateway = serve();
    assert_eq!(gateway.get("/cgi-bin/crash").status(), 502);
    gateway.wait_for_line("SEGV");
    let answer = gateway.get("/cgi-bin/crash/after");
    assert_eq!((answer.status(), answer.ended), (200, Ended::Cut));
}
