//! The corpus through Python's h11 and through ours: each difference has been judged, and a new one fails.
//!
//! It needs Python with h11 0.16 (`GATEBRIDGE_PYTHON`, or `python3`); `GATEBRIDGE_SKIP_H11=1` leaves it out, and says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

#[path = "common/differential.rs"]
mod common;

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use common::corpus::{self, Case};
use common::verdict::{Taken, Verdict, compare};

/// All cases through one run of the oracle.
fn h11(cases: &[Case]) -> HashMap<String, Verdict> {
    let python = std::env::var_os("GATEBRIDGE_PYTHON").unwrap_or_else(|| "python3".into());
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/h11_oracle.py");
    let mut child = Command::new(&python)
        .arg(oracle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let lines: String = cases.iter().map(|case| format!("{}\t{}\n", case.name, hex(&case.bytes))).collect();
    let mut input = child.stdin.take().unwrap();
    // The oracle reads everything before it answers, so neither waits for the other.
    let fed = input.write_all(lines.as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && fed.is_ok(),
        "the oracle failed ({}): install h11 0.16 for {} (pip install h11), or set GATEBRIDGE_PYTHON",
        output.status,
        python.display()
    );
    String::from_utf8(output.stdout).unwrap().lines().map(read).collect()
}

/// A line of the oracle: name, `refused` or `-`, and for each request taken its method, target and body in hexadecimal.
fn read(line: &str) -> (String, Verdict) {
    let mut parts = line.split('\t');
    let name = parts.next().unwrap().to_owned();
    let refused = parts.next().unwrap() == "refused";
    let taken = parts.map(|taken| {
        let mut parts = taken.split(' ').map(unhex);
        let method = String::from_utf8(parts.next().unwrap()).unwrap();
        Taken { method, target: parts.next().unwrap(), body: parts.next().unwrap() }
    });
    let taken = taken.collect();
    (name, Verdict { taken, refused })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn h11_and_ours_differ_only_where_judged() {
    if std::env::var_os("GATEBRIDGE_SKIP_H11").is_some_and(|value| value == "1") {
        eprintln!("NOT TESTED: GATEBRIDGE_SKIP_H11=1, so nothing is compared with h11");
        return;
    }
    let cases = corpus::requests();
    let theirs = h11(&cases);
    compare(&cases, common::judged::H11, |case| theirs[&case.name].clone(), |ours, theirs| ours == theirs);
}
