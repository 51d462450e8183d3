//! `gatebridge serve`: reads the configuration, starts the runtime and the gateway, and obeys signals until it has
//! drained. It does not know how requests are served.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tracing::{error, info, warn};

use crate::config::{self, Config, ListenAddress, Listener};
use crate::gateway::Gateway;
use crate::observe;
use crate::process::{self, Signal, Signals};

use super::supervision::Supervision;

/// Arguments of `gatebridge serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Signals: TERM and INT drain (a second one cuts), HUP reloads the configuration, USR1 reopens the \
    access log.\n\nExamples:\n  gatebridge serve                        what is here, on http://127.0.0.1:8080/\n  \
    gatebridge serve site.toml\n  gatebridge serve ~/site --listen '[::]:80' --listen unix:/run/site.sock"
)]
pub(super) struct Serve {
    /// A configuration file; or a folder, of which its gatebridge.toml is served if there is one, else its cgi-bin and
    /// public.
    #[arg(value_name = "FILE_OR_FOLDER")]
    place: Option<PathBuf>,
    /// Listen here instead of where the configuration says: 127.0.0.1:8080, [::1]:8080, unix:/path, fd:3, fd:NAME. May
    /// be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<ListenAddress>,
}

pub(super) fn run(arguments: &Serve) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "before the log is started, or where its level may hide why there is no service"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("gatebridge: {error:#}");
}

fn serve(arguments: &Serve) -> anyhow::Result<()> {
    let supervision = Supervision::take();
    process::prepare().context("cannot prepare the process")?;
    let config = arguments.read(&supervision)?;
    observe::start_log(config.log.level, config.log.format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.threads.get())
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(reaping_orphans(run_gateway(arguments, config, supervision)))
}

/// Runs the service and, if orphans of programs land at this process, reaps them meanwhile: as process 1 of a container
/// there is nobody else to do it.
async fn reaping_orphans<T>(service: impl Future<Output = T>) -> T {
    if !process::inherits_orphans() {
        return service.await;
    }
    tokio::pin!(service);
    tokio::select! {
        ended = &mut service => return ended,
        Err(error) = process::reap_orphans() => warn!(%error, "orphans of programs will stay behind as zombies"),
    }
    service.await
}

impl Serve {
    /// A configuration file as it is.
    pub(super) fn of(file: PathBuf) -> Self {
        Self { place: Some(file), listen: Vec::new() }
    }

    /// The configuration, with `--listen` in place of its listeners, and descriptors in place of their names.
    fn read(&self, supervision: &Supervision) -> anyhow::Result<Config> {
        let (mut config, warnings) =
            config::open(self.place.as_deref()).map_err(|report| anyhow::anyhow!("{report}"))?;
        if !warnings.is_empty() {
            warn_of(&warnings);
        }
        if !self.listen.is_empty() {
            config.listeners = self.listen.iter().cloned().map(Listener::at).collect();
        }
        supervision.find_sockets(&mut config)?;
        Ok(config)
    }
}

#[allow(clippy::print_stderr, reason = "a report is made for people and comes before the log is started")]
fn warn_of(warnings: &config::Report) {
    eprint!("{warnings}");
}

async fn run_gateway(arguments: &Serve, config: Config, mut supervision: Supervision) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen to signals")?;
    supervision.live();
    let mut gateway = Gateway::start(config).await?;
    announce(&gateway);
    supervision.tell_when_ready(&gateway);
    obey(arguments, &mut gateway, &mut signals, &mut supervision).await;
    supervision.stopping();
    info!("draining: running requests may end, new ones are not taken; a second signal cuts them");
    let cut = async { while !matches!(signals.next().await, Signal::Drain) {} };
    gateway.drain(cut).await;
    info!("all has ended");
    Ok(())
}

/// Does what signals say until one says to drain. A reload waits for new workers; a signal does not wait for a reload.
async fn obey(
    arguments: &Serve,
    gateway: &mut Gateway,
    signals: &mut Signals,
    supervision: &mut Supervision,
) {
    let mut signal = signals.next().await;
    loop {
        match signal {
            Signal::Drain => return,
            Signal::ReopenLogs => gateway.reopen_logs(),
            Signal::Reload => {
                tokio::select! {
                    () = reload(arguments, gateway, supervision) => {}
                    next = signals.next() => {
                        if next == Signal::ReopenLogs {
                            gateway.reopen_logs();
                        } else {
                            warn!("the reload that waited for new workers is given up for another signal");
                            signal = next;
                        }
                        continue;
                    }
                }
            }
        }
        signal = signals.next().await;
    }
}

/// Tells where the service is. The lines are made for people and for programs that wait for them.
#[allow(clippy::print_stderr, reason = "promised whatever the log's level is")]
pub(super) fn announce(gateway: &Gateway) {
    for address in gateway.addresses() {
        eprintln!("listening on {address}");
    }
    eprintln!("ready");
}

async fn reload(arguments: &Serve, gateway: &mut Gateway, supervision: &mut Supervision) {
    supervision.reloading();
    let outcome = match arguments.read(supervision) {
        Ok(config) => gateway.reload(config).await.map_err(|error| {
            warn!("reload refused, the old configuration goes on: {error:#}");
        }),
        Err(report) => {
            error!("reload refused, the old configuration goes on:\n{report:#}");
            Err(())
        }
    };
    if outcome.is_ok() {
        info!("reloaded");
        announce(gateway);
    }
    supervision.reloaded(gateway, outcome.is_ok());
}
