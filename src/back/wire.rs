//! A connection while one request is on it: what waits to be sent, what came, and what that means when it breaks. It must
//! not know which protocol is spoken.

use std::fmt::Display;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::net::SendFlags;

use super::connect::Connection;
use super::outgoing::Outgoing;
use super::repeat::Outcome;
use crate::config::ConnectAddress;
use crate::exchange::{Failure, FailureKind};

/// How much is read at once at first: most answers fit, and it is soon given back.
const FIRST_ROOM_BYTES: usize = 8 * 1024;

/// How much is read at once when the worker always has more: beyond this the calls cost nothing any more.
const MAX_ROOM_BYTES: usize = 64 * 1024;

/// One request's connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Gone when the request is over.
    connection: Option<Connection>,
    /// What waits to be sent.
    pub(crate) outgoing: Outgoing,
    is_deaf: bool,
    received: u64,
    room: usize,
}

impl Wire {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
            outgoing: Outgoing::default(),
            is_deaf: false,
            received: 0,
            room: FIRST_ROOM_BYTES,
        }
    }

    /// Whether the worker takes no more input. What it answers may be worth reading all the same.
    pub(crate) const fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// From now on input is thrown away.
    pub(crate) fn deafen(&mut self) {
        self.is_deaf = true;
        self.outgoing.clear();
    }

    /// Ready when all is sent, or cannot be.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_deaf || self.outgoing.is_empty() {
            return Poll::Ready(());
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
        if ready!(self.outgoing.poll_flush(&mut connection.stream, cx)).is_err() {
            // The worker may have answered before it closed; what broke is told when that has been read.
            self.deafen();
        }
        Poll::Ready(())
    }

    /// Reads into `buffer`; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(0)) };
        buffer.reserve(self.room);
        let read = ready!(connection.stream.poll_read(cx, buffer))?;
        self.received += read as u64;
        if read >= self.room {
            self.room = (self.room * 2).min(MAX_ROOM_BYTES);
        }
        Poll::Ready(Ok(read))
    }

    /// How many bytes came.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// The connection broke; `told` is what else is known. Notes what that means for another attempt.
    pub(crate) fn broken(&mut self, why: impl Display, told: &str) -> Failure {
        let outcome = match (self.received, self.outgoing.written()) {
            (0, 0) => Outcome::Unread,
            (0, _) => Outcome::Silent,
            _ => Outcome::Broken,
        };
        self.note(outcome);
        let kind = if self.received == 0 { FailureKind::Unreachable } else { FailureKind::BrokenOff };
        Failure::new(kind, format!("{told} broke off: {why}"))
    }

    /// Notes what became of the request.
    pub(crate) fn note(&mut self, outcome: Outcome) {
        let Some(connection) = &mut self.connection else { return };
        connection.trace.note(outcome);
        if matches!(outcome, Outcome::Unread | Outcome::Refused) {
            connection.was_not_used();
        }
    }

    /// Whether the connection is one of a unix socket, which loses nothing of what was written before the end.
    pub(crate) fn is_unix(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| matches!(connection.place().address, ConnectAddress::Unix(_)))
    }

    /// Ends the worker at the other end, if it is ours and serves nobody else.
    pub(crate) fn condemn(&self, why: &str) {
        let Some(connection) = &self.connection else { return };
        let place = connection.place();
        if let (Some(worker), 1) = (&place.worker, place.capacity) {
            worker.condemn(why);
        }
    }

    /// Who is at the other end, for messages.
    pub(crate) fn name(&self) -> String {
        let Some(connection) = &self.connection else { return "a worker".to_owned() };
        let place = connection.place();
        if place.worker.is_some() {
            format!("worker {}", place.name)
        } else {
            format!("the worker at {}", place.name)
        }
    }

    /// The request was answered to its proper end.
    pub(crate) fn finish(&mut self, is_reusable: bool) {
        if let Some(connection) = self.connection.take() {
            connection.finish(is_reusable && !self.is_deaf && self.outgoing.is_empty());
        }
    }

    /// Gives the request up: sends `farewell`, if that is possible at once and makes sense to the worker, and closes.
    pub(crate) fn abandon(&mut self, farewell: &[u8]) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.outgoing.written() == 0 {
            connection.was_not_used();
        } else if !self.is_deaf && self.outgoing.is_empty() && !farewell.is_empty() {
            // The close that follows says the same to a worker that this does not reach.
            let _ =
                rustix::net::send(&connection.stream, farewell, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }
}
