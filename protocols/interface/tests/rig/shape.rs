//! The shape that is tested: the same tests run once with threads, and once, in the files `asynchronous...`, with tasks. It
//! must not know what is asked.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use gatebridge_interface::{Settings, Stop, run_cgi, serve_with};

#[cfg(feature = "tokio")]
use super::tasks;
use super::{answer, questions};

/// Whether the test is one of tasks.
pub fn is_asynchronous() -> bool {
    module_path!().starts_with("asynchronous")
}

pub fn serve_fastcgi(listener: impl Into<OwnedFd>, settings: &Settings, stop: &Stop) -> io::Result<()> {
    #[cfg(feature = "tokio")]
    if is_asynchronous() {
        let settings = tasks::settings(settings);
        return tasks::run(gatebridge_interface::tokio::serve_fastcgi(
            tasks::questions(),
            listener,
            &settings,
            stop,
        ));
    }
    gatebridge_interface::serve_fastcgi(questions(), listener, settings, stop)
}

pub fn serve_scgi(listener: impl Into<OwnedFd>, settings: &Settings, stop: &Stop) -> io::Result<()> {
    #[cfg(feature = "tokio")]
    if is_asynchronous() {
        let settings = tasks::settings(settings);
        return tasks::run(gatebridge_interface::tokio::serve_scgi(
            tasks::questions(),
            listener,
            &settings,
            stop,
        ));
    }
    gatebridge_interface::serve_scgi(questions(), listener, settings, stop)
}

#[cfg(feature = "development")]
pub fn serve_http(listener: TcpListener, settings: &Settings, stop: &Stop) -> io::Result<()> {
    #[cfg(feature = "tokio")]
    if is_asynchronous() {
        let served = gatebridge_interface::tokio::serve_http(tasks::questions(), listener, settings, stop);
        return tasks::run(served);
    }
    gatebridge_interface::serve_http(questions(), listener, settings, stop)
}

/// Is the program that is tested.
pub fn program(way: &str) -> ExitCode {
    #[cfg(feature = "tokio")]
    if is_asynchronous() {
        return tasks::program(way);
    }
    match way {
        "cgi" => run_cgi(questions()),
        // Not wrapped, so that it is the runner who watches.
        "bare" => serve_with(answer, &Settings::default()),
        _ => serve_with(questions(), &Settings::default().threads(2)),
    }
}
