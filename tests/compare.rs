//! `gatebridge compare` as a user runs it: what it finds is looked at, never how fast it was; and nothing that it started is
//! left. It knows the program's options and its JSON, and no line of its code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use common::gateway::PROGRAM;
use common::{Folder, Gateway, Lines, eventually, example, process};
use rustix::process::Signal;
use serde_json::Value;

/// A number of requests and not a time, so that a slow machine does the same as a fast one.
const SHORT: [&str; 10] =
    ["--rounds", "2", "--duration", "10m", "--requests", "200", "--clients", "1,4", "--starts", "1"];

/// What a run of `gatebridge compare` said.
#[derive(Debug)]
struct Run {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

fn command(folder: &Folder, arguments: &[&str]) -> Command {
    // Whatever it leaves behind is found in this folder.
    fs::create_dir_all(folder.join("t")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("compare").args(arguments).current_dir(folder.path()).env("TMPDIR", folder.join("t"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end, and sees that nothing is left.
fn compare(folder: &Folder, arguments: &[&str]) -> Run {
    let output = command(folder, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let run = Run { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) };
    assert_eq!(left(folder.path()), Vec::<String>::new(), "processes are left: {run:?}");
    let files: Vec<_> = fs::read_dir(folder.join("t")).unwrap().flatten().collect();
    assert!(files.is_empty(), "{files:?} are left: {run:?}");
    run
}

/// The processes whose command lines name the folder: the gateways, for their configurations lie there, and the programs
/// that lie there themselves.
fn left(folder: &Path) -> Vec<String> {
    let lines = process::all().into_iter().map(|process| process::command_line(process.id));
    lines.filter(|line| line.contains(folder.to_str().unwrap())).collect()
}

/// A copy of an example, whose processes can be told from those of other tests.
fn hello(folder: &Folder) -> String {
    let path = folder.join("hello");
    fs::copy(example("hello"), &path).unwrap();
    path.display().to_string()
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {value:#}"))
}

#[test]
fn a_program_is_measured_in_every_way() {
    let folder = Folder::new();
    let program = hello(&folder);
    let arguments = [&SHORT[..], &["--json", "-", "--path", "/a%20b?c=d", &program]].concat();
    let run = compare(&folder, &arguments);
    let found = run.exits(0).json();
    assert_eq!(
        (&found["settings"]["requests"], &found["settings"]["target"]),
        (&200.into(), &"/a%20b?c=d".into())
    );
    assert!(number(&found, "/took_s") > 0.0 && number(&found, "/machine/cores") >= 1.0);
    let contestants = found["contestants"].as_array().unwrap();
    let modes: Vec<_> = contestants.iter().map(|one| one["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["cgi", "fastcgi", "scgi"]);
    for one in contestants {
        assert_eq!(one["failure"], Value::Null, "{one:#}");
        assert_eq!((&one["errors"], &one["remarks"]), (&Value::Array(vec![]), &Value::Array(vec![])));
        // Two rounds of 200 requests by one client.
        assert_eq!(number(one, "/latency/count"), 400.0);
        assert!(number(one, "/latency/min_us") > 0.0);
        assert!(number(one, "/latency/max_us") >= number(one, "/latency/p50_us"));
        for (at, clients) in [1.0, 4.0].into_iter().enumerate() {
            assert_eq!(number(one, &format!("/throughput/{at}/clients")), clients);
            assert!(number(one, &format!("/throughput/{at}/requests_per_s/min")) > 0.0);
        }
        for part in ["exec_us", "program_us", "total_us"] {
            assert!(number(one, &format!("/start_up/{part}/min")) > 0.0, "{part}: {one:#}");
        }
        assert!(number(one, "/memory/gateway_bytes") > 1e6 && number(one, "/memory/program_bytes") > 1e5);
        assert!(number(one, "/memory/program_processes") >= 1.0);
        let cpu = |whose: &str, kind: &str| number(one, &format!("/cpu_{whose}/{kind}_us/max"));
        assert!(cpu("gateway", "user") + cpu("gateway", "system") > 0.0, "{one:#}");
    }
    // A process for each request uses more than the kernel's smallest unit of time, whatever the machine.
    assert!(
        number(&contestants[0], "/cpu_program/user_us/max")
            + number(&contestants[0], "/cpu_program/system_us/max")
            > 0.0
    );
    // There is a verdict for each of the two that stay.
    assert_eq!(found["payoffs"].as_array().unwrap().len(), 2);
    assert!(found["payoffs"][0]["break_even"]["outcome"].is_string(), "{:#}", found["payoffs"]);
    assert!(run.stderr.contains("round 2 of 2: FastCGI"), "{}", run.stderr);
}

#[test]
fn without_a_program_there_is_one_that_also_runs_inside_the_gateway() {
    let folder = Folder::new();
    let found = compare(&folder, &[&SHORT[..], &["--json", "-"]].concat()).exits(0).json();
    let contestants = found["contestants"].as_array().unwrap();
    let modes: Vec<_> = contestants.iter().map(|one| one["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["cgi", "fastcgi", "scgi", "in_process"]);
    for one in contestants {
        let none = Value::Array(vec![]);
        assert_eq!(
            (&one["failure"], &one["errors"], &one["remarks"]),
            (&Value::Null, &none, &none),
            "{one:#}"
        );
        assert_eq!(number(one, "/latency/count"), 400.0);
    }
    // It has no start and no process of its own.
    let inside = &contestants[3];
    assert_eq!((&inside["start_up"], &inside["cpu_program"]), (&Value::Null, &Value::Null));
    assert_eq!(inside["memory"]["program_processes"], Value::Null);
}

#[test]
fn a_person_gets_a_table_and_files_on_demand() {
    let folder = Folder::new();
    let program = hello(&folder);
    let other = format!("other={program}");
    let files = ["--csv", "values.csv", "--json", "findings.json", "--html", "page.html"];
    let arguments = [&SHORT[..], &files, &["--fastcgi", &program, "--cgi", &other]].concat();
    let run = compare(&folder, &arguments);
    let table = &run.exits(0).stdout;
    for word in ["FastCGI", "other", "p99", "Start-up", "Peak memory"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.to_ascii_lowercase().starts_with("<!doctype html>") && page.contains("<svg"), "{page}");
    assert!(fs::read_to_string(folder.join("values.csv")).unwrap().lines().count() > 20);
    let found: Value =
        serde_json::from_str(&fs::read_to_string(folder.join("findings.json")).unwrap()).unwrap();
    assert_eq!(found["contestants"][0]["name"], "other");
}

#[test]
fn a_fixed_rate_corrects_latency_and_a_body_reaches_the_program() {
    let folder = Folder::new();
    let echo = folder.script("echo", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; cat\n");
    folder.write("body", vec![b'x'; 100_000]);
    let rate = ["--rate", "1000", "--body", "body", "--json", "-", "--requests", "20", "--rounds", "1"];
    let arguments = ["--duration", "10m", "--clients", "2", "--starts", "1", "--cgi", echo.to_str().unwrap()];
    let found = compare(&folder, &[&rate[..], &arguments].concat()).exits(0).json();
    let one = &found["contestants"][0];
    assert_eq!((&one["failure"], &one["errors"]), (&Value::Null, &Value::Array(vec![])), "{one:#}");
    assert_eq!(one["latency"]["corrected"], true);
    assert_eq!((number(one, "/latency/count"), number(&found, "/settings/body_bytes")), (20.0, 100_000.0));
    assert_eq!(found["settings"]["method"], "POST");
}

#[test]
fn who_fails_is_told_and_the_others_are_measured() {
    let folder = Folder::new();
    let good = folder.script("good", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n");
    let other = folder.script("other", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhullo'\n");
    let named = |name: &str, path: &Path| format!("{name}={}", path.display());
    let exits = folder.script("exits", "#!/bin/sh\nexit 3\n");
    let (good, other) = (named("good", &good), named("other", &other));
    let (cgi, worker) = (named("silent", &exits), named("worker", &exits));
    let arguments = [
        &SHORT[..8],
        &["--starts", "1", "--timeout", "30s", "--json", "-"],
        &[
            "--cgi",
            &cgi,
            "--cgi",
            &good,
            "--cgi",
            &other,
            "--fastcgi",
            &worker,
            "--url",
            "nobody=http://127.0.0.1:1/",
        ],
    ]
    .concat();
    let run = compare(&folder, &arguments);
    let found = run.exits(1).json();
    let failure = |at: usize| found["contestants"][at]["failure"].as_str().unwrap_or_default().to_owned();
    assert!(failure(0).contains("status 502") && failure(0).contains("exit status 3"), "{}", failure(0));
    assert_eq!((failure(1).as_str(), failure(2).as_str()), ("", ""));
    assert!(failure(3).contains("status 503") || failure(3).contains("status 502"), "{}", failure(3));
    assert!(failure(4).contains("cannot connect to 127.0.0.1:1"), "{}", failure(4));
    let remark = found["contestants"][2]["remarks"][0].as_str().unwrap_or_default();
    assert_eq!(remark, "its answer is not that of good: they differ from byte 1 on, \"ullo\" and \"ello\"");
}

#[test]
fn another_server_stands_in_the_same_table() {
    let folder = Folder::new();
    folder.script("hello", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n");
    let server = Gateway::start(&folder, "[[route]]\npath = \"/x\"\ncgi = \"hello\"\n");
    let other = Folder::new();
    let script = folder.join("hello").display().to_string();
    let url = format!("theirs={}", server.url("/x"));
    let arguments = [&SHORT[..], &["--json", "-", "--url", &url, "--cgi", &script]].concat();
    let found = command(&other, &arguments).output().unwrap();
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let theirs = &found["contestants"][1];
    assert_eq!((&theirs["name"], &theirs["mode"]), (&"theirs".into(), &"url".into()));
    assert_eq!(
        (&theirs["failure"], &theirs["start_up"], &theirs["cpu_gateway"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(number(theirs, "/latency/count"), 400.0);
    assert!(fs::read_dir(other.join("t")).unwrap().next().is_none());
}

#[test]
fn arguments_of_a_cgi_program_take_a_shell_which_is_told() {
    let folder = Folder::new();
    let script = folder.script("say", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|' \"$@\"\n");
    let command = format!("{} 'a b' $c", script.display());
    let arguments = [&SHORT[..8], &["--starts", "1", "--json", "-", "--cgi", &command]].concat();
    let found = compare(&folder, &arguments).exits(0).json();
    let one = &found["contestants"][0];
    assert_eq!(one["failure"], Value::Null, "{one:#}");
    assert!(one["remarks"][0].as_str().unwrap().contains("a shell starts it"), "{one:#}");
}

#[test]
fn what_cannot_be_compared_is_refused_at_once() {
    let folder = Folder::new();
    let refused = |arguments: &[&str]| {
        let run = compare(&folder, arguments);
        assert_eq!(run.exits(2).stdout, "");
        run.stderr
    };
    assert_eq!(refused(&["./no-such"]), "gatebridge compare: the program \"./no-such\" does not exist\n");
    assert!(refused(&["--cgi", "a='b"]).contains("the quote ' is not closed"));
    assert!(refused(&["--url", "a=https://b"]).contains("NAME=http://HOST:PORT/PATH"));
    assert!(refused(&["/bin/sh", "--path", "a"]).contains("must begin with a slash"));
    assert!(refused(&["/bin/sh", "-H", "a"]).contains("has no colon"));
    assert!(refused(&["/bin/sh", "--body", "no-such"]).contains("cannot read the body no-such"));
    assert!(refused(&["/bin/sh", "--env", "NO_SUCH_VARIABLE"]).contains("--env NO_SUCH_VARIABLE"));
    for usage in [["--rate", "0"], ["--duration", "1 fortnight"], ["--clients", "0"], ["--rounds", "0"]] {
        assert!(refused(&["/bin/sh", usage[0], usage[1]]).contains("invalid value"), "{usage:?}");
    }
}

#[test]
fn help_shows_how_it_is_used() {
    let folder = Folder::new();
    let help = compare(&folder, &["--help"]);
    for words in ["gatebridge compare target/release/examples/hello", "--fastcgi", "Exit status:"] {
        assert!(help.exits(0).stdout.contains(words), "no {words:?} in\n{}", help.stdout);
    }
    assert!(!compare(&folder, &["--help"]).stdout.contains("compare-gateway"));
}

/// A comparison that goes on for long, when its first round has begun.
fn long_one(folder: &Folder) -> (Child, Lines) {
    let program = hello(folder);
    let mut child = command(folder, &["--rounds", "1000000", "--requests", "10", &program]).spawn().unwrap();
    let lines = Lines::of("compare", child.stderr.take().unwrap());
    lines.wait_for("round 1 of");
    (child, lines)
}

#[test]
fn an_interruption_ends_everything_without_a_report() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = Folder::new();
        let (child, _lines) = long_one(&folder);
        process::signal(child.id(), signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), &b""[..]));
        assert_eq!(left(folder.path()), Vec::<String>::new());
        assert!(fs::read_dir(folder.join("t")).unwrap().next().is_none());
    }
}

#[test]
fn gateways_do_not_outlive_a_comparison_that_is_killed() {
    let folder = Folder::new();
    let (mut child, _lines) = long_one(&folder);
    assert!(left(folder.path()).iter().any(|line| line.contains("compare-gateway")));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the gateways and their workers to end", || left(folder.path()).is_empty().then_some(()));
}
