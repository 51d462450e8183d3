//! Starts a program by itself, without a gateway, and times what can be seen of it from outside until the first byte of its
//! first answer. It must not know who else is compared.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::account::{is_waiting, peak_memory_bytes};
use super::guard::{Guard, Guarded};
use super::plan::{Entrant, Plan, Way};
use super::stage::script;
use super::told;
use crate::process::socket::{SocketFolder, WorkerSocket};

/// How long one looks away while waiting for a worker to take its first connection, which no event tells: the doubt of
/// that moment. The kernel adds about 50 us to it.
const LOOK_AGAIN: Duration = Duration::from_micros(20);

/// A process that was found waiting so often without a break, about 2 ms, waits for the reader of its output. When it waits for
/// something else, there is room for its output from then on, and its end may be missed by one look.
const QUIET_LOOKS: u32 = 30;

/// One start: its parts in microseconds, see [`StartUp`](crate::compare::findings::StartUp).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Start {
    pub(super) exec_us: f64,
    pub(super) program_us: f64,
    pub(super) first_response_us: f64,
}

impl Start {
    pub(super) fn total_us(self) -> f64 {
        self.exec_us + self.program_us + self.first_response_us
    }
}

/// A program that can be started again and again.
#[derive(Debug)]
pub(super) struct Starter {
    folder: SocketFolder,
    kind: Kind,
    command: Vec<String>,
    environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    timeout: Duration,
}

#[derive(Debug)]
enum Kind {
    /// With its body, if there is one, in this file.
    Cgi { body: Option<PathBuf> },
    /// With this request.
    Worker { request: Vec<u8> },
}

impl Starter {
    /// Makes ready to start this entrant; `None` for one that somebody else starts.
    ///
    /// # Errors
    /// When the question cannot be told to a program.
    pub(super) fn new(plan: &Plan, entrant: &Entrant) -> anyhow::Result<Option<Self>> {
        let folder = SocketFolder::create(&std::env::temp_dir())?;
        let environ = told::environ(&plan.question)?;
        let body = plan.question.body.as_deref();
        let mut environment: Vec<(std::ffi::OsString, std::ffi::OsString)> = Vec::new();
        let (kind, command) = match &entrant.way {
            Way::Cgi(command) => {
                environment.extend(told::variables(&environ)?);
                let file = body.map(|_| folder.path().join("body"));
                if let (Some(file), Some(body)) = (&file, body) {
                    std::fs::write(file, body)?;
                }
                let script = script(command, folder.path())?;
                (Kind::Cgi { body: file }, vec![script.display().to_string()])
            }
            Way::Fastcgi(command) => (
                Kind::Worker { request: told::fastcgi(&environ, body.unwrap_or_default())? },
                command.clone(),
            ),
            Way::Scgi(command) => {
                (Kind::Worker { request: told::scgi(&environ, body.unwrap_or_default())? }, command.clone())
            }
            Way::InProcess | Way::Url(_) => return Ok(None),
        };
        environment.push(("PATH".into(), std::env::var_os("PATH").unwrap_or_default()));
        environment.extend(plan.environment.iter().map(|(name, value)| (name.into(), value.into())));
        Ok(Some(Self { folder, kind, command, environment, timeout: plan.timeout }))
    }

    /// Starts it once, to its first byte, and ends it.
    ///
    /// # Errors
    /// When it does not start, or ends or takes too long without an answer.
    pub(super) fn start(&self) -> anyhow::Result<Start> {
        match &self.kind {
            Kind::Cgi { body } => self.start_cgi(body.as_ref()),
            Kind::Worker { request } => self.start_worker(request),
        }
    }

