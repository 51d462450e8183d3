//! The six failures that are common among servers of this kind, each provoked at every back where it can occur; it must
//! not know how a back avoids them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::{
    Back, Backs, Client, EVERY_BACK, Ended, Folder, Gate, Gateway, Record, SOON, Setup, eventually, fixture,
    noise, process,
};

const MIB: usize = 1 << 20;

// ---- 1. A program whose client has left

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// It closes its side, as one does that exits.
    Close,
    /// It closes only its sending side, which is all that the gateway can see of a close.
    HalfClose,
    /// Its connection is reset.
    Reset,
}

/// What is on its way when it leaves.
#[derive(Clone, Copy, Debug)]
enum Doing {
    /// It has asked and waits; the program is silent.
    Waiting,
    /// The same, and behind the request stand more bytes, which nobody reads.
    WaitingWithMoreBehind,
    /// It has sent half of its body.
    Sending,
    /// It has got half of a response.
    Receiving,
    /// It gets a response without end, which it does not read.
    Ignoring,
}

impl Doing {
    fn request(self, back: Back) -> String {
        let host = back.host();
        let get = |path: &str| format!("GET /app{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        match self {
            Self::Waiting => get("/silent"),
            Self::WaitingWithMoreBehind => get("/silent") + &get("/hello") + "GET /app/half-a-head",
            Self::Sending => {
                let head =
                    format!("POST /app/count HTTP/1.1\r\nHost: {host}\r\nContent-Length: {MIB}\r\n\r\n");
                head + &"x".repeat(MIB / 2)
            }
            Self::Receiving => get("/stalls"),
            Self::Ignoring => get("/endless"),
        }
    }
}

fn leave(backs: &Backs, back: Back, doing: Doing, leaving: Leaving) {
    let events = &backs.record(back).events;
    let mark = events.mark();
    let mut client = backs.gateway.connect();
    client.send(doing.request(back));
    let started = (back == Back::Cgi).then(|| backs.record(back).started_after(mark));
    if started.is_none() {
        events.wait_for_after(mark, "request ");
    }
    if matches!(doing, Doing::Receiving) {
        assert_eq!(client.receive_head("GET").status, 200);
        client.receive_piece().unwrap();
    }
    let mark = events.mark();
    match leaving {
        Leaving::Close => drop(client),
        Leaving::Reset => client.reset(),
        Leaving::HalfClose => {
            client.half_close();
            // It must stay open until the program is gone.
            std::mem::forget(client);
        }
    }
    if let Some(id) = started {
        assert!(process::ends_within(id, SOON), "{back:?} {doing:?} {leaving:?}: the process still runs");
    } else {
        // SCGI, and FastCGI where the worker was writing, know no word but the close.
        let told = events.wait_within_for_any(mark, &["abort", "closed"], SOON);
        assert!(told.is_some(), "{back:?} {doing:?} {leaving:?}: {:?}", events.all());
    }
}

fn everybody_leaves(doing: Doing, ways: &[Leaving]) {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        for &leaving in ways {
            leave(&backs, back, doing, leaving);
        }
        assert_eq!(backs.ask(back, "GET", "/hello", &[], b"").expect(200).text(), "hello\n", "{back:?}");
    }
    backs.assert_sound();
}

#[test]
fn lesson_49_a_silent_program_is_told_at_once_that_its_client_left() {
    everybody_leaves(Doing::Waiting, &[Leaving::Close, Leaving::HalfClose, Leaving::Reset]);
}

#[test]
fn lesson_49_unread_bytes_behind_the_request_do_not_hide_that_its_client_left() {
    everybody_leaves(Doing::WaitingWithMoreBehind, &[Leaving::Close, Leaving::HalfClose, Leaving::Reset]);
}

#[test]
fn lesson_49_a_program_that_reads_its_body_is_told_that_the_rest_never_comes() {
    everybody_leaves(Doing::Sending, &[Leaving::Close, Leaving::HalfClose, Leaving::Reset]);
}

#[test]
fn lesson_49_a_program_that_stalls_in_its_response_is_told_that_its_client_left() {
    everybody_leaves(Doing::Receiving, &[Leaving::Close, Leaving::HalfClose, Leaving::Reset]);
}

#[test]
fn lesson_49_a_program_that_writes_without_end_is_told_that_its_client_left() {
    everybody_leaves(Doing::Ignoring, &[Leaving::Close, Leaving::Reset]);
}

#[test]
fn lesson_24_the_whole_process_group_goes_when_the_client_leaves() {
    let folder = Folder::new();
    let record = Record::new(&folder, "record");
    let gateway = Gateway::start(
        &folder,
        &format!(
            "[[route]]\npath = \"/\"\ncgi = {:?}\nkill_grace = \"50ms\"\nenv = {{ RECORD = {:?} }}\n",
            fixture("cgi/family"),
            record.path()
        ),
    );
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: test.example\r\n\r\n");
    let child = record.started();
    record.events.wait_for_after(1, "started ");
    client.reset();
    // The child takes no notice of TERM, so that only KILL ends it.
    process::wait_for_end(child);
    eventually("the gateway to have no child", || process::children(gateway.id()).is_empty().then_some(()));
}

