//! `gatebridge compare-gateway`: what `compare` starts for each entrant: `serve`, and no longer than the one who started
//! it. It does not know what is compared.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::serve::{self, Serve};

/// Arguments of `gatebridge compare-gateway`.
#[derive(Debug, Args)]
pub(super) struct CompareGateway {
    /// The process that started it.
    #[arg(long, value_name = "PID")]
    parent: i32,
    /// A configuration file.
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &CompareGateway) -> ExitCode {
    // Killed as it may be, `compare` leaves nothing behind.
    let told = set_parent_process_death_signal(Some(Signal::TERM));
    let is_orphan = getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != arguments.parent);
    if told.is_err() || is_orphan {
        return ExitCode::FAILURE;
    }
    serve::run(&Serve::of(arguments.config.clone()))
}
