//! The back that asks the workers of a pool, and the pool itself. It must not know what its workers speak beyond the name
//! of it, nor how they are kept alive.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Listing, ScriptLimits};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connect::{Connection, DEPARTURE_PAUSE};
use super::dispatch::Dispatch;
use super::fastcgi::FastCgi;
use super::patience::Patience;
use super::places::Place;
use super::relay::{Rules, answer_lent};
use super::repeat::{MAX_ATTEMPTS, Outcome, Spare, may_repeat};
use super::scgi::Scgi;
use crate::config::{self, ConnectAddress, Environment, PoolKind, PoolProtocol, Started};
use crate::exchange::{Answer, Application, Failure, FailureKind, Request, Response};
use crate::process::plan::Rules as PlanRules;
use crate::process::roster::Ended;
use crate::process::scale::Scale;
use crate::process::{Census, Manager, Spawner, Workers};
use crate::route::{LookupFailure, below, check_script, split};

/// What Retry-After says when the machine is short of something.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A pool of workers: ours, which it starts and ends, or somebody else's.
///
/// Dropping the last holder ends our workers as [`Pool::stop`] does.
#[derive(Debug)]
pub struct Pool {
    name: String,
    speak: PoolProtocol,
    is_local: bool,
    dispatch: Arc<Dispatch>,
    manager: Option<Manager>,
    staff: Option<Staff>,
    users: Arc<Users>,
}

/// What must be there for our own pool to be ready.
#[derive(Clone, Copy, Debug)]
struct Staff {
    min: usize,
    start_timeout: Duration,
}

/// Counts the routes that ask a pool, and tells when the last one is gone.
#[derive(Debug, Default)]
struct Users {
    count: AtomicUsize,
    none_left: Notify,
}

/// One route that asks.
#[derive(Debug)]
struct User(Arc<Users>);

impl Users {
    fn enter(self: &Arc<Self>) -> User {
        self.count.fetch_add(1, Ordering::AcqRel);
        User(Arc::clone(self))
    }

    async fn gone(&self) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.none_left.notified().await;
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Kept for a waiter that has not begun to wait.
            self.0.none_left.notify_one();
        }
    }
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
        }))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What answers the requests of `route`, whose back is `back`, by asking this pool.
    #[must_use]
    pub fn route(self: &Arc<Self>, route: &config::Route, back: &config::PoolBack) -> PoolRoute {
        let listing = match self.speak {
            PoolProtocol::FastCgi => Listing::FASTCGI,
            PoolProtocol::Scgi => Listing::SCGI,
        };
        let limits = &route.limits;
        PoolRoute {
            _user: self.users.enter(),
            pool: Arc::clone(self),
            back_name: format!("pool:{}", self.name).into(),
            back: back.clone(),
            listing: if route.strip_shellshock { listing.with_shell_guard() } else { listing },
            variables: route
                .env
                .iter()
                .map(|(name, value)| {
                    (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
                })
                .collect(),
            authorization: route.authorization,
            rules: Rules {
                is_nph: false,
                limits: ScriptLimits { max_head_bytes: limits.max_output_head, ..ScriptLimits::default() },
                patience: Patience { first_byte: limits.first_byte_timeout, output: limits.output_timeout },
            },
        }
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
            restart_backoff_min: started.restart_backoff_min,
            restart_backoff_max: started.restart_backoff_max,
            start_timeout: started.start_timeout,
        },
        temp_dir: temp_dir.to_owned(),
    }
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

/// The back of one route: asks the workers of a pool.
#[derive(Debug)]
pub struct PoolRoute {
    _user: User,
    pool: Arc<Pool>,
    back_name: Arc<str>,
    back: config::PoolBack,
    listing: Listing,
    variables: Vec<(Bytes, Bytes)>,
    authorization: bool,
    rules: Rules,
}

impl Application for PoolRoute {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.answer(request))
    }
}

impl PoolRoute {
    /// Completes what the workers are told: the route's variables, and the script with what belongs to it. Also what
    /// `explain` shows.
    ///
    /// # Errors
    ///
    /// When the path names no script that is there.
    pub fn describe(&self, environ: &mut Environ) -> Result<(), Failure> {
        for (name, value) in &self.variables {
            environ.set_variable(name.clone(), value.clone());
        }
        environ.pass_authorization = self.authorization;
        if let Some(suffix) = &self.back.split {
            let path_info = environ.path_info.clone();
            let parts = split(&path_info, suffix, self.back.index.as_deref())
                .map_err(|error| Failure::new(FailureKind::BadRequest, error.to_string()))?
                .ok_or_else(|| no_script(&path_info, suffix, self.back.index.as_deref()))?;
            environ.script_name = [&environ.script_name[..], &parts.script_name()].concat().into();
            environ.path_info = path_info.slice_ref(parts.path_info);
        }
        if let Some(root) = &self.back.root {
            self.locate(environ, root)?;
        }
        environ.complete_script_name();
        Ok(())
    }

