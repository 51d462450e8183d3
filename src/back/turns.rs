//! One request in the queue before a pool: what it wants, and its wait until it has its turn. It must not know where the
//! turn leads, nor who else waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::connect::Turn;
use super::dispatch::{Dispatch, RETRY_AFTER};
use super::queue::Ticket;
use crate::exchange::Failure;

/// What a request wants of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The higher, the sooner its turn.
    pub(crate) priority: u8,
    /// How much time is left for all that is still to be done with it.
    pub(crate) time_left: Option<Duration>,
}

/// Where a request that waits is given its turn, or told that there will be none.
pub(super) type Turns = oneshot::Sender<Result<Turn, Failure>>;

/// What one who asks for a turn gets.
pub(super) enum Asked {
    Turn(Turn),
    Wait(Waiting),
}

/// A place in the queue. Dropping it leaves the queue.
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) turn: oneshot::Receiver<Result<Turn, Failure>>,
}

impl Waiting {
    /// Waits for the turn.
    ///
    /// # Errors
    ///
    /// When the longest wait is over, or there is nobody to wait for any more.
    pub(super) async fn wait(mut self) -> Result<Turn, Failure> {
        let limit = self.dispatch.queue.timeout;
        let deadline = Instant::now() + limit;
        loop {
            // A place whose rest is over says so to nobody.
            let rest_end = self.dispatch.lock().places.next_rest_end(Instant::now());
            let until = rest_end.map_or(deadline, |end| end.min(deadline));
            tokio::select! {
                biased;
                turn = &mut self.turn => {
                    return turn.unwrap_or_else(|_| Err(Failure::internal("a request was lost from the queue")));
                }
                () = sleep_until(until) => {}
            }
            if until == deadline {
                let (pool, seconds) = (&self.dispatch.pool, limit.as_secs_f64());
                let detail = format!("no worker of pool {pool:?} became free within {seconds} s");
                return Err(Failure::overloaded(RETRY_AFTER, detail));
            }
            self.dispatch.serve(&mut self.dispatch.lock());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A turn that was granted meanwhile gives itself back when the receiver is dropped, after this lock.
        let mut desk = self.dispatch.lock();
        desk.waiters.leave(self.ticket);
        self.dispatch.left.notify_waiters();
    }
}
