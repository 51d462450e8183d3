//! The table "What answers what", its rows about programs that run: they say nothing valid, break off, refuse, are gone,
//! take too long. It must not know how a failure is found. The other rows are in `what_answers_what.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::told::{assert_busy, assert_get, assert_told};
use common::{
    Answer, Back, Backs, Client, EVERY_BACK, EVERY_WORKER, Ended, Folder, Gateway, Peer, Record, SOON, Setup,
    eventually, fixture, peer, process,
};

fn is_fastcgi(back: Back) -> bool {
    matches!(back, Back::FastCgiExternal | Back::FastCgiStarted)
}

/// A gateway before one worker of the fixtures, in this mode, at a TCP address.
fn external(back: Back, mode: &str, count: &str) -> (Peer, Folder, Gateway) {
    let (address, options) = (peer::free_address(), ["--mode", mode, "--count", count]);
    let (speak, worker) = if is_fastcgi(back) {
        ("fastcgi", Peer::fastcgi_worker(&address, &options))
    } else {
        ("scgi", Peer::scgi_worker(&address, &options))
    };
    let folder = Folder::new();
    let gateway = Gateway::start(&folder, &pool(speak, &[&address]));
    (worker, folder, gateway)
}

fn pool(speak: &str, addresses: &[&str]) -> String {
    format!(
        "[pool.p]\nspeak = {speak:?}\nconnect = {addresses:?}\n[[route]]\npath = \"/app\"\npool = \"p\"\n"
    )
}

/// The scripts that misbehave, with more lines in the route.
fn scripts(route: &str) -> (Folder, Gateway) {
    let folder = Folder::new();
    let config = format!("[[route]]\npath = \"/\"\ncgi = {:?}\n{route}\n", fixture("cgi"));
    let gateway = Gateway::start(&folder, &config);
    (folder, gateway)
}

// ---- "program died or said nothing valid before its headers end": 502, and why

#[test]
fn lesson_12_a_script_that_dies_before_its_head_is_502_with_its_end_and_its_last_words() {
    let (_folder, gateway) = scripts("");
    let words = ["exit-3 ended with exit status 3", "the database is not at home"];
    assert_get(&gateway, "/exit-3", 502, &words);
    assert_get(&gateway, "/killed/before", 502, &["killed ended with signal 9 (KILL)"]);
    assert_get(&gateway, "/half-a-header", 502, &["before its head was complete", "exit status 0"]);
    assert_get(&gateway, "/nph-lies", 502, &["nph-lies"]);
}

#[test]
fn lesson_12_a_worker_that_fails_before_its_head_is_502_with_its_status_and_last_words() {
    let backs = Backs::new(&EVERY_WORKER);
    for back in EVERY_WORKER {
        let answer = backs.ask(back, "GET", "/exit/3", &[], b"");
        let words = ["application status 3", "the disk is on fire"];
        assert_told(&backs.gateway, answer, 502, if is_fastcgi(back) { &words } else { &["worker"] });
        let answer = backs.ask(back, "GET", "/crash/before", &[], b"");
        assert_told(&backs.gateway, answer, 502, &["worker"]);
    }
}

#[test]
fn lesson_14_a_worker_that_breaks_the_protocol_is_502() {
    for mode in ["wrong-id", "bad-version", "garbage", "unknown-role"] {
        let (_worker, _folder, gateway) = external(Back::FastCgiExternal, mode, "1000");
        assert_get(&gateway, "/app/hello", 502, &["worker"]);
    }
    for mode in ["closes", "resets"] {
        let (_worker, _folder, gateway) = external(Back::ScgiExternal, mode, "1000");
        assert_get(&gateway, "/app/hello", 502, &["worker"]);
    }
}

// ---- "program ended or broke off after its headers": connection cut short, never a complete-looking answer

fn get_over(gateway: &Gateway, version: &str, host: &str, path: &str) -> Answer {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/{version}\r\nHost: {host}\r\n\r\n"));
    client.receive()
}

