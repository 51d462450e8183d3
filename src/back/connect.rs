//! Connections to workers: opened, kept, found to be clean or not, and given back with the capacity they take. It must not
//! know who waits for one, nor what is spoken on them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::dispatch::Dispatch;
use super::places::Place;
use super::repeat::{Outcome, Trace};
use crate::config::ConnectAddress;
use crate::io::Stream;

/// How long a worker of ours may take from closing its connections to its end: interpreters run their destructors
/// between the two. It is waited for at most once for each worker that does not end.
pub(crate) const DEPARTURE_PAUSE: Duration = Duration::from_millis(250);

/// A connection that nobody uses.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) stream: Stream,
    pub(super) trace: Arc<Trace>,
}

/// Leave to use a place. The connection comes first: it is closed before its place is free again.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) kept: Option<Kept>,
    pub(super) lease: Lease,
}

/// A connection to a worker, with leave to use it. Dropping it closes it and frees its place.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The stream; declared before the lease, so that it is closed before its place is free again.
    pub(crate) stream: Stream,
    /// What became of the request that is on it.
    pub(crate) trace: Arc<Trace>,
    /// Whether it was kept since earlier, so that its worker may have closed it meanwhile.
    pub(crate) is_reused: bool,
    lease: Lease,
}

/// A unit of a place's capacity.
#[derive(Debug)]
pub(super) struct Lease {
    dispatch: Arc<Dispatch>,
    pub(super) place: Arc<Place>,
    since: Instant,
    state: LeaseState,
}

/// What a lease tells when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseState {
    /// Nothing was sent there yet.
    Unused,
    /// A request was sent there and given up.
    Abandoned,
    /// A request was answered to its proper end.
    Served,
    /// It has been given back already.
    Over,
}

impl Turn {
    pub(super) fn part(self) -> (Option<Kept>, Lease) {
        (self.kept, self.lease)
    }
}

impl Kept {
    /// Whether nothing arrived on it since it was kept: neither bytes, which would belong to no request, nor its end.
    pub(super) fn is_clean(&mut self) -> bool {
        // The runtime knows, unless the last read filled its buffer exactly: then the kernel is asked.
        if self.stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending() {
            return true;
        }
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.stream, &mut [0_u8], flags), Err(Errno::AGAIN))
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, trace: Arc<Trace>, is_reused: bool, mut lease: Lease) -> Self {
        lease.state = LeaseState::Abandoned;
        trace.note(Outcome::Unknown);
        Self { stream, trace, is_reused, lease }
    }

    /// Where it leads.
    pub(crate) const fn place(&self) -> &Arc<Place> {
        &self.lease.place
    }

    /// The request was answered to its proper end. The connection is kept for another if that `is_reusable`, and closed
    /// otherwise.
    pub(crate) fn finish(self, is_reusable: bool) {
        let Self { stream, trace, lease, .. } = self;
        let kept = (is_reusable && lease.dispatch.keeps_connections()).then_some(Kept { stream, trace });
        lease.end(LeaseState::Served, kept);
    }

    /// The worker refused the request or had left before it: nothing is held against its place.
    pub(crate) const fn was_not_used(&mut self) {
        self.lease.state = LeaseState::Unused;
    }
}

impl Lease {
    pub(super) fn new(dispatch: &Arc<Dispatch>, place: Arc<Place>) -> Self {
        if let Some(worker) = &place.worker {
            worker.borrow();
        }
        Self { dispatch: Arc::clone(dispatch), place, since: Instant::now(), state: LeaseState::Unused }
    }

    fn end(mut self, state: LeaseState, kept: Option<Kept>) {
        self.state = state;
        self.give_back(kept);
    }

    /// For one who holds the lock and puts the place in order itself.
    pub(super) fn forget(mut self) {
        self.state = LeaseState::Over;
        if let Some(worker) = &self.place.worker {
            worker.give_back(false);
        }
    }

    fn give_back(&mut self, kept: Option<Kept>) {
        let state = std::mem::replace(&mut self.state, LeaseState::Over);
        if state == LeaseState::Over {
            return;
        }
        if let Some(worker) = &self.place.worker {
            worker.give_back(state == LeaseState::Served);
            if state != LeaseState::Unused {
                let uses = self.place.uses.fetch_add(1, Ordering::Relaxed) + 1;
                let is_over = |limit: Option<u64>| limit.is_some_and(|limit| uses >= limit);
                if is_over(self.dispatch.requests_each()) || is_over(worker.max_requests()) {
                    worker.dismiss();
                }
            }
        }
        self.dispatch.give_back(&self.place, self.since, state, kept);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

/// Whether a worker of ours that closed a kept connection is gone, or goes within a moment.
pub(super) async fn is_leaving(place: &Place) -> bool {
    let Some(worker) = place.worker.as_ref().filter(|_| place.suspicion.is_raised()) else { return false };
    let is_gone = timeout(DEPARTURE_PAUSE, worker.ended()).await.is_ok();
    if !is_gone {
        place.suspicion.refute();
    }
    is_gone
}

pub(super) async fn open(address: &ConnectAddress, limit: Duration) -> io::Result<Stream> {
    let connecting = async {
        match address {
            ConnectAddress::Unix(path) => UnixStream::connect(path).await.map(Stream::from),
            ConnectAddress::Tcp(address) => tcp(TcpStream::connect(address).await?),
            ConnectAddress::Name { host, port } => tcp(TcpStream::connect((host.as_str(), *port)).await?),
        }
    };
    match timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => {
            let text = format!("no connection within {} s", limit.as_secs_f64());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

fn tcp(stream: TcpStream) -> io::Result<Stream> {
    // Every write is a whole message that somebody waits for.
    stream.set_nodelay(true)?;
    Ok(stream.into())
}
