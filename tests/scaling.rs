//! Pools whose number of workers follows the load, with real processes; it must not know how the number is decided.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::told::assert_get;
use common::{Client, Folder, Gateway, Record, backs, eventually, fixture, process};

/// A gateway before a pool with these `workers`, and more lines of its table.
fn start(folder: &Folder, record: &Record, speak: &str, workers: &str, more: &str) -> Gateway {
    let config = format!(
        "[pool.app]\nspeak = \"{speak}\"\ncommand = [\"{}\", \"--single\", \"--record\", \"{}\"]\nworkers = {workers}\n\
         {more}\n[[route]]\npath = \"/app\"\npool = \"app\"\n",
        fixture(&format!("{speak}-worker")),
        record.path().display(),
        more = backs::patient(more, true)
    );
    Gateway::start(folder, &config)
}

/// Keeps a worker busy until the rest of its body comes.
fn hold(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send("POST /app/echo HTTP/1.1\r\nHost: test.example\r\nContent-Length: 2\r\n\r\na");
    client
}

fn release(client: &mut Client) {
    client.send("b");
    assert_eq!(client.receive().expect(200).text(), "ab");
}

fn wait_for_count(record: &Record, pattern: &str, count: usize) {
    eventually(&format!("{count} times {pattern:?}"), || {
        (record.events.matching(pattern).len() >= count).then_some(())
    });
}

fn wait_for_workers(gateway: &Gateway, count: usize) {
    eventually(&format!("{count} workers"), || {
        (process::children(gateway.id()).len() == count).then_some(())
    });
}

#[test]
fn wish_9_a_burst_has_as_many_workers_as_it_needs_and_they_leave_again() {
    for speak in ["fastcgi", "scgi"] {
        let folder = Folder::new();
        let record = Record::new(&folder, "record");
        let gateway = start(&folder, &record, speak, "{ max = 8, idle_timeout = \"50ms\" }", "");
        wait_for_count(&record, "started ", 1);
        let mut clients: Vec<_> = (0..8).map(|_| hold(&gateway)).collect();
        // All eight at the same time: none is answered before the last has begun.
        wait_for_count(&record, "request POST /echo", 8);
        assert_eq!(record.events.matching("started ").len(), 8, "never more than the maximum");
        clients.iter_mut().for_each(release);
        wait_for_workers(&gateway, 1);
        // The last one stays.
        assert_eq!(gateway.get("/app/hello").expect(200).text(), "hello\n");
    }
}

#[test]
fn what_waits_beyond_the_maximum_is_answered_in_its_turn() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = start(&folder, &record, "fastcgi", "{ min = 0, max = 2, spare = 0 }", "");
    let mut clients: Vec<_> = (0..6).map(|_| hold(&gateway)).collect();
    wait_for_count(&record, "request POST /echo", 2);
    assert_eq!(record.events.matching("request POST").len(), 2);
    clients.iter_mut().for_each(|client| client.send("b"));
    for client in &mut clients {
        assert_eq!(client.receive().expect(200).text(), "ab");
    }
    assert_eq!(record.events.matching("started ").len(), 2);
}

#[test]
fn on_demand_there_is_no_worker_before_the_first_request_and_after_the_last() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway =
        start(&folder, &record, "scgi", "{ mode = \"ondemand\", max = 2, idle_timeout = \"50ms\" }", "");
    assert!(process::children(gateway.id()).is_empty());
    for starts in 1..=3 {
        assert_eq!(gateway.get("/app/hello").expect(200).text(), "hello\n");
        wait_for_workers(&gateway, 0);
        assert_eq!(record.events.matching("started ").len(), starts);
    }
}

#[test]
fn a_spare_worker_is_started_as_soon_as_the_last_idle_one_is_taken() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    // Nobody waits for long enough to have one started.
    let gateway = start(&folder, &record, "fastcgi", "{ max = 3, spare = 1, scale_after = \"1h\" }", "");
    let mut clients = Vec::new();
    for busy in 1..=3_usize {
        wait_for_count(&record, "started ", busy);
        clients.push(hold(&gateway));
        wait_for_count(&record, "request POST /echo", busy);
    }
    clients.iter_mut().for_each(release);
}

#[test]
fn wish_10_on_demand_workers_that_cannot_start_say_why_and_are_tried_again() {
    let folder = Folder::new();
    let model = folder.join("model");
    let script = format!(
        "test -e {} || {{ echo no such model >&2; exit 3; }}; exec {} --single",
        model.display(),
        fixture("fastcgi-worker")
    );
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[pool.app]\nspeak = \"fastcgi\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nqueue_timeout = \"1h\"\n\
             restart_backoff_min = \"1ms\"\nrestart_backoff_max = \"20ms\"\n\
             workers = {{ mode = \"ondemand\", max = 4 }}\n[[route]]\npath = \"/app\"\npool = \"app\"\n"
        ),
    );
    // Held at first, since one failure is an accident, and refused as soon as there is no hope.
    assert_get(&gateway, "/app/hello", 503, &["exit status 3", "no such model"]);
    std::fs::write(&model, "").unwrap();
    let answer = eventually("the pool serves", || {
        let answer = gateway.get("/app/hello");
        (answer.status() == 200).then_some(answer)
    });
    assert_eq!(answer.text(), "hello\n");
}
