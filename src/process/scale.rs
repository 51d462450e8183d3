//! How many workers a pool ought to have, from its load: decided here from values alone. It must not know how a worker is
//! started or ended, nor which of the seats it gets.

use std::time::{Duration, Instant};

use super::census::{Census, Row, Seat, WorkerId};
use super::worker::State;

/// How many workers there are, and what makes them more or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Never fewer than this.
    pub min: usize,
    /// Never more than this; at least 1 and at least `min`.
    pub max: usize,
    /// So many that have nothing to do are kept beside those that have.
    pub spare: usize,
    /// One that is not needed and had nothing to do for this long leaves.
    pub idle_timeout: Duration,
    /// A request that has waited for this long has a worker started.
    pub scale_after: Duration,
}

/// The requests that wait for a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub requests: usize,
    /// Since when the first of them does.
    pub since: Option<Instant>,
}

/// How fast a pool grows at the moment: twice as many starts in each step for as long as the queue is not served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surge {
    /// How many steps there were since requests began to wait.
    pub steps: u32,
    /// The next one is not made before this.
    pub next_at: Option<Instant>,
}

/// What the load asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How many workers there should be, those that start and those whose seat rests after a failure included.
    pub workers: usize,
    /// The surge, after this decision.
    pub surge: Surge,
    /// When to ask again if nothing happens before.
    pub wake_at: Option<Instant>,
}

impl Scale {
    /// A number that does not change.
    #[must_use]
    pub const fn fixed(workers: usize) -> Self {
        let never = Duration::MAX;
        Self { min: workers, max: workers, spare: 0, idle_timeout: never, scale_after: never }
    }

    /// Whether the number follows the load.
    #[must_use]
    pub const fn is_elastic(&self) -> bool {
        self.min < self.max
    }

    /// How many workers there should be without a queue.
    #[must_use]
    pub fn base(&self, census: &Census) -> usize {
        self.min.max(census.busy() + self.spare).min(self.max)
    }

    /// How many workers the load asks for, each of which takes `concurrency` requests at once.
    #[must_use]
    pub fn wanted(&self, census: &Census, concurrency: usize, now: Instant) -> Wanted {
        let base = self.base(census);
        if !self.is_elastic() || census.waiting.requests == 0 {
            return Wanted { workers: base, ..Wanted::default() };
        }
        let stay = |wake_at| Wanted { workers: base.max(1), surge: census.surge, wake_at };
        let coming = census.starting() + census.resting(now);
        let there = census.serving() + coming;
        let uncovered = census.waiting.requests.saturating_sub(coming * concurrency);
        let is_failing = census.serving() == 0 && census.seats.iter().any(Seat::has_failed);
        // What fails when it is started once would fail twenty times.
        if uncovered == 0 || there >= self.max || is_failing {
            return stay(None);
        }
        let step = if census.has_cpu { self.scale_after } else { self.scale_after.max(STEP_WITHOUT_CPU) };
        // With nobody there, to wait would only lose time.
        let patience = if there == 0 { Duration::ZERO } else { step };
        let due = census.waiting.since.map_or(now, |since| since + patience);
        let due = census.surge.next_at.map_or(due, |next| next.max(due));
        if due > now {
            return stay(Some(due));
        }
        let doubled = 1_usize.checked_shl(census.surge.steps).unwrap_or(usize::MAX);
        let starts = match (census.has_cpu, coming) {
            (true, _) => doubled.min(uncovered.div_ceil(concurrency.max(1))),
            // More processes would not make the machine faster; but some wait for other things than a processor.
            (false, 0) => 1,
            (false, _) => 0,
        };
        let next_at = now + step.max(STEP_MIN);
        let surge = Surge { steps: census.surge.steps.saturating_add(1), next_at: Some(next_at) };
        Wanted { workers: base.max((there + starts).min(self.max)), surge, wake_at: Some(next_at) }
    }

