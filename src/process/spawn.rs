//! The threads that start programs, so that the runtime's never wait for one. They must not know what is started.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::sync::{oneshot, watch};

use super::child::{Child, Started};
use super::diagnose::{self, Facts};
use super::ending::{Door, Leader, LiveGuard};
use super::failure::SpawnFailure;
use super::launch::{Launch, Output, Stdin};
use super::reap::{self, GroupSignal, Pid, Process};
use super::startup;

/// How often a program is tried that somebody still has open for writing (ETXTBSY): a deployment that copies a file over,
/// or another thread's child that has not come to its exec yet. Ten pauses add up to a third of a second.
const TEXT_BUSY_ATTEMPTS: u32 = 10;
const TEXT_BUSY_FIRST_PAUSE: Duration = Duration::from_millis(1);
const TEXT_BUSY_LONGEST_PAUSE: Duration = Duration::from_millis(64);

struct Job {
    launch: Launch,
    answer: oneshot::Sender<Result<Started, SpawnFailure>>,
}

/// Starts programs on threads of its own. A cheap handle: clone it, and keep one for the life of the process.
///
/// Each start is a `posix_spawn` (no fork of the gateway, whatever its size), which holds its thread until the
/// program's exec: about a millisecond. The queue before the threads has no limit of its own; whoever asks has one.
#[derive(Clone, Debug)]
pub struct Spawner {
    jobs: Sender<Job>,
    live: Arc<watch::Sender<usize>>,
}

impl Spawner {
    /// Starts `threads` threads, and one that sees children out.
    ///
    /// # Errors
    /// When a thread cannot be started, or no descriptor is left.
    pub fn start(threads: NonZeroUsize) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let door = Door::open()?;
        let live = Arc::new(watch::Sender::new(0));
        for number in 0..threads.get() {
            let (queue, door, live) = (Arc::clone(&queue), door.clone(), Arc::clone(&live));
            std::thread::Builder::new()
                .name(format!("gatebridge-spawn-{number}"))
                .spawn(move || work(&queue, &door, &live))?;
        }
        Ok(Self { jobs, live })
    }

    /// Starts a program. A future that is dropped before it answers takes the program with it: not started if there was
    /// time, else ended like a dropped [`Child`].
    ///
    /// # Errors
    /// The program could not be started; the failure says why and what to do.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn spawn(&self, launch: Launch) -> Result<Child, SpawnFailure> {
        let program = launch.program.clone();
        let (answer, started) = oneshot::channel();
        let gone = || SpawnFailure::spawner_gone(&program);
        self.jobs.send(Job { launch, answer }).map_err(|_| gone())?;
        let started = started.await.map_err(|_| gone())??;
        Child::adopt(started).map_err(|error| diagnose::diagnose_io(&program, &error))
    }

    /// How many children there are: started, and they or others of their group not yet seen out. Works without a runtime.
    #[must_use]
    pub fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Waits until there is no child.
    pub async fn idle(&self) {
        // The sender lives in self, so the wait cannot fail.
        let _ = self.live.subscribe().wait_for(|live| *live == 0).await;
    }
}

fn work(queue: &Mutex<Receiver<Job>>, door: &Door, live: &Arc<watch::Sender<usize>>) {
    startup::clear_signal_mask();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { launch, answer }) = job else { return };
        if answer.is_closed() {
            continue; // the asker left while the job was waiting
        }
        // Should the asker have left meanwhile, what comes back from `send` is dropped, and with it the child ended.
        let _ = answer.send(start(launch, door, live));
    }
}

fn start(launch: Launch, door: &Door, live: &Arc<watch::Sender<usize>>) -> Result<Started, SpawnFailure> {
    let facts = Facts::gather(&launch)?;
    let (grace, rest) = (launch.grace, launch.rest_of_group);
    let program = launch.program.clone();
    let mut command = command(launch);
    let mut child = spawn_patiently(&mut command).map_err(|error| diagnose::diagnose(&facts, &error))?;
    drop(command); // and with it our copy of the program's descriptor 0

    let pid = Pid::new(child.id()).ok_or_else(|| SpawnFailure::spawner_gone(&program))?;
    let process = match Process::watch(pid) {
        Ok(process) => process,
        Err(error) => {
            // Without a descriptor nobody could be told of its end, so it ends here and now.
            let _ = reap::signal_group(pid, GroupSignal::Kill);
            reap::reap_blocking(pid);
            return Err(diagnose::diagnose_io(&program, &error));
        }
    };
    let leader = Leader::new(process, door.clone(), LiveGuard::new(Arc::clone(live)), grace, rest);
    let started = Started {
        leader,
        stdin: child.stdin.take().map(OwnedFd::from),
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
    };
    for end in [&started.stdin, &started.stdout, &started.stderr].into_iter().flatten() {
        rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)
            .map_err(|error| diagnose::diagnose_io(&program, &error.into()))?;
    }
    Ok(started)
}

/// Everything here keeps the standard library on posix_spawn: an absolute path, no user, no group, no code in the child.
fn command(launch: Launch) -> Command {
    let mut command = Command::new(&launch.program);
    command.args(launch.args).env_clear().envs(launch.env).current_dir(launch.cwd).process_group(0);
    if let Some(arg0) = launch.arg0 {
        command.arg0(arg0);
    }
    command.stdin(match launch.stdin {
        Stdin::Null => Stdio::null(),
        Stdin::Pipe => Stdio::piped(),
        Stdin::File(file) => Stdio::from(file),
        Stdin::ListenSocket(socket) => Stdio::from(socket),
    });
    command.stdout(output(launch.stdout)).stderr(output(launch.stderr));
    command
}

fn output(output: Output) -> Stdio {
    match output {
        Output::Pipe => Stdio::piped(),
        Output::Null => Stdio::null(),
    }
}

fn spawn_patiently(command: &mut Command) -> io::Result<std::process::Child> {
    let mut pause = TEXT_BUSY_FIRST_PAUSE;
    for _ in 1..TEXT_BUSY_ATTEMPTS {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(TEXT_BUSY_LONGEST_PAUSE);
            }
            settled => return settled,
        }
    }
    command.spawn()
}
