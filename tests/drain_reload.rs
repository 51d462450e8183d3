//! The end of service and its change: drain by TERM and INT, reload by HUP. Must not know how either is done.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use common::{Client, Ended, Folder, Gate, Gateway, Record, fixture, peer, process};

struct Site {
    gateway: Gateway,
    folder: Folder,
    record: Record,
    gate: Gate,
}

fn listen(address: &str) -> String {
    format!("[[listen]]\naddress = \"{address}\"\n")
}

/// The routes of every configuration here: `/bad` are programs that misbehave, `/` are files.
fn routes(folder: &Folder) -> String {
    format!(
        "[[route]]\npath = \"/bad\"\ncgi = \"{}\"\nkill_grace = \"200ms\"\nenv = {{ RECORD = \"{}\", GATE = \"{}\" }}\n\
         [[route]]\npath = \"/\"\nfiles = \"public\"\n",
        fixture("cgi"),
        folder.join("record").display(),
        folder.join("gate").display()
    )
}

fn site_with(config: impl FnOnce(&Folder) -> String) -> Site {
    let folder = Folder::new();
    folder.write("public/index.html", "welcome\n");
    let (record, gate) = (Record::new(&folder, "record"), Gate::new(&folder, "gate"));
    let gateway = Gateway::start(&folder, &config(&folder));
    Site { gateway, folder, record, gate }
}

fn site(more: &str) -> Site {
    site_with(|folder| format!("{more}\n{}", routes(folder)))
}

impl Site {
    /// A connection whose request runs, and its program. The program's answer has begun.
    fn running(&self, path: &str) -> (Client, u32) {
        let mark = self.record.events.mark();
        let mut client = self.gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        (client, self.record.started_after(mark))
    }

    fn reload(&self, config: &str) -> String {
        let mark = self.gateway.stderr.mark();
        self.gateway.reload(config);
        self.gateway.stderr.wait_for_after(mark, "reload")
    }
}

#[test]
fn a_drain_lets_running_requests_end_and_takes_no_new_ones() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut site = site("");
        let mut idle = site.gateway.connect();
        idle.ask("GET", "/", &[], b"").expect(200);
        let silent = site.gateway.connect();
        let (mut running, _) = site.running("/bad/gated");
        assert_eq!(running.receive_head("GET").status, 200);
        let mut head = site.gateway.connect();
        head.send("GET / HTTP/1.1\r\nHo");
        // Once it is answered on a third connection, the half head has arrived too.
        site.gateway.get("/").expect(200);
        site.gateway.signal(signal);
        for mut client in [idle, silent] {
            assert_eq!(client.receive_until_close().unwrap(), b"", "closed without a word");
        }
        let refused = common::eventually("the listener's end", || {
            TcpStream::connect(site.gateway.address()).err().map(|error| error.kind())
        });
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
        // A request whose head had begun is served, and told that it is the last.
        head.send("st: a\r\n\r\n");
        let last = head.receive().expect(200);
        assert_eq!((last.text().as_str(), last.field("connection")), ("welcome\n", Some("close")));
        site.gate.open();
        let rest = std::iter::from_fn(|| running.receive_piece().ok()).flatten().collect::<Vec<_>>();
        assert_eq!(String::from_utf8_lossy(&rest), "one\ntwo\n");
        assert_eq!(running.receive_until_close().unwrap(), b"");
        assert!(site.gateway.wait().success());
    }
}

#[test]
fn a_drain_with_nothing_to_do_is_over_at_once() {
    let mut site = site("[server]\ngrace = \"1h\"");
    let idle: Vec<_> = (0..20).map(|_| site.gateway.connect()).collect();
    site.gateway.get("/").expect(200);
    site.gateway.signal(Signal::TERM);
    assert!(site.gateway.wait().success());
    drop(idle);
}

#[test]
fn a_response_that_begins_while_it_drains_says_that_the_connection_closes() {
    let mut site = site("");
    site.folder.script(
        "late",
        "#!/bin/sh\necho \"started $$\" >\"$RECORD\"\nread -r _ <\"$GATE\"\nprintf 'Content-Type: text/plain\\n\\nlate\\n'\n",
    );
    let route = format!(
        "[[route]]\npath = \"/late\"\ncgi = \"late\"\nenv = {{ RECORD = \"{}\", GATE = \"{}\" }}\n",
        site.record.path().display(),
        site.gate.path().display()
    );
    let config = format!("{}{route}{}", listen("127.0.0.1:0"), routes(&site.folder));
    assert!(site.reload(&config).contains("reloaded"));
    let (mut client, _) = site.running("/late");
    let mut idle = site.gateway.connect();
    idle.ask("GET", "/", &[], b"").expect(200);
    site.gateway.signal(Signal::TERM);
    assert_eq!(idle.receive_until_close().unwrap(), b"", "now it drains");
    site.gate.open();
    let answer = client.receive().expect(200);
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("late\n", Some("close")));
    assert!(site.gateway.wait().success());
}

