//! The examples, one program each, asked the same in every way that there is: their answers are compared whole. It must not
//! know how a program finds out what it is.
//!
//! | way | how |
//! |---|---|
//! | CGI, FastCGI, SCGI | behind one gateway: status, reason, every field in its order, and body are the same bytes |
//! | in-process | mounted in a gateway of this process: the same as behind the other |
//! | development | by the program itself with `--listen`: the same but for the fields of the server |
//! | rehearsal | in this process, without a server: the program's own fields, and the body |
//!
//! What differs nevertheless, and why, is in the tables below. Everything here runs under lint: see
//! `protocols/interface/src/perform.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;
mod inside;
#[path = "examples/programs.rs"]
mod programs;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Answer, EVERY_WAY, Gateway, Way, Ways, example, noise, process};
use gatebridge::AppSettings;
use gatebridge_interface::http::HeaderMap;
use gatebridge_interface::{Application, Environ, Scheme, rehearse};
use inside::Inside;
use rustix::process::Signal;

/// Fields that differ between two answers of anybody, or that are the server's: its clock, its name, its connection.
const SERVERS_FIELDS: [&str; 3] = ["date", "server", "connection"];

/// Fields that differ by what a program does, and why.
const PROGRAMS_FIELDS: [(&str, &str); 1] = [("server-timing", "no two answers take equally long")];

/// The variables that differ, as `environ` tells them, and why.
const VARIABLES: [(&str, &str); 17] = [
    ("CONTENT_LENGTH", "SCGI wants it even where there is no body: then it is 0"),
    ("DOCUMENT_ROOT", "a CGI script lies in a folder"),
    ("FCGI_ROLE", "only FastCGI has roles"),
    ("HTTP_HOST", "the host says in which way this test asks"),
    ("LANG", "a process of CGI has its variables in its environment, and with them what it inherits"),
    ("PATH", "as LANG"),
    ("PATH_TRANSLATED", "as DOCUMENT_ROOT"),
    ("QUEUE_WAIT_US", "only a request that waited has it"),
    ("REMOTE_PORT", "each connection has its own"),
    ("REQUEST_URI", "for development the program is at /, behind the gateway at /app"),
    ("SCRIPT_FILENAME", "a CGI script is a file"),
    ("SCRIPT_NAME", "as REQUEST_URI"),
    ("SERVER_NAME", "as HTTP_HOST"),
    ("SERVER_PORT", "the server for development has a port of its own"),
    ("SERVER_SOFTWARE", "it says who serves"),
    ("TZ", "as LANG"),
    ("UNIQUE_ID", "each request has its own; for development there is none"),
];

/// One request. The body is made when it is asked.
struct Case {
    method: &'static str,
    path: &'static str,
    fields: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    status: u16,
    /// What the body of the answer has to contain.
    says: &'static str,
}

fn case(method: &'static str, path: &'static str, status: u16, says: &'static str) -> Case {
    Case { method, path, fields: &[], body: Vec::new(), status, says }
}

impl Case {
    fn fields(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Self { fields, ..self }
    }

    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }
}

/// What of an answer has to be the same. Names are in lower case: HTTP does not tell.
fn essence(answer: &Answer, is_ours: impl Fn(&str) -> bool) -> (u16, String, Vec<(String, String)>, Vec<u8>) {
    let fields = answer.head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let fields = fields.filter(|(name, _)| is_ours(name));
    (answer.status(), answer.head.reason.clone(), fields.collect(), answer.body.clone())
}

fn may_differ(name: &str) -> bool {
    PROGRAMS_FIELDS.iter().any(|(other, _)| *other == name)
}

