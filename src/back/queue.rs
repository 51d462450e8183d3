//! Those who wait for a worker, the most urgent first, and how long one more would have to wait. Pure: it must not know
//! sockets, tasks or the present time, nor what is waited for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The variable that tells a program for how many microseconds its request has waited for it.
const QUEUE_WAIT: &str = "QUEUE_WAIT_US";

/// The variable that tells a program how long its request has waited, if it has: what it does may depend on the time that
/// is left.
pub(crate) fn queue_wait(waited: Duration) -> Option<(&'static str, String)> {
    (!waited.is_zero()).then(|| (QUEUE_WAIT, waited.as_micros().to_string()))
}

/// A place in the queue: the more urgent come first, and of those that are as urgent the one that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    priority: Reverse<u8>,
    number: u64,
}

/// Those who wait; `T` is how each is told.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    waiting: BTreeMap<Ticket, Waiter<T>>,
    next_number: u64,
}

#[derive(Debug)]
struct Waiter<T> {
    since: Instant,
    tell: T,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next_number: 0 }
    }
}

impl<T> Waiters<T> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many would be served before one of this priority who comes now.
    pub(crate) fn before(&self, priority: u8) -> usize {
        let end = Ticket { priority: Reverse(priority), number: u64::MAX };
        // Most queues have one priority, and then it is all of them.
        match self.waiting.last_key_value() {
            Some((last, _)) if *last > end => self.waiting.range(..=end).count(),
            _ => self.waiting.len(),
        }
    }

    /// Whether one of this priority would have to wait for others.
    pub(crate) fn is_behind(&self, priority: u8) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| first.priority <= Reverse(priority))
    }

    /// Adds one who waits.
    pub(crate) fn push(&mut self, priority: u8, since: Instant, tell: T) -> Ticket {
        let ticket = Ticket { priority: Reverse(priority), number: self.next_number };
        self.next_number += 1;
        self.waiting.insert(ticket, Waiter { since, tell });
        ticket
    }

    /// Takes out whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, waiter)| waiter.tell)
    }

    /// Takes out one who waits no more; nothing if it had its turn.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Takes out everybody.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.waiting).into_values().map(|waiter| waiter.tell)
    }

    /// Since when the one waits who has waited for the longest.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().map(|waiter| waiter.since).min()
    }
}

/// How long a request usually takes a worker: about the median of the last few dozen, so that one that took a minute
/// does not make a thousand others look slow.
///
/// Each that took longer raises the number by an eighth, each that was quicker lowers it: as many above it as below keep it
/// where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Typical {
    micros: u64,
}

impl Typical {
    /// Takes note of a request that took so long.
    pub(crate) fn note(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.micros = match self.micros {
            0 => took,
            now if took > now => now.saturating_add(now / 8 + 1).min(took),
            now => (now - now / 8).saturating_sub(1).max(took),
        };
    }

    /// How long one usually takes; `None` as long as nobody knows.
    pub(crate) fn get(&self) -> Option<Duration> {
        (self.micros > 0).then(|| Duration::from_micros(self.micros))
    }

    /// How long one will wait who has so many before it, when so many are served at once; `None` as long as nobody knows.
    pub(crate) fn wait(&self, before: usize, at_once: usize) -> Option<Duration> {
        let turns = u64::try_from(before).ok()?.saturating_add(1);
        let at_once = u64::try_from(at_once).ok().filter(|count| *count > 0)?;
        self.get().map(|_| Duration::from_micros(self.micros.saturating_mul(turns) / at_once))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_urgent_come_first_and_equals_in_their_order() {
        let (mut waiters, now) = (Waiters::default(), Instant::now());
        for (priority, name) in [(5, "a"), (1, "b"), (5, "c"), (9, "d"), (1, "e")] {
            waiters.push(priority, now, name);
        }
        assert_eq!([9, 5, 4, 1, 0].map(|priority| waiters.before(priority)), [1, 3, 3, 5, 5]);
        assert!(waiters.is_behind(9) && !waiters.is_behind(10));
        let order: Vec<_> = std::iter::from_fn(|| waiters.pop()).collect();
        assert_eq!(order, ["d", "a", "c", "b", "e"]);
        assert!(!waiters.is_behind(0));
    }

    #[test]
    fn wish_1_one_who_leaves_is_forgotten_wherever_it_stood() {
        let (mut waiters, now) = (Waiters::default(), Instant::now());
        let first = waiters.push(5, now, "a");
        let second = waiters.push(5, now + MS, "b");
        waiters.push(5, now + MS, "c");
        assert_eq!(waiters.oldest(), Some(now));
        waiters.leave(first);
        waiters.leave(second);
        waiters.leave(second);
        assert_eq!((waiters.len(), waiters.oldest(), waiters.pop()), (1, Some(now + MS), Some("c")));
    }

    #[test]
    fn what_is_usual_is_not_moved_by_the_unusual() {
        let mut typical = Typical::default();
        assert_eq!(typical.wait(3, 1), None);
        for _ in 0..100 {
            for _ in 0..9 {
                typical.note(10 * MS);
            }
            typical.note(60_000 * MS);
        }
        let usual = typical.get().unwrap();
        assert!((10 * MS..12 * MS).contains(&usual), "{usual:?}");
    }

    #[test]
    fn what_is_usual_follows_what_has_become_usual() {
        let mut typical = Typical::default();
        typical.note(60_000 * MS);
        (0..120).for_each(|_| typical.note(MS));
        assert_eq!(typical.get(), Some(MS));
        (0..120).for_each(|_| typical.note(1000 * MS));
        assert_eq!(typical.get(), Some(1000 * MS));
    }

    #[test]
    fn wish_3_the_wait_is_foreseen_from_those_before_and_those_served_at_once() {
        let mut typical = Typical::default();
        typical.note(100 * MS);
        let waits = [(0, 1), (0, 4), (7, 4), (9, 1)].map(|(before, at_once)| typical.wait(before, at_once));
        assert_eq!(waits, [Some(100 * MS), Some(25 * MS), Some(200 * MS), Some(1000 * MS)]);
        assert_eq!(typical.wait(3, 0), None, "nobody serves yet, and nobody knows when");
        assert_eq!(typical.wait(usize::MAX, 1), Some(Duration::from_micros(u64::MAX)));
    }
}
