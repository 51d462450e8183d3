//! What is to be done about a pool: decided here and nowhere else, from values alone. It must not do any of it: no clock,
//! no process, no socket, no lock.

use std::time::{Duration, Instant};

use super::census::{Census, Departure, Row, Seat, Wish, WorkerId};
use super::scale::{Scale, Surge, Surplus};
use super::worker::State;

/// After this many failures in a row in every seat a pool without workers is believed to be broken, and requests are
/// refused at once instead of being held: one crash is an accident, and the second may be the same accident seen by the
/// request that was held; the third is the program.
pub const HOPELESS_AFTER: u32 = 3;

/// How often the memory of workers is looked at, when it has a limit: a look costs some microseconds for each worker, and
/// within a second a program that runs wild takes less than a machine has.
pub const MEMORY_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a plan goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many workers are to be there.
    pub scale: Scale,
    /// How many requests one of them takes at once; at least 1.
    pub concurrency: usize,
    /// Whether their memory is looked at.
    pub watches_memory: bool,
    /// The first pause before a worker that failed is replaced; doubled each time.
    pub restart_backoff_min: Duration,
    /// The longest pause. A worker that lived this long, or answered a request, and then failed has the failures before
    /// it forgiven.
    pub restart_backoff_max: Duration,
    /// A worker that has taken no connection for this long after its start has failed.
    pub start_timeout: Duration,
}

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a worker in this seat.
    Start {
        /// The index of the seat.
        seat: usize,
    },
    /// Give it no more requests.
    Retire(WorkerId),
    /// End it: TERM, and KILL after the grace.
    End(WorkerId, Reason),
}

/// Why a worker is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has taken no connection within the start time-out.
    NeverReady,
    /// It was silent for too long with a request.
    Condemned,
    /// It has more memory than a worker may have.
    Bloated,
    /// The pool ends, or has no more work for it.
    NotNeeded,
}

/// What is to be done now, and when to ask again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// How fast the pool grows from now on.
    pub surge: Surge,
    /// When something will be due by time alone.
    pub wake_at: Option<Instant>,
    /// Whether there is no use in holding requests: nobody serves, and every seat failed again and again.
    pub is_hopeless: bool,
    /// Whether the pool has ended.
    pub is_over: bool,
}

/// Decides what is to be done about the pool that `census` shows, at `now`.
#[must_use]
pub fn plan(rules: &Rules, census: &Census, now: Instant) -> Plan {
    let mut plan = Plan::default();
    for row in &census.workers {
        plan.look_at(row, rules, census.wish, now);
    }
    if census.wish == Wish::Serve {
        let wanted = rules.scale.wanted(census, rules.concurrency, now);
        plan.surge = wanted.surge;
        plan.wake_by(wanted.wake_at);
        plan.is_hopeless = is_hopeless(rules, census, now);
        plan.fill_seats(wanted.workers, census, now);
        plan.replace_worn(census, now);
        if rules.watches_memory && !census.workers.is_empty() {
            plan.wake_by(Some(now + MEMORY_LOOK_INTERVAL));
        }
        match rules.scale.surplus(census, now) {
            Surplus::None => {}
            Surplus::Leaves(id) => plan.actions.push(Action::Retire(id)),
            Surplus::LookAt(then) => plan.wake_by(Some(then)),
        }
    } else {
        plan.is_over = census.workers.is_empty();
    }
    plan
}

/// Nobody serves, and in every seat that was tried, as many as there should be, workers failed again and again.
fn is_hopeless(rules: &Rules, census: &Census, now: Instant) -> bool {
    let mut tried = census.seats.iter().filter(|seat| seat.has_failed());
    let seats = tried.clone().count();
    census.serving() == 0
        && seats >= rules.scale.base(census).max(1)
        && tried.all(|seat| seat.failures >= HOPELESS_AFTER)
        // Where workers are started for requests only, there must be one that waits for the attempt.
        && (rules.scale.min > 0 || census.resting(now) > 0)
}

