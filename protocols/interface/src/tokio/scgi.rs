//! The SCGI runner for tasks: one for each connection, which carries one request. It must not know CGI's process nor
//! FastCGI.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use gatebridge_cgi::Environ;
use gatebridge_scgi::{Headers, Server, ServerEvent};

use super::application::Application;
use super::outbox::Script;
use super::perform::Ways;
use super::serve::on_descriptor_0;
use super::single::{Host, Intake, SocketLink, answer};
use super::socket::{Draining, Socket, accept, unless_drained};
use crate::perform::Outcome;
use crate::scgi::{is_unspoken, refusal};
use crate::script::Facts;
use crate::settings::Settings;
use crate::socket::Listener;
use crate::stop::Stop;
use crate::worker::complain;

/// Answers SCGI requests on the listening socket at descriptor 0 until SIGTERM or SIGINT, then finishes the requests in
/// flight; a second signal ends the process at once. Exit statuses are those of [`run_fastcgi`](crate::run_fastcgi).
///
/// It starts a runtime with [`Settings::threads`] threads.
#[must_use = "it is what `main` returns"]
pub fn run_scgi(application: impl Application, settings: &Settings) -> ExitCode {
    on_descriptor_0("SCGI", settings, async |socket, stop| {
        serve_scgi(application, socket, settings, stop).await
    })
}

/// Answers SCGI requests on a listening socket (TCP or unix) until told to stop, then finishes the requests in flight. A
/// task for each connection, up to [`Settings::max_connections`] of them.
///
/// How an answer that is cut short is told, and where errors go: see the synchronous
/// [`serve_scgi`](crate::serve_scgi).
///
/// # Errors
/// When the system refuses to watch sockets. What goes wrong on one connection is written to standard error and ends that
/// connection.
pub async fn serve_scgi(
    application: impl Application,
    listener: impl Into<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let listener = Listener::new(listener, settings.peers.clone())?;
    serve_first(application, listener, Vec::new(), settings, stop).await
}

/// The same with connections that were accepted before.
pub(super) async fn serve_first(
    application: impl Application,
    listener: Listener,
    first: Vec<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let host = Host::new(application, settings);
    accept(listener, first, settings.max_connections, stop, |socket, mut draining| {
        let host = Arc::clone(&host);
        async move {
            if let Err(fault) = serve_one(&host, &socket, &mut draining).await {
                complain(&format!("an SCGI connection was closed: {fault}"));
            }
        }
    })
    .await
}

/// Answers the one request of a connection. An error is the peer's.
async fn serve_one<A: Application>(
    host: &Host<A>,
    socket: &Socket,
    draining: &mut Draining,
) -> Result<(), crate::Error> {
    let mut intake = Body { socket, server: Server::default() };
    let Some(head) = unless_drained(intake.head(), socket, draining).await? else { return Ok(()) };
    let Some(headers) = head? else { return Ok(()) };
    let environ = match Environ::from_variables(headers.into_pairs()) {
        Ok(environ) => environ,
        Err(fault) => {
            socket.write_all(&[refusal(&fault).as_bytes()]).await?;
            return Err(fault.into());
        }
    };
    let _place = host.places.acquire().await;
    let (facts, length) = (Facts::from(&environ), Some(environ.content_length.unwrap_or(0)));
    let (ways, mut link) = (Ways::default(), SocketLink(socket));
    let parts = (&mut intake, &mut link);
    match answer(&host.application, (environ, length), (Script, facts), parts, &ways).await {
        Outcome::Answered if intake.has_unread() => socket.linger().await,
        Outcome::Answered | Outcome::Aborted => {}
        // A close would look like an end: a reset does not, where there is one.
        Outcome::Broken => socket.reset(),
    }
    Ok(())
}

/// The request as it comes.
struct Body<'a> {
    socket: &'a Socket,
    server: Server,
}

impl Body<'_> {
    /// The headers; `None` from a peer that left without a word, as those do who try whether a worker is there.
    async fn head(&mut self) -> Result<Option<Headers>, crate::Error> {
        loop {
            match self.server.next_event() {
                Ok(ServerEvent::Request(headers)) => return Ok(Some(headers)),
                Ok(ServerEvent::NeedData) => self.receive().await?,
                Ok(ServerEvent::Body(_) | ServerEvent::End) => {
                    return Err("a body came before the headers".into());
                }
                Err(error) if is_unspoken(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        let bytes = self.socket.receive(Bytes::copy_from_slice).await?;
        if bytes.is_empty() {
            self.server.receive_end();
        } else {
            self.server.receive(bytes);
        }
        Ok(())
    }

    /// Whether the peer is still sending.
    fn has_unread(&mut self) -> bool {
        while let Ok(ServerEvent::Body(_)) = self.server.next_event() {}
        matches!(self.server.next_event(), Ok(ServerEvent::NeedData))
    }
}

impl Intake for Body<'_> {
    async fn piece(&mut self) -> io::Result<Bytes> {
        loop {
            match self.server.next_event() {
                Ok(ServerEvent::Body(piece)) => return Ok(piece),
                Ok(ServerEvent::End) => return Ok(Bytes::new()),
                Ok(ServerEvent::NeedData | ServerEvent::Request(_)) => self.receive().await?,
                Err(error) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            }
        }
    }

    async fn gone(&mut self) {
        self.socket.gone().await;
    }
}