/// Asks the program in every way, and compares.
fn compare(name: &str, application: impl Application + 'static, cases: Vec<Case>) {
    let application: Arc<dyn Application> = Arc::new(application);
    let ways = Ways::new(name);
    let mut settings = AppSettings::default();
    settings.authorization = true;
    let mut inside =
        Inside::new(gatebridge::Gateway::builder().mount_with("/app", Arc::clone(&application), &settings));
    for case in cases {
        let what = format!("{name}: {} {:?} with {} bytes", case.method, case.path, case.body.len());
        let answers = EVERY_WAY
            .map(|way| ways.ask(way, case.method, case.path, case.fields, &case.body).expect(case.status));
        let says = String::from_utf8_lossy(&answers[0].body);
        assert!(says.contains(case.says), "{what}: {:?} is not in {says}", case.says);
        // Behind the gateway, all but the clock.
        let whole = |answer| essence(answer, |name| name != "date" && !may_differ(name));
        for (way, answer) in EVERY_WAY.iter().zip(&answers).skip(1).take(2) {
            assert_eq!(whole(answer), whole(&answers[0]), "{what} by {way:?}");
        }
        let target = format!("/app{}", case.path);
        let answer = inside.connect().ask(case.method, &target, case.fields, &case.body);
        // Whether a long answer was whole when it was looked at is chance; then its length is told.
        let is_long = answers[0].field("content-length").is_none();
        let whole = |answer| {
            let is_free = |name: &str| is_long && ["content-length", "transfer-encoding"].contains(&name);
            essence(answer, |name| name != "date" && !may_differ(name) && !is_free(name))
        };
        assert_eq!(whole(&answer), whole(&answers[0]), "{what} in-process");
        let ours = |answer| {
            let mut ours = essence(answer, |name| !SERVERS_FIELDS.contains(&name) && !may_differ(name));
            ours.2.sort();
            ours
        };
        assert_eq!(ours(&answers[3]), ours(&answers[0]), "{what} for development");
        compare_rehearsal(&what, &*application, &case, &answers[0]);
    }
    inside.stop();
}

/// The same without a server. What the program itself says has to be in the answer that came by CGI.
fn compare_rehearsal(what: &str, application: &dyn Application, case: &Case, answer: &Answer) {
    let rehearsed = rehearse(application, &environ_of(case), &case.body).unwrap();
    assert_eq!(rehearsed.status.as_u16(), answer.status(), "{what} rehearsed");
    // A program may answer HEAD with a body, which nobody sends.
    let body = if case.method == "HEAD" { &[][..] } else { &rehearsed.body };
    assert!(body == answer.body, "{what} rehearsed: {} is not {}", rehearsed.text(), answer.text());
    for (name, value) in rehearsed.headers.iter().filter(|(name, _)| !may_differ(name.as_str())) {
        assert_eq!(answer.field(name.as_str()), value.to_str().ok(), "{what} rehearsed: {name}");
    }
}

fn environ_of(case: &Case) -> Environ {
    let (path, query) = case.path.split_once('?').unwrap_or((case.path, ""));
    let headers: HeaderMap =
        case.fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Environ {
        scheme: Scheme::Http,
        content_type: headers.get("content-type").cloned(),
        path_info: path.as_bytes().to_vec().into(),
        query_string: query.as_bytes().to_vec().into(),
        ..Environ::from_head(
            case.method.parse().unwrap(),
            case.path.as_bytes().to_vec().into(),
            gatebridge_interface::http::Version::HTTP_11,
            headers,
        )
    }
}

#[test]
fn hello_answers_the_same_in_every_way() {
    let text = "Hello from Rust\n";
    compare(
        "hello",
        programs::hello::hello,
        vec![
            case("GET", "/", 200, text),
            case("HEAD", "/", 200, ""),
            case("GET", "/any/where?at=all", 200, text),
            case("POST", "/", 200, text).body("unread"),
            // It answers at once, whatever is still to come.
            case("POST", "/", 200, text).body(noise(1, 1024 * 1024)),
            case("DELETE", "/", 200, text),
        ],
    );
}

