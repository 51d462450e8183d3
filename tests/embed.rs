//! A gateway inside a program: what is mounted answers like what is started, and the program around is left alone. It must
//! not know how a gateway works.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;
mod inside;

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use common::{Ended, Folder, Record, example, fixture, noise, process};
use gatebridge::interface::{Environ, Input, Result, StartResponse, application, lint};
use gatebridge::{AppSettings, Error, Gateway};
use inside::{Inside, Server, runtime};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain; charset=utf-8")];

#[test]
fn the_example_answers_as_a_script_and_as_a_part_of_the_server() {
    let server = Server::start("embed", &[]);
    let answers = ["/cgi/more", "/app/more"].map(|path| server.get(path).expect(200).text());
    let (script, part) = (answers[0].split_once('\n').unwrap(), answers[1].split_once('\n').unwrap());
    assert_eq!(script.1.replace("/cgi", "/app"), part.1, "nothing but the process is different");
    assert_eq!(part.0, format!("process {}", server.id()));
    assert_ne!(script.0, part.0);
    assert!(server.get("/").expect(200).text().starts_with("//! The smallest program"));
    assert!(server.interrupt());
}

/// The lines of the environ example that say something about the request, and nothing of the way to the program.
fn request(text: &str) -> BTreeSet<&str> {
    const DIFFERENT: [&str; 13] = [
        "DOCUMENT_ROOT",
        "FCGI_ROLE",
        "LANG",
        "LC_CTYPE",
        "PATH",
        "PATH_TRANSLATED",
        "QUEUE_WAIT_US",
        "REMOTE_PORT",
        "REQUEST_URI",
        "SCRIPT_FILENAME",
        "SCRIPT_NAME",
        "TZ",
        "UNIQUE_ID",
    ];
    let variables =
        text.lines().filter(|line| line.split_once('=').is_some_and(|(name, _)| !DIFFERENT.contains(&name)));
    variables.collect()
}

#[test]
fn a_mounted_program_is_told_what_every_other_is_told() {
    fn show(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        // Not by way of the names: a program sees the environ itself.
        assert!(!environ.headers.contains_key("proxy") && !environ.headers.contains_key("authorization"));
        let mut variables = Vec::new();
        environ.walk(&mut |name: &[u8], value: &[u8]| {
            variables.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        });
        let received = io::copy(input, &mut io::sink())?;
        start.answer(200, TEXT, format!("{}\n\n{received} bytes of body\n", variables.join("\n")))
    }
    let program = example("environ");
    let config = format!(
        "[[route]]\npath = \"/cgi\"\ncgi = {program:?}\n[[route]]\npath = \"/fastcgi\"\npool = \"p\"\n\
         [pool.p]\nspeak = \"fastcgi\"\ncommand = [{program:?}]\n"
    );
    let inside = Inside::new(Gateway::builder().config_text(config).mount("/app", lint(show)));
    let fields = [
        ("X-Own", "one"),
        ("X-Own", "two"),
        ("Cookie", "a=1"),
        ("Content-Type", "text/x-noise"),
        ("Proxy", "http://evil.test/"),
        ("Authorization", "Basic eDp5"),
        ("TE", "trailers"),
    ];
    for body in [noise(7, 300_000), Vec::new()] {
        let told = ["/cgi", "/fastcgi", "/app"].map(|path| {
            let target = format!("{path}/more/%C3%A4?a=b&c");
            let text = inside.connect().ask("POST", &target, &fields, &body).expect(200).text();
            assert!(text.ends_with(&format!("\n{} bytes of body\n", body.len())), "{path}: {text}");
            assert!(text.contains(&format!("SCRIPT_NAME={path}\n")), "{path}: {text}");
            assert!(text.contains(&format!("REQUEST_URI={target}\n")), "{path}: {text}");
            text
        });
        assert_eq!(request(&told[2]), request(&told[0]));
        assert_eq!(request(&told[2]), request(&told[1]));
        for line in ["GATEWAY_INTERFACE=CGI/1.1", "HTTP_X_OWN=one, two", "REMOTE_ADDR=127.0.0.1"] {
            assert!(told[2].lines().any(|other| other == line), "no {line} in\n{}", told[2]);
        }
    }
}

#[test]
fn a_mounted_program_streams_in_both_directions_and_sends_hints() {
    let talk = application(|_, input, mut start| {
        start.early_hints([("Link", "</a.css>; rel=preload")])?;
        let mut body = start.start(200, TEXT)?;
        body.write_all(b"first\n")?;
        body.flush()?;
        let received = io::copy(input, &mut io::sink())?;
        writeln!(body, "last {received}")?;
        Ok(body.end()?)
    });
    let inside = Inside::new(Gateway::builder().mount("/talk", lint(talk)));
    let mut client = inside.connect();
    client.send("POST /talk HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n");
    let hints = client.receive_head("POST");
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a.css>; rel=preload")));
    let head = client.receive_head("POST");
    assert_eq!((head.status, head.field("transfer-encoding")), (200, Some("chunked")));
    assert_eq!(client.receive_piece(), Ok(b"first\n".to_vec()));
    client.send("0123456789");
    assert_eq!(client.receive_piece(), Ok(b"last 10\n".to_vec()));
    assert_eq!(client.receive_piece(), Err(Ended::Complete));
}

