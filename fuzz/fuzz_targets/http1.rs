//! Throws bytes at both sides of the HTTP/1.1 codec; knows only the invariants that its tests check, too.
//!
//! The first byte chooses limits, cuts and the client's method; the others are what the peer sends.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../protocols/http1/tests/common/invariants.rs"]
mod invariants;
#[path = "../../protocols/http1/tests/common/transcript.rs"]
mod transcript;

fuzz_target!(|data: &[u8]| {
    if let Some((selector, bytes)) = data.split_first() {
        invariants::hold(*selector, bytes);
    }
});