#[test]
fn what_still_runs_after_the_grace_is_cut_and_its_processes_end() {
    let mut site = site("[server]\ngrace = \"300ms\"");
    let (mut silent, first) = site.running("/bad/silent");
    let (mut stubborn, second) = site.running("/bad/ignores-term");
    let (mut answering, third) = site.running("/bad/gated");
    assert_eq!(answering.receive_head("GET").status, 200);
    let start = Instant::now();
    site.gateway.signal(Signal::TERM);
    assert!(site.gateway.wait().success());
    assert!(start.elapsed() >= Duration::from_millis(300), "the grace was not given");
    for program in [first, second, third] {
        assert!(!process::runs(program), "a program outlives the gateway");
    }
    assert!(silent.try_receive_head("GET").is_err());
    assert!(stubborn.try_receive_head("GET").is_err());
    let end = std::iter::from_fn(|| Some(answering.receive_piece())).find_map(Result::err);
    assert_eq!(end, Some(Ended::Cut), "what was cut looks complete");
    site.gateway.wait_for_line("grace");
    // Each is in the access log, with what became of it.
    let lines = site.gateway.stdout.wait_for_end();
    for path in ["/bad/silent", "/bad/ignores-term", "/bad/gated"] {
        let line = lines.iter().find(|line| line.contains(path)).unwrap();
        assert!(line.contains("ending=broken_off"), "{line}");
    }
}

#[test]
fn a_cut_response_that_ends_with_its_connection_does_not_look_complete() {
    let mut site = site("[server]\ngrace = \"1h\"");
    let mark = site.record.events.mark();
    let mut client = site.gateway.connect();
    client.send("GET /bad/gated HTTP/1.0\r\n\r\n");
    site.record.started_after(mark);
    assert_eq!(client.receive_head("GET").status, 200);
    site.gateway.signal(Signal::TERM);
    site.gateway.wait_for_line("draining");
    site.gateway.signal(Signal::TERM);
    assert!(site.gateway.wait().success());
    let end = std::iter::from_fn(|| Some(client.receive_piece())).find_map(Result::err);
    assert_eq!(end, Some(Ended::Cut));
}

#[test]
fn a_second_signal_cuts() {
    let mut site = site("[server]\ngrace = \"1h\"");
    let (_client, program) = site.running("/bad/silent");
    site.gateway.signal(Signal::TERM);
    site.gateway.wait_for_line("draining");
    assert!(process::runs(program));
    site.gateway.signal(Signal::INT);
    assert!(site.gateway.wait().success());
    assert!(!process::runs(program));
    assert!(!site.gateway.stderr.matching("told to hurry").is_empty());
}

#[test]
fn a_reload_changes_the_routes_and_leaves_running_requests_to_the_old_ones() {
    let mut site = site("");
    let address = site.gateway.address();
    let mut kept = site.gateway.connect();
    kept.ask("GET", "/", &[], b"").expect(200);
    let (mut running, _) = site.running("/bad/gated");
    assert_eq!(running.receive_head("GET").status, 200);
    site.folder.write("other/index.html", "other\n");
    let config = format!("{}[[route]]\npath = \"/\"\nfiles = \"other\"\n", listen("127.0.0.1:0"));
    assert!(site.reload(&config).contains("reloaded"));
    // The listener is the same, and so are its connections: the next request on one meets the new routes.
    assert_eq!(kept.ask("GET", "/", &[], b"").expect(200).text(), "other\n");
    assert_eq!(Client::connect(address).ask("GET", "/bad/silent", &[], b"").status(), 404);
    site.gate.open();
    let rest = std::iter::from_fn(|| running.receive_piece().ok()).flatten().collect::<Vec<_>>();
    assert_eq!(String::from_utf8_lossy(&rest), "one\ntwo\n");
    // And the running one's connection goes on with them.
    assert_eq!(running.ask("GET", "/", &[], b"").expect(200).text(), "other\n");
}

#[test]
fn a_bad_file_is_refused_with_line_and_column_and_the_old_one_goes_on() {
    let site = site("");
    let mark = site.gateway.stderr.mark();
    let config = format!("{}[[route]]\npath = \"/\"\nfils = \"public\"\n", listen("127.0.0.1:0"));
    assert!(site.reload(&config).contains("reload refused, the old configuration goes on"));
    site.gateway.stderr.wait_for_after(mark, "gatebridge.toml:5:1");
    site.gateway.stderr.wait_for_after(mark, "did you mean `files`?");
    site.gateway.get("/").expect(200);
    // A folder that is gone is found when the configuration is read, too.
    let config = format!("{}[[route]]\npath = \"/\"\nfiles = \"nowhere\"\n", listen("127.0.0.1:0"));
    assert!(site.reload(&config).contains("refused"));
    site.gateway.get("/").expect(200);
    // And nothing stays behind: a good one is taken.
    assert!(site.reload(&format!("{}{}", listen("127.0.0.1:0"), routes(&site.folder))).contains("reloaded"));
    site.gateway.get("/").expect(200);
}

