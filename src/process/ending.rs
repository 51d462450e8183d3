//! TERM, grace, KILL, reap: the one thread that sees children out. It must not know a runtime, nor why a child is to end.
//!
//! ```text
//!            TERM to the group                  deadline: KILL to the group
//!  running ---------------------> leader leaves ---------------------------> leader leaves
//!     |                                |                                          |
//!     | ended by itself                | pidfd readable: TERM again, reap         | pidfd readable: KILL again, reap
//!     v                                v                                          v
//!  TERM to the group, reap ------> group empty? -- yes -----------------------> gone
//!                                      | no                                       ^
//!                                      v                                          |
//!                                 rest leaves -- looked at every LOOK_PAUSE ------+
//!                                             \- deadline: KILL ------------------+
//! ```
//!
//! As long as the leader is not reaped its number names this group and no other. Afterwards the number can go to another
//! process only when the group is empty; so while there is a group of that number and no process of that number, the group is
//! ours still. That is asked at each look and right before KILL.
//!
//! A process that has ended stays in its group until its parent reaps it, and the parent of orphans is process 1, which may
//! take its time. Where the gateway is a subreaper (see `orphan`), they are its children and reaped here at each look.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::{oneshot, watch};

use super::launch::RestOfGroup;
use super::reap::{Exit, GroupSignal, Pid, Process, rest_of_group_lives, signal_group};

/// The pause between two looks at a group whose leader is gone: long enough to cost nothing, short enough that nobody
/// waits for the count of the living.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Counts one child from its start until the last process of its group was seen out.
#[derive(Debug)]
pub(super) struct LiveGuard(Arc<watch::Sender<usize>>);

impl LiveGuard {
    pub(super) fn new(count: Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|live| *live += 1);
        Self(count)
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.0.send_modify(|live| *live -= 1);
    }
}

/// A child that somebody is responsible for: whoever drops it makes it end.
#[derive(Debug)]
pub(super) struct Leader {
    process: Arc<Process>,
    door: Door,
    live: Option<LiveGuard>,
    grace: Duration,
    rest: RestOfGroup,
}

impl Leader {
    pub(super) fn new(
        process: Process,
        door: Door,
        live: LiveGuard,
        grace: Duration,
        rest: RestOfGroup,
    ) -> Self {
        Self { process: Arc::new(process), door, live: Some(live), grace, rest }
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn end(mut self, grace: Duration) -> Ending {
        let (sender, answer) = oneshot::channel();
        self.leave(grace, Some(sender));
        Ending { answer }
    }

    fn leave(&mut self, grace: Duration, answer: Option<oneshot::Sender<io::Result<Exit>>>) {
        // The guard is there exactly once: a leader that has left already does nothing here.
        let Some(live) = self.live.take() else { return };
        // ESRCH cannot be: an unreaped leader is in its group. EPERM is the deadline's business.
        let ended = matches!(self.process.peek(), Ok(Some(_)) | Err(_));
        if !ended {
            let _ = self.process.signal_group(GroupSignal::Term);
        }
        let kill_at = Instant::now() + grace;
        let leaving = LeavingLeader {
            process: Arc::clone(&self.process),
            kill_at,
            killed: false,
            rest: self.rest,
            answer,
            live,
        };
        if !ended {
            self.door.send(Leaving::Leader(leaving));
        } else if let Some(rest) = leaving.reap() {
            self.door.send(rest); // the seldom case: the thread is not troubled for a program that ended properly
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.leave(self.grace, None);
    }
}

impl std::os::fd::AsRawFd for Leader {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.process.as_raw_fd()
    }
}

/// The end of a child, in progress. Resolves when the child is reaped; dropping it changes nothing.
///
/// # Errors
/// When the exit status was lost, because something else in this process reaped the child.
#[derive(Debug)]
#[must_use = "the child ends anyway, but only awaiting tells when and how"]
pub struct Ending {
    answer: oneshot::Receiver<io::Result<Exit>>,
}

impl Future for Ending {
    type Output = io::Result<Exit>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| {
            answer.unwrap_or_else(|_| Err(io::Error::other("the thread that sees children out is gone")))
        })
    }
}

/// The way to the thread. The thread ends when the last door is dropped and everybody has left.
#[derive(Clone, Debug)]
pub(super) struct Door {
    leaving: Sender<Leaving>,
    bell: Arc<Bell>,
}

/// Wakes the thread; rings once more when the last door goes, so that the thread notices.
#[derive(Debug)]
struct Bell(OwnedFd);

impl Bell {
    fn ring(&self) {
        // Only a counter near 2^64 refuses, and then the bell is ringing already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring();
    }
}

