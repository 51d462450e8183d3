//! Children of children that land here when their parent dies first. This file must not touch a child of the spawner's.
//!
//! The kernel hands orphans to the nearest subreaper above them, or to process 1, and there to the first thread of the
//! process: the main thread. The children that we started belong to the threads that started them, the spawner's. So
//! `waitpid` with `__WNOTHREAD`, called on the main thread, sees orphans only; no list of known children is needed, and
//! no exit status can be stolen. Two things follow: the future below must be polled on the main thread, and a
//! [`Spawner`](super::Spawner) lives as long as the process (the children of a thread that ends pass to another one).

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use rustix::process::{WaitOptions, child_subreaper, getpid, set_child_subreaper};
use rustix::thread::gettid;
use tokio::signal::unix::{SignalKind, signal};

/// The pause between two sweeps: every exit of a child wakes this up, a zombie more for a second harms nobody.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Makes this process the one that orphaned descendants pass to, instead of process 1. Process 1 is that anyway.
///
/// # Errors
/// Not on Linux 3.4 and later.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Whether orphaned descendants pass to this process: it is process 1 (of its container), or a subreaper. If not, they are
/// reaped by somebody else, and there is nothing to do.
#[must_use]
pub fn inherits_orphans() -> bool {
    // prctl(2) cannot fail here since Linux 3.4; without an answer nobody has made us one.
    getpid().is_init() || matches!(child_subreaper(), Ok(Some(_)))
}

/// Reaps orphans as they end, silently, for ever. Never answers but with an error.
///
/// # Errors
/// When SIGCHLD cannot be listened to, or when it is polled on another thread than the main one: run it inside the future
/// that `main` gives to `block_on`, not in a spawned task.
pub async fn reap_orphans() -> io::Result<Infallible> {
    let mut child_ended = signal(SignalKind::child())?;
    loop {
        reap_orphans_now()?;
        child_ended.recv().await;
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
}

/// Reaps the orphans that have ended, and says how many they were.
///
/// # Errors
/// When it is called on another thread than the main one.
pub fn reap_orphans_now() -> io::Result<usize> {
    if gettid() != getpid() {
        return Err(io::Error::other(
            "orphans can be reaped on the main thread only: elsewhere they are not seen",
        ));
    }
    let own_thread_only = WaitOptions::from_bits_retain(libc::__WNOTHREAD.cast_unsigned());
    let mut reaped = 0;
    // ECHILD: no orphan at all. None: those that there are still run.
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG | own_thread_only) {
        reaped += 1;
    }
    Ok(reaped)
}
