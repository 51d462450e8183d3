//! The threads on which programs run that are part of this process: started when they are needed, kept for a while, never
//! the runtime's. It must not know what runs on them, nor how many there may be.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How long a thread waits for more work before it ends: longer than the pauses of a page that loads its parts, short
/// enough that a burst does not leave its threads behind.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a thread does. It must not panic; if it does, its thread ends and nothing else.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Threads that run one job each at a time. Dropping them lets the idle ones end; the others end after their jobs.
pub(crate) struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    news: Condvar,
    /// How many jobs run or wait for a thread that was woken for them.
    busy: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    /// Threads that were ever started, for their names.
    started: usize,
    is_closed: bool,
}

/// Counts one job until it is over, however it ends.
struct Busy(Arc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

impl Threads {
    pub(crate) fn new() -> Self {
        let (state, news, busy) = (Mutex::default(), Condvar::new(), watch::Sender::new(0));
        Self { shared: Arc::new(Shared { state, news, busy }) }
    }

    /// Runs a job on an idle thread or, if there is none, on a new one.
    ///
    /// # Errors
    /// When the system refuses a new thread.
    pub(crate) fn run(&self, job: Job) -> io::Result<()> {
        let mut state = self.shared.lock();
        let busy = self.shared.count();
        let job: Job = Box::new(move || {
            let _busy = busy;
            job();
        });
        if state.idle > state.jobs.len() {
            state.jobs.push_back(job);
            self.shared.news.notify_one();
            return Ok(());
        }
        state.started += 1;
        let name = format!("gatebridge-app-{}", state.started);
        drop(state);
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name(name).spawn(move || shared.work(job))?;
        Ok(())
    }

    /// Waits until no job is left.
    pub(crate) async fn idle(&self) {
        // The sender lives in self, so the wait cannot fail.
        let _ = self.shared.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }
}

impl Shared {
    /// A panic elsewhere has left the state as it was: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(Arc::clone(self))
    }

    fn work(&self, first: Job) {
        first();
        while let Some(job) = self.next() {
            job();
        }
    }

    /// The next job; `None` when none has come for long, or none will.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let nothing = |state: &mut State| state.jobs.is_empty() && !state.is_closed;
        let waited = self.news.wait_timeout_while(state, IDLE_TIMEOUT, nothing);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.idle -= 1;
        state.jobs.pop_front()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.news.notify_all();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("busy", &*self.shared.busy.borrow()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[tokio::test]
    async fn a_thread_is_used_again_and_a_busy_one_is_not_waited_for() {
        let threads = Threads::new();
        let (told, names) = channel();
        let tell = |told: &std::sync::mpsc::Sender<String>| {
            let _ = told.send(std::thread::current().name().unwrap_or_default().to_owned());
        };
        let (go, gate) = channel::<()>();
        let first = told.clone();
        threads
            .run(Box::new(move || {
                tell(&first);
                let _ = gate.recv();
            }))
            .unwrap();
        assert_eq!(names.recv().unwrap(), "gatebridge-app-1");
        let second = told.clone();
        threads.run(Box::new(move || tell(&second))).unwrap();
        assert_eq!(names.recv().unwrap(), "gatebridge-app-2");
        go.send(()).unwrap();
        threads.idle().await;
        // Both have ended their jobs; whether they wait already is a matter of moments, and either is right.
        threads.run(Box::new(move || tell(&told))).unwrap();
        assert!(names.recv().unwrap().starts_with("gatebridge-app-"));
    }

    #[tokio::test]
    async fn a_job_that_panics_is_over_and_others_still_run() {
        let threads = Threads::new();
        threads.run(Box::new(|| panic!("on purpose"))).unwrap();
        threads.idle().await;
        let (told, heard) = channel();
        threads.run(Box::new(move || told.send(()).unwrap())).unwrap();
        heard.recv().unwrap();
        threads.idle().await;
    }
}
