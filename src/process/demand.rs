//! How whoever gives out requests lets a manager know that there are more of them than workers. It must not know a
//! request, nor what is done about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A bell that the manager hears, and what it wants to hear of.
///
/// A pool whose number of workers does not change, or that is as large as it may be, wants to hear of nothing: a request
/// then costs one look at a word that nobody writes.
#[derive(Debug, Default)]
pub struct Demand {
    bell: Arc<Notify>,
    hears_waiting: AtomicBool,
    spare: AtomicUsize,
}

impl Demand {
    /// A request has begun to wait. To be called after [`Roster::waiting`](super::Roster::waiting) would tell of it.
    pub fn waits(&self) {
        if self.hears_waiting.load(Ordering::Acquire) {
            self.bell.notify_one();
        }
    }

    /// A worker was given a request, and so many `idle` ones are left.
    pub fn took(&self, idle: impl FnOnce() -> usize) {
        let spare = self.spare.load(Ordering::Acquire);
        if spare > 0 && idle() < spare {
            self.bell.notify_one();
        }
    }

    /// What the manager wants to hear of: whether requests wait, and whether fewer than `spare` workers are idle.
    pub(super) fn hear(&self, waiting: bool, spare: usize) {
        self.hears_waiting.store(waiting, Ordering::Release);
        self.spare.store(spare, Ordering::Release);
    }

    /// What is rung.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}
