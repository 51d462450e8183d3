//! What one worker may have before it is replaced: drawn by chance when it is started, so that workers of one age do not
//! leave together. It must not know what becomes of a worker that has had its share.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

/// When workers are replaced although nothing is wrong with them. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recycle {
    /// After so many requests.
    pub requests: Option<u64>,
    /// So long after its start, when it has no request.
    pub lifetime: Option<Duration>,
    /// When it has more bytes of resident memory than this, and no request.
    pub memory: Option<u64>,
    /// When it has more bytes of resident memory than this, at once.
    pub memory_hard: Option<u64>,
    /// Of each of the first three so many percent at most are taken away; 0 to 100.
    pub jitter_percent: u8,
}

/// What one worker may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// So many requests.
    pub requests: Option<u64>,
    /// No more requests from then on.
    pub until: Option<Instant>,
    /// No more requests when it has more bytes of memory.
    pub memory: Option<u64>,
    /// It is ended when it has more bytes of memory.
    pub memory_hard: Option<u64>,
}

impl Recycle {
    /// Draws what a worker that is started at `now` may have.
    #[must_use]
    pub fn draw(&self, now: Instant) -> Quota {
        self.quota(now, chance())
    }

    /// `chance` says how much of the jitter counts: 0 is none of it, [`u64::MAX`] all.
    fn quota(&self, now: Instant, chance: u64) -> Quota {
        let less = |limit: u64| {
            let most = u128::from(limit) * u128::from(self.jitter_percent.min(100)) / 100;
            let taken = most * u128::from(chance) / u128::from(u64::MAX);
            limit - u64::try_from(taken).unwrap_or(limit)
        };
        let lifetime = self.lifetime.map(|lifetime| {
            Duration::from_micros(less(u64::try_from(lifetime.as_micros()).unwrap_or(u64::MAX)))
        });
        Quota {
            requests: self.requests.map(|requests| less(requests).max(1)),
            until: lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            memory: self.memory.map(less),
            memory_hard: self.memory_hard,
        }
    }

    /// Whether anybody must look at the memory of workers.
    #[must_use]
    pub const fn watches_memory(&self) -> bool {
        self.memory.is_some() || self.memory_hard.is_some()
    }
}

/// A number by chance: each hasher of the standard library has a seed of its own.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECYCLE: Recycle = Recycle {
        requests: Some(1000),
        lifetime: Some(Duration::from_secs(100)),
        memory: Some(1 << 30),
        memory_hard: Some(1 << 31),
        jitter_percent: 10,
    };

    #[test]
    fn wish_23_the_jitter_takes_away_and_never_adds() {
        let now = Instant::now();
        let none = RECYCLE.quota(now, 0);
        assert_eq!((none.requests, none.until), (Some(1000), Some(now + Duration::from_secs(100))));
        let all = RECYCLE.quota(now, u64::MAX);
        assert_eq!((all.requests, all.until), (Some(900), Some(now + Duration::from_secs(90))));
        assert_eq!((all.memory, all.memory_hard), (Some((1 << 30) - (1 << 30) / 10), Some(1 << 31)));
        let one = Recycle { requests: Some(1), jitter_percent: 50, ..RECYCLE };
        assert_eq!(one.quota(now, u64::MAX).requests, Some(1), "a worker is worth one request at least");
    }

    #[test]
    fn wish_23_workers_of_one_age_do_not_leave_together() {
        let now = Instant::now();
        let mut ends: Vec<_> = (0..32).map(|_| RECYCLE.draw(now).until).collect();
        ends.sort();
        ends.dedup();
        assert!(ends.len() > 16, "{ends:?}");
    }

    #[test]
    fn without_limits_there_are_none() {
        assert_eq!(Recycle::default().draw(Instant::now()), Quota::default());
    }
}
