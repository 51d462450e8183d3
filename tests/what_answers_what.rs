//! The table "What answers what", its rows about requests and starts: each is provoked over a socket, and the status, the
//! page and the log are what the table promises. It must not know how a failure is found. The other rows are in
//! `what_answers_programs.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::process::Command;

use common::told::{assert_busy, assert_get, assert_told};
use common::{
    Back, Backs, Client, EVERY_BACK, Ended, Folder, Gateway, Record, Setup, eventually, fixture, noise,
    process, program,
};
use rustix::process::getuid;

/// The scripts that misbehave, with more lines in the route and before it.
fn scripts(route: &str, before: &str) -> (Folder, Gateway) {
    let folder = Folder::new();
    let config = format!("{before}\n[[route]]\npath = \"/\"\ncgi = {:?}\n{route}\n", fixture("cgi"));
    let gateway = Gateway::start(&folder, &config);
    (folder, gateway)
}

// ---- "path does not decode, control bytes, escapes the root": 400

#[test]
fn lesson_4_a_path_that_does_not_decode_or_escapes_is_400() {
    let (_folder, gateway) = scripts("", "");
    for path in [
        "/%zz",
        "/%",
        "/%4",
        "/a%00b",
        "/a%0ab",
        "/a%0d",
        "/%7f",
        "/..",
        "/../inside",
        "/inside/../../x",
        "/%2e%2e/inside",
        "/inside/%2E%2e/%2e%2E/etc/passwd",
        "/..%2f",
    ] {
        assert_get(&gateway, path, 400, &[]);
    }
    for path in ["/%252e%252e/inside", "/..a", "/inside/..."] {
        assert_ne!(gateway.get(path).status(), 400, "{path} is decoded once, and no way up");
    }
}

// ---- "no such script or file": 404

#[test]
fn no_such_script_file_or_route_is_404() {
    let folder = Folder::new();
    folder.write("public/here.txt", "here");
    let cgi = fixture("cgi");
    let config = format!(
        "[[route]]\npath = \"/cgi\"\ncgi = {cgi:?}\n[[route]]\npath = \"/files\"\nfiles = \"public\"\n\
         [[route]]\nhost = \"other.test\"\npath = \"/\"\nfiles = \"public\"\n"
    );
    let gateway = Gateway::start(&folder, &config);
    assert_get(&gateway, "/cgi/none", 404, &["no script", "/none"]);
    assert_get(&gateway, "/files/none", 404, &[]);
    assert_get(&gateway, "/nowhere", 404, &[]);
    assert_get(&gateway, "/here.txt", 404, &[]);
    assert_eq!(gateway.ask("GET", "/here.txt", &[("Host", "other.test")], b"").expect(200).text(), "here");
}

// ---- "it is there but may not be run or read": 403, the log says which check failed

#[test]
fn lesson_22_what_may_not_be_run_is_403_and_the_log_says_which_check_failed() {
    let folder = Folder::new();
    folder.write("bin/plain", "secret-in-the-source");
    folder.script("bin/.hidden", "#!/bin/sh\n");
    folder.script("bin/backup~", "#!/bin/sh\n");
    std::os::unix::fs::symlink("/bin/sh", folder.join("bin/outside")).unwrap();
    let gateway = Gateway::start(&folder, "[[route]]\npath = \"/\"\ncgi = \"bin\"\n");
    for (path, why) in [
        ("/plain", "not executable by this user (mode 0644; chmod +x)"),
        ("/.hidden", "hidden"),
        ("/backup~", "backup"),
        ("/outside", "leads out of the folder"),
    ] {
        let answer = assert_get(&gateway, path, 403, &[&path[1..], why]);
        assert!(!answer.text().contains("secret"), "{path}");
    }
}