impl Plan {
    fn look_at(&mut self, row: &Row, rules: &Rules, wish: Wish, now: Instant) {
        let is_leaving = matches!(row.state, State::Killing | State::Gone);
        let end = |reason| Action::End(row.id, reason);
        match (wish, row.state) {
            _ if is_leaving => {}
            (Wish::End, _) => self.actions.push(end(Reason::NotNeeded)),
            _ if row.is_condemned => self.actions.push(end(Reason::Condemned)),
            _ if row.is_bloated() => self.actions.push(end(Reason::Bloated)),
            _ if row.is_dismissed && row.in_flight == 0 => self.actions.push(end(Reason::NotNeeded)),
            (_, State::Retiring) if row.in_flight == 0 => self.actions.push(end(Reason::NotNeeded)),
            (_, State::Retiring) => {}
            (Wish::Retire, _) if row.in_flight == 0 => self.actions.push(end(Reason::NotNeeded)),
            (Wish::Retire, _) => self.actions.push(Action::Retire(row.id)),
            (Wish::Serve, State::Starting) => {
                let due = row.since + rules.start_timeout;
                if due <= now {
                    self.actions.push(end(Reason::NeverReady));
                } else {
                    self.wake_by(Some(due));
                }
            }
            (Wish::Serve, _) => {}
        }
    }

    /// Has so many workers, those in seats that rest included.
    fn fill_seats(&mut self, wanted: usize, census: &Census, now: Instant) {
        let resting = census.resting(now);
        let mut missing = wanted.saturating_sub(census.present() + resting);
        for (index, seat) in census.seats.iter().enumerate() {
            if missing > 0 && !seat.rests(now) && !census.is_taken(index) {
                self.actions.push(Action::Start { seat: index });
                missing -= 1;
            }
        }
        if resting > 0 {
            // What is hopeless may be tried again then, too.
            self.wake_by(census.next_rest_end(now));
        }
    }

    /// One at a time: while one is replaced, the others serve.
    fn replace_worn(&mut self, census: &Census, now: Instant) {
        let serving = || census.workers.iter().filter(|row| row.state.serves());
        self.wake_by(serving().filter_map(|row| row.quota.until).filter(|until| *until > now).min());
        let is_changing = |row: &Row| !row.state.serves();
        if self.actions.is_empty() && !census.workers.iter().any(is_changing) {
            self.actions.extend(serving().find(|row| row.is_worn(now)).map(|row| Action::Retire(row.id)));
        }
    }

    fn wake_by(&mut self, at: Option<Instant>) {
        self.wake_at = [self.wake_at, at].into_iter().flatten().min();
    }
}

/// The seat after its worker left at `now`; `ending` is what is told of it.
#[must_use]
pub fn vacate(rules: &Rules, seat: &Seat, departure: Departure, ending: String, now: Instant) -> Seat {
    let (failures, pause) = match departure {
        // A worker that counts its requests and leaves after the last is replaced at once, however often that is.
        Departure::DoneWithWork => (0, None),
        Departure::Sent => (seat.failures, None),
        Departure::Failed { lived, served } => {
            // One that was of use and then broke is another case than one that never gets anywhere.
            let was_useful = served > 0 || lived >= rules.restart_backoff_max;
            let failures = if was_useful { 1 } else { seat.failures.saturating_add(1) };
            (failures, Some(backoff(rules, failures)))
        }
    };
    Seat { failures, rests_until: pause.map(|pause| now + pause), last_ending: Some(ending) }
}

