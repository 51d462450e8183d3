//! The fuzz target's seeds: the corpus, as files in `fuzz/seeds/http1`. Run with `GATEBRIDGE_BLESS=1` to write them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

mod common;
#[path = "common/invariants.rs"]
mod invariants;
#[path = "common/transcript.rs"]
mod transcript;

use std::path::PathBuf;

use common::corpus;

/// Every seed, its first byte being the selector of `invariants::hold`, and findings that were fixed beside them.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/http1")
}

#[test]
fn the_seeds_are_the_corpus_and_keep_the_invariants() {
    let bless = std::env::var_os("GATEBRIDGE_BLESS").is_some();
    if bless {
        std::fs::create_dir_all(folder()).unwrap();
    }
    for (kind, cases) in [("request", corpus::requests()), ("response", corpus::responses())] {
        for case in cases.iter().filter(|case| case.bytes.len() < 1_000) {
            let seed = [&[0], &case.bytes[..]].concat();
            let path = folder().join(format!("{kind}-{}", case.name));
            if bless {
                std::fs::write(&path, &seed).unwrap();
            }
            let there = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                there == seed,
                "{} is not what the corpus says: run with GATEBRIDGE_BLESS=1",
                path.display()
            );
        }
    }
    // All that lies there, former findings among it.
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let data = std::fs::read(entry.unwrap().path()).unwrap();
        if let Some((selector, bytes)) = data.split_first() {
            invariants::hold(*selector, bytes);
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} seeds");
}