#[test]
fn lesson_29_the_source_of_a_script_is_never_sent() {
    let folder = Folder::new();
    for name in ["not-executable", "bad-format", "shebang-missing", "shebang-none", "half-a-header"] {
        let text = std::fs::read(fixture(&format!("cgi/{name}"))).unwrap();
        folder.write(&format!("bin/{name}"), text);
        folder.mode(&format!("bin/{name}"), if name == "not-executable" { 0o644 } else { 0o755 });
    }
    // The same folder once more, as files.
    let config = "[[route]]\npath = \"/run\"\ncgi = \"bin\"\n[[route]]\npath = \"/read\"\nfiles = \"bin\"\n";
    let gateway = Gateway::start(&folder, config);
    for entry in std::fs::read_dir(folder.join("bin")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for route in ["run", "read"] {
            for method in ["GET", "POST", "OPTIONS"] {
                let answer = gateway.ask(method, &format!("/{route}/{name}"), &[], b"");
                assert!(answer.status() >= 400, "{method} {route}/{name}: {}", answer.text());
                for word in ["secret", "never runs", "no program", "printf"] {
                    assert!(!answer.text().contains(word), "{method} {route}/{name}: {}", answer.text());
                }
            }
        }
    }
}

// ---- "request head too large / target too long / body too large": 431 / 414 / 413

#[test]
fn heads_targets_and_bodies_beyond_the_limit_are_431_414_and_413() {
    let (_folder, gateway) = scripts("max_body = \"1KiB\"", "");
    let long = "x".repeat(40 * 1024);
    assert_told(&gateway, gateway.ask("GET", "/never-reads", &[("X-Long", &long)], b""), 431, &[]);
    assert_told(&gateway, gateway.get(&format!("/{}", &long[..9 * 1024])), 414, &[]);
    let path = "/never-reads";
    gateway.ask("POST", path, &[], &noise(6, 1024)).expect(200);
    let known = gateway.ask("POST", path, &[], &noise(6, 1025));
    assert_told(&gateway, known, 413, &["max_body"]);
    let chunked = gateway.ask("POST", path, &[("Transfer-Encoding", "chunked")], &chunks(3, 512));
    assert_told(&gateway, chunked, 413, &["max_body"]);
}

fn chunks(count: usize, size: usize) -> Vec<u8> {
    let chunk = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
    (chunk.repeat(count) + "0\r\n\r\n").into_bytes()
}

// ---- "client too slow to send": 408, no worker was held meanwhile

#[test]
fn lesson_30_a_client_too_slow_with_its_head_is_408() {
    let (_folder, gateway) = scripts("", "[[listen]]\naddress = \"127.0.0.1:0\"\nhead_timeout = \"50ms\"\n");
    let mut client = gateway.connect();
    client.send("GET /never-reads HTTP/1.1\r\nHost: te");
    assert_told(&gateway, client.receive(), 408, &[]);
}

#[test]
fn lesson_30_a_client_too_slow_with_its_body_is_408_and_holds_no_worker() {
    let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\nmin_body_rate = \"1MiB\"\nbody_grace = \"50ms\"\n";
    let setup = Setup { more: listen, route: "body = \"spool\"", ..Setup::default() };
    let backs = Backs::with(&EVERY_BACK, setup);
    for back in EVERY_BACK {
        for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let mut client = backs.gateway.connect();
            client
                .send(format!("POST /app/count HTTP/1.1\r\nHost: {}\r\n{framing}\r\n\r\n5\r\n", back.host()));
            assert_told(&backs.gateway, client.receive(), 408, &["min_body_rate"]);
        }
        let called = backs.record(back).events.all();
        let is_call = |event: &&String| {
            event.starts_with("request") || (back == Back::Cgi && event.starts_with("started"))
        };
        assert_eq!(called.iter().find(is_call), None, "{back:?}");
    }
}

// ---- "program could not be started": 500, the log names path, errno and hint