#[test]
fn a_form_answers_the_same_in_every_way() {
    const URLENCODED: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
    const MULTIPART: &[(&str, &str)] = &[("Content-Type", "multipart/form-data; boundary=gate")];
    let part = |name: &str, bytes: &[u8]| {
        [
            format!("--gate\r\nContent-Disposition: form-data; name={name}\r\n\r\n").as_bytes(),
            bytes,
            b"\r\n--gate--\r\n",
        ]
        .concat()
    };
    let upload = part("file; filename=\"<a>.bin\"", &noise(2, 1024 * 1024));
    let digest = "&lt;a&gt;.bin: 1048576 bytes, SHA-256 ";
    compare(
        "form",
        programs::form::form,
        vec![
            case("GET", "/", 200, "<textarea name=\"message\""),
            case("HEAD", "/", 200, ""),
            case("POST", "/", 200, "<td>a &lt;b&gt; &amp; &quot;c&quot;")
                .fields(URLENCODED)
                .body("message=a+%3Cb%3E+%26+%22c%22"),
            case("POST", "/", 200, "<table>\n</table>").fields(URLENCODED),
            case("POST", "/", 413, "may have 65536 bytes").fields(URLENCODED).body(noise(3, 1024 * 1024)),
            case("POST", "/", 200, "<th>remark<td>&#39;so&#39;")
                .fields(MULTIPART)
                .body(part("remark", b"'so'")),
            case("POST", "/", 200, digest).fields(MULTIPART).body(upload),
            case("POST", "/", 413, "A field that is no file may")
                .fields(MULTIPART)
                .body(part("remark", &noise(4, 100_000))),
            case("POST", "/", 400, "This is no form: ").fields(MULTIPART).body("--gate\r\nno field\r\n\r\n"),
            case("POST", "/", 400, "This is no form: ")
                .fields(&[("Content-Type", "multipart/form-data")])
                .body("x"),
            case("POST", "/", 415, "not &quot;text/plain&quot;")
                .fields(&[("Content-Type", "text/plain")])
                .body("x"),
            case("POST", "/", 415, "not &quot;&quot;"),
            case("PUT", "/", 405, "GET the form").body("x"),
        ],
    );
}

#[test]
fn an_upload_is_refused_before_it_is_sent() {
    let ways = Ways::new("form");
    for way in EVERY_WAY {
        let mut client = ways.connect(way);
        client.send(format!(
            "POST {}/ HTTP/1.1\r\nHost: {}.test\r\nContent-Type: multipart/form-data; boundary=gate\r\n\
             Content-Length: 70000000\r\n\r\n--gate\r\n",
            way.mount(),
            way.name()
        ));
        // Nothing more is sent.
        let answer = client.receive().expect(413).text();
        assert!(answer.contains("An upload may have 67108864 bytes"), "{way:?}: {answer}");
    }
}

#[test]
fn an_upload_is_never_held_whole() {
    let ways = Ways::new("form");
    let upload = [
        &b"--gate\r\nContent-Disposition: form-data; name=file; filename=large\r\n\r\n"[..],
        &noise(8, 12 * 1024 * 1024),
        b"\r\n--gate--\r\n",
    ]
    .concat();
    let fields = [("Content-Type", "multipart/form-data; boundary=gate")];
    let answer = ways.ask(Way::Development, "POST", "/", &fields, &upload).expect(200).text();
    assert!(answer.contains("large: 12582912 bytes"), "{answer}");
    let peak_kib = process::peak_resident_kib(ways.processes(Way::Development)[0]);
    assert!(peak_kib < 9 * 1024, "{peak_kib} KiB for 12 MiB");
}

#[test]
fn middlewares_answer_the_same_in_every_way() {
    compare(
        "middleware",
        programs::middleware::application(),
        vec![
            case("GET", "/", 200, "12 x 12 = 144\n"),
            case("HEAD", "/", 200, ""),
            case("GET", "/", 304, "").fields(&[("If-None-Match", "\"0\", *")]),
            case("GET", "/", 200, "12 x 12").fields(&[("If-None-Match", "\"0\"")]),
            case("POST", "/", 405, "nothing to be changed").body(noise(5, 1024 * 1024)),
        ],
    );
}

