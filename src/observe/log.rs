//! The error log: tracing's events on stderr. It decides nothing about what is worth an event.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogLevel};

/// Starts the error log. `GATEBRIDGE_LOG`, if set, takes the place of `level` and may say more (`info,program=debug`).
///
/// Calling it twice changes nothing: the first call counts.
pub fn start(level: LogLevel, format: LogFormat) {
    let filter = EnvFilter::try_from_env("GATEBRIDGE_LOG").unwrap_or_else(|_| EnvFilter::new(level.as_str()));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The only error is that a log was started before.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
