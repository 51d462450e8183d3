//! The access log as whoever reads it sees it: what is in a line, for every way in which a request can end, and rotation. Must
//! not know how lines are written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use common::{DEADLINE, Folder, Gateway, Lines, Record, eventually, fixture, gateway, process};

struct Site {
    gateway: Gateway,
    folder: Folder,
    record: Record,
}

fn config(folder: &Folder, log: &str) -> String {
    folder.write("public/index.html", "welcome\n");
    folder.script(
        "bin/id",
        "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/plain\\n\\n%s' \"$UNIQUE_ID\"\n",
    );
    folder.script("bin/works", "#!/bin/sh\ni=0\nwhile [ $i -lt 30000 ]; do i=$((i+1)); done\nprintf 'Content-Type: text/plain\\n\\ndone'\n");
    format!(
        "[log]\n{log}\n[[route]]\npath = \"/bin\"\ncgi = \"bin\"\n[[route]]\npath = \"/bad\"\ncgi = \"{}\"\n\
         env = {{ RECORD = \"{}\" }}\n[[route]]\npath = \"/ask\"\ncgi = \"{}\"\nmax_processes = 1\n\
         [pool.workers]\nspeak = \"fastcgi\"\ncommand = [\"{}\"]\n[[route]]\npath = \"/pool\"\npool = \"workers\"\n\
         [[route]]\npath = \"/\"\nfiles = \"public\"\n",
        fixture("cgi"),
        folder.join("record").display(),
        fixture("questions-cgi"),
        fixture("fastcgi-worker"),
    )
}

fn site(log: &str) -> Site {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(&folder, &config(&folder, log));
    Site { gateway, folder, record }
}

impl Site {
    /// The JSON line for the one request with this target.
    fn line(&self, target: &str) -> Value {
        let line = self.gateway.stdout.wait_for(&format!("\"target\":\"{target}\""));
        serde_json::from_str(&line).unwrap()
    }
}

/// The value of ` key=value` in a combined line.
fn fact<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn a_combined_line_has_what_every_log_reader_knows_and_the_facts_behind_it() {
    let site = site("access = \"-\"");
    let fields = [("User-Agent", "tester/1"), ("Referer", "http://elsewhere.example/")];
    let answer = site.gateway.ask("POST", "/bin/id?a=b", &fields, b"12345").expect(200);
    let line = site.gateway.stdout.wait_for("POST /bin/id?a=b ");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(
        line.contains("] \"POST /bin/id?a=b HTTP/1.1\" 200 20 \"http://elsewhere.example/\" \"tester/1\" "),
        "{line}"
    );
    assert_eq!(fact(&line, "id"), Some(answer.text().as_str()), "the program saw the same id");
    assert_eq!(
        (fact(&line, "route"), fact(&line, "in"), fact(&line, "exit")),
        (Some("/bin"), Some("5"), Some("0"))
    );
    assert!(fact(&line, "back").is_some_and(|back| back.ends_with("/bin/id")), "{line}");
    for seconds in ["first", "total", "cpu"] {
        assert!(fact(&line, seconds).is_some_and(|text| text.parse::<f64>().is_ok()), "{seconds} in {line}");
    }
    assert!(fact(&line, "mem").unwrap().parse::<u64>().unwrap() > 100_000, "{line}");
    assert_eq!(fact(&line, "ending"), None);
}

#[test]
fn a_json_line_tells_what_a_program_used_and_how_it_ended() {
    let site = site("access_format = \"json\"");
    site.gateway.get("/bin/works").expect(200);
    let line = site.line("/bin/works");
    assert_eq!(
        (&line["method"], &line["status"], &line["exit_status"]),
        (&"GET".into(), &200.into(), &0.into())
    );
    assert_eq!((&line["protocol"], &line["host"]), (&"HTTP/1.1".into(), &"test.example".into()));
    assert_eq!((&line["remote_addr"], &line["bytes_sent"]), (&"127.0.0.1".into(), &4.into()));
    assert!(line["cpu"].as_f64().unwrap() > 0.001, "{line}");
    assert!(line["peak_memory"].as_u64().unwrap() > 100_000, "{line}");
    let (first, total) = (line["first_byte"].as_f64().unwrap(), line["total"].as_f64().unwrap());
    assert!(0.0 < first && first <= total, "{line}");

    assert_eq!(site.gateway.get("/ask/exit/3").status(), 502);
    let failed = site.line("/ask/exit/3");
    assert_eq!((&failed["status"], &failed["exit_status"]), (&502.into(), &3.into()));

    let _ = site.gateway.get("/bad/killed");
    let killed = site.line("/bad/killed");
    assert_eq!(killed["signal"], 9, "{killed}");

    site.gateway.get("/pool/hello").expect(200);
    let pooled = site.line("/pool/hello");
    assert_eq!((&pooled["back"], &pooled["route"]), (&"pool:workers".into(), &"/pool".into()));
    assert_eq!((pooled.get("exit_status"), pooled.get("cpu")), (None, None));

    site.gateway.get("/nothing").expect(404);
    assert_eq!(site.line("/nothing")["status"], 404);
}

