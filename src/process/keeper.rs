//! The keeper of one worker: starts it, waits until it takes a connection, passes its lines to the log, sees it out. It
//! must not know what is to be done about the pool; it obeys one order, to end its worker.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::census::WorkerId;
use super::child::Child;
use super::failure::SpawnFailure;
use super::journal::Journal;
use super::launch::{Launch, Stdin};
use super::reap::{Exit, Pid};
use super::socket::WorkerSocket;
use super::spawn::Spawner;
use crate::io::in_words;

/// The first pause between two looks whether a new worker has taken its connection: a compiled program does so within
/// it. The pause doubles each time.
const PROOF_PAUSE_MIN: Duration = Duration::from_millis(2);

/// The longest such pause: a program that takes seconds to load may be noticed this much late.
const PROOF_PAUSE_MAX: Duration = Duration::from_millis(50);

/// How much is read at once of what a worker writes to stdout and stderr.
const PIECE_BYTES: usize = 4096;

/// How many pieces are read at most after a worker's end: all that fits into a pipe. A process that it left behind may
/// write on for ever.
const LAST_PIECES: usize = 64;

/// What a keeper tells the manager.
#[derive(Debug)]
pub(super) enum Report {
    /// The worker's process runs.
    Started(Pid),
    /// The worker takes connections: this one, or the first of those that its predecessor had left waiting.
    Proved(Option<UnixStream>),
    /// The worker has ended, or was never started.
    Gone {
        /// How it ended; `None` when it was never started or nobody knows.
        exit: Option<Exit>,
        /// The same in words, with the last lines on stderr.
        ending: String,
        /// Its listening socket, with the connections that it did not take. They are reset when this is dropped.
        socket: WorkerSocket,
    },
}

/// The keeper of one worker.
pub(super) struct Keeper {
    pub(super) id: WorkerId,
    pub(super) pool: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) socket: WorkerSocket,
    pub(super) grace: Duration,
    /// Answered, or dropped: the worker is to end.
    pub(super) order: oneshot::Receiver<()>,
    pub(super) reports: mpsc::UnboundedSender<(WorkerId, Report)>,
}

impl Keeper {
    /// Keeps the worker that `launch` describes until it has ended. Its descriptor 0 is set here.
    pub(super) async fn keep(self, spawner: Spawner, launch: Launch) {
        let (id, reports) = (self.id, self.reports.clone());
        let (exit, ending, socket) = match self.start(&spawner, launch).await {
            Ok(child) => {
                // Without a manager there is nobody to be told.
                let _ = reports.send((id, Report::Started(child.pid())));
                self.watch(child).await
            }
            Err(trouble) => (None, trouble, self.socket),
        };
        let _ = reports.send((id, Report::Gone { exit, ending, socket }));
    }

    async fn start(&self, spawner: &Spawner, mut launch: Launch) -> Result<Child, String> {
        let socket = self
            .socket
            .share()
            .map_err(|error| format!("its socket cannot be given to it: {}", in_words(&error)))?;
        launch.stdin = Stdin::ListenSocket(socket);
        let child =
            spawner.spawn(launch).await.map_err(|failure: SpawnFailure| format!("not started: {failure}"))?;
        tracing::info!(pool = %self.pool, worker = %self.name, pid = %child.pid(), "worker started");
        Ok(child)
    }

    async fn watch(self, mut child: Child) -> (Option<Exit>, String, WorkerSocket) {
        let Self { id, pool, name, socket, grace, mut order, reports } = self;
        let mut outputs = Outputs::of(&mut child, pool, name);
        let mut proof = Box::pin(prove(&socket));
        let mut is_proved = false;
        let exit = loop {
            tokio::select! {
                exit = child.wait() => break exit,
                _ = &mut order => break end(child, grace, &mut outputs).await,
                proved = &mut proof, if !is_proved => {
                    is_proved = true;
                    if let Ok(first) = proved {
                        let _ = reports.send((id, Report::Proved(first)));
                    }
                    // Without a proof the start time-out does what is needed.
                }
                () = outputs.read() => {}
            }
        };
        drop(proof);
        let last_lines = outputs.finish();
        let how = match &exit {
            Ok(exit) => exit.status.to_string(),
            Err(error) => format!("exit status lost: {error}"),
        };
        let ending =
            if last_lines.is_empty() { how } else { format!("{how}; last lines on stderr: {last_lines}") };
        (exit.ok(), ending, socket)
    }
}

