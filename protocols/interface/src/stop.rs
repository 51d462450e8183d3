//! How a worker is told to stop; it must not know what it stops.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Tells the runners that are given it to stop: they take no more requests, finish those in flight, and return.
///
/// It is a pipe: whoever waits for something else too can wait for this as well, and once told it stays told.
#[derive(Debug)]
pub struct Stop {
    told: OwnedFd,
    teller: OwnedFd,
}

impl Stop {
    /// Nobody has told it yet.
    ///
    /// # Errors
    /// When there are no descriptors left for a pipe.
    pub fn new() -> io::Result<Self> {
        let (told, teller) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { told, teller })
    }

    /// It is told by SIGTERM, which is how a gateway and every service manager stop a worker, and by SIGINT, which is
    /// how a person does.
    ///
    /// # Errors
    /// When there are no descriptors left, or the signals cannot be caught.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new()?;
        for signal in [SIGTERM, SIGINT] {
            pipe::register(signal, stop.teller.try_clone()?)?;
        }
        Ok(stop)
    }

    /// Tells it.
    pub fn stop(&self) {
        // A full pipe has told already.
        let _ = rustix::io::write(&self.teller, b"!");
    }

    /// Whether it was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        let mut told = [PollFd::new(&self.told, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut told, Some(&at_once)).is_ok_and(|count| count > 0)
    }
}

impl AsFd for Stop {
    /// Readable once told.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}
