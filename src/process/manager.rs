//! The manager of one pool of workers that we start: the only loop. It takes note of what happened, asks the plan what
//! to do, and does it. It must not decide anything, nor know what the workers speak.
//!
//! ```text
//!   keepers --- Report ---+                               +--> start a keeper
//!   bell of the handles --+--> note --> census --> plan --+--> order a keeper to end its worker
//!   wish, time -----------+                               +--> tell the roster who is there
//! ```

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::census::{Census, Departure, Wish, WorkerId};
use super::cpu;
use super::crew::{Crew, Legacy, Member};
use super::demand::Demand;
use super::keeper::{Keeper, Report};
use super::launch::Launch;
use super::plan::{Action, Plan, Reason, Rules, plan, vacate};
use super::quota::Recycle;
use super::reap::Exit;
use super::roster::{Ended, Outage, Roster, WorkerHandle};
use super::socket::{SocketFolder, WorkerSocket};
use super::spawn::Spawner;
use super::worker::{Event, State};

/// What the workers of a pool are, and how many.
#[derive(Clone, Debug)]
pub struct Workers {
    /// The pool's name; its workers are called `NAME-1`, `NAME-2` ...
    pub pool: Arc<str>,
    /// The program, absolute.
    pub program: PathBuf,
    /// What it sees as its own name.
    pub arg0: OsString,
    /// Its other arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The folder it is started in.
    pub cwd: PathBuf,
    /// From TERM to KILL.
    pub stop_grace: Duration,
    /// How many, and how they are replaced.
    pub rules: Rules,
    /// When one is replaced although nothing is wrong with it.
    pub recycle: Recycle,
    /// An existing folder in which a folder for the workers' sockets is made.
    pub temp_dir: PathBuf,
}

/// The manager of one pool of workers that we start.
///
/// Dropping it ends the workers, as [`Manager::stop`] does, as long as the runtime lives.
pub struct Manager {
    crew: Arc<Mutex<Crew>>,
    wish: watch::Sender<Wish>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Manager {
    /// Starts the workers, beside the caller; `roster` is told of each that is ready. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the folder for the workers' sockets cannot be made.
    pub fn start(workers: Workers, spawner: Spawner, roster: Arc<dyn Roster>) -> io::Result<Self> {
        let folder = SocketFolder::create(&workers.temp_dir)?;
        let crew = Arc::new(Mutex::new(Crew::new(workers.rules.scale.max)));
        let (wish, wished) = watch::channel(Wish::Serve);
        let (reports, reported) = mpsc::unbounded_channel();
        let demand = roster.demand();
        let work = Work {
            workers: Arc::new(workers),
            folder,
            spawner,
            roster,
            crew: Arc::clone(&crew),
            bell: demand.bell(),
            demand,
            reports,
            outage: None,
        };
        let task = tokio::spawn(work.run(wished, reported));
        Ok(Self { crew, wish, task: Mutex::new(Some(task)) })
    }

    /// Lets the workers end what they have, and ends each that has nothing.
    pub fn retire(&self) {
        self.wish.send_modify(|wish| {
            if *wish == Wish::Serve {
                *wish = Wish::Retire;
            }
        });
    }

    /// Ends all workers, TERM first and KILL after the grace, and waits until they are gone. May be called again.
    pub async fn stop(&self) {
        self.wish.send_replace(Wish::End);
        self.ended().await;
    }

    /// Waits until all workers are gone, after [`Manager::retire`].
    pub async fn ended(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // A task that panicked has dropped its keepers' orders, which ends their workers.
            let _ = task.await;
        }
    }

    /// Who is there now.
    #[must_use]
    pub fn census(&self) -> Census {
        lock(&self.crew).census(*self.wish.borrow())
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("census", &self.census()).finish_non_exhaustive()
    }
}

/// All that the loop needs.
struct Work {
    workers: Arc<Workers>,
    folder: SocketFolder,
    spawner: Spawner,
    roster: Arc<dyn Roster>,
    crew: Arc<Mutex<Crew>>,
    bell: Arc<Notify>,
    demand: Arc<Demand>,
    reports: mpsc::UnboundedSender<(WorkerId, Report)>,
    outage: Option<Outage>,
}