    /// The most memory that one CGI process takes, in bytes. Its output goes into a full pipe, so that the shortest one can
    /// be looked at: when it does nothing any more, because it wants to write, there is room for its answer. `None` for a
    /// worker: the gateway's own can be asked at leisure.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn peak_memory_bytes(&self) -> anyhow::Result<Option<u64>> {
        let Kind::Cgi { body } = &self.kind else { return Ok(None) };
        let (mut stdout, writer) = full_pipe()?;
        let (_, child, _) = self.spawn(self.command(stdin_of(body.as_ref())?, writer.into())?)?;
        let id = child.id();
        let (begun, pause) = (Instant::now(), Timespec::try_from(LOOK_AGAIN)?);
        let (mut peak, mut quiet_looks, mut buffer) = (None, 0, vec![0; 64 * 1024]);
        loop {
            peak = peak_memory_bytes(id).max(peak);
            match is_waiting(id) {
                Some(true) => quiet_looks += 1,
                Some(false) => quiet_looks = 0,
                None => return Ok(peak),
            }
            if quiet_looks >= QUIET_LOOKS && drained(&mut stdout, &mut buffer)? {
                return Ok(peak);
            }
            anyhow::ensure!(begun.elapsed() < self.timeout, "it does not end");
            poll(&mut [], Some(&pause))?;
        }
    }

    fn command(&self, stdin: Stdio, stdout: Stdio) -> anyhow::Result<Command> {
        let (program, arguments) = self.command.split_first().context("there is no program")?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(stdin).stdout(stdout).stderr(Stdio::null());
        // RFC 3875 7.2: a script starts in its own folder; a worker of `compare` starts where that was called.
        if let (Kind::Cgi { .. }, Some(folder)) = (&self.kind, std::path::Path::new(program).parent()) {
            command.current_dir(folder);
        }
        Ok(command)
    }

    /// Starts it: when the order came, the child, and when the child had become the program.
    fn spawn(&self, mut command: Command) -> anyhow::Result<(Instant, Guarded, Instant)> {
        let guard = Guard::new()?;
        let begun = Instant::now();
        // It comes back when the child runs the program.
        let child = guard.start(&mut command);
        let exec = Instant::now();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok((begun, child, exec))
    }

    fn start_cgi(&self, body: Option<&PathBuf>) -> anyhow::Result<Start> {
        let command = self.command(stdin_of(body)?, Stdio::piped())?;
        let (begun, mut child, exec) = self.spawn(command)?;
        let mut stdout = child.child.stdout.take().context("it has no output")?;
        anyhow::ensure!(readable(&stdout, self.timeout)?, "it wrote nothing within {:?}", self.timeout);
        let answered = Instant::now();
        anyhow::ensure!(stdout.read(&mut [0])? > 0, "it ended without an answer: {}", child.child.wait()?);
        let _ = io::copy(&mut stdout, &mut io::sink())?;
        Ok(Start {
            exec_us: micros(exec - begun),
            program_us: micros(answered - exec),
            first_response_us: 0.0,
        })
    }

    fn start_worker(&self, request: &[u8]) -> anyhow::Result<Start> {
        let socket = self.folder.listen("worker")?;
        let stream = UnixStream::connect(socket.path())?;
        stream.set_nonblocking(true)?;
        // The request waits for it, as it would for a worker that is started because somebody asks.
        let mut asking = Asking { stream, request, said: 0 };
        asking.say()?;
        let (begun, mut child, exec) = self.spawn(self.command(socket.share()?.into(), Stdio::null())?)?;
        let ready = self.wait_until_taken(&socket, &mut child, begun)?;
        while !asking.is_answered(Duration::from_millis(50))? {
            self.still_alive(&mut child, begun)?;
        }
        let answered = Instant::now();
        anyhow::ensure!(asking.stream.read(&mut [0])? > 0, "it closed the connection without an answer");
        Ok(Start {
            exec_us: micros(exec - begun),
            program_us: micros(ready - exec),
            first_response_us: micros(answered - ready),
        })
    }

    /// Waits until the worker has taken the connection that waits for it.
    fn wait_until_taken(
        &self,
        socket: &WorkerSocket,
        child: &mut Guarded,
        begun: Instant,
    ) -> anyhow::Result<Instant> {
        let pause = Timespec::try_from(LOOK_AGAIN)?;
        while socket.has_waiting_connection()? {
            self.still_alive(child, begun)?;
            poll(&mut [], Some(&pause))?;
        }
        Ok(Instant::now())
    }

    fn still_alive(&self, child: &mut Guarded, begun: Instant) -> anyhow::Result<()> {
        if let Some(status) = child.ended()? {
            anyhow::bail!("it ended without an answer: {status}");
        }
        anyhow::ensure!(begun.elapsed() < self.timeout, "it did not answer within {:?}", self.timeout);
        Ok(())
    }
}

/// A request on its way to a worker.
struct Asking<'r> {
    stream: UnixStream,
    request: &'r [u8],
    said: usize,
}