#[test]
fn bytes_are_counted_in_both_directions_without_framing() {
    let site = site("access_format = \"json\"");
    let mut client = site.gateway.connect();
    let chunked = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    client
        .send(format!("POST /ask/echo?1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"));
    assert_eq!(client.receive().expect(200).text(), "hello world");
    let line = site.line("/ask/echo?1");
    assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&11.into(), &11.into()));
    client.ask("POST", "/ask/echo?2", &[], &vec![b'x'; 500_000]).expect(200);
    let line = site.line("/ask/echo?2");
    assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&500_000.into(), &500_000.into()));
    client.ask("HEAD", "/?3", &[], b"").expect(200);
    assert_eq!(site.line("/?3")["bytes_sent"], 0);
}

#[test]
fn the_wait_for_a_process_slot_is_told() {
    let site = site("access_format = \"json\"");
    let mut first = site.gateway.connect();
    first.send("GET /ask/stalls HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.receive_head("GET").status, 200);
    let mut second = site.gateway.connect();
    second.send("GET /ask/hello HTTP/1.1\r\nHost: a\r\n\r\n");
    // It came before this one, and so it waits by now.
    site.gateway.get("/").expect(200);
    drop(first);
    second.receive().expect(200);
    let wait = site.line("/ask/hello")["queue_wait"].as_f64().unwrap();
    assert!(wait > 0.0, "{wait}");
}

#[test]
fn a_client_that_left_is_499_before_a_status_and_told_after_it() {
    let site = site("");
    let mut client = site.gateway.connect();
    client.send("GET /bad/silent HTTP/1.1\r\nHost: a\r\n\r\n");
    site.record.started();
    drop(client);
    let line = site.gateway.stdout.wait_for("/bad/silent");
    assert!(line.contains("\" 499 0 "), "{line}");
    assert_eq!((fact(&line, "ending"), fact(&line, "signal")), (Some("client_gone"), Some("15")), "{line}");

    let mut client = site.gateway.connect();
    client.send("GET /ask/endless HTTP/1.1\r\nHost: a\r\n\r\n");
    client.receive_head("GET");
    drop(client);
    let line = site.gateway.stdout.wait_for("/ask/endless");
    assert!(line.contains("\" 200 ") && line.contains("ending=client_gone"), "{line}");
}

#[test]
fn what_broke_off_and_what_was_refused_is_told() {
    let site = site("");
    assert_eq!(site.gateway.get("/ask/crash/after").ended, common::Ended::Cut);
    let line = site.gateway.stdout.wait_for("/ask/crash/after");
    assert_eq!((fact(&line, "ending"), fact(&line, "signal")), (Some("broken_off"), Some("9")), "{line}");
    let mut client = site.gateway.connect();
    client.send("this is no HTTP\r\n\r\n");
    let id = client.receive().expect(400).text();
    let line = site.gateway.stdout.wait_for(" 400 ");
    assert!(id.contains(fact(&line, "id").unwrap()), "the page names the line: {line}");
}

#[test]
fn lesson_27_nothing_that_a_client_sends_makes_another_line_or_steers_a_terminal() {
    for format in ["combined", "json"] {
        let site = site(&format!("access_format = \"{format}\""));
        let mut client = site.gateway.connect();
        let mut request = b"GET /?\"\\ HTTP/1.1\r\nHost: a\r\nReferer: a\tb\xfe\xff\r\nUser-Agent: ".to_vec();
        request.extend("\u{9b}2J\u{85}\" 200 0 \"-\"".as_bytes());
        request.extend(b"\r\n\r\n");
        client.send(request);
        let status = client.receive().status();
        site.gateway.get("/?last").expect(200);
        site.gateway.stdout.wait_for("last");
        let lines =
            eventually("two lines", || Some(site.gateway.stdout.all()).filter(|lines| lines.len() >= 2));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().flat_map(|line| line.chars()).all(|c| !c.is_control()), "{lines:?}");
        match format {
            "json" => {
                let statuses: Vec<_> =
                    lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
                assert!(statuses.iter().any(|line| line["status"] == status), "{statuses:?}");
            }
            _ => assert!(lines.iter().all(|line| line.matches('"').count() == 6), "{lines:?}"),
        }
    }
}

