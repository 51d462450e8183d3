//! Any bytes as an SCGI connection; the invariants are the ones that the scgi crate's tests know.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../protocols/scgi/tests/invariants/mod.rs"]
mod invariants;

fuzz_target!(|data: &[u8]| invariants::connection(data));
