//! The CGI runner for tasks (RFC 3875): one process, one request, three standard streams, and one thread. It must not know
//! any other runner.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::stdio::{stderr, stdin, stdout};

use super::application::Application;
use super::outbox::{Batch, Script};
use super::perform::{Link, Ways};
use super::serve::run;
use super::single::{Intake, answer};
use super::socket::{advance, read, watch};
use crate::cgi::{self, EXIT_BROKEN, EXIT_NO_CGI, environ_or_complain};
use crate::descriptor::{Descriptor, next_slices, write_all};
use crate::perform::Outcome;
use crate::script::Facts;
use crate::settings::READ_BYTES;
use crate::worker::{EXIT_SYSTEM, complain};

/// Answers the one request of a CGI process, and says with which status to exit: those of the synchronous
/// [`run_cgi`](crate::run_cgi), and [`EXIT_SYSTEM`] when the system refuses a runtime.
///
/// The runtime is one of the current thread, and no other is started unless the application asks for it (to send a file
/// does). Standard input and output are left in the mode in which they were found, for others may share them.
#[must_use = "it is what `main` returns"]
pub fn run_cgi(application: impl Application) -> ExitCode {
    // One request is answered by one thread.
    run(1, answer_one(application))
}

/// The same where a runtime runs already.
pub(super) async fn answer_one(application: impl Application) -> ExitCode {
    let Some(environ) = environ_or_complain() else { return EXIT_NO_CGI.into() };
    let length = cgi::length(&environ);
    let streams = Stream::new(stdin(), Interest::READABLE)
        .and_then(|input| Ok((input, Stream::new(stdout(), Interest::WRITABLE | Interest::ERROR)?)));
    let (input, output) = match streams {
        Ok(streams) => streams,
        Err(error) => {
            complain(&format!("the standard streams cannot be watched: {error}"));
            return EXIT_SYSTEM.into();
        }
    };
    let (mut intake, mut link) =
        (Stdin { input, output: &output, left: length.unwrap_or(u64::MAX) }, Stdout(&output));
    let facts = Facts::from(&environ);
    let parts = (&mut intake, &mut link);
    let outcome = answer(&application, (environ, length), (Script, facts), parts, &Ways::default()).await;
    if intake.left > 0 {
        cgi::leave_body();
    }
    match outcome {
        Outcome::Answered | Outcome::Aborted => ExitCode::SUCCESS,
        // Lesson 12: only the exit status can say that the output is not whole.
        Outcome::Broken => EXIT_BROKEN.into(),
    }
}

/// A standard stream. It may block, because others may share it and depend on that; so each call is made only when the
/// system says that it will not.
struct Stream {
    descriptor: OwnedFd,
    /// `None` for a file, which never lets anybody wait.
    watched: Option<AsyncFd<OwnedFd>>,
}

impl Stream {
    fn new(descriptor: impl AsFd, interest: Interest) -> io::Result<Self> {
        let descriptor = descriptor.as_fd().try_clone_to_owned()?;
        let watched = match watch(descriptor.try_clone()?, interest) {
            Ok(watched) => Some(watched),
            // epoll_ctl(2): what cannot be waited for is always ready.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error),
        };
        Ok(Self { descriptor, watched })
    }

    /// Waits until a call will not wait, and makes it.
    async fn when<T>(
        &self,
        (interest, flags): (Interest, PollFlags),
        mut call: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut call = |descriptor: &OwnedFd| {
            if happened(descriptor, flags).is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            call(descriptor)
        };
        match call(&self.descriptor) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        match &self.watched {
            Some(watched) => watched.async_io(interest, call).await,
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits until whoever reads it has closed it.
    async fn closed(&self) {
        let Some(watched) = &self.watched else { return pending().await };
        // Not the readiness that others wait for: this one is for errors alone.
        while let Ok(mut ready) = watched.ready(Interest::ERROR).await {
            if happened(&self.descriptor, PollFlags::empty()).intersects(PollFlags::ERR | PollFlags::HUP) {
                return;
            }
            ready.clear_ready();
        }
    }
}

fn happened(descriptor: &OwnedFd, what: PollFlags) -> PollFlags {
    let mut polled = [PollFd::new(descriptor, what)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A question that cannot be asked is answered by the call itself.
    if poll(&mut polled, Some(&at_once)).is_err() { what } else { polled[0].revents() }
}

/// Standard input, never read behind the body (RFC 3875 4.2).
struct Stdin<'a> {
    input: Stream,
    /// Whoever reads it waits for the answer.
    output: &'a Stream,
    /// Bytes of the body that were not read yet.
    left: u64,
}

impl Intake for Stdin<'_> {
    async fn piece(&mut self) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_BYTES);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let readable = (Interest::READABLE, PollFlags::IN);
        let piece = self.input.when(readable, |input| read(input, wanted, Bytes::copy_from_slice)).await?;
        self.left = if piece.is_empty() { 0 } else { self.left - piece.len() as u64 };
        Ok(piece)
    }

    fn file(&self) -> Option<File> {
        let status = rustix::fs::fstat(&self.input.descriptor).ok()?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        is_file.then(|| self.input.descriptor.try_clone().map(File::from).ok())?
    }

    async fn gone(&mut self) {
        self.output.closed().await;
    }
}

/// Standard output and standard error.
struct Stdout<'a>(&'a Stream);

/// A pipe that says it can be written to takes so many bytes without waiting (pipe(7), `PIPE_BUF`).
const PIPE_BYTES: usize = 4096;

impl Link for Stdout<'_> {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        if !batch.stderr.is_empty() {
            // The answer does not depend on a log: it may be full.
            let _ = write_all(Descriptor(stderr()), &[&batch.stderr]);
        }
        let mut left = vec![&batch.stdout[..]];
        while left.iter().any(|slice| !slice.is_empty()) {
            let writable = (Interest::WRITABLE, PollFlags::OUT);
            let count = self.0.when(writable, |output| self.write(output, left[0])).await?;
            advance(&mut left, count);
        }
        Ok(())
    }
}

impl Stdout<'_> {
    fn write(&self, output: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
        let now = if self.0.watched.is_some() { &bytes[..bytes.len().min(PIPE_BYTES)] } else { bytes };
        next_slices(Descriptor(output.as_fd()), &[now])
    }
}