    /// The worker that is not needed any more, or when to look for one.
    ///
    /// One at a time: while one leaves, nobody else does.
    #[must_use]
    pub fn surplus(&self, census: &Census, now: Instant) -> Surplus {
        let present = census.present();
        if present <= self.min.max(self.spare) {
            return Surplus::None;
        }
        // Nobody says when a request ends and its worker has nothing to do.
        let later = now.checked_add(self.idle_timeout).map_or(Surplus::None, Surplus::LookAt);
        let is_leaving = |row: &Row| matches!(row.state, State::Retiring | State::Killing);
        let is_wanted = census.waiting.requests > 0 || present <= self.base(census);
        if is_wanted || census.workers.iter().any(is_leaving) {
            return later;
        }
        let idle = census.workers.iter().filter(|row| row.state == State::Idle);
        let Some(longest) = idle.min_by_key(|row| row.idle_since()) else { return later };
        match longest.idle_since().checked_add(self.idle_timeout) {
            Some(due) if due <= now => Surplus::Leaves(longest.id),
            Some(due) => Surplus::LookAt(due),
            None => Surplus::None,
        }
    }
}

/// The shortest time between two steps of a surge: enough for a started process to be seen by whoever counts.
const STEP_MIN: Duration = Duration::from_millis(1);

/// The shortest time between two steps while every processor is busy: slow, since it is likely that nothing is gained.
const STEP_WITHOUT_CPU: Duration = Duration::from_millis(100);

