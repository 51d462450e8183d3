//! Who gets a connection to the workers of one pool, and when: never more than the workers take, kept ones first, and a
//! bounded queue before them. It must not know what is spoken on them, nor what a request is.
//!
//! ```text
//!   connect() --> a place with room? --yes--> a kept connection that is clean? --yes--> Connection
//!                      | no                              | no
//!                      v                                 v
//!                   queue (FIFO, bounded in length    connect --refused--> another place
//!                   and time) <--- a place has room
//! ```
//!
//! One lock holds the places and the queue. It is held for a few comparisons and never across an await; a kept connection
//! is handed out with one lock and without an allocation or a system call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::connect::{Connection, Kept, Lease, LeaseState, Turn, is_leaving, open};
use super::places::{Choice, Place, PlaceKey, Places, Suspicion};
use super::queue::{Typical, Waiters};
use super::sweep::start_sweeper;
use super::turns::{Asked, Turns, Waiting, Wish};
use crate::config::{ConnectAddress, Pool, PoolKind, PoolProtocol, Queue};
use crate::exchange::Failure;
use crate::exchange::FailureKind::Unreachable;
use crate::io::{in_words, is_shortage};
use crate::observe::status::AddressStatus;
use crate::process::{Demand, Outage, Roster, WorkerHandle, WorkerId, scale};

/// What Retry-After says when the queue is full or the wait was over: the load of a moment ago may be gone in a second,
/// and clients that are told more come back all at once.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Connections to the workers of one pool.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(super) pool: Arc<str>,
    pub(super) queue: Queue,
    connect_timeout: Duration,
    keep_alive: bool,
    idle_timeout: Duration,
    /// Whether a request is refused at once that would wait for too long.
    predicts: bool,
    /// So many requests the workers would take at once if there were as many as there may be.
    most_at_once: usize,
    /// After so many requests a worker is dismissed.
    requests_each: Option<u64>,
    desk: Mutex<Desk>,
    demand: Arc<Demand>,
    /// Somebody has left the queue.
    pub(super) left: Notify,
    /// A worker has joined, or there is no hope of one.
    changed: Notify,
    next_place: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) places: Places<Kept>,
    pub(super) waiters: Waiters<Turns>,
    /// How long a request usually takes a worker.
    typical: Typical,
    outage: Option<Outage>,
    pub(super) has_sweeper: bool,
}

impl Dispatch {
    /// For the pool of this configuration. The places of a pool that others run are open at once; those of workers that
    /// we start open as they [join](Roster::join).
    pub(crate) fn new(pool: &Pool) -> Arc<Self> {
        let dispatch = Self {
            pool: pool.name.as_str().into(),
            queue: pool.queue,
            connect_timeout: pool.connect_timeout,
            keep_alive: pool.keep_alive && pool.speak == PoolProtocol::FastCgi,
            idle_timeout: pool.idle_timeout,
            predicts: pool.predict_wait,
            most_at_once: most_at_once(pool),
            requests_each: requests_each(pool),
            desk: Mutex::default(),
            demand: Arc::default(),
            left: Notify::new(),
            changed: Notify::new(),
            next_place: AtomicU64::new(0),
        };
        if let PoolKind::Connected(connected) = &pool.kind {
            for address in &connected.addresses {
                let place = dispatch.place(address.clone(), connected.max_connections, None);
                dispatch.lock().places.open(place, None);
            }
        }
        Arc::new(dispatch)
    }

    /// Whether connections are kept.
    pub(crate) const fn keeps_connections(&self) -> bool {
        self.keep_alive
    }

    /// After how many requests a worker is dismissed.
    pub(super) const fn requests_each(&self) -> Option<u64> {
        self.requests_each
    }

