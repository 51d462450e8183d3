//! Feeds the http1 codec with anything. The invariants are not written yet.

#![no_main]

libfuzzer_sys::fuzz_target!(|_input: &[u8]| {});
