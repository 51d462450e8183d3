//! The load generator: the same request again and again over a bounded number of connections, each answer checked and
//! timed. It must not know what is compared, and shares no code with the server, so that a mistake there is not also
//! made here.
//!
//! | module | what |
//! |---|---|
//! | [`question`] | a request, and what is expected as its answer |
//! | [`pace`] | when requests are due: as soon as a client is free, or at a fixed rate |
//! | [`answer`] | the reader of answers |
//! | `connection` | a request out, an answer in |
//! | `engine` | polls the connections, begins what is due, counts what comes |
//! | [`trouble`] | what went wrong, counted by kind |
//!
//! One thread polls all connections: with a few dozen of them that costs less than to keep a set of the waiting ones in the
//! kernel, and the poll's time-out is exact to the nanosecond, which a fixed rate needs.

pub mod answer;
mod connection;
mod engine;
pub mod pace;
pub mod question;
pub mod trouble;

use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hdrhistogram::Histogram;

use engine::Run;
pub use pace::{End, Pace};
pub use question::{Question, Target, Unaskable};
pub use trouble::Troubles;

/// The longest latency that is told apart from longer ones, in nanoseconds: an hour.
const MAX_LATENCY_NS: u64 = 3_600 * 1_000_000_000;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// One run of load.
#[derive(Debug, Clone)]
pub struct Load<'t> {
    /// What is asked, and where.
    pub target: &'t Target,
    /// Connections, each with one request at a time. At least 1.
    pub clients: usize,
    /// When requests are due.
    pub pace: Pace,
    /// When no more are begun.
    pub end: End,
    /// The longest a request may take.
    pub timeout: Duration,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Latencies of the right answers in nanoseconds: from when the request was due to the last byte of its answer.
    pub latencies: Histogram<u64>,
    /// Requests that were begun.
    pub begun: u64,
    /// Requests that were due at a fixed rate and never begun, because no client was free until the end.
    pub left_out: u64,
    /// Right answers per second.
    pub requests_per_second: f64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Connections that were opened.
    pub connections: u64,
    /// What went wrong.
    pub troubles: Troubles,
    /// The run was interrupted, or given up after a row of failures.
    pub cut_short: bool,
}

impl Outcome {
    /// Right answers.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.latencies.len()
    }
}

/// An empty histogram of nanoseconds, exact to three digits; what takes longer than an hour counts as an hour.
///
/// # Errors
/// Never, as long as the bounds in it are good ones.
pub fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(MAX_LATENCY_NS, DIGITS).map_err(io::Error::other)
}

/// Runs load until its end, and until the answers to all that was begun have come.
///
/// # Errors
/// When the system cannot poll: what a server does wrong is counted in [`Outcome::troubles`].
pub fn run(load: &Load<'_>, interrupted: &AtomicBool) -> io::Result<Outcome> {
    let mut run = Run::start(load)?;
    while !run.is_over(interrupted) {
        run.begin_what_is_due();
        run.wait()?;
        run.drive();
        run.end_what_takes_too_long();
    }
    Ok(run.finish())
}
