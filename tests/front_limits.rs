//! The limits of the HTTP front, each by its own setting: time, size, number. Must not know how they are kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{Client, Ended, Folder, Gateway, Record, eventually, fixture, noise, process};

const OFF: Duration = Duration::from_millis(300);
const SHORT: &str = "300ms";

struct Site {
    gateway: Gateway,
    record: Record,
    _folder: Folder,
}

fn config(folder: &Folder, listen: &str, route: &str, record: &Record) -> String {
    folder.write("public/index.html", "welcome\n");
    folder.script(
        "bin/count",
        "#!/bin/sh\necho \"started $$\" >\"$RECORD\"\nprintf 'Content-Type: text/plain\\n\\n%s' $(wc -c)\n",
    );
    folder.script("bin/silent", "#!/bin/sh\necho \"started $$\" >\"$RECORD\"\nexec sleep 1000000\n");
    let env = format!("env = {{ RECORD = \"{}\" }}", record.path().display());
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n{listen}\n[[route]]\npath = \"/bin\"\ncgi = \"bin\"\n{env}\n{route}\n\
         [[route]]\npath = \"/ask\"\ncgi = \"{}\"\n{env}\n[[route]]\npath = \"/\"\nfiles = \"public\"\n",
        fixture("questions-cgi")
    )
}

/// A gateway with these settings of its listener and of the route `/bin`.
fn site(listen: &str, route: &str) -> Site {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(&folder, &config(&folder, listen, route, &record));
    Site { gateway, record, _folder: folder }
}

fn post(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

fn closes_silently(client: &mut Client) {
    assert_eq!(client.receive_until_close().unwrap(), b"");
}

fn is_alive(gateway: &Gateway) {
    assert_eq!(gateway.get("/").expect(200).text(), "welcome\n");
}

#[test]
fn lesson_30_a_head_that_does_not_end_in_time_is_408() {
    let site = site(&format!("head_timeout = \"{SHORT}\""), "");
    let mut client = site.gateway.connect();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let answer = client.receive().expect(408);
    assert!(start.elapsed() >= OFF);
    assert_eq!(answer.field("connection"), Some("close"));
    closes_silently(&mut client);
    is_alive(&site.gateway);
}

#[test]
fn lesson_30_the_time_of_a_head_counts_from_its_first_byte_and_not_from_its_last() {
    let site = site(&format!("head_timeout = \"{SHORT}\""), "");
    let mut client = site.gateway.connect();
    let mut sender = client.sender();
    // A byte now and then, until the gateway has had enough.
    let dripping = std::thread::spawn(move || {
        let mut sent = 0;
        while sender.write_all(b"x").is_ok() && sent < 10_000 {
            std::thread::sleep(Duration::from_millis(10));
            sent += 1;
        }
        sent
    });
    assert_eq!(client.receive().status(), 408);
    drop(client);
    assert!(dripping.join().unwrap() < 10_000);
}

#[test]
fn a_client_that_says_nothing_at_all_is_told_nothing() {
    let site = site(&format!("head_timeout = \"{SHORT}\""), "");
    let start = Instant::now();
    let mut client = site.gateway.connect();
    closes_silently(&mut client);
    assert!(start.elapsed() >= OFF);
}

#[test]
fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let site = site(&format!("idle_timeout = \"{SHORT}\""), "");
    let mut client = site.gateway.connect();
    client.ask("GET", "/", &[], b"").expect(200);
    // Sent at once, since the time of the idle runs by now.
    let start = Instant::now();
    client.ask("GET", "/", &[], b"").expect(200);
    closes_silently(&mut client);
    assert!(start.elapsed() >= OFF);
}

#[test]
fn part_of_a_pipelined_head_has_the_time_of_a_head_and_not_that_of_an_idle_connection() {
    let site = site(&format!("head_timeout = \"{SHORT}\"\nidle_timeout = \"1h\""), "");
    let mut client = site.gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo");
    client.receive().expect(200);
    assert_eq!(client.receive().status(), 408);
}

#[test]
fn lesson_30_a_body_that_stalls_is_408_and_no_process_was_held_meanwhile() {
    let slow = format!("min_body_rate = \"1KiB\"\nbody_grace = \"{SHORT}\"");
    let site = site(&slow, "body = \"spool\"");
    let mut client = site.gateway.connect();
    // Much at once earns no longer silence.
    client.send(post("/bin/count", 10_000_000));
    client.send(vec![b'x'; 5_000_000]);
    let answer = client.receive().expect(408);
    assert_eq!(answer.field("connection"), Some("close"));
    closes_silently(&mut client);
    assert_eq!(site.record.events.all(), Vec::<String>::new(), "a process was started");
    assert!(process::children(site.gateway.id()).is_empty());
    site.gateway.wait_for_line("min_body_rate");
}

