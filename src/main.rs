//! The command line: parses, runs the command, turns its outcome into an exit code. It knows nothing else.

use std::process::ExitCode;

use clap::Parser;
use gatebridge::cli::{Cli, demo};

fn main() -> ExitCode {
    demo().unwrap_or_else(|| Cli::parse().run())
}