/// A worker that is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surplus {
    /// There is none, and time alone will make none.
    None,
    /// This one is to leave.
    Leaves(WorkerId),
    /// There may be one then.
    LookAt(Instant),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::census::Wish;
    use crate::process::quota::Quota;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const SCALE: Scale =
        Scale { min: 1, max: 40, spare: 1, idle_timeout: SECOND, scale_after: Duration::from_millis(5) };

    /// So many workers in each state, with nobody waiting and a processor to be had.
    fn census(starting: usize, idle: usize, busy: usize, now: Instant) -> Census {
        let states = [(State::Starting, starting), (State::Idle, idle), (State::Busy, busy)];
        let states = states.into_iter().flat_map(|(state, count)| std::iter::repeat_n(state, count));
        let workers: Vec<_> = states
            .enumerate()
            .map(|(seat, state)| Row {
                id: WorkerId(seat as u64 + 1),
                seat,
                pid: None,
                state,
                since: now,
                returned: None,
                in_flight: usize::from(state == State::Busy),
                served: 0,
                is_condemned: false,
                is_dismissed: false,
                quota: Quota::default(),
                memory: None,
            })
            .collect();
        Census {
            wish: Wish::Serve,
            workers,
            seats: vec![Seat::default(); 40],
            has_cpu: true,
            ..Census::default()
        }
    }

    fn waiting(requests: usize, since: Instant) -> Waiting {
        Waiting { requests, since: Some(since) }
    }

    #[test]
    fn a_fixed_number_is_wanted_whatever_the_load() {
        let now = Instant::now();
        let scale = Scale::fixed(3);
        let mut census = census(0, 0, 3, now);
        census.waiting = waiting(1000, now);
        assert_eq!(scale.wanted(&census, 1, now + SECOND), Wanted { workers: 3, ..Wanted::default() });
        assert_eq!(scale.surplus(&census, now + 1000 * SECOND), Surplus::None);
    }

    #[test]
    fn so_many_spare_ones_are_kept_beside_the_busy_up_to_the_maximum() {
        let now = Instant::now();
        let workers = |idle, busy| SCALE.wanted(&census(0, idle, busy, now), 1, now).workers;
        assert_eq!([workers(1, 0), workers(0, 1), workers(3, 5), workers(0, 40)], [1, 2, 6, 40]);
    }

    #[test]
    fn wish_9_a_request_that_has_waited_long_enough_has_a_worker_started() {
        let now = Instant::now();
        let mut census = census(0, 0, 40, now);
        census.workers.truncate(4);
        census.waiting = waiting(1, now);
        let early = SCALE.wanted(&census, 1, now + 4 * MS);
        // Five are wanted for the spare one alone.
        assert_eq!((early.workers, early.wake_at), (5, Some(now + 5 * MS)));
        let scale = Scale { spare: 0, ..SCALE };
        assert_eq!(scale.wanted(&census, 1, now + 4 * MS).workers, 4);
        assert_eq!(scale.wanted(&census, 1, now + 5 * MS).workers, 5);
    }

    #[test]
    fn wish_9_nobody_waits_for_a_first_worker() {
        let now = Instant::now();
        let scale = Scale { min: 0, spare: 0, ..SCALE };
        let mut census = census(0, 0, 0, now);
        assert_eq!(scale.wanted(&census, 1, now).workers, 0);
        census.waiting = waiting(1, now);
        assert_eq!(scale.wanted(&census, 1, now).workers, 1);
    }

    /// Lets a pool of workers that never get ready grow, and tells how many there were after each millisecond.
    fn growth(requests: usize, has_cpu: bool, serving: usize, ms: u32) -> Vec<usize> {
        let start = Instant::now();
        let (mut there, mut surge, mut counts) = (serving, Surge::default(), Vec::new());
        for now in (0..=ms).map(|passed| start + passed * MS) {
            let mut census = census(there - serving, 0, serving, start);
            (census.waiting, census.has_cpu, census.surge) = (waiting(requests, start), has_cpu, surge);
            let wanted = Scale { spare: 0, ..SCALE }.wanted(&census, 1, now);
            surge = wanted.surge;
            there = there.max(wanted.workers);
            counts.push(there);
        }
        counts
    }

    #[test]
    fn wish_9_starts_double_as_long_as_the_queue_is_not_covered() {
        let counts = growth(100, true, 1, 40);
        let at = |ms: usize| counts[ms];
        assert_eq!([at(4), at(5), at(10), at(15), at(20), at(25), at(30)], [1, 2, 4, 8, 16, 32, 40]);
        assert_eq!(growth(3, true, 1, 200).last(), Some(&4), "no more than the queue needs");
    }

    #[test]
    fn with_every_processor_busy_one_worker_at_a_time_is_tried_and_seldom() {
        let counts = growth(100, false, 1, 400);
        assert_eq!((counts[99], counts[100], counts[400]), (1, 2, 2), "the next only when that one is there");
        assert_eq!(growth(100, false, 0, 0), [1], "but nobody waits for a first one");
    }

    #[test]
    fn a_worker_that_takes_many_covers_many() {
        let now = Instant::now();
        let mut census = census(1, 0, 1, now);
        census.waiting = waiting(8, now);
        assert_eq!(SCALE.wanted(&census, 8, now + SECOND).workers, 2);
        census.waiting = waiting(9, now);
        assert_eq!(SCALE.wanted(&census, 8, now + SECOND).workers, 3);
    }

    #[test]
    fn what_fails_when_it_is_started_once_is_not_started_twenty_times() {
        let now = Instant::now();
        let scale = Scale { min: 0, spare: 0, ..SCALE };
        let mut census = census(0, 0, 0, now);
        census.seats[0] = Seat { failures: 1, rests_until: Some(now + SECOND), last_ending: None };
        census.waiting = waiting(50, now);
        assert_eq!(scale.wanted(&census, 1, now + 500 * MS).workers, 1, "the one that rests");
        assert_eq!(scale.wanted(&census, 1, now + SECOND).workers, 1, "and then again");
    }

    #[test]
    fn idle_workers_leave_one_at_a_time_the_longest_idle_first() {
        let now = Instant::now();
        let mut census = census(0, 4, 0, now);
        for (row, ms) in census.workers.iter_mut().zip([30, 10, 40, 20]) {
            row.returned = Some(now + ms * MS);
        }
        let due = now + 10 * MS + SECOND;
        assert_eq!(SCALE.surplus(&census, due - MS), Surplus::LookAt(due));
        assert_eq!(SCALE.surplus(&census, due), Surplus::Leaves(WorkerId(2)));
        census.workers[1].state = State::Killing;
        assert_eq!(SCALE.surplus(&census, due), Surplus::LookAt(due + SECOND), "while it leaves");
        census.workers.remove(1);
        assert_eq!(SCALE.surplus(&census, due + 20 * MS), Surplus::Leaves(WorkerId(4)));
        census.workers.truncate(1);
        assert_eq!(SCALE.surplus(&census, due + SECOND), Surplus::None, "one is to stay");
    }

    #[test]
    fn nobody_leaves_while_requests_wait_or_others_are_busy() {
        let now = Instant::now();
        let late = now + 100 * SECOND;
        let mut busy = census(0, 1, 3, now);
        assert_eq!(SCALE.surplus(&busy, late), Surplus::LookAt(late + SECOND), "that one is the spare one");
        busy.waiting = waiting(1, late);
        assert_eq!(SCALE.surplus(&busy, late), Surplus::LookAt(late + SECOND));
    }
}
