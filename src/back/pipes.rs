//! The line to a process: three pipes, and the exit status that tells whether what came through them was all. It must not
//! know what was asked, nor what the output means.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::unix::pipe;

use crate::exchange::{Chunk, Exchange, Failure, FailureKind, ProgramEnd, ProgramUsage};
use crate::io::Deadline;
use crate::process::{Child, Exit, Status};

use super::line::Line;
use super::slots::Slot;
use super::stderr::Stderr;

/// How long processes that the script left behind may go on writing into its output after it has ended. Nearly always
/// they merely inherited the pipe and write nothing.
const DRAIN_LIMIT: Duration = Duration::from_millis(250);

/// What is read after the script has ended even if that time is over: as much as a pipe can be made to hold
/// (`/proc/sys/fs/pipe-max-size`), so that nothing of the script's own is lost to a client that is slow to take it.
const DRAIN_BYTES: usize = 1024 * 1024;

/// How long a script that closed its output may take to exit before it is taken to have closed it on purpose. One that
/// crashes closes it by exiting, so that the two are never far apart.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// The first size of a read; most responses fit.
const MIN_READ_BYTES: usize = 8 * 1024;

/// The largest size of a read: what a pipe holds.
const MAX_READ_BYTES: usize = 64 * 1024;

/// What a process keeps for as long as it lives, whoever waits for its answer.
pub(crate) struct Keep {
    /// Its place among the processes of the route (a client that comes and goes must not be able to start any number).
    pub(crate) _slot: Slot,
    /// Where its exit status and usage are noted.
    pub(crate) exchange: Arc<Exchange>,
    /// The spooled request body that it reads as its standard input.
    pub(crate) _spooled: Option<Arc<File>>,
}

/// The line to one process.
pub(crate) struct Pipes {
    script: String,
    /// Gone only while the line is being dropped.
    running: Option<(Child, Keep)>,
    grace: Duration,
    input: Input,
    output: Option<pipe::Receiver>,
    buffer: BytesMut,
    read_size: usize,
    errors: Option<pipe::Receiver>,
    stderr: Stderr,
    exit: Option<Exit>,
    /// For the exit after the end of output, or for the end of output after the exit.
    last_call: Option<Deadline>,
    bytes_after_exit: usize,
}

/// The way to standard input.
struct Input {
    /// Gone when it was ended, or when the program closed its side.
    pipe: Option<pipe::Sender>,
    held: Bytes,
    is_ending: bool,
    is_wanted: bool,
}

impl Pipes {
    /// The line to a process that was just started; its output is logged and complained about as that of `script`. When
    /// the line is dropped before its end, the process group has `grace` from TERM to KILL.
    pub(crate) fn new(mut child: Child, script: String, stderr: Stderr, grace: Duration, keep: Keep) -> Self {
        let pipe = child.stdin.take();
        Self {
            script,
            grace,
            input: Input { is_wanted: pipe.is_some(), pipe, held: Bytes::new(), is_ending: false },
            output: child.stdout.take(),
            buffer: BytesMut::new(),
            read_size: MIN_READ_BYTES,
            errors: child.stderr.take(),
            running: Some((child, keep)),
            stderr,
            exit: None,
            last_call: None,
            bytes_after_exit: 0,
        }
    }

    /// Moves what the program said on stderr into the log.
    fn poll_errors(&mut self, cx: &mut Context<'_>) {
        while let Some(pipe) = &self.errors {
            match poll_read(pipe, cx, &mut self.buffer, MIN_READ_BYTES) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.stderr.take(&self.buffer.split());
                }
                Poll::Ready(_) => self.errors = None,
                Poll::Pending => return,
            }
        }
    }

    /// The next piece of output, `None` at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(pipe) = &self.output else { return Poll::Ready(None) };
        match ready!(poll_read(pipe, cx, &mut self.buffer, self.read_size)) {
            Ok(read) if read > 0 => {
                if self.buffer.len() == self.buffer.capacity() {
                    self.read_size = (self.read_size * 2).min(MAX_READ_BYTES);
                }
                Poll::Ready(Some(self.buffer.split().freeze()))
            }
            // A pipe has no other error than the end of what was written.
            _ => {
                self.output = None;
                Poll::Ready(None)
            }
        }
    }

    /// Whether the process has ended; its usage is noted when it has.
    fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<Result<Exit, Failure>> {
        if let Some(exit) = self.exit {
            return Poll::Ready(Ok(exit));
        }
        let Some((child, keep)) = &mut self.running else {
            return Poll::Ready(Err(Failure::internal("a process was waited for after it was let go")));
        };
        match ready!(child.poll_wait(cx)) {
            Ok(exit) => {
                self.exit = Some(exit);
                note(&keep.exchange, exit);
                Poll::Ready(Ok(exit))
            }
            Err(error) => {
                let detail = format!("{}: its exit status was lost: {error}", self.script);
                Poll::Ready(Err(Failure::internal(detail)))
            }
        }
    }

    /// Ready when it has waited long enough for the other half of the end.
    fn poll_last_call(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let deadline = self.last_call.get_or_insert_with(|| {
            let mut deadline = Deadline::unset();
            deadline.set(Some(limit));
            deadline
        });
        deadline.poll_passed(cx)
    }

    /// Whether a piece that came after the exit is none of the script's any more.
    fn is_strange(&mut self, cx: &mut Context<'_>, piece: &Bytes) -> bool {
        if self.exit.is_none() {
            return false;
        }
        self.bytes_after_exit = self.bytes_after_exit.saturating_add(piece.len());
        let is_over = self.poll_last_call(cx, DRAIN_LIMIT).is_ready();
        is_over && self.bytes_after_exit > DRAIN_BYTES
    }

    /// What the end means, now that nothing more comes.
    fn conclude(&mut self, cx: &mut Context<'_>) -> Option<Chunk> {
        self.poll_errors(cx);
        self.stderr.close();
        let is_proper = self.exit.is_none_or(|exit| exit.success());
        (!is_proper).then(|| Err(Failure::new(FailureKind::BrokenOff, self.testimony())))
    }
}