impl Work {
    async fn run(
        mut self,
        mut wished: watch::Receiver<Wish>,
        mut reported: mpsc::UnboundedReceiver<(WorkerId, Report)>,
    ) {
        let mut wish = Wish::Serve;
        loop {
            let census = self.census(wish);
            let plan = plan(&self.workers.rules, &census, Instant::now().into_std());
            lock(&self.crew).surge = plan.surge;
            self.tell_outage(&plan, &census);
            if plan.is_over {
                return;
            }
            if !plan.actions.is_empty() {
                for action in &plan.actions {
                    self.act(*action);
                }
                // What was done has its own consequences and its own times.
                continue;
            }
            if wish != Wish::Serve {
                lock(&self.crew).legacies.fill_with(|| None);
            }
            let bell = Arc::clone(&self.bell);
            let due = plan.wake_at.map(Instant::from_std);
            tokio::select! {
                Some((id, report)) = reported.recv() => self.note(id, report),
                changed = wished.changed(), if wish != Wish::End => {
                    // A manager that was dropped wishes nothing any more.
                    wish = if changed.is_ok() { *wished.borrow_and_update() } else { Wish::End };
                }
                () = bell.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    fn census(&self, wish: Wish) -> Census {
        let scale = &self.workers.rules.scale;
        let mut crew = lock(&self.crew);
        let can_grow = wish == Wish::Serve && scale.is_elastic() && crew.members.len() < scale.max;
        if self.workers.rules.watches_memory {
            crew.look_at_memory(Instant::now());
        }
        let mut census = crew.census(wish);
        drop(crew);
        // First said, then asked: whoever begins to wait in between rings.
        self.demand.hear(can_grow, if can_grow { scale.spare } else { 0 });
        census.waiting = self.roster.waiting();
        census.has_cpu = can_grow && census.waiting.requests > 0 && cpu::is_to_be_had();
        census
    }

    fn act(&self, action: Action) {
        match action {
            Action::Start { seat } => self.start(seat),
            Action::Retire(id) => {
                self.roster.leave(id);
                if let Some(member) = lock(&self.crew).members.get_mut(&id) {
                    member.note(Event::Retired);
                    member.handle.retire();
                }
            }
            Action::End(id, reason) => {
                self.roster.leave(id);
                if let Some(member) = lock(&self.crew).members.get_mut(&id) {
                    member.note(Event::Condemned);
                    member.reason = Some(reason);
                    self.explain(&member.handle, reason);
                    // The keeper may just have seen its worker end.
                    let _ = member.order.take().map(|order| order.send(()));
                }
            }
        }
    }

    fn explain(&self, handle: &WorkerHandle, reason: Reason) {
        let (pool, worker) = (&self.workers.pool, handle.name());
        match reason {
            Reason::NotNeeded => tracing::debug!(%pool, %worker, "worker is sent TERM"),
            Reason::Condemned => {
                let why = handle.condemned().unwrap_or_default();
                tracing::warn!(%pool, %worker, why, "worker is ended and replaced");
            }
            Reason::Bloated => {
                let limit = self.workers.recycle.memory_hard.unwrap_or_default();
                tracing::warn!(%pool, %worker, "worker has more than {limit} bytes of memory and is ended (see `max_memory_hard`)");
            }
            Reason::NeverReady => {
                let limit = self.workers.rules.start_timeout.as_secs_f64();
                tracing::error!(
                    %pool, %worker,
                    "worker took no connection within {limit} s: does it listen on descriptor 0, as a FastCGI or SCGI \
                     worker does? A program that loads for longer needs a longer `start_timeout`"
                );
            }
        }
    }

    fn start(&self, seat: usize) {
        let mut crew = lock(&self.crew);
        crew.last.0 += 1;
        let id = crew.last;
        let name: Arc<str> = format!("{}-{}", self.workers.pool, seat + 1).into();
        // The number makes the path new, so that nobody reaches a worker that is not meant.
        let file_name = format!("{name}.{id}");
        let socket = match crew.legacies[seat].take() {
            Some(mut socket) => self.folder.rename(&mut socket, &file_name).map(|()| socket),
            None => self.folder.listen(&file_name),
        };
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(pool = %self.workers.pool, worker = %name, "{error}");
                let failed = Departure::Failed { lived: Duration::ZERO, served: 0 };
                crew.count_ending(failed, None);
                let now = Instant::now().into_std();
                crew.seats[seat] =
                    vacate(&self.workers.rules, &crew.seats[seat], failed, error.to_string(), now);
                return;
            }
        };
        let legacy = match socket.has_waiting_connection() {
            Ok(true) => Legacy::Waits,
            _ => Legacy::None,
        };
        let path = socket.path().to_owned();
        let bell = Arc::clone(&self.bell);
        let now = Instant::now();
        let quota = self.workers.recycle.draw(now.into_std());
        let handle = Arc::new(WorkerHandle::new(
            id,
            Arc::clone(&name),
            path,
            self.workers.rules.concurrency,
            quota.requests,
            bell,
        ));
        let (order, ordered) = oneshot::channel();
        let keeper = Keeper {
            id,
            pool: Arc::clone(&self.workers.pool),
            name,
            socket,
            grace: self.workers.stop_grace,
            order: ordered,
            reports: self.reports.clone(),
        };
        tokio::spawn(keeper.keep(self.spawner.clone(), self.workers.launch()));
        let member = Member {
            handle,
            seat,
            pid: None,
            quota,
            memory: None,
            state: State::Starting,
            since: now,
            proved: None,
            order: Some(order),
            reason: None,
            legacy,
        };
        crew.members.insert(id, member);
    }

    fn note(&self, id: WorkerId, report: Report) {
        match report {
            Report::Started(pid) => {
                if let Some(member) = lock(&self.crew).members.get_mut(&id) {
                    member.pid = Some(pid);
                }
            }
            Report::Proved(first) => self.proved(id, first),
            Report::Gone { exit, ending, socket } => self.gone(id, exit, &ending, socket),
        }
    }

    fn proved(&self, id: WorkerId, first: Option<UnixStream>) {
        let starting = |member: &&Member| member.state == State::Starting;
        let handle =
            lock(&self.crew).members.get(&id).filter(starting).map(|member| Arc::clone(&member.handle));
        // One that is being ended by now takes no more requests.
        let Some(handle) = handle else { return };
        tracing::info!(pool = %self.workers.pool, worker = %handle.name(), "worker is ready");
        // Before it is noted, so that a worker that the census calls idle does get requests.
        let is_legacy_taken = first.is_none();
        self.roster.join(handle, first);
        if let Some(member) = lock(&self.crew).members.get_mut(&id) {
            member.note(Event::Proved);
            member.proved = Some(Instant::now());
            if is_legacy_taken {
                member.legacy = Legacy::Taken;
            }
        }
    }

    fn gone(&self, id: WorkerId, exit: Option<Exit>, ending: &str, socket: WorkerSocket) {
        self.roster.leave(id);
        let mut crew = lock(&self.crew);
        let Some(mut member) = crew.members.remove(&id) else { return };
        member.note(Event::Exited);
        if member.legacy == Legacy::Waits && !socket.has_waiting_connection().unwrap_or(true) {
            // It was gone again before its keeper looked.
            member.legacy = Legacy::Taken;
        }
        let departure = member.departure(exit);
        let ending = match member.reason {
            Some(Reason::NeverReady) => {
                let limit = self.workers.rules.start_timeout.as_secs_f64();
                format!("{ending}, sent because it took no connection within {limit} s")
            }
            _ => ending.to_owned(),
        };
        let is_clean = member.reason.is_none() && exit.is_some_and(|exit| exit.success());
        member.handle.end(Ended { is_clean, how: ending.clone() });
        let (pool, worker) = (&self.workers.pool, member.handle.name());
        match departure {
            Departure::Failed { .. } => tracing::error!(%pool, %worker, "worker failed: {ending}"),
            _ => tracing::info!(%pool, %worker, "worker has left: {ending}"),
        }
        crew.count_ending(departure, member.reason);
        // Its successor starts at once. Of any other worker nobody knows when or whether there will be one.
        crew.legacies[member.seat] = (departure == Departure::DoneWithWork).then_some(socket);
        let seat = &crew.seats[member.seat];
        let now = Instant::now().into_std();
        crew.seats[member.seat] = vacate(&self.workers.rules, seat, departure, ending, now);
    }

    fn tell_outage(&mut self, plan: &Plan, census: &Census) {
        let outage = plan.is_hopeless.then(|| Outage {
            reason: census.seats.iter().find_map(|seat| seat.last_ending.clone()).unwrap_or_default(),
            retry_at: census
                .seats
                .iter()
                .filter_map(|seat| seat.rests_until)
                .min()
                .unwrap_or_else(|| Instant::now().into_std()),
        });
        if outage != self.outage {
            self.roster.outage(outage.clone());
            self.outage = outage;
        }
    }
}

impl Workers {
    fn launch(&self) -> Launch {
        let mut launch = Launch::new(&self.program);
        launch.arg0 = Some(self.arg0.clone());
        launch.args.clone_from(&self.args);
        launch.env.clone_from(&self.env);
        launch.cwd.clone_from(&self.cwd);
        launch.grace = self.stop_grace;
        launch
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The notes are plain values and stay usable after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
