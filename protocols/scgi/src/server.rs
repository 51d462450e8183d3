//! The side that receives a request and sends the answer; knows no socket and no meaning of a header but two.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::{Error, Fault};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::netstring::NetstringReader;

/// What the request's bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// Nothing more can be said: hand in more.
    NeedData,
    /// The headers, whole and checked. Comes once.
    Request(Headers),
    /// A piece of the body, never empty: a slice of what was handed in.
    Body(Bytes),
    /// The body is complete, as long as `CONTENT_LENGTH` says. It needs no end of the connection. Comes again
    /// when asked again.
    End,
}

/// What the reader awaits.
#[derive(Debug)]
enum State {
    AwaitHeaders(NetstringReader),
    AwaitBody { declared: u64, received: u64 },
    Complete { declared: u64 },
    Failed(Error),
}

/// One request of the side that the SCGI specification calls the server (the application). One connection,
/// one request.
///
/// The answer is raw script output until the connection is closed: [`send`](Self::send) lets it pass.
#[derive(Debug)]
pub struct Server {
    state: State,
    limits: Limits,
    pending: VecDeque<Bytes>,
    ended: bool,
    received: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Server {
    /// A server that awaits the first byte.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let state = State::AwaitHeaders(NetstringReader::new(limits.max_header_bytes));
        Self { state, limits, pending: VecDeque::new(), ended: false, received: 0 }
    }

    /// Takes bytes of the request; empty ones are ignored.
    ///
    /// To call it after [`receive_end`](Self::receive_end) is a mistake that the next
    /// [`next_event`](Self::next_event) reports.
    pub fn receive(&mut self, bytes: Bytes) {
        if self.ended {
            self.state = State::Failed(Error::caller(Fault::Order {
                what: "receive() was called after receive_end()",
            }));
        } else if !bytes.is_empty() {
            self.received += bytes.len() as u64;
            self.pending.push_back(bytes);
        }
    }

    /// Takes the fact that the peer sends no more.
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Says what the bytes so far mean. Where the input is cut makes no difference, except to where pieces of
    /// the body are cut.
    ///
    /// # Errors
    /// [`Error`] when the request breaks a rule of SCGI or a limit; the same error again for every further
    /// call. Close the connection: nobody knows any more where anything begins.
    pub fn next_event(&mut self) -> Result<ServerEvent, Error> {
        let answer = self.advance();
        if let Err(error) = &answer {
            self.state = State::Failed(error.clone());
            self.pending.clear();
        }
        answer
    }

    /// Lets a piece of the answer pass: SCGI puts nothing around it.
    #[must_use]
    pub const fn send(&self, output: Bytes) -> Bytes {
        output
    }

    fn advance(&mut self) -> Result<ServerEvent, Error> {
        match &mut self.state {
            State::AwaitHeaders(_) => self.await_headers(),
            State::AwaitBody { declared, received } => {
                let (declared, received) = (*declared, *received);
                self.await_body(declared, received)
            }
            State::Complete { declared } if !self.pending.is_empty() => {
                Err(Error::peer(Fault::ExtraBytes { declared: *declared }))
            }
            State::Complete { .. } => Ok(ServerEvent::End),
            State::Failed(error) => Err(error.clone()),
        }
    }

    fn await_headers(&mut self) -> Result<ServerEvent, Error> {
        let State::AwaitHeaders(netstring) = &mut self.state else { return Ok(ServerEvent::NeedData) };
        while let Some(piece) = self.pending.front_mut() {
            let content = netstring.take(piece).map_err(Error::peer)?;
            if piece.is_empty() {
                self.pending.pop_front();
            }
            if let Some(content) = content {
                let headers = Headers::parse(&content, self.limits).map_err(Error::peer)?;
                self.state = State::AwaitBody { declared: headers.content_length(), received: 0 };
                return Ok(ServerEvent::Request(headers));
            }
        }
        if self.ended {
            return Err(Error::peer(Fault::HeaderTruncated { received: self.received }));
        }
        Ok(ServerEvent::NeedData)
    }

    fn await_body(&mut self, declared: u64, received: u64) -> Result<ServerEvent, Error> {
        let left = declared - received;
        if left == 0 {
            self.state = State::Complete { declared };
            return Ok(ServerEvent::End);
        }
        let Some(piece) = self.pending.front_mut() else {
            if self.ended {
                return Err(Error::peer(Fault::BodyTruncated { declared, received }));
            }
            return Ok(ServerEvent::NeedData);
        };
        let taken = piece.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(piece.len()));
        if piece.is_empty() {
            self.pending.pop_front();
        }
        self.state = State::AwaitBody { declared, received: received + taken.len() as u64 };
        Ok(ServerEvent::Body(taken))
    }
}
