//! What holds for any bytes: replayed over the corpus, and tried on random and on damaged messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail anywhere, its helpers too")]

mod common;
#[path = "common/invariants.rs"]
mod invariants;
#[path = "common/transcript.rs"]
mod transcript;

use common::corpus;
use proptest::prelude::*;

#[test]
fn the_corpus_keeps_the_invariants() {
    for case in corpus::requests().iter().chain(&corpus::responses()) {
        // Long ones would be cut byte by byte for minutes in a debug build.
        if case.bytes.len() > 2_000 {
            continue;
        }
        for selector in [0, 1, 2, 5, 42, 85, 128, 255] {
            invariants::hold(selector, &case.bytes);
        }
    }
}

/// A message of the corpus with a few bytes changed, left out or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let messages: Vec<Vec<u8>> = corpus::requests()
        .into_iter()
        .chain(corpus::responses())
        .map(|case| case.bytes)
        .filter(|bytes| bytes.len() < 400)
        .collect();
    let damage = (any::<prop::sample::Index>(), 0..4u8, any::<u8>());
    (prop::sample::select(messages), prop::collection::vec(damage, 0..4)).prop_map(|(mut bytes, damages)| {
        for (place, kind, byte) in damages {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\r\n :;,0\0"[usize::from(byte) % 8]),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_keep_the_invariants(selector: u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        invariants::hold(selector, &bytes);
    }

    #[test]
    fn damaged_messages_keep_the_invariants(selector: u8, bytes in damaged()) {
        invariants::hold(selector, &bytes);
    }
}
