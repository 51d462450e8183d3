//! How many processes a route may have at once, and the queue of requests before them: bounded in length and in time. It
//! must not know what the processes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::waits::Waits;
use crate::config::Queue;
use crate::exchange::{Exchange, Failure};
use crate::observe::status::QueueStatus;

/// What a client is told to wait when there is no room: long enough for a script or two to end, short enough that
/// nobody gives up.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What the places are, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Processes of a CGI route.
    Processes,
    /// Threads of a program inside this process.
    Threads,
}

/// The places of a route; requests that find none wait in the order in which they came.
#[derive(Debug)]
pub(crate) struct Slots {
    what: What,
    free: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    queue: Queue,
    waits: Waits,
}

/// One place, held until it is dropped: by a process until it is gone, whoever waits for its answer.
#[derive(Debug)]
pub(crate) struct Slot {
    /// How long it was waited for.
    pub(crate) waited: Duration,
    _permit: OwnedSemaphorePermit,
}

/// Counts one waiting request; a request whose client left is dropped, and so forgotten.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    /// So many places, and this queue before them.
    pub(crate) fn new(what: What, most: usize, queue: Queue) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            what,
            free: Arc::new(Semaphore::new(most)),
            most,
            waiting: AtomicUsize::new(0),
            queue,
            waits: Waits::default(),
        }
    }

    /// Takes a place, or waits for one; the wait is noted in the exchange.
    ///
    /// # Errors
    ///
    /// [`Overloaded`](crate::exchange::FailureKind::Overloaded) when the queue is full or the wait is over.
    pub(crate) async fn take(&self, exchange: &Exchange) -> Result<Slot, Failure> {
        let taken = self.take_uncounted(exchange).await;
        match &taken {
            Ok(slot) => self.waits.note(slot.waited),
            Err(failure) => self.waits.note_failure(failure),
        }
        taken
    }

    async fn take_uncounted(&self, exchange: &Exchange) -> Result<Slot, Failure> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            exchange.note(|record| record.queue_wait = Some(Duration::ZERO));
            return Ok(Slot { waited: Duration::ZERO, _permit: permit });
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue.length {
            drop(Waiting(&self.waiting));
            return Err(self.full());
        }
        let _waiting = Waiting(&self.waiting);
        let since = Instant::now();
        let permit = tokio::time::timeout(self.queue.timeout, Arc::clone(&self.free).acquire_owned()).await;
        let waited = since.elapsed();
        exchange.note(|record| record.queue_wait = Some(waited));
        match permit {
            Ok(Ok(permit)) => Ok(Slot { waited, _permit: permit }),
            Ok(Err(_)) => Err(Failure::internal("the process slots were closed")),
            Err(_) => Err(self.waited()),
        }
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.most.saturating_sub(self.free.available_permits())
    }

    /// How the queue is.
    pub(crate) fn queue_status(&self) -> QueueStatus {
        self.waits.status(self.waiting.load(Ordering::Relaxed))
    }

    fn full(&self) -> Failure {
        let (most, length) = (self.most, self.queue.length);
        let detail = match self.what {
            What::Processes => format!(
                "all {most} processes of the route run and {length} requests wait: raise max_processes or queue, or \
                 make the scripts faster"
            ),
            What::Threads => format!(
                "all {most} threads of the program are busy and {length} requests wait: give it more threads or a \
                 longer queue, or make it faster"
            ),
        };
        Failure::overloaded(RETRY_AFTER, detail)
    }

    fn waited(&self) -> Failure {
        let (waited, most) = (self.queue.timeout.as_secs_f64(), self.most);
        let detail = match self.what {
            What::Processes => format!(
                "waited {waited} s for one of {most} processes of the route: raise max_processes or queue_timeout, or \
                 make the scripts faster"
            ),
            What::Threads => format!(
                "waited {waited} s for one of {most} threads of the program: give it more threads or more time, or \
                 make it faster"
            ),
        };
        Failure::overloaded(RETRY_AFTER, detail)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use tokio::time::timeout;

    use super::*;
    use crate::back::rig::{recorded_request, request};
    use crate::exchange::{Body, FailureKind};

    const SECOND: Duration = Duration::from_secs(1);

    fn slots(most: usize, length: usize) -> Slots {
        Slots::new(What::Processes, most, Queue { length, timeout: 10 * SECOND })
    }

    fn exchange() -> Arc<Exchange> {
        request(Method::GET, "/", Body::Empty).exchange
    }

    fn is_overloaded(answer: &Result<Slot, Failure>) -> bool {
        matches!(answer, Err(Failure { kind: FailureKind::Overloaded { retry_after }, .. }) if !retry_after.is_zero())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let slots = slots(1, 5);
        let _taken = slots.take(&exchange()).await.unwrap();
        let since = Instant::now();
        assert!(is_overloaded(&slots.take(&exchange()).await));
        assert_eq!((since.elapsed(), slots.waiting()), (10 * SECOND, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let slots = slots(1, 1);
        let taken = slots.take(&exchange()).await.unwrap();
        let (first, second) = (exchange(), exchange());
        let since = Instant::now();
        let (waited, refused, ()) = tokio::join!(slots.take(&first), slots.take(&second), async {
            tokio::time::sleep(SECOND).await;
            drop(taken);
        });
        assert!(waited.is_ok());
        assert!(is_overloaded(&refused));
        assert_eq!(since.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_queue_nobody_waits() {
        let slots = slots(1, 0);
        let taken = slots.take(&exchange()).await.unwrap();
        assert!(is_overloaded(&slots.take(&exchange()).await));
        drop(taken);
        assert!(slots.take(&exchange()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_whose_client_left_is_forgotten() {
        let slots = slots(1, 1);
        let taken = slots.take(&exchange()).await.unwrap();
        assert!(timeout(SECOND, slots.take(&exchange())).await.is_err());
        assert_eq!(slots.waiting(), 0);
        drop(taken);
        assert!(slots.take(&exchange()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_noted() {
        let slots = slots(1, 1);
        let taken = slots.take(&exchange()).await.unwrap();
        let (waiting, mut records) = recorded_request(Method::GET, "/", Body::Empty);
        let (slot, ()) = tokio::join!(slots.take(&waiting.exchange), async {
            tokio::time::sleep(3 * SECOND).await;
            drop(taken);
        });
        assert!(slot.is_ok());
        drop(waiting);
        assert_eq!(records.recv().await.unwrap().queue_wait, Some(3 * SECOND));
    }
}
