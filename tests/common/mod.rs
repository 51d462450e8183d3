//! What every integration test stands on: it runs the built `gatebridge` and real peers from outside, and must not
//! know a line of the gateway's code, so that a mistake there cannot hide itself here.
//!
//! | module | what |
//! |---|---|
//! | [`asked`] | what every server before a program on the interface crate is asked |
//! | [`backs`] | every kind of back, each with the same application behind it |
//! | [`folder`] | a temporary folder that goes away with the test |
//! | [`gateway`] | the program under test, from a configuration's text to `ready`, killed on drop |
//! | [`client`] | raw HTTP/1.1 bytes out, an own strict reader in; half-close, reset |
//! | [`lines`] | the lines that a process writes, to wait for |
//! | [`record`] | what a fixture saw, as a stream of events; and a gate where one waits |
//! | [`process`] | `/proc`: descendants, descriptors, memory, the end of a process |
//! | [`told`] | how a failure must be told, on its page and in the log |
//! | [`peer`] | other programs in the foreground: workers, nginx, php-fpm, Git |
//! | [`server`] | servers of other people before one program on the interface crate |
//! | [`ways`] | an example program, run in every way that there is |
//!
//! Nothing here sleeps for a fixed time: a test waits for an event, and fails when [`DEADLINE`] is over.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its part of the harness")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![allow(clippy::print_stderr, reason = "what a failed test says of its processes")]

pub mod asked;
pub mod backs;
pub mod client;
pub mod folder;
pub mod gateway;
pub mod lines;
pub mod peer;
pub mod process;
pub mod record;
pub mod server;
pub mod told;
pub mod ways;

pub use backs::{Back, Backs, EVERY_BACK, EVERY_WORKER, Setup};
pub use client::{Answer, Client, Ended, Head};
pub use folder::Folder;
pub use gateway::Gateway;
pub use lines::Lines;
pub use peer::Peer;
pub use record::{Gate, Record};
pub use server::{Server, Worker};
pub use ways::{BEHIND_A_GATEWAY, EVERY_WAY, Standing, Way, Ways, example};

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for an event before it fails: far beyond what a loaded machine with two cores needs, and less than
/// the minute after which the gateway by itself ends what is silent.
pub const DEADLINE: Duration = Duration::from_secs(50);

/// Within this has happened what must happen at once: far beyond what a loaded machine needs, and far below every limit of
/// the gateway that would bring it about too.
pub const SOON: Duration = Duration::from_secs(10);

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path below `tests/fixtures`, absolute.
pub fn fixture(name: &str) -> String {
    let path = repository().join("tests/fixtures").join(name);
    assert!(path.exists(), "no fixture {}", path.display());
    path.display().to_string()
}

/// Asks again and again until there is an answer; for facts that the system announces by no event.
///
/// # Panics
/// After [`DEADLINE`], naming `what` was awaited.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Searches the usual folders of programs, those of the administrator too.
///
/// # Panics
/// When none of `names` is installed: `tests/run` installs what the tests need.
pub fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    for name in names {
        for folder in path.split(':') {
            let candidate = Path::new(folder).join(name);
            if candidate.is_file() {
                return candidate;
            }
        }
    }
    panic!("none of {names:?} is installed; tests/run installs what the tests need")
}

/// The Python that has the packages of the tests (flup, h11): `GATEBRIDGE_PYTHON`, or the one that `tests/run` made.
pub fn python() -> PathBuf {
    std::env::var_os("GATEBRIDGE_PYTHON")
        .map_or_else(|| repository().join("target/test-venv/bin/python"), PathBuf::from)
}

/// Bytes that do not compress and are the same on every run with this seed (xorshift64).
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
