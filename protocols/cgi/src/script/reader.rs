//! The codec of script output: bytes in, events out; knows no process, no connection and no clock.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http::Method;

use super::head::{Finished, HeadParser};
use super::response::{Head, ScriptResponse};
use crate::environ::Environ;
use crate::error::ScriptError;
use crate::limits::ScriptLimits;

/// What the reader has to know of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The request's method. A body in answer to `HEAD` is swallowed: many programs write one.
    pub method: Method,
    /// Is it a non-parsed-header script (RFC 3875 5)? Then the output has to begin with a status line. Any
    /// other script may begin with one too.
    pub nph: bool,
}

impl From<&Environ> for Facts {
    /// The facts of a parsed-header script that gets this environ.
    fn from(environ: &Environ) -> Self {
        Self { method: environ.method.clone(), nph: false }
    }
}

/// What the script's output means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be said: hand in more by [`ScriptReader::receive`] or [`ScriptReader::receive_end`].
    NeedData,
    /// A head with a status of 100 to 199 (but not 101) before the final one, such as 103 Early Hints.
    Informational(Head),
    /// The final head; comes once.
    Response(ScriptResponse),
    /// A piece of the body, never empty: a slice of what was handed in.
    Body(Bytes),
    /// The output is complete, and as long as it said. Comes again when asked again.
    End,
}

/// Where the reader is: what it awaits next.
#[derive(Debug)]
enum State {
    /// A line of a head, informational or final.
    AwaitLine,
    /// The final head had no CGI field: fine without a body, wrong with one.
    AwaitEndOrFault(Box<Head>),
    /// Body bytes, or the end.
    AwaitBody,
    /// Nothing: the end was announced.
    Ended,
    /// Nothing: this error is the answer from now on.
    Failed(ScriptError),
}

/// Reads what a script writes (RFC 3875 section 6), by whatever way the bytes come.
///
/// The shape of every codec here: [`receive`](Self::receive) takes bytes, [`next_event`](Self::next_event)
/// says what they mean; call it until it answers [`Event::NeedData`]. Where the input is cut makes no
/// difference to the events, except for where the pieces of the body are cut. Body bytes are never copied.
///
/// - Lines end with LF or CRLF, also mixed (RFC 3875 6.3). The head's first line may be a status line, as
///   non-parsed-header scripts and some FastCGI programs write it.
/// - `Status` may come anywhere in the head. Without one it is 200, or 302 with a `Location`.
/// - A field with an empty value counts as not sent if it is one that the gateway acts on (RFC 3875 6.3).
/// - A head without `Content-Type`, `Location` and `Status` is accepted when no body follows.
/// - Hop-by-hop fields (`Connection` and what it names, `Keep-Alive`, `Upgrade` ...) are stripped.
/// - Bytes that may not reach the client are swallowed and counted by [`discarded`](Self::discarded): a body
///   in answer to `HEAD`, with 204 or 304, after a local redirect, or beyond the script's `Content-Length`.
#[derive(Debug)]
pub struct ScriptReader {
    state: State,
    limits: ScriptLimits,
    facts: Facts,
    head: HeadParser,
    /// What was handed in and not looked at yet.
    pending: VecDeque<Bytes>,
    /// The beginning of a line whose end has not come.
    partial: BytesMut,
    ended: bool,
    informational: usize,
    responded: bool,
    received: u64,
    declared: Option<u64>,
    bodiless: bool,
    body_received: u64,
    discarded: u64,
}

impl ScriptReader {
    /// A reader that awaits the first byte.
    #[must_use]
    pub fn new(limits: ScriptLimits, facts: Facts) -> Self {
        Self {
            state: State::AwaitLine,
            limits,
            head: HeadParser::new(limits, facts.nph),
            facts,
            pending: VecDeque::new(),
            partial: BytesMut::new(),
            ended: false,
            informational: 0,
            responded: false,
            received: 0,
            declared: None,
            bodiless: false,
            body_received: 0,
            discarded: 0,
        }
    }

    /// Takes bytes of the script's output; empty ones are ignored.
    ///
    /// To call it after [`receive_end`](Self::receive_end) is a mistake that the next
    /// [`next_event`](Self::next_event) reports.
    pub fn receive(&mut self, bytes: Bytes) {
        if self.ended {
            self.state = State::Failed(ScriptError::ReceiveAfterEnd);
        } else if !bytes.is_empty() {
            self.received += bytes.len() as u64;
            self.pending.push_back(bytes);
        }
    }