#[test]
fn a_body_of_unknown_length_gets_its_true_length_and_may_be_a_file() {
    let sum = application(|environ, input, start| {
        let (length, file) = (environ.content_length, input.file()?.is_some());
        let mut body = Vec::new();
        input.read_to_end(&mut body)?;
        start.answer(200, TEXT, format!("{length:?} {} {file} {}", body.len(), body == noise(3, body.len())))
    });
    let inside = Inside::new(Gateway::builder().mount("/", lint(sum)));
    for (length, is_file) in [(5, false), (3 << 20, true)] {
        let body = noise(3, length);
        let mut client = inside.connect();
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{length:x}\r\n"));
        client.send(&body);
        client.send("\r\n0\r\n\r\n");
        assert_eq!(client.receive().expect(200).text(), format!("Some({length}) {length} {is_file} true"));
    }
}

/// Answers without an end, and tells when it has been told that nobody reads.
fn endless(told: Sender<bool>) -> impl gatebridge::interface::Application + 'static {
    let told = Mutex::new(told);
    application(move |_, _, start| {
        let mut body = start.start(200, TEXT)?;
        while body.write_all(b"more\n").and_then(|()| body.flush()).is_ok() {}
        told.lock().unwrap().send(body.is_aborted()).unwrap();
        Err("nobody reads".into())
    })
}

#[test]
fn a_mounted_program_is_told_that_its_client_left() {
    let (told, heard) = channel();
    let inside = Inside::new(Gateway::builder().mount("/endless", endless(told)));
    let mut client = inside.connect();
    client.send("GET /endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.receive_head("GET").status, 200);
    drop(client);
    assert!(heard.recv().unwrap());
}

#[test]
fn a_failure_of_a_mounted_program_is_a_500_or_a_cut_and_costs_nothing_else() {
    let fails = application(|environ, _, start| match &environ.path_info[..] {
        b"/panic" => panic!("on purpose"),
        b"/late" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"begun\n")?;
            body.flush()?;
            panic!("on purpose")
        }
        _ => start.answer(200, TEXT, "well\n"),
    });
    // A breach of the contract is part of the test, so no lint.
    let inside = Inside::new(Gateway::builder().mount("/x", fails));
    let mut client = inside.connect();
    client.ask("GET", "/x/panic", &[], b"").expect(500);
    assert_eq!(client.ask("GET", "/x", &[], b"").expect(200).text(), "well\n");
    let answer = client.ask("GET", "/x/late", &[], b"");
    assert_eq!((answer.status(), answer.text().as_str(), answer.ended), (200, "begun\n", Ended::Cut));
    assert_eq!(inside.get("/x").expect(200).text(), "well\n");
}

#[test]
fn a_file_is_sent_whole_and_a_full_program_answers_503() {
    let folder = Folder::new();
    let file = folder.write("file", noise(5, 1 << 20));
    let (open, gate) = channel::<()>();
    let (begun, beginning) = channel();
    let (gate, begun) = (Mutex::new(gate), Mutex::new(begun));
    let files = application(move |environ, _, start| {
        if environ.path_info == "/wait" {
            begun.lock().unwrap().send(())?;
            gate.lock().unwrap().recv()?;
        }
        let file = std::fs::File::open(&file)?;
        let length = file.metadata()?.len();
        Ok(start.start(200, TEXT)?.send_file(&file, 0..length)?)
    });
    let settings = AppSettings::default().threads(1).queue(0, std::time::Duration::ZERO);
    let inside = Inside::new(Gateway::builder().mount_with("/file", lint(files), &settings));
    let answer = inside.get("/file").expect(200);
    assert_eq!((answer.field("content-length"), answer.body == noise(5, 1 << 20)), (Some("1048576"), true));
    let mut waiting = inside.connect();
    waiting.send("GET /file/wait HTTP/1.1\r\nHost: a.test\r\n\r\n");
    beginning.recv().unwrap();
    let refused = inside.get("/file").expect(503);
    assert!(refused.field("retry-after").is_some());
    open.send(()).unwrap();
    assert_eq!(waiting.receive().expect(200).body.len(), 1 << 20);
}

