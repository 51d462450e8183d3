//! `gatebridge systemd`: prints the units that run a configuration. It installs nothing and starts nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::unit::{self, Service};
use crate::config;

/// Arguments of `gatebridge systemd`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gatebridge systemd /etc/gatebridge.toml --user www > /etc/systemd/system/gatebridge.service\n  \
    gatebridge systemd /etc/gatebridge.toml --socket > /etc/systemd/system/gatebridge.socket\n\n\
    Exit status: 0 printed; 1 the configuration has mistakes; 2 wrong usage.")]
pub(super) struct Systemd {
    /// The configuration file, or a folder as for `serve`.
    #[arg(value_name = "FILE")]
    place: Option<PathBuf>,
    /// The user that gatebridge and its programs run as.
    #[arg(long, value_name = "NAME", default_value = "gatebridge", value_parser = user_name)]
    user: String,
    /// Print the socket unit instead of the service unit.
    #[arg(long)]
    socket: bool,
}

pub(super) fn run(arguments: &Systemd) -> ExitCode {
    match arguments.unit() {
        Ok(unit) => {
            // A reader that has seen enough and left is no failure.
            let _ = std::io::stdout().lock().write_all(unit.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "a command's talk to its user")]
fn complain(error: &anyhow::Error) {
    eprintln!("gatebridge systemd: {error:#}");
}

impl Systemd {
    fn unit(&self) -> anyhow::Result<String> {
        let place = self.place.as_deref().unwrap_or(Path::new("."));
        let (config, _) = config::open(Some(place)).map_err(|report| anyhow::anyhow!("{report}"))?;
        if self.socket {
            return Ok(unit::socket(&config, &self.user));
        }
        let program = std::env::current_exe().context("cannot find the program itself")?;
        let place = place.canonicalize().with_context(|| format!("cannot find {}", place.display()))?;
        Ok(unit::service(&Service { config: &config, program: &program, place: &place, user: &self.user })?)
    }
}

/// A name or number of a user that can stand in a unit as it is.
fn user_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(allowed) {
        return Err("the name of a user has letters, digits, \"_\", \".\" and \"-\"".to_owned());
    }
    Ok(text.to_owned())
}