#[test]
fn an_address_in_use_leaves_everything_as_it_was() {
    let site = site("");
    let owner = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = owner.local_addr().unwrap().to_string();
    let socket = site.folder.join("new.sock");
    let config = format!(
        "{}{}{}[[route]]\npath = \"/\"\nfiles = \"public\"\n",
        listen("127.0.0.1:0"),
        listen(&format!("unix:{}", socket.display())),
        listen(&taken)
    );
    let line = site.reload(&config);
    assert!(line.contains("refused") && line.contains(&taken) && line.contains("in use"), "{line}");
    assert!(!socket.exists(), "what was opened for it is closed again");
    site.gateway.get("/").expect(200);
    let (_client, program) = site.running("/bad/silent");
    assert!(process::runs(program), "the old routes");
}

#[test]
fn listeners_are_added_removed_and_kept() {
    let (one, two) = (peer::free_address(), peer::free_address());
    let site = site_with(|folder| format!("{}{}{}", listen(&one), listen("unix:old.sock"), routes(folder)));
    let old = site.folder.join("old.sock");
    let mut on_one = Client::connect(one.parse().unwrap());
    let mut on_old = Client::connect_unix(&old);
    for client in [&mut on_one, &mut on_old] {
        client.ask("GET", "/", &[], b"").expect(200);
    }
    let mark = site.record.events.mark();
    let mut running = Client::connect_unix(&old);
    running.send("GET /bad/gated HTTP/1.1\r\nHost: a\r\n\r\n");
    site.record.started_after(mark);
    assert_eq!(running.receive_head("GET").status, 200);

    let config = format!("{}{}{}", listen(&one), listen(&two), routes(&site.folder));
    assert!(site.reload(&config).contains("reloaded"));
    on_one.ask("GET", "/", &[], b"").expect(200);
    Client::connect(two.parse().unwrap()).ask("GET", "/", &[], b"").expect(200);
    // The removed one drains: idle connections close, the running request ends, the file is gone.
    assert_eq!(on_old.receive_until_close().unwrap(), b"");
    common::eventually("the socket file's end", || (!old.exists()).then_some(()));
    let mut site = site;
    site.gate.open();
    let rest = std::iter::from_fn(|| running.receive_piece().ok()).flatten().collect::<Vec<_>>();
    assert_eq!(String::from_utf8_lossy(&rest), "one\ntwo\n");
    assert_eq!(running.receive_until_close().unwrap(), b"");
}

#[test]
fn a_listener_takes_other_limits_and_another_mode_on_its_old_socket() {
    let site = site_with(|folder| format!("{}{}", listen("unix:site.sock"), routes(folder)));
    let path = site.folder.join("site.sock");
    let mut old = Client::connect_unix(&path);
    old.ask("GET", "/", &[], b"").expect(200);
    let config =
        format!("{}mode = \"0600\"\nmax_target = 100\n{}", listen("unix:site.sock"), routes(&site.folder));
    assert!(site.reload(&config).contains("reloaded"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(old.receive_until_close().unwrap(), b"", "the old limits end with the old connections");
    let mut new = Client::connect_unix(&path);
    assert_eq!(new.ask("GET", &format!("/?{}", "x".repeat(200)), &[], b"").status(), 414);
}

#[test]
fn unchanged_pools_keep_their_workers_and_changed_ones_do_not() {
    let pool = |name: &str, workers: u32| {
        format!(
            "[pool.{name}]\nspeak = \"fastcgi\"\ncommand = [\"{}\"]\nworkers = {workers}\n\
             [[route]]\npath = \"/{name}\"\npool = \"{name}\"\n",
            fixture("fastcgi-worker")
        )
    };
    let site = site_with(|folder| format!("{}{}{}", pool("same", 2), pool("other", 1), routes(folder)));
    let workers = |site: &Site| {
        let mut ids: Vec<u32> = process::children(site.gateway.id()).iter().map(|child| child.id).collect();
        ids.sort_unstable();
        ids
    };
    for path in ["/same/hello", "/other/hello"] {
        site.gateway.get(path).expect(200);
    }
    let before = workers(&site);
    assert_eq!(before.len(), 3);
    let config =
        format!("{}{}{}{}", listen("127.0.0.1:0"), pool("same", 2), pool("other", 2), routes(&site.folder));
    assert!(site.reload(&config).contains("reloaded"));
    for path in ["/same/hello", "/other/hello"] {
        site.gateway.get(path).expect(200);
    }
    let after = common::eventually("the old pool's end", || {
        let after = workers(&site);
        let kept = before.iter().filter(|id| after.contains(id)).count();
        (kept == 2 && after.len() == 4).then_some(after)
    });
    // Nothing that is the same changes anything.
    assert!(site.reload(&config).contains("reloaded"));
    site.gateway.get("/other/hello").expect(200);
    assert_eq!(workers(&site), after);
}
