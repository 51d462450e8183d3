//! Gathers how the gateway is, from all who know a part of it, for whoever wants to show it. It keeps none of them alive, and
//! knows of no format.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::back::{Cgi, Gather, Pool};
use crate::config::{self, PoolKind, PoolProtocol, Queue, Route, RouteBack};
use crate::front::http::OpenConnections;
use crate::observe::Tally;
use crate::observe::status::{
    Amount, CgiStatus, GatewayStatus, LastEnding, Limits, ListenerStatus, PoolStatus, Status, WorkerStatus,
};
use crate::process::census::{Census, Endings, Row};
use crate::process::usage;
use crate::process::worker::State;

/// What outlives a reload: the counts, and the fronts that are open.
pub(super) struct Base {
    since: SystemTime,
    started: Instant,
    pub(super) tally: Arc<Tally>,
    doors: Mutex<Vec<Door>>,
}

/// A front that is open.
pub(super) struct Door {
    pub(super) name: String,
    pub(super) max_connections: usize,
    pub(super) connections: OpenConnections,
}

/// All that a configuration became, as far as there is something to tell.
#[derive(Default)]
pub(super) struct Parts {
    pools: Mutex<Vec<(Arc<config::Pool>, Weak<Pool>)>>,
    cgi: Mutex<Vec<(Arc<Route>, Weak<Cgi>)>>,
}

impl Base {
    pub(super) fn new() -> Self {
        let tally = Arc::default();
        Self { since: SystemTime::now(), started: Instant::now(), tally, doors: Mutex::default() }
    }

    /// These are the fronts from now on.
    pub(super) fn set_doors(&self, doors: Vec<Door>) {
        *lock(&self.doors) = doors;
    }

    /// What gathers how the gateway is with these parts.
    pub(super) fn gather(self: &Arc<Self>, parts: &Arc<Parts>) -> Gather {
        let (base, parts) = (Arc::clone(self), Arc::clone(parts));
        Arc::new(move || base.status(&parts))
    }

    fn status(&self, parts: &Parts) -> Status {
        // Upgraded first, so that nothing is asked of a part while the list is locked.
        let pools: Vec<_> = lock(&parts.pools).iter().filter_map(alive).collect();
        let cgi: Vec<_> = lock(&parts.cgi).iter().filter_map(alive).collect();
        let usage = usage(std::process::id());
        Status {
            gateway: GatewayStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                since_unix_s: self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
                uptime_s: self.started.elapsed().as_secs_f64(),
                memory_bytes: usage.map(|usage| usage.memory_bytes),
                cpu_s: usage.map(|usage| usage.cpu.as_secs_f64()),
            },
            requests: self.tally.requests(),
            listeners: lock(&self.doors).iter().map(Door::status).collect(),
            pools: pools.iter().map(|(config, pool)| pool_status(config, pool)).collect(),
            cgi: cgi.iter().filter_map(|(route, cgi)| cgi_status(route, cgi)).collect(),
        }
    }
}

impl Parts {
    pub(super) fn add_pool(&self, config: &Arc<config::Pool>, pool: &Arc<Pool>) {
        lock(&self.pools).push((Arc::clone(config), Arc::downgrade(pool)));
    }

    pub(super) fn add_cgi(&self, route: &Arc<Route>, cgi: &Arc<Cgi>) {
        lock(&self.cgi).push((Arc::clone(route), Arc::downgrade(cgi)));
    }
}

impl Door {
    fn status(&self) -> ListenerStatus {
        let (name, max_connections) = (self.name.clone(), self.max_connections);
        ListenerStatus { name, connections: self.connections.count(), max_connections }
    }
}

fn alive<C, P>((config, part): &(Arc<C>, Weak<P>)) -> Option<(Arc<C>, Arc<P>)> {
    part.upgrade().map(|part| (Arc::clone(config), part))
}

fn pool_status(config: &config::Pool, pool: &Pool) -> PoolStatus {
    let census = pool.census();
    let program = match &config.kind {
        PoolKind::Started(started) => Some(started.program.display().to_string()),
        PoolKind::Connected(_) => None,
    };
    let speaks = match config.speak {
        PoolProtocol::FastCgi => "FastCGI",
        PoolProtocol::Scgi => "SCGI",
    };
    let now = Instant::now();
    let census = census.unwrap_or_default();
    let (name, workers) = (&config.name, census.workers.iter());
    PoolStatus {
        name: name.clone(),
        speaks,
        limits: pool_limits(config),
        queue: pool.queue_status(),
        outage: pool.outage(),
        started: census.started,
        endings: if program.is_some() { endings(census.endings) } else { BTreeMap::new() },
        workers: workers.map(|row| worker_status(name, row, now)).collect(),
        last_endings: last_endings(name, &census, now),
        addresses: pool.addresses(),
        program,
    }
}