/// Fails unless the answer is 200 and cut, whatever says where it would end: chunks, or over HTTP/1.0 the close, which
/// must then be a reset.
#[track_caller]
fn assert_cut(gateway: &Gateway, host: &str, path: &str) {
    for version in ["1.1", "1.0"] {
        let mark = gateway.stderr.mark();
        let answer = get_over(gateway, version, host, path);
        assert_eq!((answer.status(), answer.ended), (200, Ended::Cut), "{host}{path} over {version}");
        gateway.stderr.wait_for_after(mark, "the response is cut short");
    }
}

#[test]
fn lesson_12_a_program_that_breaks_off_after_its_head_never_looks_complete() {
    let (_folder, gateway) = scripts("");
    assert_cut(&gateway, "test.example", "/exits-after-head");
    assert_cut(&gateway, "test.example", "/killed/after");
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        assert_cut(&backs.gateway, &back.host(), "/app/length/less");
    }
    assert_cut(&backs.gateway, &Back::Cgi.host(), "/app/crash/after");
}

#[test]
fn lesson_14_a_fastcgi_response_without_end_request_never_looks_complete() {
    for mode in ["no-end", "dies"] {
        for version in ["1.1", "1.0"] {
            let (_worker, _folder, gateway) = external(Back::FastCgiExternal, mode, "1000");
            let answer = get_over(&gateway, version, "test.example", "/app/hello");
            assert_eq!((answer.status(), answer.ended), (200, Ended::Cut), "{mode} over {version}");
            gateway.wait_for_line("the response is cut short");
        }
    }
    let backs = Backs::new(&[Back::FastCgiStarted]);
    let answer = get_over(&backs.gateway, "1.1", &Back::FastCgiStarted.host(), "/app/crash/after");
    assert_eq!((answer.status(), answer.ended), (200, Ended::Cut));
}

/// SCGI ends a response by closing the connection, so that only a reset, or a length, tells a whole one from a part.
#[test]
fn lesson_11_an_scgi_response_that_is_reset_never_looks_complete() {
    for version in ["1.1", "1.0"] {
        let (_worker, _folder, gateway) = external(Back::ScgiExternal, "resets-after", "1000");
        let answer = get_over(&gateway, version, "test.example", "/app/hello");
        assert_eq!((answer.status(), answer.ended), (200, Ended::Cut), "over {version}");
        gateway.wait_for_line("the response is cut short");
    }
}

#[test]
fn lesson_11_more_than_its_content_length_is_not_passed_on() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let answer = backs.ask(back, "GET", "/length/more", &[], b"").expect(200);
        assert_eq!((answer.text().as_str(), answer.ended), ("12345", Ended::Complete), "{back:?}");
        backs.ask(back, "GET", "/hello", &[], b"").expect(200);
    }
}

// ---- "worker refused, is gone, or answers CANT_MPX / OVERLOADED, and no other could take it": 502 / 503

#[test]
fn a_pool_where_nobody_listens_is_502_and_the_log_names_the_addresses() {
    let (tcp, folder) = (peer::free_address(), Folder::new());
    let unix = format!("unix:{}", folder.join("nobody").display());
    for speak in ["fastcgi", "scgi"] {
        let gateway = Gateway::start(&folder, &pool(speak, &[&tcp, &unix]));
        let line =
            ["no worker of pool \"p\" can be reached", &tcp, &unix, "Connection refused", "No such file"];
        assert_get(&gateway, "/app/hello", 502, &line);
    }
}

#[test]
fn lesson_18_a_worker_that_is_gone_with_a_request_is_502_and_the_request_is_not_repeated() {
    for back in [Back::FastCgiExternal, Back::ScgiExternal] {
        let (first, _folder, gateway) = external(back, "dies-before", "1000");
        assert_get(&gateway, "/app/hello", 502, &["worker at"]);
        process::wait_for_end(first.id());
        assert_get(&gateway, "/app/hello", 502, &["Connection refused"]);
    }
}