// ---- 2. Output before input

#[test]
fn lesson_19_a_mebibyte_of_output_before_a_mebibyte_of_input_does_not_deadlock() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let answer = backs.ask(back, "POST", "/writes-first", &[], &noise(2, MIB)).expect(200);
        assert_eq!(answer.body.len(), MIB + "1048576\n".len(), "{back:?}");
        assert!(answer.text().ends_with("x1048576\n"), "{back:?}");
    }
    backs.assert_sound();
}

#[test]
fn lesson_19_nor_for_a_client_that_reads_only_when_it_has_written_all_where_bodies_are_spooled() {
    let backs = Backs::with(&EVERY_BACK, Setup { route: "body = \"spool\"", ..Setup::default() });
    for back in EVERY_BACK {
        let mut client = backs.gateway.connect();
        post_all(&mut client, back, "/writes-first");
        assert!(client.receive().expect(200).text().ends_with("x1048576\n"), "{back:?}");
    }
    backs.assert_sound();
}

/// Writes a request with a body of 1 MiB, and does not read meanwhile.
fn post_all(client: &mut Client, back: Back, path: &str) {
    client
        .send(format!("POST /app{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {MIB}\r\n\r\n", back.host()));
    client.send(noise(3, MIB));
}

// ---- 3. A body that nobody reads

#[test]
fn lesson_39_an_unread_mebibyte_of_body_gives_the_programs_own_answer() {
    for route in ["", "body = \"spool\""] {
        let backs = Backs::with(&EVERY_BACK, Setup { route, ..Setup::default() });
        for back in EVERY_BACK {
            let reads_meanwhile = backs.ask(back, "POST", "/early", &[], &noise(4, MIB));
            assert_eq!(reads_meanwhile.expect(200).text(), "not read\n", "{back:?} {route}");
            let mut writes_all = backs.gateway.connect();
            post_all(&mut writes_all, back, "/early");
            assert_eq!(writes_all.receive().expect(200).text(), "not read\n", "{back:?} {route}");
            let next = writes_all.ask("GET", "/app/hello", &[("Host", &back.host())], b"");
            assert_eq!(next.expect(200).text(), "hello\n", "{back:?} {route}: the next on that connection");
        }
        backs.assert_sound();
    }
}

#[test]
fn lesson_39_a_process_that_closes_its_input_gives_its_own_answer() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder, &misbehaving());
    for script in ["never-reads", "closes-stdin"] {
        let answer = gateway.ask("POST", &format!("/{script}"), &[], &noise(5, MIB)).expect(200);
        assert_eq!(answer.text(), "not read\n", "{script}");
    }
}

fn misbehaving() -> String {
    format!("[[route]]\npath = \"/\"\ncgi = {:?}\n", fixture("cgi"))
}

// ---- 4. The first byte

#[test]
fn wish_6_the_first_byte_comes_while_the_program_waits_for_its_body() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let mut client = backs.gateway.connect();
        client.send(format!("POST /app/talk HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\n", back.host()));
        assert_eq!(client.receive_head("POST").status, 200, "{back:?}");
        assert_eq!(client.receive_piece(), Ok(b"first\n".to_vec()), "{back:?}");
        client.send("body");
        assert_eq!(client.receive_piece(), Ok(b"last 4\n".to_vec()), "{back:?}");
        assert_eq!(client.receive_piece(), Err(Ended::Complete), "{back:?}");
    }
}

#[test]
fn wish_6_the_first_byte_comes_while_the_script_still_runs() {
    let folder = Folder::new();
    let (mut gate, record) = (Gate::new(&folder, "gate"), Record::new(&folder, "record"));
    let env = format!("env = {{ GATE = {:?}, RECORD = {:?} }}\n", gate.path(), record.path());
    let gateway = Gateway::start(&folder, &(misbehaving() + &env));
    let mut client = gateway.connect();
    client.send("GET /gated HTTP/1.1\r\nHost: test.example\r\n\r\n");
    assert_eq!(client.receive_head("GET").status, 200);
    assert_eq!(client.receive_piece(), Ok(b"one\n".to_vec()));
    assert!(process::runs(record.started()));
    gate.open();
    assert_eq!(client.receive_piece(), Ok(b"two\n".to_vec()));
    assert_eq!(client.receive_piece(), Err(Ended::Complete));
}

// ---- 5. Local redirects