#[test]
fn lesson_22_what_cannot_be_started_is_500_and_the_log_says_why_and_what_to_do() {
    let (_folder, gateway) = scripts("", "");
    for (script, why, hint) in [
        (
            "shebang-missing",
            "interpreter /usr/bin/no-such-interpreter does not exist (os error 2)",
            "install /usr/bin/no-such-interpreter",
        ),
        ("shebang-crlf", "#!/bin/sh, ends in CR LF (os error 2)", "LF line ends (sed -i"),
        ("shebang-none", "not a program for this machine (os error 8)", "add a first line such as #!/bin/sh"),
        ("empty", "no #! line", "add a first line"),
        ("bad-format", "binary that this machine cannot run (os error 8)", "build it for this machine"),
    ] {
        let path = fixture(&format!("cgi/{script}"));
        assert_get(&gateway, &format!("/{script}"), 500, &[&path, why, hint]);
    }
}

/// A listener that takes heads which the kernel would not take as variables.
const LARGE_HEADS: &str = "[[listen]]\naddress = \"127.0.0.1:0\"\nmax_head = \"8MiB\"\n";

#[test]
fn lesson_22_one_variable_of_128_kib_is_500_and_named() {
    let (_folder, gateway) = scripts("", LARGE_HEADS);
    let value = "x".repeat(128 * 1024);
    let answer = gateway.ask("GET", "/never-reads", &[("X-Much", &value)], b"");
    assert_told(&gateway, answer, 500, &["cgi/never-reads", "HTTP_X_MUCH", "the kernel takes 131072"]);
    gateway.ask("GET", "/never-reads", &[("X-Much", &value[..131_000])], b"").expect(200);
}