/// The pause before the worker after `failures` failures in a row is started; `failures` counts from 1.
#[must_use]
pub fn backoff(rules: &Rules, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    rules.restart_backoff_min.saturating_mul(1 << doublings).min(rules.restart_backoff_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::quota::Quota;
    use crate::process::scale::Waiting;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: Rules = Rules {
        scale: Scale::fixed(2),
        concurrency: 1,
        watches_memory: false,
        restart_backoff_min: Duration::from_millis(100),
        restart_backoff_max: Duration::from_secs(10),
        start_timeout: Duration::from_secs(30),
    };

    fn row(id: u64, state: State, since: Instant) -> Row {
        let seat = usize::try_from(id).unwrap() - 1;
        Row {
            id: WorkerId(id),
            seat,
            pid: None,
            state,
            since,
            returned: None,
            in_flight: 0,
            served: 0,
            is_condemned: false,
            is_dismissed: false,
            quota: Quota::default(),
            memory: None,
        }
    }

    fn census(workers: Vec<Row>) -> Census {
        Census { workers, seats: vec![Seat::default(); 2], ..Census::default() }
    }

    #[test]
    fn an_empty_pool_is_filled_at_once() {
        let plan = plan(&RULES, &census(vec![]), Instant::now());
        assert_eq!(plan.actions, [Action::Start { seat: 0 }, Action::Start { seat: 1 }]);
        assert_eq!(plan.wake_at, None);
    }

    #[test]
    fn a_full_pool_is_left_alone() {
        let now = Instant::now();
        let census = census(vec![row(1, State::Idle, now), row(2, State::Busy, now)]);
        assert_eq!(plan(&RULES, &census, now + 1000 * SECOND), Plan::default());
    }

    #[test]
    fn a_seat_that_rests_is_filled_when_its_rest_is_over() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Idle, now)]);
        census.seats[1].rests_until = Some(now + SECOND);
        let early = plan(&RULES, &census, now);
        assert_eq!((early.actions, early.wake_at), (vec![], Some(now + SECOND)));
        let due = plan(&RULES, &census, now + SECOND);
        assert_eq!((due.actions, due.wake_at), (vec![Action::Start { seat: 1 }], None));
    }

    #[test]
    fn a_worker_that_never_takes_a_connection_is_ended() {
        let now = Instant::now();
        let census = census(vec![row(1, State::Starting, now), row(2, State::Idle, now)]);
        assert_eq!(plan(&RULES, &census, now).wake_at, Some(now + 30 * SECOND));
        let late = plan(&RULES, &census, now + 30 * SECOND);
        assert_eq!(late.actions, [Action::End(WorkerId(1), Reason::NeverReady)]);
    }

    #[test]
    fn lesson_17_a_worker_that_was_silent_for_too_long_is_ended_and_its_seat_stays_taken_meanwhile() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Idle, now), row(2, State::Busy, now)]);
        census.workers[0].is_condemned = true;
        assert_eq!(plan(&RULES, &census, now).actions, [Action::End(WorkerId(1), Reason::Condemned)]);
        census.workers[0].state = State::Killing;
        assert_eq!(plan(&RULES, &census, now).actions, []);
    }

    #[test]
    fn lesson_51_a_worker_that_has_had_its_requests_is_ended_when_it_has_none_left_and_replaced_at_once() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Busy, now), row(2, State::Idle, now)]);
        census.workers[0].is_dismissed = true;
        census.workers[0].in_flight = 1;
        assert_eq!(plan(&RULES, &census, now), Plan::default());
        census.workers[0].in_flight = 0;
        assert_eq!(plan(&RULES, &census, now).actions, [Action::End(WorkerId(1), Reason::NotNeeded)]);
        census.workers.remove(0);
        census.seats[0] =
            vacate(&RULES, &census.seats[0], Departure::Sent, "signal 15 (TERM)".to_owned(), now);
        assert_eq!(plan(&RULES, &census, now).actions, [Action::Start { seat: 0 }]);
    }

    #[test]
    fn a_retiring_pool_ends_the_idle_and_waits_for_the_busy() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Idle, now), row(2, State::Busy, now)]);
        census.wish = Wish::Retire;
        census.workers[1].in_flight = 1;
        let first = plan(&RULES, &census, now);
        assert_eq!(first.actions, [Action::End(WorkerId(1), Reason::NotNeeded), Action::Retire(WorkerId(2))]);
        census.workers = vec![Row { in_flight: 1, ..row(2, State::Retiring, now) }];
        assert_eq!(plan(&RULES, &census, now), Plan::default());
        census.workers[0].in_flight = 0;
        assert_eq!(plan(&RULES, &census, now).actions, [Action::End(WorkerId(2), Reason::NotNeeded)]);
        census.workers.clear();
        assert!(plan(&RULES, &census, now).is_over);
    }

    #[test]
    fn an_ending_pool_ends_everybody_once_and_starts_nobody() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Killing, now), row(2, State::Busy, now)]);
        census.wish = Wish::End;
        census.workers[1].in_flight = 1;
        let plan = plan(&RULES, &census, now);
        assert_eq!(plan.actions, [Action::End(WorkerId(2), Reason::NotNeeded)]);
        assert!(!plan.is_over);
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let pauses: Vec<_> = (1..=9).map(|failures| backoff(&RULES, failures).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff(&RULES, u32::MAX).as_secs(), 10);
    }

    #[test]
    fn a_worker_that_fails_rests_its_seat_longer_each_time() {
        let now = Instant::now();
        let failed = Departure::Failed { lived: SECOND, served: 0 };
        let first = vacate(&RULES, &Seat::default(), failed, "exit status 1".to_owned(), now);
        assert_eq!(first.rests_until, Some(now + Duration::from_millis(100)));
        let second = vacate(&RULES, &first, failed, "signal 11 (SEGV)".to_owned(), now);
        assert_eq!(second.rests_until, Some(now + Duration::from_millis(200)));
        assert_eq!((second.failures, second.last_ending.as_deref()), (2, Some("signal 11 (SEGV)")));
    }

    #[test]
    fn a_worker_that_was_of_use_before_it_failed_starts_the_count_again() {
        let now = Instant::now();
        let seat = Seat { failures: 7, ..Seat::default() };
        for useful in [
            Departure::Failed { lived: SECOND, served: 1 },
            Departure::Failed { lived: 10 * SECOND, served: 0 },
        ] {
            assert_eq!(vacate(&RULES, &seat, useful, String::new(), now).failures, 1);
        }
    }

    #[test]
    fn lesson_51_a_worker_that_left_cleanly_after_its_work_is_replaced_at_once() {
        let now = Instant::now();
        let mut census = census(vec![row(2, State::Idle, now)]);
        let worn = Seat { failures: 5, ..Seat::default() };
        census.seats[0] = vacate(&RULES, &worn, Departure::DoneWithWork, "exit status 0".to_owned(), now);
        assert_eq!(plan(&RULES, &census, now).actions, [Action::Start { seat: 0 }]);
        assert_eq!(census.seats[0].failures, 0);
    }

    #[test]
    fn a_pool_is_hopeless_when_every_seat_failed_again_and_again_and_nobody_serves() {
        let now = Instant::now();
        let mut census = census(vec![]);
        for seat in &mut census.seats {
            *seat = Seat { failures: HOPELESS_AFTER, rests_until: Some(now + SECOND), last_ending: None };
        }
        assert!(plan(&RULES, &census, now).is_hopeless);
        census.workers = vec![row(1, State::Starting, now)];
        assert!(plan(&RULES, &census, now).is_hopeless, "an attempt is not yet a success");
        census.workers[0].state = State::Idle;
        assert!(!plan(&RULES, &census, now).is_hopeless);
        census.workers.clear();
        census.seats[1].failures -= 1;
        assert!(!plan(&RULES, &census, now).is_hopeless);
    }

    const ON_DEMAND: Rules =
        Rules { scale: Scale { min: 0, max: 2, ..RULES_ELASTIC.scale }, ..RULES_ELASTIC };
    const RULES_ELASTIC: Rules = Rules {
        scale: Scale {
            min: 1,
            max: 2,
            spare: 0,
            idle_timeout: SECOND,
            scale_after: Duration::from_millis(5),
        },
        ..RULES
    };

    #[test]
    fn a_worker_that_is_not_needed_retires_so_that_what_it_was_just_given_is_not_lost() {
        let now = Instant::now();
        let census = census(vec![row(1, State::Idle, now), row(2, State::Idle, now)]);
        assert_eq!(plan(&RULES_ELASTIC, &census, now).wake_at, Some(now + SECOND));
        let due = plan(&RULES_ELASTIC, &census, now + SECOND);
        assert_eq!(due.actions, [Action::Retire(WorkerId(1))]);
    }

    #[test]
    fn a_seat_that_rests_is_not_got_round_by_another() {
        let now = Instant::now();
        let mut census = census(vec![]);
        census.seats[0] = Seat { failures: 1, rests_until: Some(now + SECOND), last_ending: None };
        let resting = plan(&RULES_ELASTIC, &census, now);
        assert_eq!((resting.actions, resting.wake_at), (vec![], Some(now + SECOND)));
        assert_eq!(plan(&RULES_ELASTIC, &census, now + SECOND).actions, [Action::Start { seat: 0 }]);
    }

    #[test]
    fn wish_10_on_demand_there_is_hope_between_two_attempts_for_whoever_asks_then() {
        let now = Instant::now();
        let mut census = census(vec![]);
        census.seats[0] =
            Seat { failures: HOPELESS_AFTER, rests_until: Some(now + SECOND), last_ending: None };
        let resting = plan(&ON_DEMAND, &census, now);
        assert_eq!((resting.is_hopeless, resting.wake_at), (true, Some(now + SECOND)));
        assert!(!plan(&ON_DEMAND, &census, now + SECOND).is_hopeless);
        census.waiting = Waiting { requests: 1, since: Some(now + SECOND) };
        assert_eq!(plan(&ON_DEMAND, &census, now + SECOND).actions, [Action::Start { seat: 0 }]);
        census.workers = vec![row(1, State::Starting, now + SECOND)];
        assert!(
            !plan(&ON_DEMAND, &census, now + SECOND).is_hopeless,
            "the one who waits is told by the attempt"
        );
    }

    #[test]
    fn wish_23_worn_workers_are_replaced_one_at_a_time_when_their_time_has_come() {
        let now = Instant::now();
        let mut census = census(vec![row(1, State::Busy, now), row(2, State::Idle, now)]);
        for (row, seconds) in census.workers.iter_mut().zip([20, 10]) {
            row.quota.until = Some(now + seconds * SECOND);
        }
        assert_eq!(plan(&RULES, &census, now).wake_at, Some(now + 10 * SECOND));
        let late = now + 100 * SECOND;
        assert_eq!(plan(&RULES, &census, late).actions, [Action::Retire(WorkerId(1))]);
        census.workers[0].state = State::Retiring;
        census.workers[0].in_flight = 1;
        assert_eq!(plan(&RULES, &census, late).actions, [], "the other serves until the first is replaced");
        census.workers[0] = row(3, State::Starting, late);
        census.workers[0].seat = 0;
        assert_eq!(plan(&RULES, &census, late).actions, []);
        census.workers[0].state = State::Idle;
        assert_eq!(plan(&RULES, &census, late).actions, [Action::Retire(WorkerId(2))]);
    }

    #[test]
    fn wish_23_much_memory_ends_a_worker_after_its_requests_and_too_much_at_once() {
        let now = Instant::now();
        let rules = Rules { watches_memory: true, ..RULES };
        let mut census = census(vec![row(1, State::Busy, now), row(2, State::Idle, now)]);
        census.workers[0].in_flight = 1;
        census.workers[0].quota = Quota { memory: Some(100), memory_hard: Some(200), ..Quota::default() };
        assert_eq!(plan(&rules, &census, now).wake_at, Some(now + MEMORY_LOOK_INTERVAL));
        let mut actions = |bytes| {
            census.workers[0].memory = Some(bytes);
            plan(&rules, &census, now).actions
        };
        assert_eq!(actions(100), []);
        assert_eq!(actions(101), [Action::Retire(WorkerId(1))]);
        assert_eq!(actions(201), [Action::End(WorkerId(1), Reason::Bloated)]);
    }
}
