//! What the interface costs a program at its start, as far as that does not depend on the speed of a machine: size and
//! system calls. `benches/start_up.rs` measures the time. It must not know how `serve` finds out what it is.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;
#[path = "start_up/programs.rs"]
mod programs;

use std::collections::BTreeMap;
use std::path::Path;

use common::Folder;

/// The most bytes of hello in a release build, without its symbols.
const MAX_BYTES: u64 = 600_000;

/// System calls that `serve` may make beyond those of the bare program, and how many of them.
const MORE_CALLS: [(&str, usize); 4] = [
    // Is descriptor 0 a listening socket?
    ("getsockopt", 1),
    // Head and body in one, where the bare program has a `write`.
    ("writev", 1),
    // The longer name of its file can make one more piece of /proc/self/maps, where std looks for the stack.
    ("read", 1),
    // More memory than the first page of the heap.
    ("brk", 1),
];

/// How often a start makes which system calls, its threads' too.
fn calls(folder: &Folder, program: &Path) -> BTreeMap<String, usize> {
    let trace = folder.join("trace");
    let mut strace = programs::start(program, Some("strace"));
    let options = ["--follow-forks", "--quiet=all", "--signal=none", "--output"];
    let status = strace.args(options).arg(&trace).arg(program).status();
    assert!(status.unwrap().success(), "strace of {}; tests/run installs it", program.display());
    let mut calls = BTreeMap::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        // 4711  getsockopt(0, SOL_SOCKET, ...
        let name = line.trim_start_matches(|byte: char| byte.is_ascii_digit() || byte == ' ');
        *calls.entry(name.split('(').next().unwrap().to_owned()).or_default() += 1;
    }
    assert!(calls.contains_key("execve") && calls.contains_key("exit_group"), "{calls:?}");
    calls
}

#[test]
fn a_cgi_program_starts_nothing_that_it_does_not_need() {
    let folder = Folder::new();
    let [bare, serve] = programs::build(folder.path());
    let size = serve.metadata().unwrap().len();
    assert!(size < MAX_BYTES, "hello has {size} bytes without its symbols; {MAX_BYTES} at most");

    let answers = [&bare, &serve].map(|program| {
        let output = programs::start(program, None).stdout(std::process::Stdio::piped()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(answers[0], answers[1], "they are compared because they say the same");

    let (bare, serve) = (calls(&folder, &bare), calls(&folder, &serve));
    for (name, count) in &serve {
        let more = MORE_CALLS.iter().find(|(call, _)| call == name).map_or(0, |(_, more)| *more);
        let most = bare.get(name).copied().unwrap_or(0) + more;
        assert!(*count <= most, "{count} calls of {name}, {most} at most; without the crate: {bare:?}");
    }
}
