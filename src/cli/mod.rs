//! The command line, one command a file. It knows the commands' names; what they do is theirs.

mod check;
mod compare;
mod compare_gateway;
mod demo;
mod explain;
mod progress;
mod serve;
mod supervision;
mod systemd;
mod unit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use demo::demo;

/// The bridge between HTTP and programs: HTTP in front; CGI, FastCGI and SCGI behind.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 all is well; 1 what was asked for failed, and stderr says why; 2 wrong usage.\n\
    Data goes to stdout, talk to stderr. GATEBRIDGE_LOG=debug makes `serve` tell more."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration, or a folder with a cgi-bin in it.
    Serve(serve::Serve),
    /// Check a configuration and report every mistake in it.
    Check(check::Check),
    /// Tell what a request for a URL would meet: route, script, PATH_INFO and environ.
    Explain(explain::Explain),
    /// Print the systemd unit that serves a configuration.
    Systemd(systemd::Systemd),
    /// Measure what it costs to run a program as CGI, FastCGI and SCGI.
    Compare(Box<compare::Compare>),
    /// What `compare` starts.
    #[command(hide = true)]
    CompareGateway(compare_gateway::CompareGateway),
}

impl Cli {
    /// Runs the command.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(arguments) => serve::run(&arguments),
            Command::Check(arguments) => check::run(arguments),
            Command::Explain(arguments) => explain::run(&arguments),
            Command::Systemd(arguments) => systemd::run(&arguments),
            Command::Compare(arguments) => compare::run(&arguments),
            Command::CompareGateway(arguments) => compare_gateway::run(&arguments),
        }
    }
}
