//! Finds out how the program was started and runs it so; it must not know how any of the runners works.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use gatebridge_fastcgi::VERSION;
#[cfg(feature = "development")]
use gatebridge_fastcgi::WEB_SERVER_ADDRS;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::application::Application;
use crate::settings::Settings;
use crate::socket::Listener;
#[cfg(feature = "development")]
use crate::socket::Peers;
use crate::stop::Stop;
use crate::worker::{EXIT_NO_SOCKET, complain, is_worker, on_descriptor_0};
use crate::{cgi, fastcgi, scgi};

/// Where a program that is started at a terminal serves. Loopback: it is for who sits there.
const DEVELOPMENT_ADDRESS: &str = "127.0.0.1:8080";

/// Runs the application in the way in which the program was started.
///
/// | descriptor 0 | environment | then it is |
/// |---|---|---|
/// | a listening socket | | a FastCGI worker, or an SCGI worker if the first peer speaks that |
/// | anything else | `GATEWAY_INTERFACE` | a CGI program |
/// | a terminal | | with the feature `development`: a server at <http://127.0.0.1:8080/>, which says so |
/// | anything else | | a mistake, which is explained on standard error; exit status [`EXIT_NO_SOCKET`] |
///
/// With the feature `development`, `--listen ADDRESS` as the first argument makes what would be a mistake a server for
/// development at that address.
///
/// The other exit statuses are those of [`run_cgi`](crate::run_cgi) and [`run_fastcgi`](crate::run_fastcgi).
///
/// In builds with debug assertions the application is watched: a breach of the contract becomes an error, see
/// [`Lint`](crate::Lint). So do all runners.
///
/// ```no_run
/// use gatebridge_interface::{application, serve};
///
/// fn main() -> std::process::ExitCode {
///     serve(application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n")))
/// }
/// ```
#[must_use = "it is what `main` returns"]
pub fn serve(application: impl Application) -> ExitCode {
    find_out(&application, None)
}

/// [`serve`] with settings for the persistent ways.
#[must_use = "it is what `main` returns"]
pub fn serve_with(application: impl Application, settings: &Settings) -> ExitCode {
    find_out(&application, Some(settings))
}

/// Without settings the usual ones are made where they are needed: a CGI program has no use for them.
fn find_out(application: &dyn Application, settings: Option<&Settings>) -> ExitCode {
    let settings = || settings.cloned().unwrap_or_default();
    match Start::of_process() {
        Start::Worker => {
            on_descriptor_0("FastCGI or SCGI", |socket, stop| worker(application, socket, &settings(), stop))
        }
        Start::Cgi => cgi::answer(application),
        Start::Development(address) => develop(application, &address, &settings()),
        Start::Mistake => mistaken(),
    }
}

/// How this process was started.
pub(crate) enum Start {
    Worker,
    Cgi,
    /// As a server for development at an address.
    Development(String),
    Mistake,
}

impl Start {
    pub(crate) fn of_process() -> Self {
        if is_worker() {
            return Self::Worker;
        }
        if cgi::is_cgi() {
            return Self::Cgi;
        }
        // Lesson 7: only now. Some gateways make a CGI program's arguments from the query.
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next().is_some_and(|argument| argument == "--listen") {
            let address = arguments.next().unwrap_or_default();
            return Self::Development(address.to_string_lossy().into_owned());
        }
        if cfg!(feature = "development") && io::stdin().is_terminal() {
            return Self::Development(DEVELOPMENT_ADDRESS.to_owned());
        }
        Self::Mistake
    }
}

/// Explains a wrong start.
pub(crate) fn mistaken() -> ExitCode {
    complain(&explanation());
    EXIT_NO_SOCKET.into()
}

/// Serves HTTP by itself until a signal says stop.
#[cfg(feature = "development")]
fn develop(application: &dyn Application, address: &str, settings: &Settings) -> ExitCode {
    let Some(listener) = development_listener(address, &settings.peers) else { return EXIT_NO_SOCKET.into() };
    crate::worker::until_stopped("HTTP", |stop| {
        crate::development::serve(application, listener, settings, stop)
    })
}

#[cfg(not(feature = "development"))]
fn develop(_: &dyn Application, _: &str, _: &Settings) -> ExitCode {
    undeveloped()
}

/// The listening socket of a server for development, which is announced, or a complaint.
#[cfg(feature = "development")]
pub(crate) fn development_listener(address: &str, peers: &Peers) -> Option<std::net::TcpListener> {
    let listener = match std::net::TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            let hint = "--listen takes an address such as 127.0.0.1:8080";
            complain(&format!("cannot listen at \"{address}\": {error}; {hint}"));
            return None;
        }
    };
    let bound = listener.local_addr();
    let is_open = bound.as_ref().is_ok_and(|bound| !bound.ip().is_loopback());
    let bound = bound.map_or_else(|_| address.to_owned(), |bound| bound.to_string());
    complain(&announcement(&bound, is_open, peers));
    Some(listener)
}

