//! No file descriptor is left in the gateway: the same is told wherever that is met, and it passes. It must not know how
//! a shortage is found.
//!
//! A limit below what is open already leaves nothing that could be opened, whatever else the gateway does meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use common::told::assert_busy;
use common::{Client, DEADLINE, Folder, Gateway, Peer, Record, eventually, fixture, process};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

/// What is told, whatever was to be opened.
const TOLD: [&str; 2] = ["no file descriptor is left in the gateway (os error 24)", "raise ulimit -n"];

/// What every test may ask for while it has descriptors.
const FILE: &str = "/files/here.txt";

/// How many descriptors a gateway may have.
struct Allowance {
    id: Option<Pid>,
    /// The gateway inherited it from this process.
    usual: Rlimit,
}

impl Allowance {
    fn of(gateway: &Gateway) -> Self {
        Self { id: Pid::from_raw(gateway.id().cast_signed()), usual: getrlimit(Resource::Nofile) }
    }

    /// No new descriptor gets a number from `numbers` on.
    fn lower(&self, numbers: u64) {
        prlimit(self.id, Resource::Nofile, Rlimit { current: Some(numbers), ..self.usual }).unwrap();
    }

    fn restore(&self) {
        prlimit(self.id, Resource::Nofile, self.usual).unwrap();
    }
}

/// A connection that the gateway has accepted, which takes a descriptor.
fn accepted(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.ask("GET", FILE, &[], b"").expect(200);
    client
}

fn start(more: &str) -> (Folder, Gateway) {
    let folder = Folder::new();
    folder.write("public/here.txt", "here\n");
    let config = format!("[[route]]\npath = \"/files/\"\nfiles = \"public\"\n{more}");
    let gateway = Gateway::start(&folder, &config);
    (folder, gateway)
}

#[test]
fn lesson_22_no_descriptor_left_is_503_with_retry_after_and_passes() {
    let (scripts, script) = (fixture("cgi"), fixture("cgi/never-reads"));
    let folder = Folder::new();
    let address = format!("unix:{}", folder.join("worker").display());
    let _worker = Peer::scgi_worker(&address, &[]);
    let (_folder, gateway) = start(&format!(
        "[[route]]\npath = \"/scripts/\"\ncgi = {scripts:?}\n\
         [[route]]\npath = \"/script\"\ncgi = {script:?}\n\
         [[route]]\npath = \"/spooled\"\ncgi = {script:?}\nbody = \"spool\"\nspool_memory = \"1KiB\"\n\
         [pool.p]\nspeak = \"scgi\"\nconnect = [{address:?}]\n\
         [[route]]\npath = \"/worker\"\npool = \"p\"\n"
    ));
    let body = vec![b'x'; 500_000];
    for (method, path, body, place) in [
        ("GET", FILE, &b""[..], "cannot look for"),
        ("GET", "/scripts/never-reads", b"", "cannot look for"),
        ("GET", "/script", b"", "cannot start"),
        ("POST", "/spooled", &body, "a temporary file in"),
        ("GET", "/worker/hello", b"", "no connection to unix:"),
    ] {
        let mut client = accepted(&gateway);
        let allowance = Allowance::of(&gateway);
        allowance.lower(0);
        let answer = client.ask(method, path, &[], body);
        assert_busy(&gateway, answer, &[TOLD[0], TOLD[1], place]);
        allowance.restore();
        gateway.ask(method, path, &[], body).expect(200);
    }
}

#[test]
fn lesson_22_wherever_descriptors_run_out_the_same_is_told() {
    let (_folder, gateway) = start(&format!("[[route]]\npath = \"/scripts/\"\ncgi = {:?}\n", fixture("cgi")));
    let mut client = accepted(&gateway);
    let allowance = Allowance::of(&gateway);
    let mut room = 0;
    // One more each time, until there are enough for the lookup, the pipes and the process.
    loop {
        allowance.lower(process::descriptors(gateway.id()) as u64 + room);
        let answer = client.ask("GET", "/scripts/never-reads", &[], b"");
        if answer.status() == 200 {
            break;
        }
        assert_busy(&gateway, answer, &TOLD);
        room += 1;
        assert!(room < 100, "a script takes more than {room} descriptors");
    }
}

#[test]
fn lesson_23_without_a_descriptor_a_connection_waits_and_the_log_says_why() {
    let (_folder, gateway) = start("");
    let allowance = Allowance::of(&gateway);
    allowance.lower(0);
    let mut waits = gateway.connect();
    let line = gateway.wait_for_line("cannot accept connections");
    assert!(TOLD.iter().all(|part| line.contains(part)), "{line}");
    allowance.restore();
    waits.ask("GET", FILE, &[], b"").expect(200);
}

#[test]
fn lesson_22_a_worker_that_met_no_descriptor_serves_as_soon_as_there_are_some() {
    let pipe = Folder::new();
    let record = Record::new(&pipe, "record");
    let (worker, record_path) = (fixture("scgi-worker"), record.path().display());
    let (_folder, gateway) = start(&format!(
        "[pool.p]\nspeak = \"scgi\"\ncommand = [{worker:?}, \"--record\", \"{record_path}\"]\n\
         restart_backoff_min = \"1ms\"\nrestart_backoff_max = \"50ms\"\n\
         [[route]]\npath = \"/worker\"\npool = \"p\"\n"
    ));
    gateway.get("/worker/hello").expect(200);
    let allowance = Allowance::of(&gateway);
    let mut worker = record.started();
    // It is started anew with one descriptor more each time: for its socket, its pipes, the look whether it is ready.
    for room in 0..10 {
        let (log, events) = (gateway.stderr.mark(), record.events.mark());
        // Without the worker that is killed there will be some four fewer.
        allowance.lower((process::descriptors(gateway.id()) as u64).saturating_sub(4) + room);
        process::signal(worker, Signal::KILL);
        let attempted = gateway.stderr.wait_within_for_any(log, &[TOLD[0], "worker started"], DEADLINE);
        assert!(attempted.is_some(), "it was not started again");
        allowance.restore();
        eventually("an answer", || (gateway.get("/worker/hello").status() == 200).then_some(()));
        worker = record.started_after(events);
    }
}
