//! Workers that end by themselves, and the requests that were under way to them; it must not know how the gateway learns
//! of an end.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::{Folder, Gateway, Record, backs, fixture, noise};

fn start(folder: &Folder, speak: &str, mode: &str, count: u32, record: &Record) -> Gateway {
    let config = format!(
        "[pool.app]\nspeak = \"{speak}\"\n\
         command = [\"{}\", \"--mode\", \"{mode}\", \"--single\", \"--count\", \"{count}\", \"--record\", \"{}\"]\n{}\n\
         [[route]]\npath = \"/app\"\npool = \"app\"\n",
        fixture(&format!("{speak}-worker")),
        record.path().display(),
        backs::patient("", true)
    );
    Gateway::start(folder, &config)
}

/// A worker that has served its last request still listens for the moment that its exit takes: what is sent to it then
/// was not read, and is answered by its successor, whatever its method and however far its body was sent.
#[test]
fn lesson_51_what_a_worker_left_waiting_is_answered_by_its_successor() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, "scgi", "exits-after", 1, &record);
    let body = noise(51, 1_000_000);
    let mut client = gateway.connect();
    for number in 0..30 {
        let answer = client.ask("POST", "/app/count", &[], &body);
        assert_eq!(answer.status(), 200, "request {number}: {}", answer.text());
        assert!(answer.text().starts_with("1000000 "), "request {number}: {}", answer.text());
    }
    assert!(record.events.matching("started ").len() >= 30);
    assert_eq!(record.events.matching("unsound"), Vec::<String>::new());
}

/// The same over a connection that is kept: the worker may have begun to read, so that only what is safe to repeat is.
#[test]
fn lesson_51_a_get_on_a_kept_connection_that_is_reset_is_repeated() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, "fastcgi", "exits-after", 2, &record);
    let mut client = gateway.connect();
    for number in 0..20 {
        let answer = client.ask("GET", "/app/hello", &[], b"");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello\n"), "request {number}");
    }
    assert!(record.events.matching("started ").len() >= 10);
}
