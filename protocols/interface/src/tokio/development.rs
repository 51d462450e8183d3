//! The server for development for tasks: one request for each connection, no routes, no files. It must not know how the
//! program will be run in earnest.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gatebridge_http1::{CloseReason, Event, Limits, RequestHead, Server};

use super::application::Application;
use super::outbox::{Form, Outbox};
use super::perform::Ways;
use super::single::{Host, Intake, SocketLink, answer};
use super::socket::{Draining, Socket, accept, unless_drained};
use crate::development::{environ, facts, frame, head, length, refuse};
use crate::head::Head;
use crate::perform::Outcome;
use crate::settings::Settings;
use crate::socket::Listener;
use crate::stop::Stop;
use crate::worker::complain;

/// Serves HTTP/1.1 for development until told to stop, then finishes the requests in flight: the asynchronous
/// [`serve_http`](crate::serve_http).
///
/// # Errors
/// When the system refuses to watch sockets. What goes wrong on one connection is written to standard error and ends that
/// connection.
pub async fn serve_http(
    application: impl Application,
    listener: TcpListener,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let listener = Listener::new(listener, settings.peers.clone())?;
    let host = Host::new(application, settings);
    accept(listener, Vec::new(), settings.max_connections, stop, |socket, mut draining| {
        let host = Arc::clone(&host);
        async move {
            if let Err(fault) = serve_one(&host, &socket, &mut draining).await {
                complain(&format!("an HTTP connection was closed: {fault}"));
            }
        }
    })
    .await
}

async fn serve_one<A: Application>(
    host: &Host<A>,
    socket: &Socket,
    draining: &mut Draining,
) -> Result<(), crate::Error> {
    let ways = Ways::default();
    let codec = Codec(Arc::new(Mutex::new(Server::new(Limits::default()))));
    let mut intake =
        Body { socket, codec: codec.clone(), outbox: Arc::clone(&ways.outbox), has_ended: false };
    // One that says nothing is a browser's spare connection, most likely.
    let Ok(Some(head)) = unless_drained(intake.head(), socket, draining).await else { return Ok(()) };
    let Some(request) = head? else { return Ok(()) };
    // Between two requests a browser would keep a connection for nothing.
    codec.server().close_after(CloseReason::RequestLimit);
    let length = length(&request.body);
    let environ = environ(request, length, socket.get());
    let _place = host.places.acquire().await;
    let facts = facts(&environ);
    let mut link = SocketLink(socket);
    let parts = (&mut intake, &mut link);
    match answer(&host.application, (environ, length), (codec, facts), parts, &ways).await {
        Outcome::Answered if !intake.has_ended => socket.linger().await,
        Outcome::Answered | Outcome::Aborted => {}
        // To a client of HTTP/1.0 a close would look like an end.
        Outcome::Broken => socket.reset(),
    }
    Ok(())
}

/// The codec is asked by both directions.
#[derive(Debug, Clone)]
struct Codec(Arc<Mutex<Server>>);

impl Codec {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Form for Codec {
    fn head(&mut self, answer: &Head) -> io::Result<Vec<u8>> {
        head(&mut self.server(), answer)
    }

    fn put(&mut self, [head, first, second]: [&[u8]; 3], ends: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let (pieces, tail) = frame(&mut self.server(), [first, second], ends)?;
        out.extend_from_slice(head);
        for (piece, payload) in &pieces {
            for slice in [piece.prefix(), &payload[..piece.payload()], piece.suffix()] {
                out.extend_from_slice(slice);
            }
        }
        out.extend_from_slice(&tail);
        Ok(())
    }
}

/// The request as it comes.
struct Body<'a> {
    socket: &'a Socket,
    codec: Codec,
    outbox: Arc<Outbox>,
    has_ended: bool,
}

impl Body<'_> {
    /// The head of the request; `None` when none came.
    async fn head(&self) -> Result<Option<RequestHead>, crate::Error> {
        loop {
            let event = self.codec.server().next_event();
            match event {
                Ok(Event::Request(head)) => return Ok(Some(head)),
                Ok(Event::NeedData) => self.receive().await?,
                Ok(_) => return Ok(None),
                Err(fault) => {
                    let mut out = Vec::new();
                    refuse(&mut self.codec.server(), &fault, &mut out)?;
                    self.socket.write_all(&[&out]).await?;
                    return Err(fault.into());
                }
            }
        }
    }

    async fn receive(&self) -> io::Result<()> {
        self.socket
            .receive(|bytes| match bytes {
                [] => self.codec.server().receive_end(),
                bytes => self.codec.server().receive(bytes),
            })
            .await
    }
}

impl Intake for Body<'_> {
    async fn piece(&mut self) -> io::Result<Bytes> {
        loop {
            let event = self.codec.server().next_event();
            match event {
                Ok(Event::Body(piece)) => return Ok(piece),
                Ok(Event::NeedData) => {
                    let mut out = Vec::new();
                    // Too late once the answer has begun: then the client sends without it.
                    if self.codec.server().send_continue(&mut out).is_ok() && !out.is_empty() {
                        self.outbox.put(|batch| {
                            batch.stdout.extend_from_slice(&out);
                            Ok(())
                        })?;
                    }
                    self.receive().await?;
                }
                Ok(_) => {
                    self.has_ended = true;
                    return Ok(Bytes::new());
                }
                Err(fault) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault)),
            }
        }
    }

    async fn gone(&mut self) {
        self.socket.gone().await;
    }
}
