//! The FastCGI runner: one thread reads every connection, `n` threads call the application. It must not know CGI's
//! process nor SCGI.
//!
//! ```text
//!                    one thread                          n threads
//! connections  ->  poll, codec  ->  requests that are ready  ->  application
//!      ^             |    ^------------- wake: room, end ------------|  |
//!      |             +---- pieces of bodies -> inbox of the request -+  |
//!      +----------------------------- records ---------------------- ---+
//! ```
//!
//! A kept connection therefore costs no thread, and a body that nobody reads stops its own connection only. Whoever
//! answers writes to the socket itself, and waits there for a slow peer.

pub(crate) mod codec;
mod connection;
mod queue;
mod reactor;
pub(crate) mod request;
mod wake;

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread;

use gatebridge_cgi::VariablesError;
use gatebridge_fastcgi::{Params, ProtocolStatus};

use crate::application::Application;
use crate::input::{Input, Pulled};
use crate::perform::{Outcome, perform};
use crate::script::{Carrier, Facts, ScriptOutlet};
use crate::settings::Settings;
use crate::socket::Listener;
use crate::stop::Stop;

use codec::{Out, joined};
use connection::Connection;
use queue::{Job, Queue};
use reactor::Reactor;
use request::{Request, RequestSource};
use wake::Waker;

/// Answers FastCGI requests on the listening socket at descriptor 0 (FastCGI 1.0 2.2) until SIGTERM or SIGINT, then
/// finishes the requests in flight; a second signal ends the process at once.
///
/// | exit status | when |
/// |---|---|
/// | 0 | it was told to stop and has |
/// | [`EXIT_NO_SOCKET`](crate::EXIT_NO_SOCKET) | descriptor 0 is no listening socket |
/// | [`EXIT_SYSTEM`](crate::EXIT_SYSTEM) | the system refused something that a worker cannot do without |
///
/// ```no_run
/// use gatebridge_interface::{Settings, application, run_fastcgi};
///
/// fn main() -> std::process::ExitCode {
///     let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
///     run_fastcgi(hello, &Settings::default().threads(4))
/// }
/// ```
#[must_use = "it is what `main` returns"]
pub fn run_fastcgi(application: impl Application, settings: &Settings) -> ExitCode {
    crate::worker::on_descriptor_0("FastCGI", |socket, stop| {
        serve_fastcgi(application, socket, settings, stop)
    })
}

/// Answers FastCGI requests on a listening socket (TCP or unix) until told to stop, then finishes the requests in
/// flight.
///
/// Several requests of one connection are worked on at once, up to [`Settings::threads`] of them in all; others wait
/// their turn, in the order in which they came. What GET_VALUES is told: `FCGI_MAX_REQS` is the number of threads,
/// `FCGI_MAX_CONNS` the number of connections that are accepted, `FCGI_MPXS_CONNS` whether a connection may carry
/// several requests.
///
/// # Errors
/// When the system refuses threads or polling. What goes wrong on one connection is written to standard error and
/// ends that connection.
pub fn serve_fastcgi(
    application: impl Application,
    listener: impl Into<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    serve_first(&application, &Listener::new(listener, settings.peers.clone())?, Vec::new(), settings, stop)
}

/// The same with connections that were accepted before.
pub(crate) fn serve_first(
    application: &dyn Application,
    listener: &Listener,
    first: Vec<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let (queue, waker) = (Queue::default(), Waker::new()?);
    thread::scope(|scope| {
        let mut outcome = Ok(());
        for number in 1..=settings.threads.max(1) {
            let (queue, waker) = (&queue, &waker);
            let worker = move || {
                while let Some(job) = queue.take() {
                    work(application, job, waker);
                }
            };
            outcome = thread::Builder::new()
                .name(format!("fastcgi-{number}"))
                .spawn_scoped(scope, worker)
                .map(|_| ());
            if outcome.is_err() {
                break;
            }
        }
        let outcome =
            outcome.and_then(|()| Reactor::new(listener, settings, stop, &queue, &waker).run(first));
        queue.close();
        outcome
    })
}

/// Answers one request.
fn work(application: &dyn Application, job: Job, waker: &Waker) {
    let Job { request, params, connection } = job;
    let ended = if request.inbox.is_cut() {
        connection.finish(&request, &[], request.status())
    } else {
        answer(application, &request, &params, &connection, waker)
    };
    // Who has gone is not told anything; the thread that reads the connection finds out by itself.
    drop(ended);
    // It may stand still because of a body that nobody reads any more (lesson 39).
    if connection.is_paused() || connection.is_watched() || connection.should_close() {
        waker.wake();
    }
}

fn answer(
    application: &dyn Application,
    request: &Request,
    params: &Params,
    connection: &Connection,
    waker: &Waker,
) -> io::Result<()> {
    let environ = match request.environ(params) {
        Ok(environ) => environ,
        Err(fault) => return refuse(request, connection, &fault),
    };
    let mut source = RequestSource::new(request, demand(connection, waker), &environ);
    let mut source = Pulled(&mut source);
    let mut input = Input::new(&mut source, request.input_length(&environ));
    let mut records = Records { request, connection, waker };
    let mut outlet = ScriptOutlet::new(&mut records, Facts::from(&environ));
    match perform(application, &environ, &mut input, &mut outlet) {
        Outcome::Answered => Ok(()),
        Outcome::Aborted => connection.finish(request, &[], request.status()),
        Outcome::Broken => connection.break_off(request),
    }
}

/// The Web server's variables make no request.
fn refuse(request: &Request, connection: &Connection, fault: &VariablesError) -> io::Result<()> {
    let (answer, text) = codec::refusal(fault);
    connection.send(request, Out::Stderr, &[text.as_bytes()])?;
    connection.finish(request, &[answer.as_bytes()], ProtocolStatus::RequestComplete)
}

/// Wakes the thread that reads the connection, if that stands still for the sake of another request.
fn demand<'a>(connection: &'a Connection, waker: &'a Waker) -> impl Fn() + Send + 'a {
    move || {
        if connection.is_paused() {
            waker.wake();
        }
    }
}

/// Script output as records.
struct Records<'a> {
    request: &'a Request,
    connection: &'a Connection,
    waker: &'a Waker,
}

impl Records<'_> {
    fn wait_for_turn(&self) {
        self.request.wait_for_turn(demand(self.connection, self.waker));
    }
}

impl Carrier for Records<'_> {
    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.wait_for_turn();
        match joined(slices) {
            Some(bytes) => self.connection.send(self.request, Out::Stdout, &[&bytes]),
            None => self.connection.send(self.request, Out::Stdout, &slices),
        }
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.wait_for_turn();
        if self.request.inbox.is_cut() {
            let message = "the request was aborted before its answer ended";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        match joined(slices) {
            Some(bytes) => self.connection.finish(self.request, &[&bytes], ProtocolStatus::RequestComplete),
            None => self.connection.finish(self.request, &slices, ProtocolStatus::RequestComplete),
        }
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.wait_for_turn();
        self.connection.send(self.request, Out::Stderr, &[text])
    }

    fn is_aborted(&self) -> bool {
        self.request.inbox.is_aborted()
    }
}