#[test]
fn a_filter_answers_the_same_in_every_way() {
    compare(
        "filter",
        programs::filter::number,
        vec![
            case("POST", "/", 200, "     1  one\n     2  \n     3  three").body("one\n\nthree"),
            case("POST", "/", 200, ""),
            case("PUT", "/", 200, "     1  ").body(noise(6, 1024 * 1024)),
            case("GET", "/", 405, "POST a text"),
        ],
    );
}

#[test]
fn an_authorizer_answers_the_same_in_every_way() {
    compare(
        "authorizer",
        programs::authorizer::authorize,
        vec![
            case("GET", "/", 401, "Say who you are"),
            case("HEAD", "/", 401, ""),
            case("GET", "/", 401, "Say").fields(&[("Authorization", "Bearer guess")]),
            case("GET", "/", 401, "Say").fields(&[("Authorization", "Basic c3dvcmRmaXNo")]),
            case("POST", "/", 200, "alice may pass")
                .fields(&[("Authorization", "Bearer swordfish")])
                .body("x"),
            case("POST", "/", 403, "bob may look")
                .fields(&[("Authorization", "bearer open-sesame")])
                .body("x"),
            case("GET", "/", 200, "bob may pass").fields(&[("Authorization", "bearer open-sesame")]),
        ],
    );
}

/// The lines of the environ example that say something about the request.
fn request(text: &str) -> BTreeSet<&str> {
    let differs = |line: &&str| VARIABLES.iter().any(|(name, _)| line.split('=').next() == Some(name));
    text.lines().filter(|line| !differs(line)).collect()
}

#[test]
fn environ_is_told_the_same_in_every_way() {
    let ways = Ways::new("environ");
    let fields = [("X-Own", "one"), ("X-Own", "two"), ("Cookie", "a=1"), ("Content-Type", "text/x-noise")];
    let lines = ["HTTP_X_OWN=one, two", "QUERY_STRING=a=b&c", "PATH_INFO=/more/path", "REQUEST_METHOD=POST"];
    for (length, own) in [(0, &fields[..]), (1, &[]), (300_000, &fields[..]), (1024 * 1024, &[])] {
        let told = EVERY_WAY.map(|way| {
            let answer = ways.ask(way, "POST", "/more/path?a=b&c", own, &noise(7, length)).expect(200).text();
            for line in &lines[usize::from(own.is_empty())..] {
                assert!(answer.lines().any(|other| other == *line), "no {line} by {way:?} in\n{answer}");
            }
            assert!(answer.ends_with(&format!("\n{length} bytes of body\n")), "{way:?}: {answer}");
            answer
        });
        for (way, text) in EVERY_WAY.iter().zip(&told) {
            assert_eq!(request(text), request(&told[0]), "{way:?}");
        }
    }
    // With and without a slash at the end.
    for path in ["", "/", "/a/"] {
        for way in EVERY_WAY {
            let path = if path.is_empty() && way == Way::Development { "/" } else { path };
            let answer = ways.ask(way, "GET", path, &[], b"").expect(200).text();
            let line = format!("PATH_INFO={path}");
            assert!(answer.lines().any(|other| other == line), "no {line} by {way:?} in\n{answer}");
        }
    }
}

#[test]
fn what_differs_has_a_reason() {
    for (name, reason) in VARIABLES.iter().chain(&PROGRAMS_FIELDS) {
        assert!(reason.len() > 5, "{name}");
    }
}

#[test]
fn a_worker_is_kept_and_a_script_is_not() {
    let program = example("hello");
    let mut gateway = Gateway::new(&format!(
        "[pool.kept]\nspeak = \"fastcgi\"\ncommand = [{program:?}]\nworkers = 1\n[[route]]\npath = \"/\"\npool = \"kept\"\n"
    ));
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
