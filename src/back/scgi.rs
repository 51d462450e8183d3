//! A line to an SCGI worker: one request on one connection, which ends it. It must not know where the connection comes
//! from, nor what the script's output means.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use gatebridge_cgi::{Environ, Listing};
use gatebridge_scgi::{Client, HeaderWriter, Message};

use super::connect::Connection;
use super::line::Line;
use super::wire::Wire;
use crate::exchange::{Chunk, Failure};

/// A request on a connection to an SCGI worker.
///
/// Our sending side stays open after the body: CONTENT_LENGTH has told where it ends, and there are servers that take
/// the end of the stream for a client that left.
#[derive(Debug)]
pub(crate) struct Scgi {
    wire: Wire,
    client: Client,
    /// Nothing was sent yet: the first piece of the body may go with the head.
    is_held_back: bool,
    end: End,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The worker has not closed the connection yet.
    Awaited,
    /// It has.
    Came,
    /// The connection failed.
    Broken,
}

impl Scgi {
    /// Prepares the request for which `environ` stands; it is sent when the relay begins.
    ///
    /// # Errors
    ///
    /// When the headers break a rule of SCGI, such as two variables of one name.
    pub(crate) fn begin(
        connection: Connection,
        environ: &Environ,
        listing: Listing,
    ) -> Result<Self, Failure> {
        let mut client = Client::new();
        let mut headers = HeaderWriter::new();
        environ.walk_with(listing, &mut |name: &[u8], value: &[u8]| headers.append(name, value));
        let head = client
            .send(Message::Headers(headers))
            .map_err(|error| Failure::internal(format!("an SCGI request cannot be written: {error}")))?;
        let mut wire = Wire::new(connection);
        wire.outgoing.push(head);
        let is_held_back = environ.content_length.is_some_and(|length| length > 0);
        Ok(Self { wire, client, is_held_back, end: End::Awaited })
    }
}

impl Line for Scgi {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.is_held_back) {
            return Poll::Ready(());
        }
        self.wire.poll_flush(cx)
    }

    fn wants_input(&self) -> bool {
        !self.wire.is_deaf() && self.end == End::Awaited
    }

    fn send(&mut self, piece: Bytes) {
        match self.client.send(Message::Body(piece)) {
            Ok(bytes) => self.wire.outgoing.push(bytes),
            // More than CONTENT_LENGTH said: whatever it is, the worker must not take it for anything.
            Err(_) => self.wire.deafen(),
        }
    }

    fn end_input(&mut self) {}

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.end != End::Awaited {
            return Poll::Ready(None);
        }
        // Registers for room to write; whether there is any does not matter here.
        let _ = self.wire.poll_flush(cx);
        let mut output = BytesMut::new();
        match ready!(self.wire.poll_read(cx, &mut output)) {
            // SCGI has no other end than this, but no answer at all is none.
            Ok(0) if self.wire.received() > 0 => {
                self.end = End::Came;
                Poll::Ready(None)
            }
            Ok(0) => self.broken("it closed the connection"),
            Ok(_) => Poll::Ready(Some(Ok(output.freeze()))),
            // A worker that answers without reading the body resets the connection by closing it. On a unix socket
            // everything that it wrote has come before that; on TCP some of it may be lost.
            Err(error) if self.is_end(&error) => {
                self.end = End::Came;
                Poll::Ready(None)
            }
            Err(error) => self.broken(error),
        }
    }

    fn testimony(&self) -> String {
        self.wire.name()
    }

    fn overdue(&mut self, why: &str) {
        self.wire.condemn(why);
    }

    fn finish(mut self) {
        self.wire.finish(false);
    }
}

impl Scgi {
    fn is_end(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::ConnectionReset && self.wire.received() > 0 && self.wire.is_unix()
    }

    fn broken(&mut self, why: impl std::fmt::Display) -> Poll<Option<Chunk>> {
        self.end = End::Broken;
        let told = self.testimony();
        Poll::Ready(Some(Err(self.wire.broken(why, &told))))
    }
}

impl Drop for Scgi {
    fn drop(&mut self) {
        match self.end {
            End::Came => self.wire.finish(false),
            // SCGI has no word for it: the end of the connection is all that a worker is told.
            End::Awaited | End::Broken => self.wire.abandon(&[]),
        }
    }
}