#[test]
fn a_renamed_log_is_reopened_under_its_name_and_no_line_is_lost() {
    let site = site("access = \"access.log\"");
    let (log, old) = (site.folder.join("access.log"), site.folder.join("access.log.1"));
    let mut client = site.gateway.connect();
    for number in 0..50 {
        client.ask("GET", &format!("/?before-{number}"), &[], b"").expect(200);
    }
    std::fs::rename(&log, &old).unwrap();
    site.gateway.signal(Signal::USR1);
    site.gateway.wait_for_line("reopened");
    for number in 0..50 {
        client.ask("GET", &format!("/?after-{number}"), &[], b"").expect(200);
    }
    let mut gateway = site.gateway;
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    let (before, after) = (std::fs::read_to_string(old).unwrap(), std::fs::read_to_string(log).unwrap());
    assert_eq!(before.matches("/?before-").count(), 50, "{before}");
    assert_eq!((after.matches("/?after-").count(), after.lines().count()), (50, 50), "{after}");
}

#[test]
fn every_request_is_in_the_log_when_the_gateway_has_ended() {
    let site = site("access = \"access.log\"");
    let mut gateway = site.gateway;
    let address = gateway.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = common::Client::connect(address);
                for _ in 0..250 {
                    client.ask("GET", "/", &[], b"").expect(200);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    let text = std::fs::read_to_string(site.folder.join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 1_000);
    let mut ids: Vec<_> = text.lines().filter_map(|line| fact(line, "id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000, "an id came twice");
}

#[test]
fn a_pipe_that_nobody_reads_is_refused_at_the_start() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    make_pipe(&folder, "log");
    let file = folder.write("gatebridge.toml", config(&folder, "access = \"log\""));
    let mut command = Command::new(gateway::PROGRAM);
    command.arg("serve").arg(&file).current_dir(folder.path()).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(process::ends_within(child.id(), DEADLINE), "it waits for a reader");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("nobody reads"), "{text}");
    drop(record);
}

#[test]
fn a_pipe_that_is_read_no_more_holds_neither_requests_nor_the_end() {
    let folder = Folder::new();
    let _record = Record::new(&folder, "record");
    let pipe = make_pipe(&folder, "log");
    // Open, and never read.
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut gateway = Gateway::start(&folder, &config(&folder, "access = \"log\""));
    let address = gateway.address();
    // A pipe holds 64 KiB; the inbox of the writer holds 10,000 lines.
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = common::Client::connect(address);
                let pipelined = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
                for _ in 0..40 {
                    client.send(&pipelined);
                    for _ in 0..100 {
                        client.receive().expect(200);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    gateway.signal(Signal::USR1);
    gateway.wait_for_line("reopened");
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    gateway.wait_for_line("the last lines of the access log could not be written");
    drop(reader);
}

#[test]
fn a_pipe_with_a_reader_is_a_log_like_any_other() {
    let folder = Folder::new();
    let _record = Record::new(&folder, "record");
    let pipe = make_pipe(&folder, "log");
    let lines = Lines::of("the log", std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
    let gateway = Gateway::start(&folder, &config(&folder, "access = \"log\""));
    gateway.get("/?one").expect(200);
    lines.wait_for("GET /?one ");
    eventually("nothing on standard output", || gateway.stdout.all().is_empty().then_some(()));
}

fn make_pipe(folder: &Folder, name: &str) -> std::path::PathBuf {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let path = folder.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    path
}
