//! `gatebridge compare-gateway`: what `compare` starts for each entrant: `serve`, and no longer than the one who started
//! it. It does not know what is compared.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Signal as DeathSignal, getppid, set_parent_process_death_signal};

use super::demo;
use super::serve::{self, Serve, announce};
use crate::config::{LogFormat, LogLevel};
use crate::gateway::{AppSettings, Gateway};
use crate::observe;
use crate::process::{self, Signal, Signals};

/// No request that is measured is refused because others wait.
const DEMO_QUEUE: usize = 1_000_000;
/// Nor because it waited.
const DEMO_QUEUE_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Arguments of `gatebridge compare-gateway`.
#[derive(Debug, Args)]
pub(super) struct CompareGateway {
    /// The process that started it.
    #[arg(long, value_name = "PID")]
    parent: i32,
    /// Answer everything with the program of `compare` itself, in this process, on so many threads.
    #[arg(long, value_name = "THREADS")]
    in_process: Option<usize>,
    /// A configuration file.
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(arguments: &CompareGateway) -> ExitCode {
    // Killed as it may be, `compare` leaves nothing behind.
    let told = set_parent_process_death_signal(Some(DeathSignal::TERM));
    let is_orphan = getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != arguments.parent);
    if told.is_err() || is_orphan {
        return ExitCode::FAILURE;
    }
    let Some(threads) = arguments.in_process else {
        return serve::run(&Serve::of(arguments.config.clone()));
    };
    match serve_demo(arguments, threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "who compares reads it")]
fn complain(error: &anyhow::Error) {
    eprintln!("gatebridge: {error:#}");
}

fn serve_demo(arguments: &CompareGateway, threads: usize) -> anyhow::Result<()> {
    process::prepare().context("cannot prepare the process")?;
    observe::start_log(LogLevel::Warn, LogFormat::Text);
    // As many threads as `serve` has by default.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen to signals")?;
        let settings = AppSettings::default().threads(threads).queue(DEMO_QUEUE, DEMO_QUEUE_TIMEOUT);
        let builder = Gateway::builder().config_file(&arguments.config);
        let builder = builder.mount_with("/", demo::answer, &settings);
        let gateway = builder.start().await?;
        announce(&gateway);
        while !matches!(signals.next().await, Signal::Drain) {}
        gateway.stop().await;
        Ok(())
    })
}