    /// Takes the fact that the output is complete (end of file, END_REQUEST).
    pub fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Says what the bytes so far mean.
    ///
    /// # Errors
    /// [`ScriptError`] when the output breaks RFC 3875 or a limit; the same error again for every further
    /// call. Whether the client can still be told depends on [`has_responded`](Self::has_responded): before,
    /// it is a 502; after, the connection has to be cut short.
    pub fn next_event(&mut self) -> Result<Event, ScriptError> {
        let answer = self.advance();
        if let Err(error) = &answer {
            self.state = State::Failed(error.clone());
            self.pending.clear();
        }
        answer
    }

    /// Has the final head been given out?
    #[must_use]
    pub const fn has_responded(&self) -> bool {
        self.responded
    }

    /// Bytes of output taken so far, head and body.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of the body that were swallowed, because the client may not get them.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    fn advance(&mut self) -> Result<Event, ScriptError> {
        match std::mem::replace(&mut self.state, State::AwaitLine) {
            State::AwaitLine => self.await_line(),
            State::AwaitEndOrFault(head) => self.await_end_or_fault(head),
            State::AwaitBody => self.await_body(),
            State::Ended => {
                self.state = State::Ended;
                Ok(Event::End)
            }
            State::Failed(error) => Err(error),
        }
    }

    fn await_line(&mut self) -> Result<Event, ScriptError> {
        while let Some(line) = self.next_line()? {
            match self.head.take_line(line)? {
                None => {}
                Some(Finished::Informational(head)) => {
                    self.informational += 1;
                    if self.informational > self.limits.max_informational {
                        return Err(ScriptError::TooManyInformational {
                            limit: self.limits.max_informational,
                        });
                    }
                    return Ok(Event::Informational(head));
                }
                Some(Finished::Final(response)) => return Ok(self.respond(response)),
                Some(Finished::WithoutCgiField(head)) => return self.await_end_or_fault(Box::new(head)),
            }
        }
        if self.ended {
            return Err(ScriptError::Premature { received: self.received });
        }
        Ok(Event::NeedData)
    }

    /// The next whole line without its LF, or `None` until one has come. Bounded before anything is kept.
    fn next_line(&mut self) -> Result<Option<Bytes>, ScriptError> {
        while let Some(front) = self.pending.front_mut() {
            let end = front.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(front.len(), |at| at + 1);
            self.head.count_bytes(taken)?;
            let piece = front.split_to(taken);
            if front.is_empty() {
                self.pending.pop_front();
            }
            if end.is_none() {
                self.partial.extend_from_slice(&piece);
                continue;
            }
            if self.partial.is_empty() {
                return Ok(Some(piece.slice(..taken - 1)));
            }
            self.partial.extend_from_slice(&piece[..taken - 1]);
            return Ok(Some(self.partial.split().freeze()));
        }
        Ok(None)
    }

    /// RFC 3875 6.3.1: with a body, the script MUST say what it is. Without one nothing is missing.
    fn await_end_or_fault(&mut self, head: Box<Head>) -> Result<Event, ScriptError> {
        if !self.pending.is_empty() {
            return Err(ScriptError::NoCgiField);
        }
        if !self.ended {
            self.state = State::AwaitEndOrFault(head);
            return Ok(Event::NeedData);
        }
        Ok(self.respond(ScriptResponse::classify(*head, false, false)))
    }

    fn respond(&mut self, response: ScriptResponse) -> Event {
        self.responded = true;
        self.declared = response.head.content_length;
        self.bodiless = self.facts.method == Method::HEAD || !response.has_body();
        self.state = State::AwaitBody;
        Event::Response(response)
    }

    fn await_body(&mut self) -> Result<Event, ScriptError> {
        while let Some(mut piece) = self.pending.pop_front() {
            let left = match self.declared {
                _ if self.bodiless => 0,
                Some(declared) => declared - self.body_received,
                None => u64::MAX,
            };
            let kept = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            self.discarded += (piece.len() - kept) as u64;
            if kept > 0 {
                piece.truncate(kept);
                self.body_received += kept as u64;
                self.state = State::AwaitBody;
                return Ok(Event::Body(piece));
            }
        }
        if !self.ended {
            self.state = State::AwaitBody;
            return Ok(Event::NeedData);
        }
        match self.declared {
            Some(declared) if !self.bodiless && self.body_received < declared => {
                Err(ScriptError::BodyTooShort { declared, received: self.body_received })
            }
            _ => {
                self.state = State::Ended;
                Ok(Event::End)
            }
        }
    }
}
