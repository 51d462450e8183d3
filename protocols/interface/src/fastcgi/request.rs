//! One FastCGI request between who reads its connection and who answers it; it must not know sockets.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::{Environ, VariablesError};
use gatebridge_fastcgi::{DATA_LENGTH, Params, ProtocolStatus, RequestId, Role};

use crate::inbox::{DATA, Inbox, STDIN};
use crate::input::Pull;

/// The variable that says in which role the program is called; libfcgi has made it common.
const FCGI_ROLE: &str = "FCGI_ROLE";

/// A request whose variables have come.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) role: Role,
    pub(crate) inbox: Arc<Inbox>,
}

impl Request {
    pub(super) fn new(id: RequestId, role: Role) -> Self {
        Self { id, role, inbox: Arc::default() }
    }

    /// What its end is to say if it has no answer.
    pub(crate) fn status(&self) -> ProtocolStatus {
        if self.inbox.is_overloaded() { ProtocolStatus::Overloaded } else { ProtocolStatus::RequestComplete }
    }

    /// Waits until it may be answered.
    pub(super) fn wait_for_turn(&self, demand: impl Fn()) {
        // FastCGI 1.0 6.4: a Filter answers when STDIN has ended; the other roles may begin at once.
        if self.role == Role::Filter {
            self.inbox.wait_for_end(STDIN, demand);
        }
    }

    /// The environ that the variables describe, with the role among them.
    pub(crate) fn environ(&self, params: &Params) -> Result<Environ, VariablesError> {
        let mut environ = Environ::from_variables(params.slices())?;
        environ.front_variables.retain(|(name, _)| name != FCGI_ROLE);
        environ.front_variables.push((FCGI_ROLE.into(), self.role.as_str().into()));
        if self.role == Role::Authorizer {
            // FastCGI 1.0 6.3: an Authorizer gets no body, whatever the request has.
            environ.content_length = None;
        }
        Ok(environ)
    }

    /// The length of its input, in bytes.
    pub(crate) fn input_length(&self, environ: &Environ) -> Option<u64> {
        // Lesson 44: without a length there may well be a body; its stream has an end of its own.
        if self.role == Role::Authorizer { Some(0) } else { environ.content_length }
    }
}

/// The length of the file that a Filter filters, if that is known.
pub(crate) fn data_length(environ: &Environ) -> Option<u64> {
    let (_, length) = environ.front_variables.iter().find(|(name, _)| name == DATA_LENGTH)?;
    std::str::from_utf8(length).ok()?.parse().ok()
}

/// The input of a request.
pub(super) struct RequestSource<'a, D> {
    request: &'a Request,
    /// Tells who reads the connection that more is wanted.
    demand: D,
    environ: &'a Environ,
    current: Bytes,
}

impl<'a, D: Fn()> RequestSource<'a, D> {
    pub(super) const fn new(request: &'a Request, demand: D, environ: &'a Environ) -> Self {
        Self { request, demand, environ, current: Bytes::new() }
    }

    fn next_piece(&self) -> io::Result<Bytes> {
        self.request.inbox.next_piece(&self.demand)
    }
}

impl<D: Fn() + Send> Pull for RequestSource<'_, D> {
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
        if self.request.role != Role::Filter || self.request.inbox.reading() == DATA {
            return Ok(None);
        }
        // FastCGI 1.0 6.4: STDIN comes first and to its end.
        while !self.next_piece()?.is_empty() {}
        self.current = Bytes::new();
        self.request.inbox.turn_to(DATA);
        Ok(Some(data_length(self.environ)))
    }

    fn is_aborted(&self) -> bool {
        self.request.inbox.is_aborted()
    }
}
