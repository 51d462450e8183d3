//! The SCGI runner: `n` threads, each with one connection, which carries one request. It must not know CGI's process
//! nor FastCGI.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::{Environ, VariablesError};
use gatebridge_scgi::{Error, Fault, Server, ServerEvent};
use rustix::net::sockopt;

use crate::application::Application;
use crate::descriptor::{Descriptor, write_all};
use crate::input::{Input, Pull, Pulled};
use crate::perform::{Outcome, perform};
use crate::script::{Carrier, Facts, ScriptOutlet};
use crate::settings::{HEADER_TIMEOUT_MS, READ_BYTES, Settings};
use crate::socket::{self, Listener};
use crate::stop::Stop;
use crate::worker::{as_text, complain};

/// Answers SCGI requests on the listening socket at descriptor 0 until SIGTERM or SIGINT, then finishes the requests in
/// flight; a second signal ends the process at once. Exit statuses are those of [`run_fastcgi`](crate::run_fastcgi).
#[must_use = "it is what `main` returns"]
pub fn run_scgi(application: impl Application, settings: &Settings) -> ExitCode {
    crate::worker::on_descriptor_0("SCGI", |socket, stop| serve_scgi(application, socket, settings, stop))
}

/// Answers SCGI requests on a listening socket (TCP or unix) until told to stop, then finishes the requests in flight.
///
/// SCGI ends an answer by closing, so an answer that is cut short is told by a reset where the socket has one (TCP);
/// over a unix socket only a `Content-Length` shows it. There is no error stream either: what an application writes to
/// it goes to standard error. Only [`Settings::threads`] connections are served at once; others wait in the kernel.
///
/// # Errors
/// When the system refuses threads or polling. What goes wrong on one connection is written to standard error and
/// ends that connection.
pub fn serve_scgi(
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
    let first = &Mutex::new(first);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for number in 1..=settings.threads.max(1) {
            let work = move || {
                while let Some(socket) = listener.next(first, stop)? {
                    if let Err(fault) = answer(application, &socket, stop) {
                        complain(&format!("an SCGI connection was closed: {fault}"));
                    }
                }
                Ok(())
            };
            match thread::Builder::new().name(format!("scgi-{number}")).spawn_scoped(scope, work) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    stop.stop();
                    return Err(error);
                }
            }
        }
        // Whoever fails fails for all; an application's panic does not get so far.
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
    })
}

/// Answers the one request of a connection. An error is the peer's.
fn answer(application: &dyn Application, socket: &OwnedFd, stop: &Stop) -> io::Result<()> {
    let mut source = Body { socket, server: Server::default(), current: Bytes::new(), has_ended: false };
    let deadline = Instant::now() + Duration::from_millis(HEADER_TIMEOUT_MS);
    let headers = loop {
        match source.server.next_event().map_err(as_text)? {
            ServerEvent::Request(headers) => break headers,
            ServerEvent::NeedData => {
                // Who connects and says nothing, or says it byte by byte, does not keep the thread.
                if !socket::wait_for_head(socket, deadline, stop)? {
                    return Ok(());
                }
                if source.receive()? == 0
                    && source.server.next_event().is_err_and(|error| is_unspoken(&error))
                {
                    return Ok(());
                }
            }
            ServerEvent::Body(_) | ServerEvent::End => return Err(as_text("a body came before the headers")),
        }
    };
    let environ = match Environ::from_variables(headers.into_pairs()) {
        Ok(environ) => environ,
        Err(fault) => {
            write_all(Descriptor(socket.as_fd()), &[refusal(&fault).as_bytes()])?;
            return Err(as_text(fault));
        }
    };
    let length = Some(environ.content_length.unwrap_or(0));
    let mut pulled = Pulled(&mut source);
    let mut input = Input::new(&mut pulled, length);
    let mut connection = Connection(socket);
    let mut outlet = ScriptOutlet::new(&mut connection, Facts::from(&environ));
    match perform(application, &environ, &mut input, &mut outlet) {
        Outcome::Answered => linger(&mut source),
        Outcome::Aborted => {}
        // A close would look like an end: a reset does not, where there is one.
        Outcome::Broken => sockopt::set_socket_linger(socket, Some(Duration::ZERO))?,
    }
    Ok(())
}

/// The answer to headers that make no request.
pub(crate) fn refusal(fault: &VariablesError) -> String {
    let text = format!("the SCGI headers make no request: {fault}\n");
    format!("Status: 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n{text}")
}

/// Whether the peer left without a word, as those do who try whether a worker is there.
pub(crate) const fn is_unspoken(error: &Error) -> bool {
    matches!(error.fault(), Fault::HeaderTruncated { received: 0 })
}

/// Lets the end of the answer reach a peer that is still sending.
fn linger(source: &mut Body<'_>) {
    while let Ok(ServerEvent::Body(_)) = source.server.next_event() {}
    if matches!(source.server.next_event(), Ok(ServerEvent::NeedData)) {
        socket::linger(source.socket);
    }
}

/// The body of the request.
struct Body<'a> {
    socket: &'a OwnedFd,
    server: Server,
    current: Bytes,
    /// All of it has come.
    has_ended: bool,
}

impl Body<'_> {
    /// Reads what the socket has, or waits for it. 0 is its end.
    fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = vec![0; READ_BYTES];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(self.socket, &mut buffer[..]))?;
        buffer.truncate(count);
        if count == 0 {
            self.server.receive_end();
        } else {
            self.server.receive(buffer.into());
        }
        Ok(count)
    }
}

impl Pull for Body<'_> {
    fn fill(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.has_ended {
            match self.server.next_event() {
                Ok(ServerEvent::Body(piece)) => self.current = piece,
                Ok(ServerEvent::End) => self.has_ended = true,
                Ok(ServerEvent::NeedData | ServerEvent::Request(_)) => {
                    self.receive()?;
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error.to_string())),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }

    fn is_aborted(&self) -> bool {
        socket::has_gone(self.socket)
    }
}

/// The answer: script output until the connection is closed.
struct Connection<'a>(&'a OwnedFd);

impl Carrier for Connection<'_> {
    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        write_all(Descriptor(self.0.as_fd()), &slices)
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.send(slices)
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        write_all(Descriptor(rustix::stdio::stderr()), &[text])
    }

    fn is_aborted(&self) -> bool {
        socket::has_gone(self.0)
    }
}