#[test]
fn two_gateways_live_in_one_process_and_each_ends_its_own_workers() {
    let folder = Folder::new();
    let records = ["one", "two"].map(|name| Record::new(&folder, name));
    let gateway = |record: &Record| {
        let worker = fixture("fastcgi-worker");
        let config = format!(
            "[[route]]\npath = \"/app\"\npool = \"p\"\n[pool.p]\nspeak = \"fastcgi\"\n\
             command = [{worker:?}, \"--record\", {:?}]\n",
            record.path()
        );
        Inside::new(Gateway::builder().config_text(config))
    };
    let (mut one, mut two) = (gateway(&records[0]), gateway(&records[1]));
    let workers = records.map(|record| record.started());
    for inside in [&one, &two] {
        assert_eq!(inside.get("/app/hello").expect(200).text(), "hello\n");
    }
    one.stop();
    assert!(!process::runs(workers[0]), "stop waits for the workers");
    assert_eq!(two.get("/app/hello").expect(200).text(), "hello\n");
    // Dropped instead of stopped: the same end, and nobody waits for it.
    drop(two.gateway.take());
    process::wait_for_end(workers[1]);
}

#[test]
fn stop_lets_requests_end_and_waits_for_programs() {
    let (begun, beginning) = channel();
    let (open, gate) = channel::<()>();
    let (gate, begun) = (Mutex::new(gate), Mutex::new(begun));
    let slow = application(move |_, _, start| {
        begun.lock().unwrap().send(())?;
        gate.lock().unwrap().recv()?;
        start.answer(200, TEXT, "at last\n")
    });
    let mut inside = Inside::new(Gateway::builder().mount("/slow", lint(slow)));
    let mut client = inside.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    beginning.recv().unwrap();
    let stopped = inside.runtime.spawn(inside.gateway.take().unwrap().stop());
    open.send(()).unwrap();
    assert_eq!(client.receive().expect(200).text(), "at last\n");
    inside.runtime.block_on(stopped).unwrap();
}

#[test]
fn children_of_the_program_around_are_left_to_it() {
    let folder = Folder::new();
    let script = folder.script("hello", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello\\n'\n");
    let config = format!("[[route]]\npath = \"/\"\ncgi = {script:?}\n");
    let inside = Inside::new(Gateway::builder().config_text(config));
    for code in 0..40 {
        let mut own = Command::new("/bin/sh").args(["-c", &format!("exit {code}")]).spawn().unwrap();
        assert_eq!(inside.get("/").expect(200).text(), "hello\n");
        // It ended long ago, and has waited for us.
        assert_eq!(own.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn every_mistake_of_a_builder_is_an_error() {
    let runtime = runtime();
    let fails = |builder: gatebridge::Builder| {
        let error = runtime.block_on(builder.start()).err().unwrap();
        let text = error.to_string();
        (error, text)
    };
    let hello = || application(|_, _, start| start.answer(200, TEXT, "hello\n"));
    let (error, text) = fails(Gateway::builder().config_text("[[route]]\npath = \"/\"\nfils = \"x\"\n"));
    assert!(matches!(error, Error::Configuration(_)) && text.contains("did you mean `files`?"), "{text}");
    let (error, _) = fails(Gateway::builder().config_file("no/such/gatebridge.toml"));
    assert!(matches!(error, Error::Configuration(_)), "{error}");
    let (error, text) = fails(Gateway::builder().listen("127.0.0.1"));
    assert!(matches!(error, Error::Address { .. }) && text.contains("\"127.0.0.1\""), "{text}");
    for path in ["hello", "/a/../b", "/a//b", "/%61", "/a b"] {
        let (error, text) = fails(Gateway::builder().mount(path, hello()));
        assert!(matches!(error, Error::Mount { .. }) && text.contains(path), "{path}: {text}");
    }
    let (error, text) = fails(Gateway::builder().mount("/a", hello()).mount("/a/", hello()));
    assert!(matches!(error, Error::Mount { .. }) && text.contains("already"), "{text}");
    let index = "[[route]]\npath = \"/a\"\npage = \"index\"\n";
    let (error, text) = fails(Gateway::builder().config_text(index).mount("/a", hello()));
    assert!(matches!(error, Error::Start(_)) && text.contains("/a is mounted"), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (error, text) = fails(Gateway::builder().listen(taken.local_addr().unwrap()));
    assert!(matches!(error, Error::Start(_)) && text.contains("something else listens there"), "{text}");
}

#[test]
fn without_a_word_about_it_a_gateway_listens_nowhere() {
    let runtime = runtime();
    let gateway = runtime.block_on(Gateway::builder().start()).unwrap();
    assert_eq!((gateway.local_addresses(), gateway.addresses().count()), (vec![], 0));
    runtime.block_on(gateway.stop());
}

#[test]
fn the_index_page_tells_of_what_is_mounted() {
    let config = "[[route]]\npath = \"/\"\npage = \"index\"\n";
    let hello = application(|_, _, start| start.answer(200, TEXT, "hello\n"));
    let inside = Inside::new(Gateway::builder().config_text(config).mount("/hello", lint(hello)));
    assert!(inside.get("/").expect(200).text().contains("<a href=\"/hello\">"));
    assert_eq!(inside.get("/hello").expect(200).text(), "hello\n");
}
