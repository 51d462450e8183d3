//! The table of invented comparisons, to the character.

use super::escape::columns;
use super::table::{Paint, WIDTH, table};
use crate::compare::findings::{Contestant, FailureKind, Failures, Latency, Mode};
use crate::compare::testing::{contestant, findings, pair};

#[test]
fn the_table_is_what_it_always_was() {
    let expected = "\
A persistent worker pays for itself with the first request, and answers 20 times as fast.

Latency            min      p50      p90      p99    p99.9      max  requests
hello CGI      1.20 ms  2.00 ms  3.61 ms  5.91 ms  8.21 ms  20.0 ms    24,000
hello FastCGI  60.0 µs   100 µs   180 µs   296 µs   411 µs  1.00 ms    24,000

Requests/s     1 client     ±  4 clients     ±  16 clients     ±
hello CGI           450  3.0%        850  3.0%         900  3.0%
hello FastCGI     9,000  3.0%     17,000  3.0%      18,000  3.0%

Start-up         exec  program  first answer    total      min      max
hello CGI      180 µs  1.08 ms        540 µs  1.80 ms  1.76 ms  1.87 ms
hello FastCGI  180 µs  1.08 ms        540 µs  1.80 ms  1.76 ms  1.87 ms

CPU per request  gateway     user   system  program     user   system
hello CGI        18.0 µs  4.00 µs  14.0 µs  1.40 ms   600 µs   800 µs
hello FastCGI    18.0 µs  4.00 µs  14.0 µs  70.0 µs  30.0 µs  40.0 µs

Peak memory     gateway  a process  processes
hello CGI      9.00 MiB   3.00 MiB          4
hello FastCGI  9.00 MiB   3.00 MiB          4

- hello FastCGI pays for itself with the first request: starting it costs 1.70 ms, then an answer
  takes 100 µs; hello CGI takes 2.00 ms for each, 20 times as long.
- The gateway spends 18.0 µs of CPU time on an answer of hello FastCGI, 18% of its median latency.

GET /hello?x=1: 3 rounds of 2 s, 4 workers, next request after the answer
Example 3000 @ 2.40GHz, 2 cores, 4.00 GiB of memory, Linux 6.1.0-13-amd64, gatebridge 0.1.0,
2026-01-02T03:04:05Z
";
    assert_eq!(table(&findings(pair()), Paint::Plain), expected);
}

#[test]
fn what_is_not_known_is_a_dash() {
    let mut short = contestant("nginx", Mode::Url, "nginx", 100.0);
    short.latency = Latency::of(150, true, vec![100.0, 101.0, 99.0], |percentile| percentile + 1.0);
    short.throughput.remove(1);
    let mut broken = Contestant::new("broken", Mode::Scgi, "hello", "hello");
    broken.failure = Some("hello ended with status 1\nit said:\nno \x1b[1mmodel".into());
    let mut failing = contestant("failing", Mode::Fastcgi, "hello", 5_000.0);
    failing.errors = vec![Failures { kind: FailureKind::Status, count: 1, example: "500".into() }];
    let text = table(&findings(vec![short, broken, failing]), Paint::Plain);
    assert!(
        text.contains("nginx (URL)        1.00 µs  51.0 µs  91.0 µs        -        -   101 µs       150\n"),
        "{text}"
    );
    assert!(
        text.contains("nginx (URL)           9,000  3.0%          -     -      18,000  3.0%\n"),
        "{text}"
    );
    let told = "! broken was not measured: hello ended with status 1\n    it said:\n    no \\u{1b}[1mmodel\n";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("! failing: 1 request failed: 1 wrong status (500). Its figures"), "{text}");
    assert!(text.contains("left out (-): nginx made 150, and p99 takes"), "{text}");
    assert_eq!(text.matches("broken").count(), 1, "{text}");
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    let hostile = "\x1b[31m\u{202e}\"><script>alert(1)</script>漢字".repeat(20);
    let names = ["a", "漢字かな漢字かな漢字かな漢字かな", hostile.as_str(), "d", "e", "f", "g", "h"];
    let contestants = names.iter().zip(Mode::ALL.iter().cycle()).enumerate().map(|(index, (name, mode))| {
        let slow = 10_f64.powi(index32(index));
        contestant(name, *mode, name, slow)
    });
    let mut findings = findings(contestants.collect());
    findings.settings.target = format!("/{hostile}");
    findings.machine.cpu_model = "x".repeat(300);
    let plain = table(&findings, Paint::Plain);
    for line in plain.lines() {
        assert!(columns(line) <= WIDTH, "{} columns: {line}", columns(line));
    }
    assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{plain:?}");
    let coloured = table(&findings, Paint::Colours);
    let mut bare = coloured.clone();
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, plain, "colours change nothing else");
    assert_ne!(coloured, plain);
}

fn index32(index: usize) -> i32 {
    i32::try_from(index).unwrap()
}

#[test]
fn a_run_without_contestants_says_so() {
    let text = table(&findings(Vec::new()), Paint::Plain);
    assert!(text.starts_with("Nothing could be measured.\n\n\nGET "), "{text}");
}