#[test]
fn lesson_15_a_worker_that_is_overloaded_or_cannot_multiplex_is_503() {
    for mode in ["overloaded", "cant-mpx"] {
        let (_worker, _folder, gateway) = external(Back::FastCgiExternal, mode, "1");
        assert_busy(&gateway, gateway.get("/app/hello"), &["refused the request"]);
        gateway.get("/app/hello").expect(200);
    }
}

#[test]
fn lesson_15_what_one_worker_refuses_another_takes() {
    for mode in ["overloaded", "cant-mpx", "unknown-role"] {
        let folder = Folder::new();
        let address = |name: &str| format!("unix:{}", folder.join(name).display());
        let (refuses, takes) = (address("refuses"), address("takes"));
        let _refusing = Peer::fastcgi_worker(&refuses, &["--mode", mode]);
        let _taking = Peer::fastcgi_worker(&takes, &[]);
        let gateway = Gateway::start(&folder, &pool("fastcgi", &[&refuses, &takes]));
        for method in ["GET", "POST"] {
            let mut client = gateway.connect();
            // In one piece: a body that was passed on in part cannot be sent again.
            client.send(format!(
                "{method} /app/count HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n12345"
            ));
            let answer = client.receive().expect(200);
            assert!(answer.text().starts_with("5 "), "{mode} {method}: {}", answer.text());
        }
    }
}

#[test]
fn wish_10_workers_that_end_at_once_are_503_with_the_reason() {
    let setup = Setup { options: &["--mode", "exits-at-start"], ..Setup::default() };
    for back in [Back::FastCgiStarted, Back::ScgiStarted] {
        let backs = Backs::with(&[back], setup);
        let answer = backs.ask(back, "GET", "/hello", &[], b"");
        assert_busy(&backs.gateway, answer, &["has no workers", "exit status 3"]);
    }
}

/// The connection of a request that the worker has; until it is ready there is no place for one.
fn held(backs: &Backs, back: Back) -> Client {
    eventually("the worker to have the request", || {
        let mut client = backs.gateway.connect();
        client.send(format!("GET /app/silent HTTP/1.1\r\nHost: {}\r\n\r\n", back.host()));
        let is_held = eventually("the worker or an answer", || {
            if backs.record(back).events.matching("request GET /silent").is_empty() {
                client.has_heard().then_some(false)
            } else {
                Some(true)
            }
        });
        is_held.then_some(client)
    })
}

#[test]
fn wish_2_a_full_queue_before_workers_and_a_wait_that_is_over_are_503() {
    for (queue, why) in
        [("queue = 0", "0 requests wait"), ("queue_timeout = \"50ms\"", "became free within 0.05 s")]
    {
        let backs = Backs::with(
            &[Back::FastCgiStarted, Back::ScgiStarted],
            Setup { pool: queue, ..Setup::default() },
        );
        for back in [Back::FastCgiStarted, Back::ScgiStarted] {
            let first = held(&backs, back);
            assert_busy(&backs.gateway, backs.ask(back, "GET", "/hello", &[], b""), &[why, back.name()]);
            first.reset();
        }
    }
}

// ---- "program took longer than its limit": 504, it gets TERM, then KILL, with its whole process group

