//! Asynchronous programs as a gateway starts them, held to the very tests of the synchronous ones; it must not know a test.

use std::process::ExitCode;

#[path = "processes.rs"]
mod processes;

fn main() -> ExitCode {
    processes::main()
}
