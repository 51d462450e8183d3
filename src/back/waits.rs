//! How the queue before workers or processes went: how long those waited that had their turn, and how many were refused. It
//! does not know who waits, nor what for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::exchange::{Failure, FailureKind};
use crate::observe::histogram::Histogram;
use crate::observe::status::QueueStatus;

/// Counts for one queue.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    refused: AtomicU64,
    waits: Histogram,
}

impl Waits {
    /// Counts one who had its turn after so long.
    pub(crate) fn note(&self, waited: Duration) {
        self.waits.note(waited);
    }

    /// Counts one who was refused, if it failed because there was no room.
    pub(crate) fn note_failure(&self, failure: &Failure) {
        if matches!(failure.kind, FailureKind::Overloaded { .. }) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted, and that so many are waiting.
    pub(crate) fn status(&self, waiting: usize) -> QueueStatus {
        QueueStatus { waiting, refused: self.refused.load(Ordering::Relaxed), waits: self.waits.spread() }
    }
}
