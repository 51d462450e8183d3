//! Who is there: the workers and the seats of one pool at one moment, as plain values. It must not know how they came to
//! be so, nor what is to be done about it.

use std::fmt;
use std::time::{Duration, Instant};

use super::quota::Quota;
use super::reap::Pid;
use super::scale::{Surge, Waiting};
use super::worker::State;

/// The number of a worker: counted up from 1 over the life of its pool, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The workers and the seats of one pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// What the pool is to do.
    pub wish: Wish,
    /// Every worker that is not [`State::Gone`], by rising id.
    pub workers: Vec<Row>,
    /// The places that workers are started in; at most one live worker has each.
    pub seats: Vec<Seat>,
    /// The requests that wait for a worker.
    pub waiting: Waiting,
    /// Whether a processor has nothing to do.
    pub has_cpu: bool,
    /// How fast the pool grows.
    pub surge: Surge,
    /// How many workers were ever started.
    pub started: u64,
    /// How those ended that have.
    pub endings: Endings,
}

/// How many workers ended, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    /// By themselves with exit status 0, after they had answered requests.
    pub done: u64,
    /// The pool had no more need of them, or they had had their share.
    pub sent: u64,
    /// They crashed, ended without having worked, or could not be started.
    pub failed: u64,
    /// They took no connection within the time to start.
    pub never_ready: u64,
    /// They were silent for too long.
    pub condemned: u64,
    /// They had more memory than any worker may have.
    pub bloated: u64,
}

/// What a pool is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Serve.
    #[default]
    Serve,
    /// Take no more requests, end what is under way, then end.
    Retire,
    /// End now.
    End,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: WorkerId,
    /// The index of its seat in [`Census::seats`].
    pub seat: usize,
    /// Its process, once that was started.
    pub pid: Option<Pid>,
    /// What it is.
    pub state: State,
    /// Since when it is that.
    pub since: Instant,
    /// Since when it has no request; `None` before the first.
    pub returned: Option<Instant>,
    /// Requests that it has now.
    pub in_flight: usize,
    /// Requests that it has answered.
    pub served: u64,
    /// Somebody who worked with it found that it must end: it was silent for too long.
    pub is_condemned: bool,
    /// It has had the requests it was good for.
    pub is_dismissed: bool,
    /// What it may have before it is replaced.
    pub quota: Quota,
    /// How many bytes of resident memory it has, as far as anybody looked.
    pub memory: Option<u64>,
}

/// A place that workers are started in, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// How many of its workers failed in a row.
    pub failures: u32,
    /// No worker is started here before this.
    pub rests_until: Option<Instant>,
    /// How its last worker ended, with exit status or signal and the last lines that it wrote to stderr.
    pub last_ending: Option<String>,
}

/// How a worker left, as far as it matters for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It ended by itself with exit status 0 after it had answered requests: a worker that counts them.
    DoneWithWork,
    /// The pool ended it, and not because it was broken from the start.
    Sent,
    /// It crashed, ended without having worked, could not be started or never took a connection.
    Failed {
        /// How long it had been ready: since it took its first connection.
        lived: Duration,
        /// How many requests it had answered.
        served: u64,
    },
}

impl Census {
    /// Whether a live worker has the seat.
    #[must_use]
    pub fn is_taken(&self, seat: usize) -> bool {
        self.workers.iter().any(|row| row.seat == seat && row.state != State::Gone)
    }

    /// How many workers are starting.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.workers.iter().filter(|row| row.state == State::Starting).count()
    }

    /// How many workers have requests.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.workers.iter().filter(|row| row.state == State::Busy).count()
    }

    /// How many workers serve or will.
    #[must_use]
    pub fn present(&self) -> usize {
        self.starting() + self.serving()
    }

    /// How many seats are empty at `now` because the last worker there failed.
    #[must_use]
    pub fn resting(&self, now: Instant) -> usize {
        let rests = |(index, seat): &(usize, &Seat)| seat.rests(now) && !self.is_taken(*index);
        self.seats.iter().enumerate().filter(rests).count()
    }

    /// When the first of them is over.
    #[must_use]
    pub fn next_rest_end(&self, now: Instant) -> Option<Instant> {
        self.seats.iter().filter_map(|seat| seat.rests_until).filter(|until| *until > now).min()
    }

    /// How many workers may be given requests.
    #[must_use]
    pub fn serving(&self) -> usize {
        self.workers.iter().filter(|row| row.state.serves()).count()
    }
}

impl Row {
    /// Whether it has had its share at `now`, and is to be replaced when it has ended its requests.
    #[must_use]
    pub fn is_worn(&self, now: Instant) -> bool {
        let has_more =
            |limit: Option<u64>| matches!((self.memory, limit), (Some(has), Some(limit)) if has > limit);
        self.quota.until.is_some_and(|until| until <= now) || has_more(self.quota.memory)
    }

    /// Whether it has more memory than any worker may have.
    #[must_use]
    pub fn is_bloated(&self) -> bool {
        matches!((self.memory, self.quota.memory_hard), (Some(has), Some(limit)) if has > limit)
    }

    /// Since when it has nothing to do, if it has nothing.
    #[must_use]
    pub fn idle_since(&self) -> Instant {
        self.returned.unwrap_or(self.since)
    }
}

impl Seat {
    /// Whether its last worker failed.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Whether no worker is to be started here yet at `now`.
    #[must_use]
    pub fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}
