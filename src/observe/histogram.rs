//! How long things took, counted without a lock and without an allocation. It does not know what was measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// The upper bounds of the buckets, in milliseconds: fine where a bridge is fast, coarse where programs are slow. One bucket
/// more is for all that took longer.
pub const BOUNDS_MS: [u64; 11] = [1, 2, 5, 10, 25, 100, 250, 1000, 5000, 10_000, 60_000];

/// The number of buckets.
const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// Counts how long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many took at most as long as the bound of the same place in [`BOUNDS_MS`] and longer than the one before; the last
    /// took longer than all.
    pub counts: [u64; BUCKETS],
    /// How long they took together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// Counts one.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.iter().position(|bound| micros <= bound * 1000).unwrap_or(BOUNDS_MS.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// What it has counted so far.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

impl Spread {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 1000, 1001, 60_000_000, 60_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        histogram.note(Duration::MAX);
        let spread = histogram.spread();
        assert_eq!(spread.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(spread.count(), 6);
    }
}