/// TERM, grace, KILL; what the worker writes meanwhile still goes into the log.
async fn end(child: Child, grace: Duration, outputs: &mut Outputs) -> io::Result<Exit> {
    let mut ending = child.end(grace);
    loop {
        tokio::select! {
            exit = &mut ending => return exit,
            () = outputs.read() => {}
        }
    }
}

/// Waits until the worker takes a connection: one that its predecessor left waiting, or else one of ours, which is given
/// back.
///
/// Connecting alone proves nothing, since the kernel completes it before the worker asks; but as long as nobody has
/// taken the connection, our own descriptor of the listening socket is readable.
async fn prove(socket: &WorkerSocket) -> io::Result<Option<UnixStream>> {
    let first = match socket.has_waiting_connection()? {
        true => None,
        false => Some(connect(socket.path()).await),
    };
    let mut pause = PROOF_PAUSE_MIN;
    while socket.has_waiting_connection()? {
        sleep(pause).await;
        pause = (pause * 2).min(PROOF_PAUSE_MAX);
    }
    Ok(first)
}

/// Connects, again and again if need be: the socket listens, so what is missing is something that comes back, such as a
/// descriptor. Nobody waits for it longer than the start time-out.
async fn connect(path: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(_) => sleep(PROOF_PAUSE_MAX).await,
        }
    }
}

/// What a worker writes to stdout and stderr.
struct Outputs {
    pool: Arc<str>,
    name: Arc<str>,
    stdout: Output,
    stderr: Output,
}

struct Output {
    pipe: Option<pipe::Receiver>,
    journal: Journal,
}

impl Outputs {
    fn of(child: &mut Child, pool: Arc<str>, name: Arc<str>) -> Self {
        let stdout = Output { pipe: child.stdout.take(), journal: Journal::new() };
        let stderr = Output { pipe: child.stderr.take(), journal: Journal::new() };
        Self { pool, name, stdout, stderr }
    }

    /// Reads something; pending for ever once both have ended. Cancel-safe.
    async fn read(&mut self) {
        let (pool, name) = (&self.pool, &self.name);
        tokio::select! {
            () = self.stdout.read(|line| tracing::info!(target: "program", %pool, worker = %name, stream = "stdout", "{line}")) => {}
            () = self.stderr.read(|line| tracing::warn!(target: "program", %pool, worker = %name, stream = "stderr", "{line}")) => {}
        }
    }

    /// Reads what is there and no more; gives the last lines on stderr.
    fn finish(mut self) -> String {
        let (pool, name) = (&self.pool, &self.name);
        self.stdout.finish(
            |line| tracing::info!(target: "program", %pool, worker = %name, stream = "stdout", "{line}"),
        );
        self.stderr.finish(
            |line| tracing::warn!(target: "program", %pool, worker = %name, stream = "stderr", "{line}"),
        );
        self.stderr.journal.testimony()
    }
}

impl Output {
    async fn read(&mut self, log: impl FnMut(&str)) {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        let mut piece = [0; PIECE_BYTES];
        let read = match pipe.readable().await {
            Ok(()) => pipe.try_read(&mut piece),
            Err(error) => Err(error),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => self.pipe = None,
            Ok(read) => self.journal.write(&piece[..read], log),
        }
    }

    /// Reads past the runtime, which may not have heard yet of the last bytes.
    fn finish(&mut self, mut log: impl FnMut(&str)) {
        if let Some(pipe) = self.pipe.take() {
            let mut piece = [0; PIECE_BYTES];
            for _ in 0..LAST_PIECES {
                match rustix::io::read(&pipe, &mut piece) {
                    Err(Errno::INTR) => {}
                    Ok(0) | Err(_) => break,
                    Ok(read) => self.journal.write(&piece[..read], &mut log),
                }
            }
        }
        self.journal.finish(log);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::super::socket::SocketFolder;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_cannot_be_made_now_is_made_as_soon_as_it_can() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let socket = folder.listen("w").unwrap();
        let aside = folder.path().join("aside");
        std::fs::rename(socket.path(), &aside).unwrap();
        let mut proof = Box::pin(prove(&socket));
        assert!(timeout(Duration::from_secs(60), &mut proof).await.is_err());
        std::fs::rename(&aside, socket.path()).unwrap();
        let worker = std::os::unix::net::UnixListener::from(socket.share().unwrap());
        worker.set_nonblocking(true).unwrap();
        let worker = tokio::net::UnixListener::from_std(worker).unwrap();
        let (proved, taken) = tokio::join!(proof, worker.accept());
        assert!(proved.unwrap().is_some());
        taken.unwrap();
    }
}
