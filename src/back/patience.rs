//! How long a program may be silent: a clock that stands still while the program waits for somebody else. It must not
//! know what the program is, nor what happens when the time is over.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::io::Deadline;

/// How long a program may be silent; `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Until the head of its response is complete, counted from the last piece of request body that it took, or from
    /// the last 1xx response that it sent.
    pub(crate) first_byte: Option<Duration>,
    /// Between two pieces of its response body.
    pub(crate) output: Option<Duration>,
}

/// Measures the time without progress that is the program's fault.
pub(crate) struct Clock {
    limit: Option<Duration>,
    deadline: Deadline,
    held: bool,
}

impl Clock {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let mut clock = Self { limit, deadline: Deadline::unset(), held: false };
        clock.touch();
        clock
    }

    /// From now on this limit counts.
    pub(crate) fn restart(&mut self, limit: Option<Duration>) {
        self.limit = limit;
        self.touch();
    }

    /// There was progress: the time starts again.
    pub(crate) fn touch(&mut self) {
        self.deadline.set(self.limit);
    }

    /// Stops the clock while the program waits for somebody else; let go, it starts again from nothing.
    pub(crate) fn hold(&mut self, held: bool) {
        if self.held && !held {
            self.touch();
        }
        self.held = held;
    }

    /// Ready, with the limit, when the program was silent for too long. Whoever holds the clock has to wake the task.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        match self.limit {
            Some(limit) if !self.held => self.deadline.poll_passed(cx).map(|()| limit),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn over(clock: &mut Clock) -> Duration {
        std::future::poll_fn(|cx| clock.poll_over(cx)).await
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_is_over_after_the_limit() {
        let start = Instant::now();
        assert_eq!(over(&mut Clock::new(Some(SECOND))).await, SECOND);
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_starts_the_time_again() {
        let start = Instant::now();
        let mut clock = Clock::new(Some(SECOND));
        assert!(tokio::time::timeout(SECOND / 2, over(&mut clock)).await.is_err());
        clock.touch();
        over(&mut clock).await;
        assert_eq!(start.elapsed().as_millis() / 100, 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_clock_stands_still() {
        let mut clock = Clock::new(Some(SECOND));
        clock.hold(true);
        assert!(tokio::time::timeout(100 * SECOND, over(&mut clock)).await.is_err());
        let start = Instant::now();
        clock.hold(false);
        over(&mut clock).await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_never_ends() {
        assert!(tokio::time::timeout(100_000 * SECOND, over(&mut Clock::new(None))).await.is_err());
    }
}