impl Line for Pipes {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.input.poll_flush(cx)
    }

    fn wants_input(&self) -> bool {
        self.input.is_wanted
    }

    fn send(&mut self, piece: Bytes) {
        self.input.held = piece;
    }

    fn end_input(&mut self) {
        self.input.is_ending = true;
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.poll_errors(cx);
        // Asked before the output is read: then all that the script wrote before its exit is there to be read.
        let exit = self.poll_exit(cx);
        if let Poll::Ready(Some(piece)) = self.poll_piece(cx) {
            if !self.is_strange(cx, &piece) {
                return Poll::Ready(Some(Ok(piece)));
            }
            self.output = None;
        }
        match (exit, &self.output) {
            (Poll::Ready(Err(failure)), _) => return Poll::Ready(Some(Err(failure))),
            (Poll::Ready(Ok(_)), None) => {}
            (Poll::Ready(Ok(_)), Some(_)) => {
                ready!(self.poll_last_call(cx, DRAIN_LIMIT));
                self.output = None;
            }
            (Poll::Pending, Some(_)) => return Poll::Pending,
            (Poll::Pending, None) => ready!(self.poll_last_call(cx, EXIT_LIMIT)),
        }
        Poll::Ready(self.conclude(cx))
    }

    fn testimony(&self) -> String {
        let mut said = self.script.clone();
        match (&self.exit, &self.running) {
            (Some(exit), _) => said += &format!(" ended with {}", exit.status),
            (None, Some((child, _))) => said += &format!(" (process {})", child.pid()),
            (None, None) => {}
        }
        match self.stderr.last_lines() {
            Some(lines) => said += &format!("; its last lines on stderr: {lines}"),
            None => said += "; it wrote nothing on stderr",
        }
        said
    }

    fn finish(self) {}
}

impl Drop for Pipes {
    /// A process that has ended is reaped at once; one that runs is ended, and keeps its place until it is gone.
    fn drop(&mut self) {
        let Some((child, keep)) = self.running.take() else { return };
        if self.exit.is_none() {
            end(child, self.grace, keep);
        }
    }
}

/// Ends a process (TERM, and KILL after the grace), and keeps its place and its record open until it is gone.
pub(crate) fn end(child: Child, grace: Duration, keep: Keep) {
    let ending = child.end(grace);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        if let Ok(exit) = ending.await {
            note(&keep.exchange, exit);
        }
        drop(keep);
    });
}

impl Input {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.held.is_empty() {
            let Some(pipe) = &self.pipe else {
                self.held.clear();
                break;
            };
            let written = ready!(pipe.poll_write_ready(cx)).and_then(|()| pipe.try_write(&self.held));
            match written {
                Ok(written) => self.held.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // RFC 3875 4.2: a script need not read its input. EPIPE is how a pipe says so; it has no other error.
                Err(_) => self.close(),
            }
        }
        if self.is_ending {
            self.close();
        }
        Poll::Ready(())
    }

    fn close(&mut self) {
        self.pipe = None;
        self.held.clear();
        self.is_wanted = false;
    }
}

/// Reads some `size` bytes behind what the buffer holds.
fn poll_read(
    pipe: &pipe::Receiver,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    size: usize,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(pipe.poll_read_ready(cx))?;
        // Memory is taken when there is something to put into it: a silent script holds none.
        if buffer.capacity() - buffer.len() < size / 2 {
            buffer.reserve(size);
        }
        match pipe.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
    }
}

fn note(exchange: &Exchange, exit: Exit) {
    let ended = match exit.status {
        Status::Code(code) => ProgramEnd::Exited(code),
        Status::Signal { number, .. } => ProgramEnd::Signalled(number),
    };
    let usage = ProgramUsage {
        ended,
        cpu: exit.cpu_user + exit.cpu_system,
        peak_memory_bytes: exit.peak_memory_bytes,
    };
    exchange.note(|record| record.usage = Some(usage));
}