    fn locate(&self, environ: &mut Environ, root: &Path) -> Result<(), Failure> {
        // Only where the workers see the files that we see, and only for scripts: without `split` the name is not one
        // of a file.
        if self.pool.is_local && self.back.split.is_some() {
            check_script(root, &environ.script_name).map_err(|failure| not_there(&failure))?;
        }
        environ.script_filename = Some(below(root, &environ.script_name));
        if !environ.path_info.is_empty() {
            // RFC 3875 4.1.6: PATH_INFO as if it were a path of its own below the root.
            environ.path_translated = Some(below(root, &environ.path_info));
        }
        environ.document_root = Some(PathBuf::from(root));
        Ok(())
    }

    async fn answer(&self, mut request: Request) -> Result<Response, Failure> {
        self.describe(&mut request.environ)?;
        if request.environ.content_length.is_none() && !request.body.is_empty() {
            // Lesson 44: unknown never means empty.
            return Err(Failure::internal(
                "a body of unknown length reached a pool: it must be spooled before",
            ));
        }
        let mut tried = Vec::new();
        let mut last: Option<Failure> = None;
        for attempt in 1.. {
            let (connection, waited) = match self.pool.dispatch.connect(&mut tried).await {
                Ok(connected) => connected,
                // Why a worker did not take it says more than that there is no other.
                Err(failure) if failure.kind == FailureKind::Unreachable => {
                    return Err(last.unwrap_or(failure));
                }
                Err(failure) => return Err(failure),
            };
            request.exchange.note(|record| {
                record.back = Some(Arc::clone(&self.back_name));
                *record.queue_wait.get_or_insert_default() += waited;
            });
            let (is_reused, trace) = (connection.is_reused, Arc::clone(&connection.trace));
            let place = Arc::clone(connection.place());
            let spare = Spare::of(&mut request.body);
            let failure = match self.ask(connection, &mut request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let outcome = trace.outcome();
            let (departure, failure) = with_departure(outcome, &place, failure).await;
            let is_innocent = is_reused || departure.is_some_and(|departure| departure.is_clean);
            if attempt == MAX_ATTEMPTS || !may_repeat(outcome, is_innocent, &request.environ.method) {
                return Err(failure);
            }
            let Some(body) = spare.body() else { return Err(failure) };
            tracing::debug!(id = %request.exchange.id().escape_ascii(), "{failure}; the request is sent again");
            match outcome {
                Outcome::Refused => tried.push(place.key),
                // What one kept connection met, the others there have met too.
                _ => self.pool.dispatch.distrust(&place),
            }
            request.body = body;
            last = Some(failure);
        }
        Err(Failure::internal("a request was sent too often"))
    }

    async fn ask(&self, connection: Connection, request: &mut Request) -> Result<Response, Failure> {
        let environ = &request.environ;
        match self.pool.speak {
            PoolProtocol::FastCgi => {
                let length = environ.content_length.unwrap_or(0);
                let keep = self.pool.dispatch.keeps_connections();
                let id = request.exchange.id();
                let line = FastCgi::begin(connection, environ, self.listing, length, keep, id)?;
                answer_lent(line, request, self.rules).await
            }
            PoolProtocol::Scgi => {
                let line = Scgi::begin(connection, environ, self.listing)?;
                answer_lent(line, request, self.rules).await
            }
        }
    }
}

/// How a worker of ours ended with whose end the connection broke; it is added to what the failure tells.
async fn with_departure(outcome: Outcome, place: &Place, failure: Failure) -> (Option<Ended>, Failure) {
    let broke = matches!(outcome, Outcome::Silent | Outcome::Broken);
    let Some(worker) = place.worker.as_ref().filter(|_| broke) else { return (None, failure) };
    let Ok(ended) = tokio::time::timeout(DEPARTURE_PAUSE, worker.ended()).await else {
        return (None, failure);
    };
    let detail = format!("{}; it has ended: {}", failure.detail, ended.how);
    (Some(ended), Failure::new(failure.kind, detail))
}

fn no_script(path: &[u8], suffix: &str, index: Option<&str>) -> Failure {
    let path = path.escape_ascii();
    let detail = match index {
        Some(_) => {
            format!("{path} names no script: no component ends in {suffix}, and it does not end in a slash")
        }
        None => format!("{path} names no script: no component ends in {suffix}"),
    };
    Failure::new(FailureKind::NotFound, detail)
}

fn not_there(failure: &LookupFailure) -> Failure {
    let kind = match failure.status() {
        400 => FailureKind::BadRequest,
        403 => FailureKind::Forbidden,
        404 => FailureKind::NotFound,
        503 => FailureKind::Overloaded { retry_after: RETRY_AFTER },
        _ => FailureKind::Internal,
    };
    Failure::new(kind, failure.to_string())
}
