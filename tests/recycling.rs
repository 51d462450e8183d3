//! Workers that are replaced although nothing is wrong with them, under load, with real processes. It must not know how a
//! worker is chosen.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::told::assert_told;
use common::{Folder, Gateway, Record, eventually, fixture, process};

fn start(folder: &Folder, record: &Record, more: &str) -> Gateway {
    let config = format!(
        "[pool.app]\nspeak = \"fastcgi\"\ncommand = [\"{}\", \"--single\", \"--record\", \"{}\"]\nworkers = 2\n{more}\n\
         [[route]]\npath = \"/app\"\npool = \"app\"\n",
        fixture("fastcgi-worker"),
        record.path().display()
    );
    Gateway::start(folder, &config)
}

fn starts(record: &Record) -> usize {
    record.events.matching("started ").len()
}

/// Asks until there were so many starts, by GET and by POST, and no request may fail.
fn ask_until(gateway: &Gateway, record: &Record, count: usize) {
    std::thread::scope(|scope| {
        for method in ["GET", "POST", "POST"] {
            scope.spawn(move || {
                let mut client = gateway.connect();
                while starts(record) < count {
                    client
                        .ask(method, "/app/count", &[], if method == "POST" { b"body" } else { b"" })
                        .expect(200);
                }
            });
        }
    });
    assert_eq!(record.events.matching("unsound"), Vec::<String>::new());
}

#[test]
fn wish_23_workers_are_replaced_after_their_requests_and_no_request_fails() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, &record, "max_requests = 20\nrecycle_jitter = 50");
    ask_until(&gateway, &record, 12);
    assert!(record.events.matching("request ").len() <= 12 * 20, "never more than their share");
}

#[test]
fn wish_23_workers_are_replaced_when_they_are_old_and_no_request_fails() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, &record, "max_lifetime = \"100ms\"");
    ask_until(&gateway, &record, 8);
    eventually("two workers", || (process::children(gateway.id()).len() == 2).then_some(()));
}

#[test]
fn wish_23_workers_are_replaced_when_they_are_large_and_no_request_fails() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    // Every Python is larger.
    let gateway = start(&folder, &record, "max_memory = \"1MiB\"");
    ask_until(&gateway, &record, 5);
}

#[test]
fn wish_23_a_worker_that_is_far_too_large_is_ended_with_its_request() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, &record, "max_memory_hard = \"1MiB\"");
    let mut client = gateway.connect();
    // Held until the worker is looked at.
    client.send("POST /app/count HTTP/1.1\r\nHost: test.example\r\nContent-Length: 2\r\n\r\na");
    let answer = client.receive();
    assert_told(&gateway, answer, 502, &["it has ended: signal"]);
    gateway.wait_for_line("more than 1048576 bytes of memory");
}
