//! The workers and seats of one pool as the manager keeps them, and the values it makes of them. It must not decide
//! anything, nor start or end a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::census::{Census, Departure, Endings, Row, Seat, Wish, WorkerId};
use super::plan::{MEMORY_LOOK_INTERVAL, Reason};
use super::quota::Quota;
use super::reap::{Exit, Pid};
use super::roster::WorkerHandle;
use super::scale::Surge;
use super::socket::WorkerSocket;
use super::worker::{Event, State};

/// Who is there, as the manager keeps it.
pub(super) struct Crew {
    pub(super) members: BTreeMap<WorkerId, Member>,
    pub(super) seats: Vec<Seat>,
    /// For each seat the listening socket of a worker that left by itself after its work: what waits there is for its
    /// successor.
    pub(super) legacies: Vec<Option<WorkerSocket>>,
    pub(super) last: WorkerId,
    pub(super) surge: Surge,
    pub(super) endings: Endings,
    /// When the memory of the workers was looked at.
    looked_at: Option<Instant>,
}

pub(super) struct Member {
    pub(super) handle: Arc<WorkerHandle>,
    pub(super) seat: usize,
    /// Its process, once that was started.
    pub(super) pid: Option<Pid>,
    pub(super) quota: Quota,
    /// Its resident memory in bytes, when anybody looked last.
    pub(super) memory: Option<u64>,
    pub(super) state: State,
    pub(super) since: Instant,
    /// When it took its first connection.
    pub(super) proved: Option<Instant>,
    /// Gone once the keeper was told to end the worker.
    pub(super) order: Option<oneshot::Sender<()>>,
    pub(super) reason: Option<Reason>,
    pub(super) legacy: Legacy,
}

/// What a worker's predecessor left waiting on the socket that it inherited. Its answer is counted with the predecessor's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Legacy {
    /// Nothing.
    None,
    /// At least one connection, which it may not have taken yet.
    Waits,
    /// The worker has taken what there was.
    Taken,
}

impl Crew {
    pub(super) fn new(seats: usize) -> Self {
        let legacies = std::iter::repeat_with(|| None).take(seats).collect();
        Self {
            members: BTreeMap::new(),
            seats: vec![Seat::default(); seats],
            legacies,
            last: WorkerId(0),
            surge: Surge::default(),
            endings: Endings::default(),
            looked_at: None,
        }
    }

    /// Counts a worker that has ended.
    pub(super) const fn count_ending(&mut self, departure: Departure, reason: Option<Reason>) {
        let endings = &mut self.endings;
        let count = match (reason, departure) {
            (Some(Reason::NeverReady), _) => &mut endings.never_ready,
            (Some(Reason::Condemned), _) => &mut endings.condemned,
            (Some(Reason::Bloated), _) => &mut endings.bloated,
            (_, Departure::Failed { .. }) => &mut endings.failed,
            (_, Departure::DoneWithWork) => &mut endings.done,
            (_, Departure::Sent) => &mut endings.sent,
        };
        *count += 1;
    }

    pub(super) fn census(&mut self, wish: Wish) -> Census {
        let workers = self.members.iter_mut().map(|(id, member)| member.row(*id)).collect();
        Census {
            wish,
            workers,
            seats: self.seats.clone(),
            surge: self.surge,
            started: self.last.0,
            endings: self.endings,
            ..Census::default()
        }
    }
}

impl Crew {
    /// Looks how much memory the workers have, unless that was done a moment ago.
    pub(super) fn look_at_memory(&mut self, now: Instant) {
        if self.looked_at.is_some_and(|last| now < last + MEMORY_LOOK_INTERVAL) {
            return;
        }
        self.looked_at = Some(now);
        for member in self.members.values_mut() {
            member.memory = member.pid.and_then(resident_bytes);
        }
    }
}

/// The resident memory of a process, shared pages included; `None` when it is gone.
fn resident_bytes(pid: Pid) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl Member {
    /// The handle knows best who is busy; the table learns it here.
    fn row(&mut self, id: WorkerId) -> Row {
        let in_flight = self.handle.in_flight();
        match (self.state, in_flight) {
            (State::Idle, 1..) => self.note(Event::Leased),
            (State::Busy, 0) => self.note(Event::Returned),
            _ => {}
        }
        Row {
            id,
            seat: self.seat,
            pid: self.pid,
            state: self.state,
            // The table learns of a request only when somebody looks.
            since: match self.state {
                State::Busy => self.handle.borrowed().unwrap_or(self.since.into_std()),
                _ => self.since.into_std(),
            },
            returned: self.handle.returned(),
            in_flight,
            served: self.handle.served(),
            is_condemned: self.handle.condemned().is_some(),
            is_dismissed: self.handle.is_dismissed(),
            quota: self.quota,
            memory: self.memory,
        }
    }

    pub(super) fn note(&mut self, event: Event) {
        match self.state.next(event) {
            Some(next) if next != self.state => {
                self.state = next;
                self.since = Instant::now();
            }
            Some(_) => {}
            None => {
                tracing::error!(worker = %self.handle.name(), state = %self.state, ?event, "a worker cannot do this")
            }
        }
    }
}

impl Member {
    /// How it has left, as far as it matters for its successor.
    pub(super) fn departure(&self, exit: Option<Exit>) -> Departure {
        let served = self.handle.served();
        // Its end may be known before the answer that it gave last has been read to the end.
        let has_worked = served > 0 || self.handle.in_flight() > 0 || self.legacy == Legacy::Taken;
        match self.reason {
            Some(Reason::Condemned | Reason::Bloated | Reason::NotNeeded) => Departure::Sent,
            None if has_worked && exit.is_some_and(|exit| exit.success()) => Departure::DoneWithWork,
            None | Some(Reason::NeverReady) => {
                let lived = self.proved.map_or(Duration::ZERO, |proved| proved.elapsed());
                Departure::Failed { lived, served }
            }
        }
    }
}
