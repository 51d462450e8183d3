//! A reload that changes a pool: the new workers before the old. It must not know how a reload is made.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Folder, Gateway, Record, eventually, fixture, process};
use rustix::process::Signal;

/// A pool whose workers answer `/app/environ` with the variable GENERATION of the route, and tell of their start.
fn config(record: &Record, mode: &str, generation: u32, more: &str) -> String {
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[pool.app]\nspeak = \"fastcgi\"\ncommand = [\"{}\", \"--mode\", \"{mode}\", \"--record\", \"{}\"]\n\
         env = {{ GENERATION = \"{generation}\" }}\nworkers = 2\nqueue_timeout = \"1h\"\n{more}\n\
         [[route]]\npath = \"/app\"\npool = \"app\"\nenv = {{ GENERATION = \"{generation}\" }}\n",
        fixture("fastcgi-worker"),
        record.path().display()
    )
}

fn generation(gateway: &Gateway) -> String {
    let text = gateway.get("/app/environ").expect(200).text();
    let line = text.lines().find(|line| line.contains("GENERATION")).unwrap_or_default();
    line.rsplit(['=', ' ', ':']).next().unwrap_or_default().trim_matches(['"', '\'', ',']).to_owned()
}

/// Never ready within a test, unless it is told to be.
const PATIENT: &str = "start_timeout = \"1h\"";

#[test]
fn wish_11_the_old_workers_serve_until_the_new_ones_are_ready() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(&folder, &config(&record, "normal", 1, ""));
    assert_eq!(generation(&gateway), "1");
    let old: Vec<_> = process::children(gateway.id()).into_iter().map(|child| child.id).collect();
    let mark = record.events.mark();
    gateway.reload(&config(&record, "deaf", 2, PATIENT));
    let deaf = record.started_after(mark);
    for _ in 0..20 {
        assert_eq!(generation(&gateway), "1", "the new ones take no connections yet");
    }
    // Another reload takes its place, and its workers end.
    gateway.reload(&config(&record, "normal", 3, PATIENT));
    eventually("the third generation", || (generation(&gateway) == "3").then_some(()));
    process::wait_for_end(deaf);
    old.into_iter().for_each(process::wait_for_end);
}

#[test]
fn wish_11_new_workers_that_never_get_ready_leave_the_old_ones_in_service() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(&folder, &config(&record, "normal", 1, ""));
    gateway.reload(&config(&record, "deaf", 2, "start_timeout = \"300ms\"\nstop_grace = \"1s\""));
    let line = gateway.wait_for_line("reload refused");
    assert!(line.contains("0 of 2 workers of pool \"app\" were ready within 0.3 s"), "{line}");
    assert_eq!(generation(&gateway), "1");
    eventually("the new workers to have ended", || {
        (process::children(gateway.id()).len() == 2).then_some(())
    });
    let mark = gateway.stderr.mark();
    let more = format!("{PATIENT}\nrestart_backoff_min = \"1ms\"");
    gateway.reload(&config(&record, "exits-at-start", 3, &more));
    let line = gateway.stderr.wait_for_after(mark, "reload refused");
    assert!(line.contains("has no workers: the last one ended with"), "{line}");
    assert_eq!(generation(&gateway), "1");
}

#[test]
fn a_reload_that_waits_for_workers_does_not_keep_the_gateway_from_ending() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let mut gateway = Gateway::start(&folder, &config(&record, "normal", 1, ""));
    let mark = record.events.mark();
    let more = format!("{PATIENT}\nstop_grace = \"1s\"");
    gateway.reload(&config(&record, "deaf", 2, &more));
    let deaf = record.started_after(mark);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
    assert!(!process::runs(deaf), "no worker is left behind");
}

#[test]
fn wish_11_ten_thousand_requests_over_changes_of_their_pool_and_none_fails() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(&folder, &config(&record, "normal", 0, ""));
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let told = |pattern: &str| gateway.stderr.matching(pattern).len();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gateway.connect();
                while !is_over.load(Ordering::Relaxed) || answered.load(Ordering::Relaxed) < 10_000 {
                    assert_eq!(client.ask("GET", "/app/hello", &[], b"").expect(200).text(), "hello\n");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=8 {
            let before = told("reloaded");
            gateway.reload(&config(&record, "normal", number, ""));
            eventually("the reload", || (told("reloaded") > before).then_some(()));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(generation(&gateway), "8");
    assert_eq!(told("reload refused"), 0);
}