/// The name that the log calls a worker by.
fn worker_name(pool: &str, seat: usize) -> String {
    format!("{pool}-{}", seat + 1)
}

fn worker_status(pool: &str, row: &Row, now: Instant) -> WorkerStatus {
    let pid = row.pid.map(|pid| pid.as_raw());
    let usage = pid.and_then(|pid| usage(pid.unsigned_abs()));
    let since = if row.state == State::Idle { row.idle_since() } else { row.since };
    WorkerStatus {
        name: worker_name(pool, row.seat),
        id: row.id.0,
        pid,
        state: row.state.as_str(),
        state_s: now.saturating_duration_since(since).as_secs_f64(),
        in_flight: row.in_flight,
        served: row.served,
        memory_bytes: usage.map(|usage| usage.memory_bytes),
        cpu_s: usage.map(|usage| usage.cpu.as_secs_f64()),
    }
}

fn last_endings(pool: &str, census: &Census, now: Instant) -> Vec<LastEnding> {
    let of = |(seat, status): (usize, &crate::process::census::Seat)| {
        let rests = status.rests_until.map(|until| until.saturating_duration_since(now));
        Some(LastEnding {
            worker: worker_name(pool, seat),
            how: status.last_ending.clone()?,
            failures: status.failures,
            rests_s: rests.filter(|rest| !rest.is_zero()).map(|rest| rest.as_secs_f64()),
        })
    };
    census.seats.iter().enumerate().filter_map(of).collect()
}

fn endings(endings: Endings) -> BTreeMap<&'static str, u64> {
    let Endings { done, sent, failed, never_ready, condemned, bloated } = endings;
    BTreeMap::from([
        ("done", done),
        ("sent", sent),
        ("failed", failed),
        ("never_ready", never_ready),
        ("condemned", condemned),
        ("bloated", bloated),
    ])
}

const fn count(number: usize) -> Amount {
    Amount::Count(number as u64)
}

const fn time(time: Duration) -> Amount {
    Amount::Seconds(time.as_secs_f64())
}

fn pool_limits(pool: &config::Pool) -> Limits {
    let mut limits = queue_limits(pool.queue);
    match &pool.kind {
        PoolKind::Started(started) => {
            let (workers, recycle) = (&started.workers, &started.recycle);
            let or_none = |amount: Option<Amount>| amount.unwrap_or(Amount::Unlimited);
            limits.extend([
                ("workers.min", count(workers.min)),
                ("workers.max", count(workers.max)),
                ("workers.spare", count(workers.spare)),
                ("concurrency", count(started.concurrency)),
                ("start_timeout", time(started.start_timeout)),
                ("stop_grace", time(started.stop_grace)),
                ("restart_backoff_max", time(started.restart_backoff_max)),
                ("max_requests", or_none(recycle.requests.map(Amount::Count))),
                ("max_lifetime", or_none(recycle.lifetime.map(time))),
                ("max_memory", or_none(recycle.memory.map(Amount::Bytes))),
                ("max_memory_hard", or_none(recycle.memory_hard.map(Amount::Bytes))),
            ]);
        }
        PoolKind::Connected(connected) => {
            limits.insert("max_connections", count(connected.max_connections));
        }
    }
    limits
}

fn queue_limits(queue: Queue) -> Limits {
    Limits::from([("queue", count(queue.length)), ("queue_timeout", time(queue.timeout))])
}

fn cgi_status(route: &Route, cgi: &Cgi) -> Option<CgiStatus> {
    let RouteBack::Cgi(back) = &route.back else { return None };
    let mut limits = queue_limits(back.queue);
    limits.extend([("max_processes", count(back.max_processes)), ("kill_grace", time(back.kill_grace))]);
    Some(CgiStatus {
        route: route.name(),
        path: back.path.display().to_string(),
        limits,
        running: cgi.running(),
        queue: cgi.queue_status(),
    })
}

/// The lists are plain values and stay usable after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
