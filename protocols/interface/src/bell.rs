//! Tells whoever waits for a change that there was one: a thread, or with the feature `tokio` a task. It must not know what
//! has changed.

use std::sync::{Condvar, MutexGuard, PoisonError};
#[cfg(feature = "tokio")]
use std::{
    sync::Mutex,
    task::{Context, Waker},
};

/// Rung after each change of what a lock guards.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    threads: Condvar,
    #[cfg(feature = "tokio")]
    tasks: Mutex<Vec<Waker>>,
}

impl Bell {
    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        self.threads.notify_all();
        #[cfg(feature = "tokio")]
        for task in std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner)) {
            task.wake();
        }
    }

    /// Lets go of the lock and waits.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.threads.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next ring wakes this task. To be called before the question whether it has to wait, or while the lock is held.
    #[cfg(feature = "tokio")]
    pub(crate) fn listen(&self, context: &Context<'_>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !tasks.iter().any(|task| task.will_wake(context.waker())) {
            tasks.push(context.waker().clone());
        }
    }
}
