//! The side that receives requests and sends responses; knows no socket, no clock and no application. What it sends is in
//! `respond`.

mod respond;

use bytes::{Bytes, BytesMut};
use http::header::TE;
use http::{HeaderMap, Method, Version};

use crate::body::{BodyLeft, Reader, Writer};
use crate::chunked::Part;
use crate::close::CloseReason;
use crate::error::{Missing, Place};
use crate::grammar::{is_token, lists};
use crate::head::{self, RequestHead};
use crate::limits::Limits;
use crate::section::{Found, Section};
use crate::state::{Conversation, Role, State, Word};
use crate::violation::PeerError;

/// What the bytes that have come mean.
#[derive(Debug)]
pub enum Event {
    /// Nothing yet: read more, or tell that the connection ended.
    NeedData,
    /// A request begins.
    Request(RequestHead),
    /// A piece of its body, a slice of the receive buffer; never empty.
    Body(Bytes),
    /// The request is complete; it has trailers only if it was chunked.
    End {
        /// The trailer fields, if there are any.
        trailers: Option<HeaderMap>,
    },
    /// The request is complete, and the next one is not looked at before the response is.
    Paused,
    /// No request will come any more.
    Closed,
    /// The connection speaks another protocol: [`Server::take_leftover`] has what came of it.
    Switched,
}

/// What has to be remembered of a request until its response is complete.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    head: bool,
    connect: bool,
    http10: bool,
    takes_trailers: bool,
    awaits_continue: bool,
}

/// The receiving side of one connection. See the [crate] for how it is driven.
#[derive(Debug)]
pub struct Server {
    buffer: BytesMut,
    limits: Limits,
    conversation: Conversation,
    section: Section,
    blank_lines: u32,
    asked: Asked,
    reader: Reader,
    writer: Writer,
    ended: bool,
    close: Option<CloseReason>,
    failure: Option<Box<PeerError>>,
}

