//! A deadline that is moved far more often than it passes. It does not know what is being waited for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// One timer that can be put off without touching the runtime's timer wheel.
///
/// Progress moves a deadline away thousands of times for each time that it passes, so only the target is stored then;
/// the timer itself rings at the old moment, sees that the target has moved, and goes on to that.
#[derive(Debug, Default)]
pub struct Deadline {
    target: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// A deadline that never passes until it is set.
    #[must_use]
    pub const fn unset() -> Self {
        Self { target: None, sleep: None }
    }

    /// Lets it pass after `limit` from now; `None` means never.
    pub fn set(&mut self, limit: Option<Duration>) {
        self.target = limit.map(|limit| tokio::time::Instant::now().into_std() + limit);
    }

    /// Lets it pass at `at`.
    pub const fn set_at(&mut self, at: Instant) {
        self.target = Some(at);
    }

    /// Never lets it pass.
    pub const fn clear(&mut self) {
        self.target = None;
    }

    /// The moment it passes, if it is set.
    #[must_use]
    pub const fn target(&self) -> Option<Instant> {
        self.target
    }

    /// Whether it passes no later than `limit` from now.
    #[must_use]
    pub fn is_within(&self, limit: Duration) -> bool {
        self.target.is_some_and(|target| target <= tokio::time::Instant::now().into_std() + limit)
    }

    /// Ready once the target has passed; it stays so until it is set anew.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(target) = self.target else { return Poll::Pending };
        let target = tokio::time::Instant::from_std(target);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(target)));
        // A timer that rings too early is cheap; one that rings too late breaks the promise.
        if sleep.deadline() > target {
            sleep.as_mut().reset(target);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= target {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(target);
        }
        Poll::Pending
    }

    /// Gives the timer's memory back; the target stays.
    pub fn release(&mut self) {
        self.sleep = None;
    }

    /// Awaits the target; for ever if there is none.
    pub async fn passed(&mut self) {
        std::future::poll_fn(|cx| self.poll_passed(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_put_off_passes_at_the_later_moment() {
        let start = tokio::time::Instant::now();
        let mut deadline = Deadline::unset();
        deadline.set(Some(Duration::from_secs(1)));
        assert!(tokio::time::timeout(Duration::from_millis(500), deadline.passed()).await.is_err());
        deadline.set(Some(Duration::from_secs(2)));
        assert!(deadline.is_within(Duration::from_secs(2)) && !deadline.is_within(Duration::from_secs(1)));
        deadline.passed().await;
        assert_eq!(start.elapsed().as_millis() / 10, 250, "0.5 s and then 2 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_moved_nearer_passes_at_the_nearer_moment() {
        let start = tokio::time::Instant::now();
        let mut deadline = Deadline::unset();
        deadline.set(Some(Duration::from_secs(60)));
        assert!(tokio::time::timeout(Duration::from_millis(10), deadline.passed()).await.is_err());
        deadline.set(Some(Duration::from_secs(1)));
        deadline.passed().await;
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
