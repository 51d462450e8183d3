//! A line to a FastCGI worker: one request on one connection, as Responder. It must not know where the connection comes
//! from, nor what the script's output means.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use gatebridge_cgi::{Environ, Listing};
use gatebridge_fastcgi::{Client, ClientEvent, ProtocolStatus, RequestId, Role};

use super::connect::Connection;
use super::line::Line;
use super::repeat::Outcome;
use super::stderr::Stderr;
use super::wire::Wire;
use crate::exchange::{Chunk, Failure, FailureKind, UniqueId};

/// Room for the BEGIN_REQUEST and the PARAMS of an ordinary request, so that they are written without growing.
const HEAD_BYTES: usize = 2048;

/// The most lines of STDERR that are logged per request: a whole stack trace, but not a loop that complains.
const MAX_STDERR_LINES: usize = 100;

/// What Retry-After says when a worker is overloaded.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

/// A request on a connection to a FastCGI worker.
#[derive(Debug)]
pub(crate) struct FastCgi {
    wire: Wire,
    client: Client,
    request: RequestId,
    /// How much of the body is still to come; `None` once its end was said.
    left: Option<u64>,
    /// Nothing was sent yet: the first piece of the body may go with the head.
    is_held_back: bool,
    end: End,
    id: UniqueId,
    stderr: Option<Stderr>,
}

/// How far the request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The worker owes its END_REQUEST.
    Awaited,
    /// It came, with this status of the application.
    Came(u32),
    /// The connection, or the worker, failed.
    Broken,
}

impl FastCgi {
    /// Prepares the request for which `environ` stands; it is sent when the relay begins. `body_length` is the true
    /// length of its body.
    ///
    /// # Errors
    ///
    /// When the codec refuses, which means that this gateway is wrong.
    pub(crate) fn begin(
        connection: Connection,
        environ: &Environ,
        listing: Listing,
        body_length: u64,
        keep: bool,
        id: UniqueId,
    ) -> Result<Self, Failure> {
        let mut client = Client::default();
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        let request = write_head(&mut client, &mut head, environ, listing, body_length, keep)
            .map_err(|error| Failure::internal(format!("a FastCGI request cannot be written: {error}")))?;
        let mut wire = Wire::new(connection);
        wire.outgoing.push(head.freeze());
        Ok(Self {
            wire,
            client,
            request,
            left: (body_length > 0).then_some(body_length),
            is_held_back: body_length > 0,
            end: End::Awaited,
            id,
            stderr: None,
        })
    }

    fn end_stdin(&mut self) {
        self.left = None;
        let mut record = [0; 8];
        // FastCGI 1.0, 5.3: a stream ends with an empty record.
        match self.client.end_stdin(self.request, &mut &mut record[..]) {
            Ok(()) => self.wire.outgoing.push_small(&record),
            // The worker has ended the request meanwhile.
            Err(_) => self.wire.deafen(),
        }
    }

    fn on_event(&mut self, event: ClientEvent) -> Option<Poll<Option<Chunk>>> {
        match event {
            ClientEvent::Stdout(_, bytes) => Some(Poll::Ready(Some(Ok(bytes)))),
            ClientEvent::Stderr(_, bytes) => {
                self.take_stderr(&bytes);
                None
            }
            ClientEvent::EndRequest { app_status, protocol_status, .. } => {
                Some(Poll::Ready(self.on_end(app_status, protocol_status)))
            }
            // STDOUT may end before STDERR does; END_REQUEST is the end of both.
            ClientEvent::StdoutEnd(_) | ClientEvent::StderrEnd(_) => None,
            // Answers to what we never ask.
            ClientEvent::Values(_) | ClientEvent::UnknownType(_) => None,
        }
    }

    fn take_stderr(&mut self, bytes: &[u8]) {
        let (id, wire) = (&self.id, &self.wire);
        let stderr =
            self.stderr.get_or_insert_with(|| Stderr::new(id.clone(), wire.name(), MAX_STDERR_LINES));
        stderr.take(bytes);
    }

