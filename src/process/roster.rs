//! What the workers' side and the side that gives them requests tell each other. It must not know how a worker is run,
//! nor what a request is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};

use super::census::WorkerId;
use super::demand::Demand;
use super::scale::Waiting;

/// Whoever gives requests to workers; the manager tells it who is there. The calls come from the manager's task and must
/// not block.
pub trait Roster: Send + Sync + 'static {
    /// A worker has taken its first connection, and takes requests. `first` is that connection: a worker that takes one
    /// connection at a time takes no other while it is open. There is none when the worker began with a request that its
    /// predecessor had left waiting.
    fn join(&self, worker: Arc<WorkerHandle>, first: Option<UnixStream>);

    /// A worker takes no requests any more. Those it has are not cut.
    fn leave(&self, worker: WorkerId);

    /// The requests that wait for a worker.
    fn waiting(&self) -> Waiting;

    /// How whoever gives out requests lets the manager know that there are more of them than workers.
    fn demand(&self) -> Arc<Demand>;

    /// There is no use in waiting for a worker (`Some`), or there is again (`None`).
    fn outage(&self, outage: Option<Outage>);
}

/// Why there are no workers, and until when at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How the last worker ended: exit status or signal, and its last lines on stderr.
    pub reason: String,
    /// When the next attempt is made.
    pub retry_at: Instant,
}

/// How a worker's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// By itself and with exit status 0.
    pub is_clean: bool,
    /// Exit status or signal, and the last lines on stderr.
    pub how: String,
}

/// One worker, as those see it who give it requests: where to connect, and where to note what it does.
pub struct WorkerHandle {
    id: WorkerId,
    name: Arc<str>,
    address: PathBuf,
    concurrency: usize,
    /// After so many requests it is dismissed.
    max_requests: Option<u64>,
    in_flight: AtomicUsize,
    served: AtomicU64,
    /// When it last became free, in microseconds since it was started; 0 for never.
    returned_us: AtomicU64,
    /// When it was last given a request while it had none, in the same way.
    borrowed_us: AtomicU64,
    started: Instant,
    is_retiring: AtomicBool,
    is_dismissed: AtomicBool,
    condemned: OnceLock<String>,
    ended: watch::Sender<Option<Ended>>,
    bell: Arc<Notify>,
}

impl WorkerHandle {
    /// A worker without requests. `bell` is rung when the manager ought to look.
    pub(super) fn new(
        id: WorkerId,
        name: Arc<str>,
        address: PathBuf,
        concurrency: usize,
        max_requests: Option<u64>,
        bell: Arc<Notify>,
    ) -> Self {
        Self {
            id,
            name,
            address,
            concurrency,
            max_requests,
            in_flight: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            returned_us: AtomicU64::new(0),
            borrowed_us: AtomicU64::new(0),
            started: Instant::now(),
            is_retiring: AtomicBool::new(false),
            is_dismissed: AtomicBool::new(false),
            ended: watch::Sender::new(None),
            condemned: OnceLock::new(),
            bell,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> WorkerId {
        self.id
    }

    /// Its name in the log: the pool's name and the number of the seat, `hello-1`.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The unix socket that it listens on.
    #[must_use]
    pub fn address(&self) -> &Path {
        &self.address
    }

    /// How many connections it takes at once.
    #[must_use]
    pub const fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// After how many requests it is to be dismissed.
    #[must_use]
    pub const fn max_requests(&self) -> Option<u64> {
        self.max_requests
    }

    /// Notes that it was given a request.
    pub fn borrow(&self) {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.borrowed_us.store(self.now_us(), Ordering::Relaxed);
        }
    }

    /// Notes that a request of it has ended; `is_served` when it was answered to the proper end.
    pub fn give_back(&self, is_served: bool) {
        if is_served {
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        let left = self.in_flight.fetch_sub(1, Ordering::AcqRel) - 1;
        if left == 0 {
            self.returned_us.store(self.now_us(), Ordering::Relaxed);
            if self.is_retiring.load(Ordering::Acquire) {
                self.bell.notify_one();
            }
        }
    }

    /// Says that it must end, and why: it was silent for too long. It is sent TERM, then KILL, and replaced.
    pub fn condemn(&self, why: impl Into<String>) {
        if self.condemned.set(why.into()).is_ok() {
            self.bell.notify_one();
        }
    }

    /// Why it must end, if somebody said so.
    #[must_use]
    pub fn condemned(&self) -> Option<&str> {
        self.condemned.get().map(String::as_str)
    }

    /// Says that it has had the requests it was good for: it is ended as soon as it has none, and replaced at once.
    pub fn dismiss(&self) {
        self.is_dismissed.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether it has had the requests it was good for.
    #[must_use]
    pub fn is_dismissed(&self) -> bool {
        self.is_dismissed.load(Ordering::Acquire)
    }

    /// Waits until its process has ended, and tells how.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|ended| ended.clone()) {
            Ok(Some(ended)) => ended,
            // The sender lives as long as `self`, and `None` was not waited for.
            _ => std::future::pending().await,
        }
    }

    /// How many requests it has now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// When it last became free.
    pub(super) fn returned(&self) -> Option<Instant> {
        self.at(&self.returned_us)
    }

    /// When it was last given a request while it had none.
    pub(super) fn borrowed(&self) -> Option<Instant> {
        self.at(&self.borrowed_us)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    fn at(&self, us: &AtomicU64) -> Option<Instant> {
        let us = us.load(Ordering::Relaxed);
        (us > 0).then(|| self.started + Duration::from_micros(us))
    }

    pub(super) fn end(&self, ended: Ended) {
        self.ended.send_replace(Some(ended));
    }

    pub(super) fn retire(&self) {
        self.is_retiring.store(true, Ordering::Release);
        // It may have become free just before.
        self.bell.notify_one();
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
