//! The gateway's own signals as one stream; it must not know what is done about them.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What whoever runs the gateway wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: take no more requests, finish the running ones, end. A second one means: now.
    Drain,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: open the log files again, they were rotated.
    ReopenLogs,
}

/// The signals in the order of their arrival. Those of one kind that arrive before they are asked for count as one.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
    user_1: Stream,
}

impl Signals {
    /// Starts listening; from now on none of these signals ends the process any more. Inside a tokio runtime.
    ///
    /// # Errors
    /// When a signal's action cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next signal; waits for ever when none comes. Cancel-safe.
    pub async fn next(&mut self) -> Signal {
        // Draining first: whoever asks for it with a reload still pending wants the end.
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Drain,
            _ = self.interrupt.recv() => Signal::Drain,
            _ = self.hang_up.recv() => Signal::Reload,
            _ = self.user_1.recv() => Signal::ReopenLogs,
        }
    }
}
