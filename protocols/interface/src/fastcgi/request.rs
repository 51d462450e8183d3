//! One FastCGI request between the thread that reads its connection and the thread that answers it; it must not know
//! sockets.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::{Environ, VariablesError};
use gatebridge_fastcgi::{DATA_LENGTH, Params, ProtocolStatus, RequestId, Role};

use super::connection::Connection;
use super::wake::Waker;
use crate::input::Pull;
use crate::settings::INPUT_BYTES;

/// The variable that says in which role the program is called; libfcgi has made it common.
const FCGI_ROLE: &str = "FCGI_ROLE";

/// The streams to the application, in their order (FastCGI 1.0 6.2, 6.4).
pub(super) const STDIN: usize = 0;
/// The file that a Filter filters.
pub(super) const DATA: usize = 1;

/// A request whose variables have come.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    pub(super) role: Role,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    /// Nobody waits for the answer any more.
    aborted: AtomicBool,
    /// The answer would not even be taken: it was aborted by a record, or its connection is gone.
    cut: AtomicBool,
    /// It was given up because too much of its body had to be kept.
    overloaded: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbox {
    streams: [Stream; 2],
    /// The stream that the application reads.
    reading: usize,
    /// The application waits for bytes.
    is_awaited: bool,
}

#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    has_ended: bool,
}

impl Request {
    pub(super) fn new(id: RequestId, role: Role) -> Self {
        Self {
            id,
            role,
            inbox: Mutex::default(),
            arrived: Condvar::new(),
            aborted: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            overloaded: AtomicBool::new(false),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of a stream has come. Gives the number of bytes that wait to be read.
    pub(super) fn deliver(&self, stream: usize, piece: Bytes) -> usize {
        let mut inbox = self.inbox();
        if self.is_cut() {
            inbox.streams = Default::default();
        } else if stream >= inbox.reading {
            inbox.streams[stream].bytes += piece.len();
            inbox.streams[stream].pieces.push_back(piece);
        }
        inbox.is_awaited = false;
        self.arrived.notify_all();
        inbox.streams.iter().map(|stream| stream.bytes).sum()
    }

    /// A stream has ended.
    pub(super) fn end(&self, stream: usize) {
        let mut inbox = self.inbox();
        inbox.streams[stream].has_ended = true;
        inbox.is_awaited = false;
        self.arrived.notify_all();
    }

    /// Nobody waits any more: wakes whoever reads the body (lesson 15). `cut` forbids writing, too.
    pub(super) fn abort(&self, cut: bool) {
        let _inbox = self.inbox();
        self.cut.fetch_or(cut, Ordering::SeqCst);
        self.aborted.store(true, Ordering::SeqCst);
        self.arrived.notify_all();
    }

    /// Too much of its body would have to be kept: it is given up.
    pub(super) fn overload(&self) {
        self.overloaded.store(true, Ordering::SeqCst);
        self.abort(true);
    }

    /// What its end is to say if it has no answer.
    pub(super) fn status(&self) -> ProtocolStatus {
        if self.overloaded.load(Ordering::SeqCst) {
            ProtocolStatus::Overloaded
        } else {
            ProtocolStatus::RequestComplete
        }
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Waits until it may be answered. What of its body comes meanwhile is kept.
    pub(super) fn wait_for_turn(&self, connection: &Connection, waker: &Waker) {
        // FastCGI 1.0 6.4: a Filter answers when STDIN has ended; the other roles may begin at once.
        let waits = |inbox: &Inbox| {
            self.role == Role::Filter && !inbox.streams[STDIN].has_ended && !self.is_aborted()
        };
        let mut inbox = self.inbox();
        while waits(&inbox) {
            inbox = if inbox.is_awaited {
                self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.await_more(inbox, connection, waker)
            };
        }
    }

    /// Tells that it waits for input. Its connection may stand still for the sake of another request: not any longer.
    fn await_more<'a>(
        &'a self,
        mut inbox: MutexGuard<'a, Inbox>,
        connection: &Connection,
        waker: &Waker,
    ) -> MutexGuard<'a, Inbox> {
        inbox.is_awaited = true;
        drop(inbox);
        if connection.is_paused() {
            waker.wake();
        }
        self.inbox()
    }

    /// Whether more of its input has come than it has room for, and whether it waits for input.
    pub(super) fn pressure(&self) -> (bool, bool) {
        let inbox = self.inbox();
        let bytes: usize = inbox.streams.iter().map(|stream| stream.bytes).sum();
        (bytes >= INPUT_BYTES, inbox.is_awaited)
    }
}

/// The environ that the variables describe, with the role among them.
pub(super) fn environ(params: &Params, role: Role) -> Result<Environ, VariablesError> {
    let mut environ = Environ::from_variables(params.slices())?;
    environ.front_variables.retain(|(name, _)| name != FCGI_ROLE);
    environ.front_variables.push((FCGI_ROLE.into(), role.as_str().into()));
    if role == Role::Authorizer {
        // FastCGI 1.0 6.3: an Authorizer gets no body, whatever the request has.
        environ.content_length = None;
    }
    Ok(environ)
}

/// The input of a request.
pub(super) struct RequestSource<'a> {
    request: &'a Arc<Request>,
    connection: &'a Connection,
    waker: &'a Waker,
    environ: &'a Environ,
    current: Bytes,
}

impl<'a> RequestSource<'a> {
    pub(super) const fn new(
        request: &'a Arc<Request>,
        connection: &'a Connection,
        waker: &'a Waker,
        environ: &'a Environ,
    ) -> Self {
        Self { request, connection, waker, environ, current: Bytes::new() }
    }

    /// Waits for the next piece of the stream that is read; an empty one is its end.
    fn next_piece(&self) -> io::Result<Bytes> {
        let mut inbox = self.request.inbox();
        loop {
            let reading = inbox.reading;
            let stream = &mut inbox.streams[reading];
            if let Some(piece) = stream.pieces.pop_front() {
                let was_full = stream.bytes >= INPUT_BYTES;
                stream.bytes -= piece.len();
                let has_room = stream.bytes < INPUT_BYTES;
                drop(inbox);
                if was_full && has_room {
                    self.waker.wake();
                }
                return Ok(piece);
            }
            if stream.has_ended {
                return Ok(Bytes::new());
            }
            if self.request.is_aborted() {
                let message = "the request was aborted while its body was being read";
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
            }
            if !inbox.is_awaited {
                inbox = self.request.await_more(inbox, self.connection, self.waker);
                continue;
            }
            inbox = self.request.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Pull for RequestSource<'_> {
    fn fill(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            self.current = self.next_piece()?;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }

    fn next_stream(&mut self) -> io::Result<Option<Option<u64>>> {
        if self.request.role != Role::Filter || self.request.inbox().reading == DATA {
            return Ok(None);
        }
        // FastCGI 1.0 6.4: STDIN comes first and to its end.
        while !self.next_piece()?.is_empty() {}
        self.current = Bytes::new();
        self.request.inbox().reading = DATA;
        let length = self.environ.front_variables.iter().find(|(name, _)| name == DATA_LENGTH);
        let length = length.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
        Ok(Some(length))
    }

    fn is_aborted(&self) -> bool {
        self.request.is_aborted()
    }
}
