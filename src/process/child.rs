//! One running program: its pipes, its exit. It must not know what is written and read through the pipes.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use super::ending::{Ending, Leader};
use super::reap::{Exit, GroupSignal, Pid};

/// A program that was started and is not reaped yet.
///
/// It leads a process group of its own. Dropping it never leaks: a program that still runs gets TERM and, after
/// [`Launch::grace`](super::Launch::grace), KILL, with its whole group; one that has ended is reaped, and what it left
/// behind in its group is treated as [`Launch::rest_of_group`](super::Launch::rest_of_group) says.
///
/// Should the gateway itself die by KILL, nobody is there to end the children: they meet EOF on descriptor 0 and
/// EPIPE on 1 and 2, and end if they heed that. (`PR_SET_PDEATHSIG` would need code of ours in the child, between fork
/// and exec, and with it a fork of the whole gateway.)
#[derive(Debug)]
pub struct Child {
    /// The writing end of descriptor 0; dropping it is the program's end of input.
    pub stdin: Option<pipe::Sender>,
    /// The reading end of descriptor 1.
    pub stdout: Option<pipe::Receiver>,
    /// The reading end of descriptor 2.
    pub stderr: Option<pipe::Receiver>,
    leader: AsyncFd<Leader>,
    exit: Option<Exit>,
}

/// What the spawner's thread hands over: a leader, and our ends of its pipes, non-blocking. Dropped on the way, it ends
/// like a child.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) leader: Leader,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

impl Child {
    /// Gives the descriptors to the runtime that the caller runs in.
    pub(super) fn adopt(started: Started) -> io::Result<Self> {
        Ok(Self {
            leader: watch(started.leader)?,
            // Unchecked: these are pipes, and the thread that made them made our ends non-blocking.
            stdin: started.stdin.map(pipe::Sender::from_owned_fd_unchecked).transpose()?,
            stdout: started.stdout.map(pipe::Receiver::from_owned_fd_unchecked).transpose()?,
            stderr: started.stderr.map(pipe::Receiver::from_owned_fd_unchecked).transpose()?,
            exit: None,
        })
    }

    /// The program's process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.leader.get_ref().process().pid()
    }

    /// Waits until the program itself has ended. The program's outputs may hold more to read, and processes that it left
    /// behind may go on writing, until this child is dropped. Cancel-safe; asked again it answers the same.
    ///
    /// # Errors
    /// ECHILD when something else in this process reaped the child, which nothing may do.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        std::future::poll_fn(|context| self.poll_wait(context)).await
    }

    /// [`wait`](Self::wait) for whoever polls by hand, among other things.
    ///
    /// # Errors
    /// As `wait`.
    pub fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Exit>> {
        if let Some(exit) = self.exit {
            return Poll::Ready(Ok(exit));
        }
        loop {
            let mut ready = ready!(self.leader.poll_read_ready(context))?;
            if let Some(exit) = self.leader.get_ref().process().peek()? {
                self.exit = Some(exit);
                return Poll::Ready(Ok(exit));
            }
            ready.clear_ready();
        }
    }

    /// Signals the program and everything in its group.
    ///
    /// # Errors
    /// EPERM when the whole group runs as a user that we may not signal.
    pub fn signal_group(&self, signal: GroupSignal) -> io::Result<()> {
        self.leader.get_ref().process().signal_group(signal)
    }

    /// Ends the program with its whole group: TERM now, KILL after `grace`, then it is reaped. This happens whether or
    /// not the answer is awaited, and also after the runtime is gone.
    ///
    /// The pipes that are still here are closed at once, so a program that writes while it cleans up meets EPIPE, and ends
    /// by SIGPIPE if it does not heed that. Take [`stderr`](Self::stderr) out first and go on reading if its last words matter.
    pub fn end(self, grace: Duration) -> Ending {
        self.leader.into_inner().end(grace)
    }
}

#[allow(unsafe_code, reason = "AsyncFd asks for a proof that the descriptor stays the same and open")]
fn watch(leader: Leader) -> io::Result<AsyncFd<Leader>> {
    // SAFETY: a leader's descriptor is an `OwnedFd` behind an `Arc` that is never exchanged, so it is the same open
    // descriptor for as long as the leader exists, and nothing gives out the ownership.
    Ok(unsafe { AsyncFd::register_with_interest(leader, Interest::READABLE) }?)
}
