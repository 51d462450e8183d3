//! Closes connections to workers that were kept and that nobody used for too long. It must not know what they were kept for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::dispatch::Dispatch;

/// Begins to close what nobody used for `idle_timeout`, in a task that lives as long as anything is kept.
pub(super) fn start_sweeper(dispatch: &Arc<Dispatch>, idle_timeout: Duration) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        dispatch.lock().has_sweeper = false;
        return;
    };
    let dispatch = Arc::downgrade(dispatch);
    runtime.spawn(async move {
        while let Some(due) = sweep(&dispatch, idle_timeout) {
            sleep_until(due).await;
        }
    });
}

/// Closes what is too old; says when to come again.
fn sweep(dispatch: &Weak<Dispatch>, idle_timeout: Duration) -> Option<Instant> {
    let dispatch = dispatch.upgrade()?;
    let now = Instant::now();
    let mut desk = dispatch.lock();
    let old = now.checked_sub(idle_timeout).map(|before| desk.places.take_old(before));
    let next = desk.places.oldest().map(|since| since + idle_timeout);
    desk.has_sweeper = next.is_some();
    drop(desk);
    drop(old);
    next
}
