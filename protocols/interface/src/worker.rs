//! What the persistent workers have in common: the socket at descriptor 0, the signals, the exit status. It must not
//! know what is spoken.

use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::stdio::{stderr, stdin};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::descriptor::{Descriptor, write_all};
use crate::socket::Listener;
use crate::stop::Stop;

/// Exit status when there is no listening socket where one was expected: sysexits' `EX_USAGE`.
pub const EXIT_NO_SOCKET: u8 = 64;
/// Exit status when the worker could not run on: sysexits' `EX_OSERR`.
pub const EXIT_SYSTEM: u8 = 71;
/// Exit status when a second signal ended the worker amid its requests: 128 + SIGTERM, as shells say it.
pub const EXIT_IMPATIENT: u8 = 143;

/// Whether descriptor 0 is a listening socket, as a gateway gives it to a worker (FastCGI 1.0 2.2).
pub(crate) fn is_worker() -> bool {
    Listener::is_one(stdin())
}

/// Runs a worker on the listening socket at descriptor 0 until a signal says stop.
pub(crate) fn on_descriptor_0(what: &str, run: impl FnOnce(OwnedFd, &Stop) -> io::Result<()>) -> ExitCode {
    if !is_worker() {
        return unsocketed(what);
    }
    until_stopped(what, |stop| run(descriptor_0()?, stop))
}

/// Says that there is no listening socket.
pub(crate) fn unsocketed(what: &str) -> ExitCode {
    complain(&format!(
        "descriptor 0 is no listening socket, so there is nobody to speak {what} with; let a gateway start this \
         program as a worker"
    ));
    EXIT_NO_SOCKET.into()
}

/// Descriptor 0 under another number.
pub(crate) fn descriptor_0() -> io::Result<OwnedFd> {
    stdin().try_clone_to_owned()
}

/// Runs a server until a signal says stop.
pub(crate) fn until_stopped(what: &str, run: impl FnOnce(&Stop) -> io::Result<()>) -> ExitCode {
    ended(what, stop_by_signals().and_then(|stop| run(&stop)))
}

/// With which status a worker exits.
pub(crate) fn ended(what: &str, outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("the {what} worker cannot run on: {error}"));
            EXIT_SYSTEM.into()
        }
    }
}

/// The first signal asks to stop, the second one does not ask.
pub(crate) fn stop_by_signals() -> io::Result<Stop> {
    let told = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: a signal finds the flag as the one before has left it.
        flag::register_conditional_shutdown(signal, EXIT_IMPATIENT.into(), Arc::clone(&told))?;
        flag::register(signal, Arc::clone(&told))?;
    }
    Stop::on_signals()
}

/// An error as its text alone. Kept whole it would bring the `Debug` form of all that it may hold into every program, and
/// nobody asks for more than the text.
pub(crate) fn as_text(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Says something to whoever runs the worker.
pub(crate) fn complain(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = write_all(Descriptor(stderr()), &[text.as_bytes(), b"\n"]);
}