impl Server {
    /// A fresh connection. Nothing is allocated before bytes come.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            limits,
            conversation: Conversation::default(),
            section: Section::default(),
            blank_lines: 0,
            asked: Asked::default(),
            reader: Reader::empty(),
            writer: Writer::Discard,
            ended: false,
            close: None,
            failure: None,
        }
    }

    /// The buffer that events are cut from, to read into directly. Append to it, and change nothing that is in it.
    pub const fn receive_buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes bytes that lie elsewhere, by copying them.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The client has ended its side; [`Server::next_event`] says what that means.
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Gives the receive buffer's memory back if it holds nothing.
    pub fn release_buffer(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Whether the connection is between two requests, and no byte of a next one has come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.conversation.state(Role::Client) == State::Idle && !self.must_close()
    }

    /// Bytes that have come and that no event has told yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Says what the next bytes mean; to be called until it says [`Event::NeedData`], [`Event::Paused`], [`Event::Closed`] or
    /// [`Event::Switched`].
    ///
    /// # Errors
    /// [`PeerError`] if the client broke the protocol or a limit. It is final: every later call fails the same way. One
    /// response may still be sent, which says that the connection closes.
    pub fn next_event(&mut self) -> Result<Event, PeerError> {
        if let Some(failure) = &self.failure {
            return Err(PeerError::clone(failure));
        }
        let outcome = match self.conversation.state(Role::Client) {
            State::Idle => self.read_head(),
            State::OwesBody => self.read_body(),
            State::Done | State::MightSwitch => Ok(Event::Paused),
            State::MustClose if !self.must_close() => Ok(Event::Paused),
            State::Switched => Ok(Event::Switched),
            State::MustClose | State::Closed | State::Failed | State::OwesResponse => Ok(Event::Closed),
        };
        outcome.inspect_err(|error| self.fail(error))
    }

    fn fail(&mut self, error: &PeerError) {
        self.conversation.fail(Role::Client);
        self.close.get_or_insert(CloseReason::PeerFailed);
        self.failure = Some(Box::new(error.clone()));
    }

    fn read_head(&mut self) -> Result<Event, PeerError> {
        self.skip_blank_lines()?;
        // RFC 9112 3: a request begins with a token. TLS on the wrong port is told apart before it ever ends a line.
        match self.buffer.first() {
            Some(b'\r') | None => {}
            Some(byte) if is_token(*byte) => {}
            Some(byte) => return Err(PeerError::NotHttp { byte: *byte }),
        }
        let begun = !matches!(self.buffer[..], [] | [b'\r']);
        let found = if begun {
            self.section.look(&self.buffer, self.limits.max_head_bytes, Place::Head)?
        } else {
            Found::More
        };
        let size = match found {
            Found::Whole(size) => size,
            Found::TooLarge { in_first_line } => return Err(self.too_large(in_first_line)),
            Found::More if self.ended && self.buffer.is_empty() => {
                self.close.get_or_insert(CloseReason::PeerClosed);
                let _ = self.conversation.say(Role::Client, Word::Close);
                return Ok(Event::Closed);
            }
            Found::More if self.ended => {
                return Err(PeerError::Truncated { place: Place::Head, missing: Missing::Unknown });
            }
            Found::More => return Ok(Event::NeedData),
        };
        let head = self.buffer.split_to(size).freeze();
        let head = head::read_request(&head, &self.limits)?;
        self.begin(&head)?;
        Ok(Event::Request(head))
    }

    /// RFC 9112 2.2: an empty line or two before a request line are skipped.
    fn skip_blank_lines(&mut self) -> Result<(), PeerError> {
        loop {
            match self.buffer[..] {
                [b'\r', b'\n', ..] => {
                    self.blank_lines += 1;
                    if self.blank_lines > self.limits.max_blank_lines {
                        return Err(PeerError::BlankLines { limit: self.limits.max_blank_lines });
                    }
                    let _ = self.buffer.split_to(2);
                }
                [b'\n', ..] => return Err(PeerError::BareLf { place: Place::Head }),
                [b'\r', _, ..] => return Err(PeerError::BareCr { place: Place::Head }),
                _ => return Ok(()),
            }
        }
    }

    fn too_large(&self, in_first_line: bool) -> PeerError {
        // A first line that does not end has no other part that could be so long.
        if in_first_line && self.limits.max_target_bytes < self.limits.max_head_bytes {
            return PeerError::TargetTooLong { limit: self.limits.max_target_bytes };
        }
        PeerError::HeadTooLarge { limit: self.limits.max_head_bytes }
    }

    fn begin(&mut self, head: &RequestHead) -> Result<(), PeerError> {
        self.reader = Reader::new(head.body, self.limits.max_body_bytes)?;
        self.blank_lines = 0;
        self.asked = Asked {
            head: head.method == Method::HEAD,
            connect: head.method == Method::CONNECT,
            http10: head.version == Version::HTTP_10,
            // RFC 9110 6.5.1: trailers are sent to those who say that they take them.
            takes_trailers: lists(&head.headers, TE, "trailers"),
            awaits_continue: head.expect_continue,
        };
        let _ = self.conversation.say(Role::Client, Word::Request);
        if head.upgrade || self.asked.connect {
            self.conversation.propose_switch();
        }
        if !head.keep_alive {
            self.close_after(if self.asked.http10 { CloseReason::Http10 } else { CloseReason::PeerAsked });
        }
        Ok(())
    }

    fn read_body(&mut self) -> Result<Event, PeerError> {
        match self.reader.read(&mut self.buffer, self.ended, &self.limits)? {
            Part::NeedData => Ok(Event::NeedData),
            Part::Content(content) => {
                self.asked.awaits_continue = false;
                let _ = self.conversation.say(Role::Client, Word::Body);
                Ok(Event::Body(content))
            }
            Part::End(trailers) => {
                self.asked.awaits_continue = false;
                let _ = self.conversation.say(Role::Client, Word::End);
                Ok(Event::End { trailers })
            }
        }
    }

    /// How much of the present request's body is still to come.
    #[must_use]
    pub const fn request_body_left(&self) -> BodyLeft {
        match self.conversation.state(Role::Client) {
            State::OwesBody => self.reader.left(),
            _ => BodyLeft::Nothing,
        }
    }

    /// Whether the client waits for 100 before it sends its body: nothing of the body has come, and no response was sent.
    #[must_use]
    pub fn awaits_continue(&self) -> bool {
        self.asked.awaits_continue
            && self.buffer.is_empty()
            && self.conversation.state(Role::Server) == State::OwesResponse
    }

    /// Sets the limit of the present request's body, which depends on what was asked for; it holds for this request only.
    ///
    /// # Errors
    /// [`PeerError::BodyTooLarge`] if what was announced, or has come, is above it: as if [`Server::next_event`] had failed.
    pub fn limit_body(&mut self, max_body_bytes: u64) -> Result<(), PeerError> {
        if self.conversation.state(Role::Client) != State::OwesBody {
            return Ok(());
        }
        self.reader.limit(max_body_bytes).inspect_err(|error| self.fail(error))
    }

    /// The bytes behind the request that switched protocols: they belong to the new one.
    pub fn take_leftover(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    /// Lets the connection end with the present exchange, or at once if there is none; said before the response, it is in the
    /// response. The first reason stays.
    pub fn close_after(&mut self, reason: CloseReason) {
        self.close.get_or_insert(reason);
        self.conversation.keep_no_longer();
    }

    /// Why the connection ends with the present exchange; `None` as long as it is kept.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        self.close
    }

    /// Whether nothing is left to say: the connection is to be closed now. If the request's body was not read to its end, that
    /// wants to be done slowly (RFC 9112 9.6).
    #[must_use]
    pub fn must_close(&self) -> bool {
        match self.conversation.state(Role::Server) {
            State::MustClose | State::Closed | State::Failed => true,
            State::Idle => {
                !self.conversation.is_kept() && self.conversation.state(Role::Client) != State::Failed
            }
            _ => false,
        }
    }

    /// Whether the head of the final response has been sent, and its end has not.
    #[must_use]
    pub fn response_started(&self) -> bool {
        self.conversation.state(Role::Server) == State::OwesBody
    }
}
