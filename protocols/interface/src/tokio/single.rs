//! Connections that carry one request: its body is read when the application asks for it, and its end is watched meanwhile.
//! It must not know what is spoken.

use std::fs::File;
use std::future::Future;
use std::io;
use std::sync::Arc;

use ::tokio::sync::{Notify, Semaphore};
use bytes::Bytes;
use gatebridge_cgi::Environ;

use super::application::Application;
use super::input::Input;
use super::outbox::{Batch, Form};
use super::perform::{InboxSource, Link, Ways, perform};
use super::socket::Socket;
use crate::descriptor::{Descriptor, write_all};
use crate::inbox::STDIN;
use crate::perform::Outcome;
use crate::script::Facts;
use crate::settings::Settings;

/// What all connections of a worker share.
#[derive(Debug)]
pub(super) struct Host<A> {
    pub(super) application: A,
    /// A place for each request that is worked on.
    pub(super) places: Semaphore,
}

impl<A> Host<A> {
    pub(super) fn new(application: A, settings: &Settings) -> Arc<Self> {
        let places = Semaphore::new(settings.max_requests.clamp(1, Semaphore::MAX_PERMITS));
        Arc::new(Self { application, places })
    }
}

/// Where the body of a request comes from.
pub(super) trait Intake: Send {
    /// Waits for the next piece of the body; an empty one is its end.
    fn piece(&mut self) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// The file in which the whole body lies.
    fn file(&self) -> Option<File> {
        None
    }

    /// Waits until nobody waits for the answer.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

/// Answers the one request of a connection.
pub(super) async fn answer(
    application: &impl Application,
    (environ, length): (Environ, Option<u64>),
    (form, facts): (impl Form, Facts),
    (intake, link): (&mut impl Intake, &mut impl Link),
    ways: &Ways,
) -> Outcome {
    let demand = Arc::new(Notify::new());
    let file = intake.file();
    let source = InboxSource { inbox: Arc::clone(&ways.inbox), demand: Arc::clone(&demand), file };
    let input = Input::new(source, length);
    ::tokio::select! {
        outcome = perform(application, (environ, input), (form, facts), ways, link) => outcome,
        never = feed(intake, ways, &demand) => match never {},
    }
}

/// Puts pieces of the body into the inbox while they are asked for.
async fn feed(intake: &mut impl Intake, ways: &Ways, demand: &Notify) -> std::convert::Infallible {
    let inbox = &ways.inbox;
    let (mut has_ended, mut is_deserted) = (false, false);
    loop {
        if inbox.is_awaited() && !has_ended {
            match intake.piece().await {
                Ok(piece) if !piece.is_empty() => drop(inbox.deliver(STDIN, piece)),
                Ok(_) => {
                    has_ended = true;
                    inbox.end(STDIN);
                }
                Err(_) => {
                    has_ended = true;
                    inbox.abort(false);
                }
            }
            continue;
        }
        ::tokio::select! {
            () = demand.notified() => {}
            () = intake.gone(), if !is_deserted => {
                is_deserted = true;
                inbox.desert();
            }
        }
    }
}

/// The answer goes to a connection, and errors to standard error.
pub(super) struct SocketLink<'a>(pub(super) &'a Socket);

impl Link for SocketLink<'_> {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        if !batch.stderr.is_empty() {
            // The answer does not depend on a log: it may be full.
            let _ = write_all(Descriptor(rustix::stdio::stderr()), &[&batch.stderr]);
        }
        self.0.write_all(&[&batch.stdout]).await
    }
}