#[test]
fn lesson_30_a_streamed_body_that_stalls_ends_its_process() {
    let site = site(&format!("body_grace = \"{SHORT}\""), "");
    let mut client = site.gateway.connect();
    client.send(post("/bin/count", 100));
    client.send("half");
    let script = site.record.started();
    assert_eq!(client.receive().status(), 408);
    process::wait_for_end(script);
}

#[test]
fn a_body_at_a_steady_rate_may_take_longer_than_the_grace() {
    // The grace is also what a thread of this test may be late by.
    let site = site("min_body_rate = 100\nbody_grace = \"3s\"", "");
    let mut client = site.gateway.connect();
    client.send(post("/bin/count", 4_000));
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || {
        for _ in 0..40 {
            sender.write_all(&[b'x'; 100]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(client.receive().expect(200).text(), "4000");
    sending.join().unwrap();
}

#[test]
fn lesson_30_a_client_that_never_reads_is_cut_and_its_program_ended() {
    let site = site(&format!("write_timeout = \"{SHORT}\""), "");
    let mut client = site.gateway.connect();
    client.send("GET /ask/endless HTTP/1.1\r\nHost: a\r\n\r\n");
    site.gateway.wait_for_line("write_timeout");
    eventually("the script's end", || process::descendants(site.gateway.id()).is_empty().then_some(()));
    // What was on its way must not look like an end.
    client.receive_head("GET");
    let end = std::iter::from_fn(|| Some(client.receive_piece())).find_map(Result::err);
    assert_eq!(end, Some(Ended::Cut));
}

#[test]
fn a_slow_reader_slows_the_script_and_gets_all() {
    let site = site("", "");
    let size = 100_000_000;
    let before = process::resident_kib(site.gateway.id());
    let mut client = site.gateway.connect();
    client.send(format!("GET /ask/big/{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(client.receive_head("GET").status, 200);
    // Once the script sleeps on its full pipe, nothing moves any more until the client reads.
    let script = eventually("the script", || process::descendants(site.gateway.id()).first().copied());
    eventually("the script to be blocked", || {
        let waits = std::fs::read_to_string(format!("/proc/{}/wchan", script.id)).unwrap_or_default();
        (waits.contains("pipe") || waits == "0" && process::look(script.id)?.state == 'S').then_some(())
    });
    let grown = process::peak_resident_kib(site.gateway.id()).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more while the reader sleeps");
    let mut got = 0;
    while let Ok(piece) = client.receive_piece() {
        got += piece.len();
    }
    assert_eq!(got, size);
    let grown = process::peak_resident_kib(site.gateway.id()).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more for a response of 100 MB");
}

#[test]
fn heads_that_are_too_large_are_told_apart() {
    let site = site("max_head = \"4KiB\"\nmax_target = \"1KiB\"\nmax_headers = 10", "");
    let long = "x".repeat(5_000);
    let many = "A: b\r\n".repeat(10);
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..2_000]), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        // Never ended: refused by its size and not by its time.
        (format!("GET /{long}"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), 431),
    ] {
        let mut client = site.gateway.connect();
        client.send(&request);
        let answer = client.receive();
        assert_eq!(answer.status(), status, "{}", &request[..40]);
        assert_eq!(answer.field("connection"), Some("close"));
        closes_silently(&mut client);
    }
    let fits = format!("GET /?{} HTTP/1.1\r\nHost: a\r\n{}\r\n", &long[..1_000], "A: b\r\n".repeat(9));
    let mut client = site.gateway.connect();
    client.send(fits);
    client.receive().expect(200);
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_at_once_and_nobody_is_told_to_send_it() {
    let site = site("", "max_body = 1000");
    let mut client = site.gateway.connect();
    client
        .send("POST /bin/count HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.receive().expect(413);
    assert_eq!((answer.interim.len(), answer.field("connection")), (0, Some("close")));
    closes_silently(&mut client);
    assert_eq!(site.gateway.ask("POST", "/bin/count", &[], &[b'x'; 1000]).expect(200).text(), "1000");
    site.record.started();
    assert_eq!(site.record.events.all().len(), 1, "the first was never started");
}

#[test]
fn a_chunked_body_is_refused_when_it_passes_the_limit() {
    let site = site("", "max_body = 1000");
    let mut client = site.gateway.connect();
    client.send("POST /bin/count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    // The body never ends: the refusal cannot wait for that.
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    client.send(chunk.repeat(11));
    let answer = client.receive().expect(413);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(site.record.events.all(), Vec::<String>::new(), "a process was started");
    let body = format!("{}0\r\n\r\n", chunk.repeat(10));
    let answer = site.gateway.ask("POST", "/bin/count", &[("Transfer-Encoding", "chunked")], body.as_bytes());
    assert_eq!(answer.expect(200).text(), "1000");
}

#[test]
fn lesson_39_the_sender_of_a_refused_body_can_read_why() {
    let site = site("linger_bytes = \"64MiB\"", "max_body = \"1KiB\"");
    let body = noise(39, 32 << 20);
    // A client that reads only when it has sent what it has: without the lingering, its writes would end in a reset.
    let mut client = site.gateway.connect();
    client.send(post("/bin/count", 65 << 20));
    client.send(&body);
    assert_eq!(client.receive().expect(413).field("connection"), Some("close"));
    closes_silently(&mut client);
    // A body that is read to its end for nothing costs the client no connection.
    let mut client = site.gateway.connect();
    client.send(post("/bin/count", body.len()));
    client.send(&body);
    assert_eq!(client.receive().expect(413).field("connection"), None);
    client.ask("GET", "/", &[], b"").expect(200);
}

#[test]
fn lesson_39_the_lingering_ends_by_bytes_and_by_time() {
    let bytes = site("linger_bytes = \"64KiB\"\nlinger_timeout = \"1h\"", "max_body = 1");
    let mut client = bytes.gateway.connect();
    client.send(post("/bin/count", 1 << 30));
    let endless = vec![b'x'; 1 << 20];
    assert!((0..1024).any(|_| client.try_send(&endless).is_err()), "it reads on and on");
    let time = site(&format!("linger_timeout = \"{SHORT}\""), "max_body = 1");
    let mut client = time.gateway.connect();
    client.send(post("/bin/count", 1 << 30));
    client.receive().expect(413);
    eventually("the connection's end", || client.try_send("x").is_err().then_some(()));
}

#[test]
fn connections_beyond_the_most_wait_and_are_served_later() {
    let site = site("max_connections = 2", "");
    let mut first = site.gateway.connect();
    let mut second = site.gateway.connect();
    for client in [&mut first, &mut second] {
        client.ask("GET", "/", &[], b"").expect(200);
    }
    let mut third = site.gateway.connect();
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Proof that it waits: the two go on, and it has no answer.
    first.ask("GET", "/", &[], b"").expect(200);
    let served = || site.gateway.stdout.matching("GET / ").len();
    eventually("the records of the two", || (served() >= 3).then_some(()));
    assert_eq!(served(), 3);
    drop(second);
    third.receive().expect(200);
}

#[test]
fn an_address_with_too_many_connections_is_told_to_wait() {
    let site = site("max_connections_per_ip = 2", "");
    let (mut first, mut second) = (site.gateway.connect(), site.gateway.connect());
    for client in [&mut first, &mut second] {
        client.ask("GET", "/", &[], b"").expect(200);
    }
    let mut third = site.gateway.connect();
    let answer = third.receive().expect(503);
    assert_eq!((answer.field("retry-after"), answer.field("connection")), (Some("1"), Some("close")));
    closes_silently(&mut third);
    drop((first, third));
    eventually("room for another", || {
        let mut client = site.gateway.connect();
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.try_receive_head("GET").ok().filter(|head| head.status == 200)
    });
    second.ask("GET", "/", &[], b"").expect(200);
}

#[test]
fn lesson_30_an_address_that_is_refused_again_and_again_does_not_take_all_the_room() {
    let site = site("max_connections_per_ip = 2\nlinger_timeout = \"1h\"", "");
    let held: Vec<_> = (0..40).map(|_| site.gateway.connect()).collect();
    // Two are served, two are told so and linger; the others are closed at once.
    let mut open = 0;
    for mut client in held {
        let mut probe = client.sender();
        let _ = probe.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if let Ok(head) = client.try_receive_head("GET") {
            open += 1;
            assert!(matches!(head.status, 200 | 503));
            std::mem::forget(client);
        }
    }
    assert_eq!(open, 4);
}

#[test]
fn lesson_23_when_descriptors_run_out_others_wait_and_are_served_later() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let config = config(&folder, "", "", &record);
    let gateway = Gateway::start_with(&folder, &config, |command| {
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let program = command.get_program().to_owned();
        *command = Command::new("sh");
        command.args(["-c", "ulimit -n 40; exec \"$@\"", "sh"]).arg(program).args(arguments);
        command.current_dir(folder.path());
    });
    let mut held: Vec<_> = (0..60).map(|_| gateway.connect()).collect();
    let line = gateway.wait_for_line("cannot accept connections");
    assert!(line.contains("ulimit -n"), "{line}");
    // No spinning: the processor has better things to do.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().map(str::to_owned).collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let (before, start) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_millis(500));
    let used = Duration::from_millis((ticks() - before) * 10);
    assert!(used < start.elapsed() / 4, "{used:?} of {:?} while waiting", start.elapsed());
    held.truncate(5);
    let mut late = gateway.connect();
    // 503 as long as the descriptors of those who left are not free to open a file with.
    eventually("room", || (late.ask("GET", "/", &[], b"").status() == 200).then_some(()));
    for client in &mut held {
        client.ask("GET", "/", &[], b"").expect(200);
    }
    assert_eq!(gateway.stderr.matching("cannot accept connections").len(), 1, "said once");
}