    fn on_end(&mut self, app_status: u32, protocol_status: ProtocolStatus) -> Option<Chunk> {
        if let Some(stderr) = &mut self.stderr {
            stderr.close();
        }
        if protocol_status == ProtocolStatus::RequestComplete {
            self.end = End::Came(app_status);
            if app_status != 0 {
                // FastCGI 1.0 6.2: what a CGI program would have given to exit(). The answer is there, so it stands.
                tracing::info!(id = %self.id.escape_ascii(), program = self.wire.name(), app_status, "the application failed");
            }
            return None;
        }
        self.end = End::Broken;
        let detail = format!("{} refused the request: {protocol_status}", self.wire.name());
        let kind = match protocol_status {
            ProtocolStatus::CantMultiplex | ProtocolStatus::Overloaded => {
                FailureKind::Overloaded { retry_after: RETRY_AFTER }
            }
            _ => FailureKind::BadOutput,
        };
        // FastCGI 1.0, 5.5: these reject the request before anything was done about it.
        if !matches!(protocol_status, ProtocolStatus::Other(_)) {
            self.wire.note(Outcome::Refused);
        }
        Some(Err(Failure::new(kind, detail)))
    }

    fn broken(&mut self, why: impl std::fmt::Display) -> Poll<Option<Chunk>> {
        self.end = End::Broken;
        let told = self.testimony();
        Poll::Ready(Some(Err(self.wire.broken(why, &told))))
    }
}

fn write_head(
    client: &mut Client,
    head: &mut BytesMut,
    environ: &Environ,
    listing: Listing,
    body_length: u64,
    keep: bool,
) -> Result<RequestId, gatebridge_fastcgi::Error> {
    let request = client.begin(Role::Responder, keep, head)?;
    let mut params = client.params(request, head)?;
    environ.walk_with(listing, &mut |name: &[u8], value: &[u8]| params.pair(name, value));
    params.finish()?;
    if body_length == 0 {
        client.end_stdin(request, head)?;
    }
    Ok(request)
}

impl Line for FastCgi {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The head waits for the first piece of the body, if that is there already: one write instead of two.
        if std::mem::take(&mut self.is_held_back) {
            return Poll::Ready(());
        }
        self.wire.poll_flush(cx)
    }

    fn wants_input(&self) -> bool {
        !self.wire.is_deaf() && self.end == End::Awaited
    }

    fn send(&mut self, mut piece: Bytes) {
        let length = piece.len() as u64;
        while !piece.is_empty() {
            let Ok(framing) = self.client.send_stdin(self.request, piece.len()) else {
                return self.wire.deafen();
            };
            self.wire.outgoing.push_small(&framing.header);
            self.wire.outgoing.push(piece.split_to(framing.content_length));
            self.wire.outgoing.push_small(framing.padding());
        }
        match self.left {
            // The end goes with the last piece.
            Some(left) if left <= length => self.end_stdin(),
            Some(left) => self.left = Some(left - length),
            None => {}
        }
    }

    fn end_input(&mut self) {
        if self.left.is_some() {
            self.end_stdin();
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.end != End::Awaited {
            return Poll::Ready(None);
        }
        // Registers for room to write; whether there is any does not matter here.
        let _ = self.wire.poll_flush(cx);
        loop {
            match self.client.next_event() {
                Ok(Some(event)) => {
                    if let Some(output) = self.on_event(event) {
                        return output;
                    }
                }
                Ok(None) => match ready!(self.wire.poll_read(cx, self.client.receive_buffer())) {
                    Ok(0) => self.client.receive_end(),
                    Ok(_) => {}
                    Err(error) => return self.broken(error),
                },
                Err(error) => return self.broken(error),
            }
        }
    }

    fn testimony(&self) -> String {
        let mut told = self.wire.name();
        if let End::Came(app_status @ 1..) = self.end {
            told.push_str(&format!(" (application status {app_status})"));
        }
        if let Some(lines) = self.stderr.as_ref().and_then(Stderr::last_lines) {
            told.push_str("; last lines on stderr: ");
            told.push_str(&lines);
        }
        told
    }

    fn overdue(&mut self, why: &str) {
        self.wire.condemn(why);
    }

    fn finish(mut self) {
        let is_reusable = matches!(self.end, End::Came(_)) && self.client.is_reusable();
        self.wire.finish(is_reusable);
    }
}

impl Drop for FastCgi {
    fn drop(&mut self) {
        match self.end {
            // Answered, but not as announced: the worker is well, the connection is not trusted.
            End::Came(_) => self.wire.finish(false),
            End::Broken => self.wire.abandon(&[]),
            End::Awaited => {
                let mut farewell = Vec::with_capacity(8);
                // Closing the connection tells the rest.
                let _ = self.client.abort(self.request, &mut farewell);
                self.wire.abandon(&farewell);
            }
        }
    }
}