#[test]
fn lesson_22_more_variables_than_the_kernel_takes_are_500() {
    let (_folder, gateway) = scripts("", LARGE_HEADS);
    let value = "x".repeat(100 * 1024);
    let names: Vec<_> = (0..40).map(|number| format!("X-Much-{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    let answer = gateway.ask("GET", "/never-reads", &fields, b"");
    assert_told(
        &gateway,
        answer,
        500,
        &["argument list is too long", "(os error 7)", "HTTP_X_MUCH_", "ulimit -s"],
    );
    gateway.get("/never-reads").expect(200);
}

#[test]
fn lesson_21_a_script_that_is_being_written_is_tried_again_and_500_only_if_it_stays_so() {
    let folder = Folder::new();
    let script = folder.join("bin/busy");
    std::fs::create_dir(folder.join("bin")).unwrap();
    std::fs::copy(program(&["true"]), &script).unwrap();
    let writer = std::fs::OpenOptions::new().write(true).open(&script).unwrap();
    let gateway = Gateway::start(&folder, "[[route]]\npath = \"/\"\ncgi = \"bin\"\n");
    assert_get(&gateway, "/busy", 500, &["/bin/busy", "open for writing (os error 26)", "by rename"]);
    let mut client = gateway.connect();
    client.send("GET /busy HTTP/1.1\r\nHost: test.example\r\n\r\n");
    drop(writer);
    // It runs now; that it says nothing is another matter.
    assert_told(&gateway, client.receive(), 502, &["before its head was complete"]);
}

// ---- "no process slot, EAGAIN, ENOMEM" of the last row of 503: with Retry-After; EMFILE is in `no_descriptors.rs`

/// A command that runs as a user who has no other process, where we are root, for whom no limit of processes holds.
fn as_somebody() -> Command {
    if !getuid().is_root() {
        return Command::new(program(&["env"]));
    }
    let mut command = Command::new(program(&["setpriv"]));
    let user = (60_000_000 + std::process::id()).to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
    // Nor may the tests lie where that user could not read.
    command.args(["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]);
    command
}

#[test]
fn lesson_22_no_process_left_is_503_with_retry_after_and_passes() {
    let folder = Folder::new();
    let config = format!("[[route]]\npath = \"/\"\ncgi = {:?}\n", fixture("cgi"));
    let gateway = Gateway::start_with(&folder, &config, |command| {
        let mut other = as_somebody();
        other.arg(command.get_program()).args(command.get_args()).current_dir(folder.path());
        *command = other;
    });
    let allow = |processes: u32| {
        let mut command = as_somebody();
        command.arg(program(&["prlimit"])).arg(format!("--nproc={processes}:"));
        assert!(command.arg("--pid").arg(gateway.id().to_string()).status().unwrap().success());
    };
    gateway.get("/never-reads").expect(200);
    allow(1);
    assert_busy(
        &gateway,
        gateway.get("/never-reads"),
        &["the limit of processes is reached (os error 11)", "ulimit -u"],
    );
    allow(4096);
    gateway.get("/never-reads").expect(200);
}

#[test]
fn a_full_queue_and_a_wait_that_is_over_are_503_with_retry_after() {
    for (queue, why) in [("queue = 0", "requests wait"), ("queue_timeout = \"50ms\"", "waited 0.05 s")] {
        let folder = Folder::new();
        let record = Record::new(&folder, "record");
        let config = format!(
            "[[route]]\npath = \"/\"\ncgi = {:?}\nmax_processes = 1\n{queue}\nenv = {{ RECORD = {:?} }}\n",
            fixture("cgi"),
            record.path()
        );
        let gateway = Gateway::start(&folder, &config);
        let mut first = gateway.connect();
        first.send("GET /silent HTTP/1.1\r\nHost: test.example\r\n\r\n");
        let running = record.started();
        assert_busy(&gateway, gateway.get("/never-reads"), &[why, "max_processes"]);
        first.reset();
        process::wait_for_end(running);
        eventually("the place to be free", || (gateway.get("/never-reads").status() == 200).then_some(()));
    }
}

// ---- "the client left" (queued): forgotten

/// Of two requests that find one place in a queue, the one that waits; the other has been refused.
fn only_one_waits(one: Client, other: Client) -> Client {
    let is_first = eventually("one of two to be refused", || match (one.has_heard(), other.has_heard()) {
        (false, false) => None,
        (first, second) => Some((first, second)),
    });
    let (mut refused, waiting) = match is_first {
        (true, true) => panic!("both were answered"),
        (true, false) => (one, other),
        (false, _) => (other, one),
    };
    assert_eq!(refused.receive().status(), 503);
    waiting
}

#[test]
fn a_queued_request_whose_client_left_is_forgotten_and_never_runs() {
    let setup =
        Setup { route: "", pool: "queue = 1\nqueue_timeout = \"60s\"", options: &["--single"], more: "" };
    for back in [Back::Cgi, Back::FastCgiStarted, Back::ScgiStarted] {
        let cgi =
            Setup { route: "max_processes = 1\nqueue = 1\nqueue_timeout = \"60s\"", ..Setup::default() };
        let backs = Backs::with(&[back], if back == Back::Cgi { cgi } else { setup });
        let (gateway, record) = (&backs.gateway, backs.record(back));
        let ask = |path: &str| {
            let mut client = gateway.connect();
            client.send(format!("GET /app{path} HTTP/1.1\r\nHost: {}\r\n\r\n", back.host()));
            client
        };
        let running = ask("/silent");
        record.events.wait_for(if back == Back::Cgi { "started " } else { "request GET /silent" });
        let forgotten = only_one_waits(ask("/status/201"), ask("/status/201"));
        forgotten.reset();
        // The access log tells when the one that was refused, and the one that left, are over.
        eventually("two lines in the access log", || {
            (gateway.stdout.matching("/status/201").len() == 2).then_some(())
        });
        let mut waiting = only_one_waits(ask("/status/202"), ask("/status/202"));
        running.reset();
        assert_eq!(
            waiting.receive().expect(202).ended,
            Ended::Complete,
            "{back:?}: its place was free again"
        );
        let all = record.events.all();
        assert!(!all.iter().any(|event| event.contains("/status/201")), "{back:?}: {all:?}");
    }
}
