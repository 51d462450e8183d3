//! Any bytes as script output or as a list of variables; the invariants are the ones that the cgi crate's tests know.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../protocols/cgi/tests/invariants/mod.rs"]
mod invariants;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'v', variables)) => invariants::variables(variables),
        Some((_, output)) => invariants::script_output(output),
        None => {}
    }
});