impl Asking<'_> {
    /// Says as much as the socket takes now.
    fn say(&mut self) -> io::Result<()> {
        while self.said < self.request.len() {
            match self.stream.write(&self.request[self.said..]) {
                Ok(taken) => self.said += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // An answer may have come before the whole body was read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.said = self.request.len(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an answer has begun, after at most this time.
    fn is_answered(&mut self, limit: Duration) -> io::Result<bool> {
        let wanted =
            if self.said < self.request.len() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        let mut polled = [PollFd::from_borrowed_fd(self.stream.as_fd(), wanted)];
        poll(&mut polled, Some(&limit))?;
        let found = polled[0].revents();
        if found.contains(PollFlags::OUT) {
            self.say()?;
        }
        Ok(found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
    }
}

fn stdin_of(body: Option<&PathBuf>) -> io::Result<Stdio> {
    Ok(match body {
        Some(path) => std::fs::File::open(path)?.into(),
        None => Stdio::null(),
    })
}

/// A pipe into which nothing more goes until somebody reads; reading does not wait, writing does.
fn full_pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, mut writer) = io::pipe()?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    let filling = [0; 4096];
    loop {
        match writer.write(&filling) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    rustix::fs::fcntl_setfl(&writer, OFlags::empty())?;
    Ok((reader, writer))
}

/// Reads what there is; `true` when no more will come.
fn drained(pipe: &mut io::PipeReader, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        match pipe.read(buffer) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn readable(descriptor: &impl std::os::fd::AsFd, limit: Duration) -> anyhow::Result<bool> {
    let limit = Timespec::try_from(limit)?;
    Ok(poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&limit))? > 0)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::load::Question;
    use crate::compare::run::testing::plan;

    fn starter(way: Way, body: Option<&[u8]>) -> Starter {
        let method = if body.is_some() { "POST" } else { "GET" };
        let question = Question::new(method, "/", Vec::new(), body.map(<[u8]>::to_vec)).unwrap();
        let plan = Plan { question, ..plan() };
        let entrant = Entrant { name: "a".into(), program: "a".into(), way };
        Starter::new(&plan, &entrant).unwrap().unwrap()
    }

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_cgi_program_is_timed_until_its_first_byte() {
        let echo = starter(Way::Cgi(shell("echo; cat")), Some(b"body"));
        let start = echo.start().unwrap();
        assert!(start.exec_us > 0.0 && start.program_us > 0.0 && start.first_response_us == 0.0);
        assert_eq!(start.total_us(), start.exec_us + start.program_us);
        assert!(echo.peak_memory_bytes().unwrap().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_cgi_program_is_started_in_its_own_folder() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let script = folder.path().join("script");
        std::fs::write(folder.path().join("neighbour"), "x").unwrap();
        std::fs::write(&script, "#!/bin/sh\ncat neighbour\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        starter(Way::Cgi(vec![script.display().to_string()]), None).start().unwrap();
    }

    #[test]
    fn a_worker_that_takes_the_request_and_says_something_is_timed() {
        // It takes the connection from descriptor 0, as a worker does, and answers with one byte.
        let accepts =
            "import socket; c, _ = socket.socket(fileno=0).accept(); c.recv(1); c.send(b'x'); c.recv(9)";
        let python = ["/usr/bin/python3", "-c", accepts].map(str::to_owned).to_vec();
        for way in [Way::Fastcgi(python.clone()), Way::Scgi(python)] {
            let worker = starter(way, None);
            let start = worker.start().unwrap();
            assert!(
                start.exec_us > 0.0 && start.program_us > 0.0 && start.first_response_us > 0.0,
                "{start:?}"
            );
            assert_eq!(worker.peak_memory_bytes().unwrap(), None);
        }
    }

    #[test]
    fn what_does_not_answer_is_told() {
        let told = |way| starter(way, None).start().unwrap_err().to_string();
        assert!(told(Way::Cgi(vec!["/nonexistent".into()])).contains("cannot start /nonexistent"));
        assert!(told(Way::Cgi(shell("exit 3"))).contains("without an answer: exit status: 3"));
        assert!(told(Way::Fastcgi(shell("exit 3"))).contains("without an answer: exit status: 3"));
        let mut hanging = starter(Way::Cgi(shell("exec sleep 1000")), None);
        hanging.timeout = Duration::from_millis(1);
        assert!(hanging.start().unwrap_err().to_string().contains("wrote nothing within 1ms"));
        let mut hanging = starter(Way::Scgi(shell("exec sleep 1000")), None);
        hanging.timeout = Duration::from_millis(1);
        assert!(hanging.start().unwrap_err().to_string().contains("did not answer within 1ms"));
    }
}
