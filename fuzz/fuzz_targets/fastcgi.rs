//! Feeds the FastCGI codec with anything. What must hold stands beside the codec's tests, which check it too.

#![no_main]

#[path = "../../protocols/fastcgi/tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
