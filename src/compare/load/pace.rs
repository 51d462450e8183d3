//! When requests of the load generator are due: as soon as a client is free, or at a fixed rate. Time comes in as an
//! argument; it must not know connections.

use std::time::{Duration, Instant};

/// When requests are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each client asks again as soon as it has its answer: how much a server can do, and how long one request takes while
    /// so many are under way. A server that stalls is asked less meanwhile, so its stalls hardly show in percentiles.
    Closed,
    /// So many requests per second, evenly, whatever the server does. A request that finds no client free waits, and its
    /// latency counts from when it was due: no stall is omitted because nobody asked during it.
    Rate(f64),
}

/// When no more requests are begun: at the first of these. Without any, a run would not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// After this time.
    pub after: Option<Duration>,
    /// After so many requests.
    pub requests: Option<u64>,
}

impl End {
    /// After this time.
    #[must_use]
    pub const fn after(time: Duration) -> Self {
        Self { after: Some(time), requests: None }
    }

    /// After so many requests.
    #[must_use]
    pub const fn requests(count: u64) -> Self {
        Self { after: None, requests: Some(count) }
    }
}

/// The plan of one run: which request is due when.
#[derive(Debug)]
pub(super) struct Plan {
    pace: Pace,
    end: End,
    start: Instant,
    /// Requests that were begun.
    begun: u64,
}

impl Plan {
    pub(super) fn new(pace: Pace, end: End, start: Instant) -> Self {
        Self { pace, end, start, begun: 0 }
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// When the window closes; `None` when only a number of requests ends the run.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.end.after.map(|after| self.start + after)
    }

    /// Whether no more is begun.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.end.requests.is_some_and(|most| self.begun >= most)
            || self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Takes the next request if one is due: the moment from which its latency counts.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        if self.is_over(now) {
            return None;
        }
        let due = self.next_due(now).filter(|due| *due <= now)?;
        self.begun += 1;
        Some(due)
    }

    /// When the next request is due; `None` when there is no other.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.is_over(now) {
            return None;
        }
        match self.pace {
            Pace::Closed => Some(now),
            Pace::Rate(rate) => Some(self.start + Duration::from_secs_f64(self.begun as f64 / rate)),
        }
    }

    /// How many requests were due until the end and not begun.
    pub(super) fn left_out(&self) -> u64 {
        let Pace::Rate(rate) = self.pace else { return 0 };
        let planned = self.end.after.map(|after| (after.as_secs_f64() * rate).ceil() as u64);
        let planned = planned.into_iter().chain(self.end.requests).min().unwrap_or(0);
        planned.saturating_sub(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_closed_loop_is_always_due_until_its_end() {
        let start = Instant::now();
        let mut plan = Plan::new(Pace::Closed, End::after(10 * MS), start);
        assert_eq!(plan.take(start + 3 * MS), Some(start + 3 * MS));
        assert_eq!(plan.take(start + 9 * MS), Some(start + 9 * MS));
        assert_eq!(plan.take(start + 10 * MS), None);
        assert_eq!((plan.begun(), plan.left_out()), (2, 0));
        let mut plan = Plan::new(Pace::Closed, End::requests(1), start);
        assert!(plan.take(start).is_some() && plan.take(start).is_none());
    }

    #[test]
    fn at_a_rate_a_late_request_counts_from_when_it_was_due() {
        let start = Instant::now();
        let mut plan = Plan::new(Pace::Rate(100.0), End::after(50 * MS), start);
        assert_eq!(plan.take(start), Some(start));
        assert_eq!(plan.take(start), None);
        assert_eq!(plan.next_due(start), Some(start + 10 * MS));
        // A stall of 35 ms: three requests are late, by 25, 15 and 5 ms.
        let later = start + 35 * MS;
        for due in [10, 20, 30] {
            assert_eq!(plan.take(later), Some(start + due * MS));
        }
        assert_eq!(plan.take(later), None);
        assert_eq!(plan.left_out(), 1);
        assert!(plan.is_over(start + 50 * MS));
    }
}