impl Door {
    /// Starts the thread.
    pub(super) fn open() -> io::Result<Self> {
        let ours = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let theirs = ours.try_clone()?;
        let (leaving, arrivals) = channel();
        std::thread::Builder::new()
            .name("gatebridge-reap".to_owned())
            .spawn(move || see_out(&theirs, &arrivals))?;
        Ok(Self { leaving, bell: Arc::new(Bell(ours)) })
    }

    fn send(&self, leaving: Leaving) {
        // The thread outlives every door.
        let _ = self.leaving.send(leaving);
        self.bell.ring();
    }
}

#[derive(Debug)]
enum Leaving {
    Leader(LeavingLeader),
    Rest(LeavingRest),
}

#[derive(Debug)]
struct LeavingLeader {
    process: Arc<Process>,
    kill_at: Instant,
    killed: bool,
    rest: RestOfGroup,
    answer: Option<oneshot::Sender<io::Result<Exit>>>,
    live: LiveGuard,
}

impl LeavingLeader {
    fn step(mut self, now: Instant) -> Option<Leaving> {
        match self.process.peek() {
            Ok(None) if now >= self.kill_at && !self.killed => {
                let _ = self.process.signal_group(GroupSignal::Kill);
                self.killed = true;
                Some(Leaving::Leader(self))
            }
            Ok(None) => Some(Leaving::Leader(self)),
            Ok(Some(_)) | Err(_) => self.reap(),
        }
    }

    /// Reaps a leader that has ended; what is left of its group comes back.
    fn reap(self) -> Option<Leaving> {
        let leader = self.process.pid();
        let end_rest = self.rest == RestOfGroup::End;
        if end_rest {
            // Before the reaping, while the number is certainly ours; the zombie itself does not mind.
            let _ =
                self.process.signal_group(if self.killed { GroupSignal::Kill } else { GroupSignal::Term });
        }
        let exit = self.process.reap().and_then(|exit| {
            exit.ok_or_else(|| io::Error::other(format!("process {leader} had ended, and yet it runs")))
        });
        if let Some(answer) = self.answer {
            let _ = answer.send(exit);
        }
        drop(self.process); // its descriptor, before the child is counted out
        // Nobody escapes KILL by forking, so a killed group needs no further look.
        let left = end_rest && !self.killed && rest_of_group_lives(leader);
        left.then(|| {
            let (kill_at, look_at) = (self.kill_at, Instant::now() + LOOK_PAUSE);
            Leaving::Rest(LeavingRest { leader, kill_at, look_at, _live: self.live })
        })
    }
}

#[derive(Debug)]
struct LeavingRest {
    leader: Pid,
    kill_at: Instant,
    look_at: Instant,
    _live: LiveGuard,
}

impl LeavingRest {
    fn step(mut self, now: Instant) -> Option<Leaving> {
        if now < self.look_at {
            return Some(Leaving::Rest(self));
        }
        if !rest_of_group_lives(self.leader) {
            return None;
        }
        if now >= self.kill_at {
            if let Err(error) = signal_group(self.leader, GroupSignal::Kill) {
                tracing::warn!(group = %self.leader, %error, "what is left of this process group cannot be killed");
            }
            return None;
        }
        self.look_at = now + LOOK_PAUSE;
        Some(Leaving::Rest(self))
    }
}

impl Leaving {
    fn step(self, now: Instant) -> Option<Self> {
        match self {
            Self::Leader(leader) => leader.step(now),
            Self::Rest(rest) => rest.step(now),
        }
    }

    /// When something is to be done even if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Leader(leader) => (!leader.killed).then_some(leader.kill_at),
            Self::Rest(rest) => Some(rest.look_at),
        }
    }
}

fn see_out(bell: &OwnedFd, arrivals: &Receiver<Leaving>) {
    let mut leaving: Vec<Leaving> = Vec::new();
    loop {
        let mut closed = false;
        loop {
            match arrivals.try_recv() {
                Ok(one) => leaving.push(one),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    closed = true;
                    break;
                }
            }
        }
        let now = Instant::now();
        leaving = leaving.into_iter().filter_map(|one| one.step(now)).collect();
        if closed && leaving.is_empty() {
            return;
        }
        wait_for_something(bell, &leaving);
    }
}

fn wait_for_something(bell: &OwnedFd, leaving: &[Leaving]) {
    let mut watched = vec![PollFd::new(bell, PollFlags::IN)];
    watched.extend(leaving.iter().filter_map(|one| match one {
        Leaving::Leader(leader) => Some(PollFd::from_borrowed_fd(leader.process.as_fd(), PollFlags::IN)),
        Leaving::Rest(_) => None,
    }));
    let nearest = leaving.iter().filter_map(Leaving::deadline).min();
    let timeout = nearest.map(|at| {
        let pause = at.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        }
    });
    // EINTR and the like only mean another round.
    let _ = poll(&mut watched, timeout.as_ref());
    let mut count = [0; 8];
    let _ = rustix::io::read(bell, &mut count);
}
