//! The table of what the differential tests found, `docs/differential-http1.md`: it says what the judged lists say, or this test
//! fails. Run with `GATEBRIDGE_BLESS=1` to write it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

#[path = "common/differential.rs"]
mod common;

use std::fmt::Write;
use std::path::PathBuf;

use common::corpus::{self, Case};
use common::judged::{H11, HYPER};
use common::verdict::{Judged, ours};

/// Bytes of a message that the table shows.
const SHOWN_BYTES: usize = 100;

const INTRODUCTION: &str = "\
# HTTP/1.1: what others make of the same bytes

The codec in `protocols/http1` is compared with two others that were written independently: the server of hyper 1.12 (Rust)
and h11 0.16 (Python). All three get the messages of `protocols/http1/tests/corpus/requests.txt`, and must take the same
requests with the same methods and bodies (with h11 also the same targets, byte for byte; hyper puts them together anew).
Where they differ, the difference has been judged and stands below; a difference that does not stand here fails
`differential_hyper` or `differential_h11`, and this page is compared with their lists by `differential_table`.

\"Taken\" means that the request was read to its end and given to an application; \"refused\" that it was not, and that
nothing behind it was read.
";

fn page() -> String {
    let cases = corpus::requests();
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "hyper", &cases, HYPER);
    section(&mut page, "h11", &cases, H11);
    page
}

fn section(page: &mut String, other: &str, cases: &[Case], judged: &[Judged]) {
    let stricter = judged.iter().filter(|judged| judged.ours.contains("refused")).count();
    writeln!(page, "\n## {other}\n").unwrap();
    writeln!(
        page,
        "{} messages, {} differences: ours refuses {stricter} that {other} takes, and takes {} that {other} refuses or leaves.\n",
        cases.len(),
        judged.len(),
        judged.len() - stricter,
    )
    .unwrap();
    writeln!(page, "| message | bytes | ours | {other} | why it stays |\n|---|---|---|---|---|").unwrap();
    for Judged { name, ours, theirs, why } in judged {
        let case = cases.iter().find(|case| case.name == *name).unwrap();
        let shown = case.bytes.len().min(SHOWN_BYTES);
        let bytes = case.bytes[..shown].escape_ascii().to_string().replace('|', "\\|");
        let more = if shown < case.bytes.len() { " …" } else { "" };
        writeln!(page, "| {name} | `` {bytes} ``{more} | {ours} | {theirs} | {why} |").unwrap();
    }
}

#[test]
fn the_page_says_what_the_lists_say() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/differential-http1.md");
    let page = page();
    if std::env::var_os("GATEBRIDGE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(there == page, "docs/differential-http1.md is stale: run this test with GATEBRIDGE_BLESS=1");
}

#[test]
fn the_lists_say_what_ours_says() {
    let cases = corpus::requests();
    for judged in HYPER.iter().chain(H11) {
        let case = cases.iter().find(|case| case.name == judged.name).unwrap();
        let (verdict, error) = ours(&case.bytes);
        assert_eq!(verdict.to_string(), judged.ours, "{}: {error}", judged.name);
    }
}