/// What is said of a server for development; `is_open` when others than this machine could reach its address.
#[cfg(feature = "development")]
fn announcement(bound: &str, is_open: bool, peers: &Peers) -> String {
    let told =
        format!("listening on http://{bound}/ for development; in earnest a gateway starts this program");
    if !is_open || *peers != Peers::Local {
        return told;
    }
    // Whoever is not admitted finds a closed connection, and is not told why.
    format!(
        "{told}\nonly this machine is let in, whatever the address; {WEB_SERVER_ADDRS} in the environment \
         lists the addresses of others"
    )
}

#[cfg(not(feature = "development"))]
pub(crate) fn undeveloped() -> ExitCode {
    complain("--listen needs the feature `development` of the crate gatebridge-interface");
    EXIT_NO_SOCKET.into()
}

fn explanation() -> String {
    let program = std::env::args_os().next().unwrap_or_else(|| "this program".into());
    let program = program.to_string_lossy();
    let feature = if cfg!(feature = "development") { "" } else { " (built with the feature `development`)" };
    format!(
        "{program} answers web requests, and must be started by a gateway:\n  \
         as a CGI program, one process for each request, with GATEWAY_INTERFACE in its environment; or\n  \
         as a FastCGI or SCGI worker, with a listening socket as its standard input.\n\
         Here it has neither. To see it work, run `{program} --listen 127.0.0.1:8080`{feature}, or put it into a folder `cgi-bin` and \
         run `gatebridge serve` beside that."
    )
}

/// What a worker's peers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    FastCgi,
    Scgi,
}

fn worker(
    application: &dyn Application,
    socket: OwnedFd,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let listener = Listener::new(socket, settings.peers.clone())?;
    let mut first = Vec::new();
    match listen_for_tongue(&listener, &mut first, settings.max_connections, stop)? {
        Some(Tongue::FastCgi) => fastcgi::serve_first(application, &listener, first, settings, stop),
        Some(Tongue::Scgi) => scgi::serve_first(application, &listener, first, settings, stop),
        None => Ok(()),
    }
}

/// Accepts connections until the first byte has come on one of them; `None` when told to stop before. Who says nothing
/// keeps nobody up: of more than `max_connections`, the one that has been silent for longest is closed.
pub(crate) fn listen_for_tongue(
    listener: &Listener,
    first: &mut Vec<OwnedFd>,
    max_connections: usize,
    stop: &Stop,
) -> io::Result<Option<Tongue>> {
    loop {
        let sockets = first.iter().map(|socket| socket.as_fd());
        let awaited = [stop.as_fd(), listener.as_fd()].into_iter().chain(sockets);
        let mut awaited: Vec<_> =
            awaited.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)).collect();
        match poll(&mut awaited, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = awaited.iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        drop(awaited);
        if happened[0] {
            return Ok(None);
        }
        let mut mute = Vec::new();
        for (at, socket) in first.iter().enumerate().filter(|(at, _)| happened[at + 2]) {
            match tongue(socket) {
                Some(tongue) => return Ok(Some(tongue)),
                None => mute.push(at),
            }
        }
        for at in mute.into_iter().rev() {
            first.remove(at);
        }
        if happened[1] {
            if first.len() >= max_connections.max(1) {
                first.remove(0);
            }
            first.extend(listener.accept()?);
        }
    }
}

/// What a first byte says: the version of FastCGI's records, or the first digit of SCGI's netstring. `None` when there
/// is no byte, or one that says neither.
fn tongue(socket: &OwnedFd) -> Option<Tongue> {
    let mut byte = [0];
    match recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) | Err(_) => None,
        Ok(_) if byte[0] == VERSION => Some(Tongue::FastCgi),
        Ok(_) if byte[0].is_ascii_digit() => Some(Tongue::Scgi),
        Ok(_) => {
            complain(&format!(
                "a connection was closed: it began with the byte 0x{:02x}, which is neither FastCGI nor SCGI",
                byte[0]
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::socket::Peers;

    #[cfg(feature = "development")]
    #[test]
    fn lesson_37_who_opens_an_address_is_told_that_others_are_not_let_in() {
        let told = |is_open, peers| announcement("0.0.0.0:80", is_open, &peers).contains("only this machine");
        assert!(told(true, Peers::Local));
        assert!(
            !told(false, Peers::Local) && !told(true, Peers::Any) && !told(true, Peers::Listed(Vec::new()))
        );
    }

    #[test]
    fn lesson_23_who_says_nothing_does_not_use_up_the_descriptors() {
        let path = std::env::temp_dir().join(format!("gatebridge-tongue-{}.sock", std::process::id()));
        let listener = Listener::new(UnixListener::bind(&path).unwrap(), Peers::Local).unwrap();
        let mut peers = [(); 4].map(|()| UnixStream::connect(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        peers[3].write_all(&[VERSION]).unwrap();
        let mut first = Vec::new();
        let tongue = listen_for_tongue(&listener, &mut first, 2, &Stop::new().unwrap()).unwrap();
        assert_eq!((tongue, first.len()), (Some(Tongue::FastCgi), 2));
        assert_eq!(peers[0].read(&mut [0]).unwrap(), 0, "the first was closed");
    }
}