    /// Waits until nobody waits any more.
    pub(crate) async fn drained(&self) {
        loop {
            let left = self.left.notified();
            if self.waiting() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Waits until there are so many `workers`, or until there is no hope of them.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) async fn staffed(&self, workers: usize) -> Result<(), Failure> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that nothing between the two is missed.
            changed.as_mut().enable();
            {
                let desk = self.lock();
                if let Some(outage) = &desk.outage {
                    return Err(self.no_workers(outage));
                }
                if desk.places.count() >= workers {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiters.len()
    }

    /// The places as they are now.
    pub(crate) fn addresses(&self) -> Vec<AddressStatus> {
        self.lock().places.status(Instant::now())
    }

    /// Why there are no workers, if there are none.
    pub(crate) fn outage_reason(&self) -> Option<String> {
        self.lock().outage.as_ref().map(|outage| outage.reason.clone())
    }

    /// A connection to the least busy place that is not in `tried`, and how long the request waited for its turn.
    ///
    /// # Errors
    ///
    /// [`Overloaded`](crate::exchange::FailureKind::Overloaded) when the queue is full, the wait was over or there are no
    /// workers to wait for; [`Unreachable`] when every place was tried.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        tried: &mut Vec<PlaceKey>,
        wish: &Wish,
    ) -> Result<(Connection, Duration), Failure> {
        let mut waited = Duration::ZERO;
        let mut refusals = String::new();
        loop {
            let turn = match self.ask(tried, &refusals, wish)? {
                Asked::Turn(turn) => turn,
                Asked::Wait(ticket) => {
                    let since = Instant::now();
                    let turn = ticket.wait().await?;
                    waited += since.elapsed();
                    turn
                }
            };
            let (mut kept, lease) = turn.part();
            while let Some(stale) = kept.take_if(|kept| !kept.is_clean()) {
                drop(stale);
                lease.place.suspicion.raise();
                kept = self.lock().places.take_kept(lease.place.key);
            }
            if let Some(Kept { stream, trace }) = kept {
                return Ok((Connection::new(stream, trace, true, lease), waited));
            }
            if is_leaving(&lease.place).await {
                self.refused(&lease.place);
                continue;
            }
            let address = &lease.place.address;
            match open(address, self.connect_timeout).await {
                Ok(stream) => return Ok((Connection::new(stream, Arc::default(), false, lease), waited)),
                Err(error) if is_shortage(&error) => {
                    let detail =
                        format!("no connection to {address} (pool {:?}): {}", self.pool, in_words(&error));
                    return Err(Failure::overloaded(RETRY_AFTER, detail));
                }
                Err(error) => {
                    tracing::debug!(pool = %self.pool, place = %lease.place.name, "{address}: {error}");
                    if !refusals.is_empty() {
                        refusals.push_str("; ");
                    }
                    refusals.push_str(&format!("{address}: {error}"));
                    tried.push(lease.place.key);
                    self.refused(&lease.place);
                }
            }
        }
    }

    /// Nothing that is kept at this place is used again: a connection from there had gone stale.
    pub(crate) fn distrust(&self, place: &Place) {
        place.suspicion.raise();
        let stale = self.lock().places.clear_kept(place.key);
        drop(stale);
    }

    fn ask(self: &Arc<Self>, tried: &[PlaceKey], refusals: &str, wish: &Wish) -> Result<Asked, Failure> {
        let mut desk = self.lock();
        // Whoever waits already comes first, but for one who has tried elsewhere in its turn.
        let choice = if !desk.waiters.is_behind(wish.priority) || !tried.is_empty() {
            desk.places.take(tried, Instant::now())
        } else {
            Choice::Busy
        };
        match choice {
            Choice::Go(place, kept) => {
                let turn = Turn { kept, lease: Lease::new(self, place) };
                self.demand.took(|| desk.places.idle());
                Ok(Asked::Turn(turn))
            }
            Choice::AllTried => {
                let detail = match refusals {
                    "" => format!("every worker of pool {:?} refused the request", self.pool),
                    _ => format!("no worker of pool {:?} can be reached: {refusals}", self.pool),
                };
                Err(Failure::new(Unreachable, detail))
            }
            Choice::Busy | Choice::Nobody => {
                self.admit(&desk, wish)?;
                let (turn, receiver) = oneshot::channel();
                let ticket = desk.waiters.push(wish.priority, Instant::now(), turn);
                drop(desk);
                self.demand.waits();
                Ok(Asked::Wait(Waiting { ticket, dispatch: Arc::clone(self), turn: receiver }))
            }
        }
    }

    /// Whether one more may wait.
    fn admit(&self, desk: &Desk, wish: &Wish) -> Result<(), Failure> {
        let pool = &self.pool;
        if let Some(outage) = &desk.outage {
            return Err(self.no_workers(outage));
        }
        let length = self.queue.length;
        if desk.waiters.len() >= length {
            let detail = format!("all workers of pool {pool:?} are busy and {length} requests wait");
            return Err(Failure::overloaded(RETRY_AFTER, detail));
        }
        let at_once = desk.places.capacity().max(self.most_at_once);
        let Some(wait) = desk.typical.wait(desk.waiters.before(wish.priority), at_once) else {
            return Ok(());
        };
        let work = desk.typical.get().unwrap_or_default();
        let limit = wish
            .time_left
            .map_or(self.queue.timeout, |left| left.saturating_sub(work).min(self.queue.timeout));
        if !self.predicts || wait <= limit {
            return Ok(());
        }
        let (wait, limit) = (wait.as_secs_f64(), limit.as_secs_f64());
        let detail = format!(
            "a worker of pool {pool:?} would be free in about {wait:.1} s, and the request can wait for {limit:.1} s \
             (see `predict_wait`)"
        );
        Err(Failure::overloaded(RETRY_AFTER, detail))
    }

    /// Lets those who wait go where there is room, the first first.
    pub(super) fn serve(self: &Arc<Self>, desk: &mut Desk) {
        while !desk.waiters.is_empty() {
            let Choice::Go(place, kept) = desk.places.take(&[], Instant::now()) else { return };
            let Some(turns) = desk.waiters.pop() else { return };
            let key = place.key;
            let turn = Turn { kept, lease: Lease::new(self, place) };
            if let Err(Ok(turn)) = turns.send(Ok(turn)) {
                // It has just left. The lock is held, so nothing may be dropped that gives itself back.
                let (kept, lease) = turn.part();
                lease.forget();
                desk.places.give_back(key, kept.map(|kept| (kept, Instant::now())));
            }
        }
    }

    fn refused(&self, place: &Place) {
        let mut desk = self.lock();
        let gone = if place.worker.is_some() {
            // Nobody listens there any more: the worker has ended, and its manager will say so presently.
            desk.places.close(|other| other.key == place.key)
        } else {
            desk.places.refused(place.key, Instant::now());
            Vec::new()
        };
        drop(desk);
        drop(gone);
    }

    fn no_workers(&self, outage: &Outage) -> Failure {
        let wait = outage.retry_at.saturating_duration_since(Instant::now().into_std());
        let detail =
            format!("pool {:?} has no workers: the last one ended with {}", self.pool, outage.reason);
        Failure::overloaded(wait.max(RETRY_AFTER), detail)
    }

    fn place(
        &self,
        address: ConnectAddress,
        capacity: usize,
        worker: Option<Arc<WorkerHandle>>,
    ) -> Arc<Place> {
        let key = self.next_place.fetch_add(1, Ordering::Relaxed);
        let name =
            worker.as_ref().map_or_else(|| address.to_string().into(), |worker| Arc::clone(worker.name()));
        Arc::new(Place {
            key,
            name,
            address,
            capacity: capacity.max(1),
            worker,
            suspicion: Suspicion::default(),
            uses: AtomicU64::new(0),
        })
    }

    pub(super) fn give_back(
        self: &Arc<Self>,
        place: &Place,
        since: Instant,
        state: LeaseState,
        kept: Option<Kept>,
    ) {
        let now = Instant::now();
        let mut desk = self.lock();
        match state {
            LeaseState::Served => {
                desk.places.trust(place.key);
                desk.typical.note(now - since);
            }
            LeaseState::Abandoned => desk.places.doubt(place.key),
            LeaseState::Unused | LeaseState::Over => {}
        }
        let is_dismissed = place.worker.as_ref().is_some_and(|worker| worker.is_dismissed());
        let dismissed = is_dismissed.then(|| desk.places.close(|other| other.key == place.key));
        let homeless = desk.places.give_back(place.key, kept.map(|kept| (kept, now)));
        self.serve(&mut desk);
        let needs_sweeper = !desk.has_sweeper && desk.places.oldest().is_some();
        desk.has_sweeper |= needs_sweeper;
        drop(desk);
        drop((homeless, dismissed));
        if needs_sweeper {
            start_sweeper(self, self.idle_timeout);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        // A panic elsewhere must not stop the pool: what the lock protects is consistent between any two statements that can panic.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn most_at_once(pool: &Pool) -> usize {
    match &pool.kind {
        PoolKind::Started(started) => started.workers.max * started.concurrency,
        PoolKind::Connected(connected) => connected.addresses.len() * connected.max_connections,
    }
}

/// php-cgi ends by itself after this many requests and says so to nobody: what is on its way to it then is lost. It is
/// dismissed instead when it has had them, before another is given to it (lesson 51).
fn requests_each(pool: &Pool) -> Option<u64> {
    let PoolKind::Started(started) = &pool.kind else { return None };
    let set = |name: &str| {
        let value = started.environment.set.iter().find(|(other, _)| other == name)?;
        value.1.parse::<u64>().ok().filter(|number| *number > 0)
    };
    // With children of its own the process that we started counts nothing.
    if started.concurrency > 1 || set("PHP_FCGI_CHILDREN").is_some() {
        return None;
    }
    set("PHP_FCGI_MAX_REQUESTS")
}

impl Roster for Arc<Dispatch> {
    fn join(&self, worker: Arc<WorkerHandle>, first: Option<UnixStream>) {
        let address = ConnectAddress::Unix(worker.address().to_owned());
        let place = self.place(address, worker.concurrency(), Some(worker));
        // It was made for us and is as good as new, also where connections are not kept.
        let first = first.map(|first| (Kept { stream: first.into(), trace: Arc::default() }, Instant::now()));
        let mut desk = self.lock();
        desk.places.open(place, first);
        desk.outage = None;
        self.serve(&mut desk);
        drop(desk);
        self.changed.notify_waiters();
    }

    fn leave(&self, worker: WorkerId) {
        let is_it = |place: &Place| place.worker.as_ref().is_some_and(|other| other.id() == worker);
        let kept = self.lock().places.close(is_it);
        drop(kept);
    }

    fn waiting(&self) -> scale::Waiting {
        let desk = self.lock();
        scale::Waiting { requests: desk.waiters.len(), since: desk.waiters.oldest().map(Instant::into_std) }
    }

    fn demand(&self) -> Arc<Demand> {
        Arc::clone(&self.demand)
    }

    fn outage(&self, outage: Option<Outage>) {
        let mut desk = self.lock();
        desk.outage = outage;
        if let Some(outage) = &desk.outage {
            let failure = self.no_workers(outage);
            for turns in desk.waiters.drain() {
                // Whoever has left need not be told.
                let _ = turns.send(Err(failure.clone()));
            }
        }
        drop(desk);
        self.changed.notify_waiters();
    }
}
