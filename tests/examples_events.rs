//! The example of server-sent events, listened to in every way that there is: each event arrives before the next one is
//! made, what was missed is sent again, and nothing runs on when the listener has left. It must not know how the program
//! finds out that there is something new.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod common;

use std::fs::OpenOptions;
use std::io::Write as _;

use common::{Client, EVERY_WAY, Folder, Gateway, Standing, Way, Ways, eventually};

fn ways() -> Ways {
    Ways::with("events", |folder| vec![("EVENTS", folder.join("said").display().to_string())])
}

/// Somebody who listens.
struct Listener {
    client: Client,
    text: String,
}

impl Listener {
    fn new(ways: &Ways, way: Way, last_id: Option<&str>) -> Self {
        let target = format!("{}/?events", way.mount());
        Self::on(ways.connect(way), &target, &format!("{}.test", way.name()), last_id)
    }

    fn on(mut client: Client, target: &str, host: &str, last_id: Option<&str>) -> Self {
        let last_id = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{last_id}\r\n"));
        let head = client.receive_head("GET");
        assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{host}");
        assert_eq!(head.field("cache-control"), Some("no-store"), "{host}");
        let mut listener = Self { client, text: String::new() };
        assert_eq!(listener.next(), "retry: 1000");
        listener
    }

    /// The next block of lines, as soon as it is here.
    fn next(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return block;
            }
            let piece = self.client.receive_piece().expect("the events have ended");
            self.text += std::str::from_utf8(&piece).unwrap();
        }
    }
}

fn say(ways: &Ways, way: Way, line: &str) {
    assert_eq!(ways.ask(way, "POST", "/", &[], line.as_bytes()).expect(204).text(), "");
}

/// How often these processes have the file of the events open.
fn readers(processes: impl IntoIterator<Item = u32>, folder: &Folder) -> usize {
    let file = folder.join("said");
    let open = processes.into_iter().flat_map(|id| {
        // A process may end while it is looked at.
        std::fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten()
    });
    open.filter(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|target| target == file)).count()
}

/// Whether the program, run in this way, reads the file of the events.
fn follows(ways: &Ways, way: Way) -> bool {
    readers(ways.processes(way), &ways.folder) > 0
}

#[test]
fn events_come_one_by_one_and_end_with_the_listener() {
    for way in EVERY_WAY {
        let ways = ways();
        let mut listener = Listener::new(&ways, way, None);
        // Nothing is said before the event before it has been heard.
        for (line, id) in [("one", 4), ("two", 8), ("three", 14), ("<4>", 18)] {
            say(&ways, way, line);
            assert_eq!(listener.next(), format!("id: {id}\ndata: {line}"), "{way:?}");
        }
        // Other programs may say something, too, and take their time in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(ways.folder.join("said")).unwrap();
        file.write_all(b"half ").unwrap();
        file.write_all(b"and half\nfirst of two\nsec").unwrap();
        assert_eq!(listener.next(), "id: 32\ndata: half and half", "{way:?}");
        assert_eq!(listener.next(), "id: 45\ndata: first of two", "{way:?}");
        file.write_all(b"ond\n").unwrap();
        assert_eq!(listener.next(), "id: 52\ndata: second", "{way:?}");

        assert!(follows(&ways, way), "{way:?}: nobody reads the file");
        drop(listener);
        eventually("the program to see that its listener has left", || (!follows(&ways, way)).then_some(()));
    }
}

#[test]
fn what_was_missed_is_sent_again() {
    let ways = ways();
    for line in ["one", "two", "three"] {
        say(&ways, Way::Cgi, line);
    }
    for way in EVERY_WAY {
        let mut resumed = Listener::new(&ways, way, Some("4"));
        assert_eq!(resumed.next(), "id: 8\ndata: two", "{way:?}");
        assert_eq!(resumed.next(), "id: 14\ndata: three", "{way:?}");
        // An id that this file cannot have given, and one that is none.
        for id in ["1000000", "four"] {
            assert_eq!(Listener::new(&ways, way, Some(id)).next(), "id: 4\ndata: one", "{way:?}");
        }
    }
}

#[test]
fn the_threads_of_one_worker_serve_as_many_listeners() {
    for speaks in ["fastcgi", "scgi"] {
        let folder = Folder::new();
        let file = folder.join("said").display().to_string();
        let worker = Standing::new("events", &folder, "events.sock", &[("EVENTS", &file)]);
        let gateway = Gateway::start(
            &folder,
            &format!(
                "[pool.events]\nspeak = {speaks:?}\nconnect = [\"unix:{}\"]\nmax_connections = 32\n\
                 [[route]]\npath = \"/app\"\npool = \"events\"\n",
                worker.socket().display()
            ),
        );
        let mut listeners: Vec<_> =
            (0..8).map(|_| Listener::on(gateway.connect(), "/app/?events", "any", None)).collect();
        for (line, id) in [("to all", 7), ("again", 13)] {
            gateway.ask("POST", "/app/", &[], line.as_bytes()).expect(204);
            for listener in &mut listeners {
                assert_eq!(listener.next(), format!("id: {id}\ndata: {line}"), "{speaks}");
            }
        }
        assert_eq!(readers([worker.id()], &folder), 8, "{speaks}");
        drop(listeners);
        eventually("the worker to see that nobody listens", || {
            (readers([worker.id()], &folder) == 0).then_some(())
        });
    }
}

#[test]
fn the_rest_is_answered_the_same_in_every_way() {
    let ways = ways();
    let long = "x".repeat(1001);
    for (method, path, body, status, says) in [
        ("GET", "/", &b""[..], 200, "new EventSource('?events')"),
        ("HEAD", "/", b"", 200, ""),
        ("POST", "/", long.as_bytes(), 413, "Say it in less"),
        ("POST", "/", b"\xff", 400, "Say it in UTF-8"),
        ("DELETE", "/", b"", 405, "GET the page"),
        ("HEAD", "/?events", b"", 405, ""),
    ] {
        for way in EVERY_WAY {
            let answer = ways.ask(way, method, path, &[], body).expect(status);
            assert!(answer.text().contains(says), "{method} {path} by {way:?}: {}", answer.text());
        }
    }
    assert!(!ways.folder.join("said").exists(), "something was said");
}