#[test]
fn lesson_17_a_silent_program_is_504_and_ended() {
    for (route, why) in [
        ("first_byte_timeout = \"100ms\"", "waited 0.1 s for the head"),
        ("timeout = \"100ms\"", "`timeout`"),
    ] {
        let backs = Backs::with(&EVERY_BACK, Setup { route, ..Setup::default() });
        for back in EVERY_BACK {
            let events = &backs.record(back).events;
            // The time may be over before a worker has the request: one that is ours may still be starting.
            eventually("the program to have a request", || {
                let answer = backs.ask(back, "GET", "/silent", &[], b"");
                assert_told(&backs.gateway, answer, 504, &[why]);
                (back == Back::Cgi || !events.matching("request GET /silent").is_empty()).then_some(())
            });
            if back == Back::Cgi {
                // It may be ended before it has said anything.
                eventually("only workers to be left", || {
                    (process::children(backs.gateway.id()).len() <= 2).then_some(())
                });
            } else {
                // One of ours may be ended before it can say that it was told.
                let worker = backs.record(back).started();
                eventually("the worker to be told or ended", || {
                    let is_told = ["abort", "closed"].iter().any(|event| !events.matching(event).is_empty());
                    (is_told || !process::runs(worker)).then_some(())
                });
            }
        }
    }
}

#[test]
fn lesson_17_a_started_worker_whose_time_has_passed_is_replaced() {
    for (route, question, status) in [
        ("first_byte_timeout = \"100ms\"", "/silent", 504),
        ("timeout = \"100ms\"", "/silent", 504),
        ("output_timeout = \"100ms\"", "/stalls", 200),
        ("timeout = \"100ms\"", "/stalls", 200),
    ] {
        let backs =
            Backs::with(&[Back::FastCgiStarted, Back::ScgiStarted], Setup { route, ..Setup::default() });
        for back in [Back::FastCgiStarted, Back::ScgiStarted] {
            let record = backs.record(back);
            let first = record.started();
            // The time of the whole request may be over before the worker has it, or has begun to answer.
            eventually("the worker to have a request and end", || {
                let answer = backs.ask(back, "GET", question, &[], b"");
                let is_late = route.starts_with("timeout") && answer.status() == 504;
                assert!(answer.status() == status || is_late, "{route}, {back:?}: {}", answer.status());
                (answer.status() == status && process::ends_within(first, SOON)).then_some(())
            });
            assert_ne!(record.started_after(1), first, "{route}, {back:?}");
        }
    }
}

#[test]
fn lesson_24_a_script_gets_term_and_then_kill_with_its_whole_group() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let config = format!(
        "[[route]]\npath = \"/\"\ncgi = {:?}\nfirst_byte_timeout = \"2s\"\nkill_grace = \"2s\"\n\
         env = {{ RECORD = {:?} }}\n",
        fixture("cgi"),
        record.path()
    );
    let gateway = Gateway::start(&folder, &config);
    // The times are those that a shell may take to set its trap, and to obey it.
    std::thread::scope(|scope| {
        for script in ["polite", "ignores-term", "family"] {
            let gateway = &gateway;
            scope.spawn(move || assert_get(gateway, &format!("/{script}"), 504, &[script]));
        }
    });
    record.events.wait_for("term");
    // Of `polite`, of `ignores-term`, and two of `family`, of whom the child ignores TERM.
    let started = eventually("four processes", || {
        let started = record.events.matching("started ");
        (started.len() == 4).then_some(started)
    });
    for line in started {
        process::wait_for_end(line.trim_start_matches("started ").parse().unwrap());
    }
    eventually("no child to be left", || process::children(gateway.id()).is_empty().then_some(()));
}

#[test]
fn a_program_that_is_silent_in_its_response_is_cut_short_and_ended() {
    let backs = Backs::with(&EVERY_BACK, Setup { route: "output_timeout = \"100ms\"", ..Setup::default() });
    for back in EVERY_BACK {
        let mark = backs.gateway.stderr.mark();
        let answer = backs.ask(back, "GET", "/stalls", &[], b"");
        assert_eq!((answer.status(), answer.ended), (200, Ended::Cut), "{back:?}");
        assert_eq!(answer.text(), "so far so good\n", "{back:?}");
        backs.gateway.stderr.wait_for_after(mark, "waited 0.1 s for more of its response");
        if back == Back::Cgi {
            process::wait_for_end(backs.record(back).started());
        }
    }
}
