//! The loop of the load generator: polls the connections, begins what is due, counts what comes. It must not know what an
//! answer looks like.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::connection::{Connection, Driven, READ_BYTES};
use super::pace::Plan;
use super::trouble::{Trouble, Troubles};
use super::{Load, Outcome, histogram};

/// The longest time between two looks at what no descriptor tells: an interruption, a request that takes too long.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// After so many failures without an answer between them, a run is given up: nothing will come of it but heat.
const MAX_FAILURES_IN_A_ROW: u64 = 1_000;

/// So many answers for each client must come before the end of the window, if the rate is to be that of the window.
/// With fewer, requests that began in it and ended behind it would decide the rate, so the time until the last answer is
/// taken.
const MIN_ANSWERS_PER_CLIENT: u64 = 10;

/// A run under way.
#[derive(Debug)]
pub(super) struct Run<'l> {
    load: &'l Load<'l>,
    plan: Plan,
    start: Instant,
    connections: Vec<Connection>,
    /// Connections without a request.
    idle: Vec<usize>,
    /// What the last poll found: connection, and whether there is something to read.
    found: Vec<(usize, bool)>,
    buffer: Vec<u8>,
    latencies: Histogram<u64>,
    troubles: Troubles,
    failures_in_a_row: u64,
    /// Right answers before the end of the window, and when the last one came.
    in_window: u64,
    last_answer: Instant,
    last_look: Instant,
    cut_short: bool,
}

impl<'l> Run<'l> {
    pub(super) fn start(load: &'l Load<'l>) -> io::Result<Self> {
        let clients = load.clients.max(1);
        let latencies = histogram()?;
        let start = Instant::now();
        Ok(Self {
            load,
            plan: Plan::new(load.pace, load.end, start),
            start,
            connections: (0..clients).map(|_| Connection::new(load.target, start)).collect(),
            idle: (0..clients).rev().collect(),
            found: Vec::with_capacity(clients),
            buffer: vec![0; READ_BYTES],
            latencies,
            troubles: Troubles::default(),
            failures_in_a_row: 0,
            in_window: 0,
            last_answer: start,
            last_look: start,
            cut_short: false,
        })
    }

    /// Whether no more will come: all that was begun has an answer and no more is begun, or somebody wants the end.
    pub(super) fn is_over(&mut self, interrupted: &AtomicBool) -> bool {
        self.cut_short |=
            self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW || interrupted.load(Ordering::Relaxed);
        let all_idle = self.idle.len() == self.connections.len();
        self.cut_short || (all_idle && self.plan.is_over(Instant::now()))
    }

    /// Gives what is due to connections that are free.
    pub(super) fn begin_what_is_due(&mut self) {
        // A connection that fails at once is idle again, so there is a bound.
        for _ in 0..self.idle.len() {
            let Some(&at) = self.idle.last() else { return };
            let now = Instant::now();
            let Some(due) = self.plan.take(now) else { return };
            self.idle.pop();
            let driven = self.connections[at].begin(self.load.target, due, now);
            self.note(at, driven);
        }
    }

    /// Waits until a connection is ready, a request is due, or it is time to look for what takes too long.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut limit = LOOK_INTERVAL;
        if !self.idle.is_empty() {
            let due = self.plan.next_due(now).into_iter().chain(self.plan.deadline());
            for moment in due {
                limit = limit.min(moment.saturating_duration_since(now));
            }
        }
        let mut awaited = Vec::with_capacity(self.connections.len());
        let mut who = Vec::with_capacity(self.connections.len());
        for (at, connection) in self.connections.iter().enumerate() {
            if let Some((socket, flags)) = connection.awaits() {
                awaited.push(PollFd::from_borrowed_fd(socket, flags));
                who.push(at);
            }
        }
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        match poll(&mut awaited, Some(&limit)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let readable = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let ready = awaited.iter().zip(who).filter(|(polled, _)| !polled.revents().is_empty());
        self.found.extend(ready.map(|(polled, at)| (at, polled.revents().intersects(readable))));
        Ok(())
    }

    /// Goes on with the connections that were found ready.
    pub(super) fn drive(&mut self) {
        while let Some((at, readable)) = self.found.pop() {
            let driven = self.connections[at].drive(self.load.target, &mut self.buffer, readable);
            self.note(at, driven);
        }
    }

    /// Fails requests that are older than the limit.
    pub(super) fn end_what_takes_too_long(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.last_look) < LOOK_INTERVAL {
            return;
        }
        self.last_look = now;
        for at in 0..self.connections.len() {
            let Some(begun) = self.connections[at].begun() else { continue };
            let age = now.duration_since(begun);
            if age > self.load.timeout {
                let trouble = self.connections[at].time_out(age.as_secs_f64());
                self.fail(at, trouble);
            }
        }
    }

    fn note(&mut self, at: usize, driven: Driven) {
        match driven {
            Driven::Waiting => {}
            Driven::Failed(trouble) => self.fail(at, trouble),
            Driven::Answered(due) => {
                let now = Instant::now();
                let nanoseconds = u64::try_from(now.duration_since(due).as_nanos()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(nanoseconds.max(1));
                self.failures_in_a_row = 0;
                self.in_window += u64::from(self.plan.deadline().is_none_or(|deadline| now <= deadline));
                self.last_answer = now;
                self.idle.push(at);
            }
        }
    }

    fn fail(&mut self, at: usize, trouble: Trouble) {
        self.troubles.count(trouble);
        self.failures_in_a_row += 1;
        self.idle.push(at);
    }

    pub(super) fn finish(self) -> Outcome {
        let answered = self.latencies.len();
        let elapsed = self.last_answer.duration_since(self.start);
        let enough = self.in_window >= MIN_ANSWERS_PER_CLIENT * self.connections.len() as u64;
        let requests_per_second = match self.load.end.after {
            Some(window) if enough && !self.cut_short && !self.plan_ended_early(window) => {
                self.in_window as f64 / window.as_secs_f64()
            }
            _ if answered > 0 => answered as f64 / elapsed.as_secs_f64(),
            _ => 0.0,
        };
        Outcome {
            begun: self.plan.begun(),
            left_out: if self.cut_short { 0 } else { self.plan.left_out() },
            requests_per_second,
            elapsed,
            connections: self.connections.iter().map(|connection| connection.opened).sum(),
            latencies: self.latencies,
            troubles: self.troubles,
            cut_short: self.cut_short,
        }
    }

    /// Whether the number of requests ended the run before its window closed.
    fn plan_ended_early(&self, window: Duration) -> bool {
        self.load.end.requests.is_some_and(|most| self.plan.begun() >= most)
            && self.last_answer.duration_since(self.start) < window
    }
}
