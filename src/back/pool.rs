//! A pool of workers: ours, which it starts and ends, or somebody else's. It must not know what is asked of them.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::dispatch::Dispatch;
use super::users::Users;
use super::waits::Waits;
use crate::config::{self, ConnectAddress, Environment, PoolKind, PoolProtocol, Started};
use crate::observe::status::{AddressStatus, QueueStatus};
use crate::process::plan::Rules as PlanRules;
use crate::process::quota::Recycle;
use crate::process::scale::Scale;
use crate::process::{Census, Manager, Spawner, Workers};

/// A pool of workers: ours, which it starts and ends, or somebody else's.
///
/// Dropping the last holder ends our workers as [`Pool::stop`] does.
#[derive(Debug)]
pub struct Pool {
    name: String,
    pub(super) speak: PoolProtocol,
    pub(super) is_local: bool,
    pub(super) dispatch: Arc<Dispatch>,
    manager: Option<Manager>,
    staff: Option<Staff>,
    pub(super) users: Arc<Users>,
    pub(super) waits: Waits,
}

/// What must be there for our own pool to be ready.
#[derive(Clone, Copy, Debug)]
struct Staff {
    min: usize,
    start_timeout: Duration,
}

impl Pool {
    /// Opens the pool of this configuration; workers of ours are started beside the caller, and requests wait for them.
    /// Must be called within a runtime. The folder for the workers' sockets is made in `temp_dir`.
    ///
    /// # Errors
    ///
    /// When that folder cannot be made.
    pub fn open(pool: &config::Pool, spawner: &Spawner, temp_dir: &Path) -> io::Result<Arc<Self>> {
        let dispatch = Dispatch::new(pool);
        let staff = match &pool.kind {
            PoolKind::Started(started) => {
                Some(Staff { min: started.workers.min, start_timeout: started.start_timeout })
            }
            PoolKind::Connected(_) => None,
        };
        let (manager, is_local) = match &pool.kind {
            PoolKind::Started(started) => {
                let workers = workers(&pool.name, started, temp_dir);
                let roster = Arc::new(Arc::clone(&dispatch));
                (Some(Manager::start(workers, spawner.clone(), roster)?), true)
            }
            PoolKind::Connected(connected) => {
                let is_unix = |address: &ConnectAddress| matches!(address, ConnectAddress::Unix(_));
                (None, connected.addresses.iter().all(is_unix))
            }
        };
        Ok(Arc::new(Self {
            name: pool.name.clone(),
            speak: pool.speak,
            is_local,
            dispatch,
            manager,
            staff,
            users: Arc::default(),
            waits: Waits::default(),
        }))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until as many of our workers are ready as there are to be without a request; at once for a pool that somebody
    /// else runs, or whose workers are started on demand.
    ///
    /// # Errors
    ///
    /// In words, when they are not within the pool's `start_timeout`, or when there is no hope before that.
    pub async fn ready(&self) -> Result<(), String> {
        let Some(staff) = self.staff else { return Ok(()) };
        match timeout(staff.start_timeout, self.dispatch.staffed(staff.min)).await {
            Ok(ready) => ready.map_err(|failure| failure.detail.into_owned()),
            Err(_) => {
                let (limit, min) = (staff.start_timeout.as_secs_f64(), staff.min);
                let serving = self.census().map_or(0, |census| census.serving());
                Err(format!(
                    "{serving} of {min} workers of pool {:?} were ready within {limit} s (see `start_timeout`)",
                    self.name
                ))
            }
        }
    }

    /// Our workers as they are now; `None` for a pool that somebody else runs.
    #[must_use]
    pub fn census(&self) -> Option<Census> {
        self.manager.as_ref().map(Manager::census)
    }

    /// How many requests wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.dispatch.waiting()
    }

    /// How the queue before the workers is.
    #[must_use]
    pub fn queue_status(&self) -> QueueStatus {
        self.waits.status(self.waiting())
    }

    /// The addresses of workers that somebody else runs.
    #[must_use]
    pub fn addresses(&self) -> Vec<AddressStatus> {
        if self.manager.is_some() { Vec::new() } else { self.dispatch.addresses() }
    }

    /// Why there is no use in waiting for a worker, if there is none.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        self.dispatch.outage_reason()
    }

    /// Lets our workers end what they have and what waits for them, and waits until they are gone: for a pool that a
    /// reload has left behind.
    ///
    /// A request that was just handed to a route of the old configuration will still ask, so the routes go first.
    pub async fn retire(&self) {
        self.users.gone().await;
        self.dispatch.drained().await;
        if let Some(manager) = &self.manager {
            manager.retire();
            manager.ended().await;
        }
    }

    /// Ends our workers, TERM first and KILL after the grace, and waits until they are gone.
    pub async fn stop(&self) {
        if let Some(manager) = &self.manager {
            manager.stop().await;
        }
    }
}

fn workers(pool: &str, started: &Started, temp_dir: &Path) -> Workers {
    Workers {
        pool: pool.into(),
        program: started.program.clone(),
        arg0: started.arg0.clone().into(),
        args: started.args.iter().map(OsString::from).collect(),
        env: process_environment(&started.environment),
        cwd: started.cwd.clone(),
        stop_grace: started.stop_grace,
        rules: PlanRules {
            scale: scale(&started.workers),
            concurrency: started.concurrency,
            watches_memory: recycle(&started.recycle).watches_memory(),
            restart_backoff_min: started.restart_backoff_min,
            restart_backoff_max: started.restart_backoff_max,
            start_timeout: started.start_timeout,
        },
        recycle: recycle(&started.recycle),
        temp_dir: temp_dir.to_owned(),
    }
}

const fn recycle(recycle: &config::Recycle) -> Recycle {
    let config::Recycle { requests, lifetime, memory, memory_hard, jitter_percent } = *recycle;
    Recycle { requests, lifetime, memory, memory_hard, jitter_percent }
}

const fn scale(scale: &config::Scale) -> Scale {
    let config::Scale { min, max, spare, idle_timeout, scale_after } = *scale;
    Scale { min, max, spare, idle_timeout, scale_after }
}

/// From nothing: PATH, what is let through of our own, what is set; the later wins.
fn process_environment(environment: &Environment) -> Vec<(OsString, OsString)> {
    let path = ("PATH".into(), environment.path.clone().into());
    let passed = environment
        .pass
        .iter()
        .filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(name), value)));
    let set = environment.set.iter().map(|(name, value)| (name.into(), value.into()));
    std::iter::once(path).chain(passed).chain(set).collect()
}