#[test]
fn lesson_35_a_local_redirect_runs_inside() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let answer =
            backs.ask(back, "POST", "/redirect/local?first=1", &[("X-Kept", "yes")], b"body").expect(200);
        assert_eq!(answer.field("location"), None, "{back:?}");
        let text = answer.text();
        for line in [
            "REDIRECT_URL=/app/redirect/local",
            "REDIRECT_QUERY_STRING=first=1",
            "REDIRECT_REQUEST_METHOD=POST",
            "REDIRECT_STATUS=200",
            "REQUEST_METHOD=GET",
            "PATH_INFO=/environ",
            "SCRIPT_NAME=/app",
            "QUERY_STRING=from=redirect",
            "HTTP_X_KEPT=yes",
        ] {
            assert!(text.lines().any(|other| other == line), "{back:?}: no {line} in\n{text}");
        }
        let length = text.lines().find(|line| line.starts_with("CONTENT_LENGTH="));
        assert!(
            matches!(length, None | Some("CONTENT_LENGTH=0")),
            "{back:?}: the body was for the first: {length:?}"
        );
    }
}

#[test]
fn lesson_35_a_loop_of_local_redirects_ends_after_ten() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        let (gateway, events) = (&backs.gateway, &backs.record(back).events);
        let (mark, calls) =
            (gateway.stderr.mark(), if back == Back::Cgi { "started " } else { "/redirect/loop" });
        backs.ask(back, "GET", "/redirect/loop", &[], b"").expect(500);
        gateway.stderr.wait_for_after(mark, "more than 10 local redirects in a row");
        backs.ask(back, "GET", "/hello", &[], b"").expect(200);
        // All that came before the last is in the record when the last is.
        eventually("the record of the last request", || {
            let last = if back == Back::Cgi {
                events.matching(calls).len() == 12
            } else {
                !events.matching("/hello").is_empty()
            };
            last.then_some(())
        });
        let runs = events.matching(calls).len() - usize::from(back == Back::Cgi);
        assert_eq!(runs, 11, "{back:?}: the first, and ten more");
    }
}

#[test]
fn lesson_35_a_local_redirect_never_leads_to_another_host() {
    let folder = Folder::new();
    let target = "//inner.test/secret";
    folder.script("redirect", format!("#!/bin/sh\nprintf 'Location: {target}\\n\\n'\n"));
    folder.script("secret", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nfor inner eyes\\n'\n");
    let route = |host: &str, path: &str, cgi: &str| {
        format!("[[route]]\nhost = {host:?}\npath = {path:?}\ncgi = {cgi:?}\n")
    };
    let config = route("outer.test", "/redirect", "redirect") + &route("inner.test", "/secret", "secret");
    let gateway = Gateway::start(&folder, &config);
    let inner = gateway.ask("GET", "/secret", &[("Host", "inner.test")], b"");
    assert_eq!(inner.expect(200).text(), "for inner eyes\n");
    let outer = gateway.ask("GET", "/redirect", &[("Host", "outer.test")], b"");
    // What names a host is for the client to follow (RFC 3986 4.2: a network-path reference).
    assert!(!outer.text().contains("inner"), "{}", outer.text());
    assert_eq!(outer.expect(302).field("location"), Some(target));
}

// ---- 6. Fields that pretend to be others

/// Fields that must not become a variable, nor part of one.
const PRETENDERS: [&str; 6] =
    ["Proxy", "proxy", "X_Forwarded_For", "X.Forwarded.For", "X_Forwarded-For", "Content_Length"];

#[test]
fn lessons_1_2_and_3_no_proxy_variable_and_no_name_that_folds_to_another() {
    let backs = Backs::new(&EVERY_BACK);
    for back in EVERY_BACK {
        for name in PRETENDERS {
            let answer = backs.ask(back, "GET", "/environ", &[(name, "evil")], b"").expect(200);
            assert!(!answer.text().contains("evil"), "{back:?}: {name} in\n{}", answer.text());
            assert!(!answer.text().contains("HTTP_PROXY"), "{back:?}: {name}");
        }
        let both =
            [("X-Forwarded-For", "192.0.2.1"), ("X_Forwarded_For", "evil"), ("X.Forwarded.For", "evil")];
        let answer = backs.ask(back, "GET", "/environ", &both, b"");
        assert!(!answer.text().contains("evil"), "{back:?}: {}", answer.text());
    }
}

#[test]
fn lesson_3_a_field_never_sets_what_the_gateway_says() {
    let backs = Backs::new(&EVERY_BACK);
    let names =
        ["Remote-User", "Script-Name", "Https", "Php-Value", "Ld-Preload", "Redirect-Status", "Path-Info"];
    let fields = names.map(|name| (name, "evil"));
    for back in EVERY_BACK {
        let text = backs.ask(back, "GET", "/environ", &fields, b"").expect(200).text();
        let set: Vec<_> = text.lines().filter(|line| line.ends_with("=evil")).collect();
        assert_eq!(set.len(), names.len(), "{back:?}: {set:?}");
        assert!(set.iter().all(|line| line.starts_with("HTTP_")), "{back:?}: {set:?}");
    }
}
