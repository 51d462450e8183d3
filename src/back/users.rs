//! Who still asks a pool: so that it ends only when the last route that could ask is gone. It must not know what is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the routes that ask a pool, and tells when the last one is gone.
#[derive(Debug, Default)]
pub(super) struct Users {
    count: AtomicUsize,
    none_left: Notify,
}

/// One route that asks.
#[derive(Debug)]
pub(super) struct User(Arc<Users>);

impl Users {
    /// One more asks, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> User {
        self.count.fetch_add(1, Ordering::AcqRel);
        User(Arc::clone(self))
    }

    /// Waits until nobody asks any more.
    pub(super) async fn gone(&self) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.none_left.notified().await;
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Kept for a waiter that has not begun to wait.
            self.0.none_left.notify_one();
        }
    }
}
