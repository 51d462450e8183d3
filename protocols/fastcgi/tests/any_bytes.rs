//! The invariants of the fuzz target without the fuzzer: on seeds, on records thrown together and on noise.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod invariants;
mod rig;

use proptest::collection::vec;
use proptest::prelude::*;
use rig::{begin, end, opened, padded, pairs, record};

/// A record that may well mean something, or one that means nothing.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let id = 0_u16..5;
    let content = prop_oneof![vec(any::<u8>(), 0..40), Just(Vec::new()), Just(pairs(&[("NAME", "value")]))];
    prop_oneof![
        6 => (0_u8..14, id.clone(), content, 0_u8..20).prop_map(|(number, id, content, padding)| {
            padded(number, id, &content, padding)
        }),
        2 => (id.clone(), 0_u8..5, 0_u8..2).prop_map(|(id, role, flags)| begin(id, role, flags)),
        2 => (id.clone(), any::<u8>(), 0_u8..5).prop_map(|(id, status, protocol)| end(id, status, protocol)),
        2 => id.prop_map(opened),
    ]
}

proptest! {
    #[test]
    fn records_thrown_together(seed in any::<u8>(), records in vec(any_record(), 0..12)) {
        invariants::check(&[vec![seed], records.concat()].concat());
    }

    #[test]
    fn records_of_the_right_direction(seed in any::<u8>(), records in vec((4_u8..8, 1_u16..4, vec(any::<u8>(), 0..9)), 0..12)) {
        let records: Vec<u8> = records.into_iter().flat_map(|(number, id, content)| record(number, id, &content)).collect();
        invariants::check(&[vec![seed], records].concat());
    }

    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..300)) {
        invariants::check(&bytes);
    }
}

/// What the fuzzer begins with: a conversation of each kind, and whatever it once found.
#[test]
fn seeds_of_the_fuzzer() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/fastcgi");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("fuzz/seeds/fastcgi") {
        let path = file.expect("a seed").path();
        let mut bytes = std::fs::read(&path).expect("a seed");
        // The first byte chooses the pieces and the state of the client: try them all.
        for first in 0..=255 {
            bytes[0] = first;
            println!("{} with {first}", path.display());
            invariants::check(&bytes);
        }
        count += 1;
    }
    assert!(count >= 10, "seeds are missing in {}", folder.display());
}
