//! The side that sends requests and receives responses; knows no socket, no clock and no pool.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use crate::body::{Piece, Reader, Writer};
use crate::chunked::Part;
use crate::close::CloseReason;
use crate::encode::{self, Persistence, Request};
use crate::error::{Missing, Place, SendError};
use crate::framing::Framing;
use crate::head::{self, ResponseHead};
use crate::limits::Limits;
use crate::section::{Found, Section};
use crate::state::{Conversation, Role, State, Word};
use crate::violation::PeerError;

/// What the bytes that have come mean.
#[derive(Debug)]
pub enum ClientEvent {
    /// Nothing yet: read more, or tell that the connection ended.
    NeedData,
    /// A head with a 1xx status; the response follows it.
    Informational(ResponseHead),
    /// The response begins.
    Response(ResponseHead),
    /// A piece of its body, a slice of the receive buffer; never empty.
    Body(Bytes),
    /// The response is complete; it has trailers only if it was chunked.
    End {
        /// The trailer fields, if there are any.
        trailers: Option<HeaderMap>,
    },
    /// Nothing is awaited: a request comes first, or the rest of the present one.
    Paused,
    /// No response will come any more.
    Closed,
    /// The connection speaks another protocol: [`Client::take_leftover`] has what came of it.
    Switched,
}

/// What has to be remembered of a request until its response is complete.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    head: bool,
    connect: bool,
}

/// The sending side of one connection. See the [crate] for how it is driven.
#[derive(Debug)]
pub struct Client {
    buffer: BytesMut,
    limits: Limits,
    conversation: Conversation,
    section: Section,
    asked: Asked,
    reader: Reader,
    writer: Writer,
    ended: bool,
    close: Option<CloseReason>,
    failure: Option<Box<PeerError>>,
}

impl Client {
    /// A fresh connection. Nothing is allocated before bytes come.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            limits,
            conversation: Conversation::default(),
            section: Section::default(),
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

    /// The server has ended its side; [`Client::next_event`] says what that means.
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Gives the receive buffer's memory back if it holds nothing.
    pub fn release_buffer(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Whether a request may be sent: nothing is under way, nothing has come unasked, and the connection is kept.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty()
            && !self.ended
            && self.conversation.may_say(Role::Client, Word::Request)
            && self.conversation.state(Role::Server) == State::Idle
            && self.conversation.is_kept()
    }

    /// Says what the next bytes mean; to be called until it says [`ClientEvent::NeedData`], [`ClientEvent::Paused`],
    /// [`ClientEvent::Closed`] or [`ClientEvent::Switched`].
    ///
    /// # Errors
    /// [`PeerError`] if the server broke the protocol or a limit. It is final: every later call fails the same way.
    pub fn next_event(&mut self) -> Result<ClientEvent, PeerError> {
        if let Some(failure) = &self.failure {
            return Err(PeerError::clone(failure));
        }
        let outcome = match self.conversation.state(Role::Server) {
            State::Idle => self.read_unasked(),
            State::OwesResponse => self.read_head(),
            State::OwesBody => self.read_body(),
            State::Done | State::MightSwitch => Ok(ClientEvent::Paused),
            State::Switched => Ok(ClientEvent::Switched),
            State::MustClose | State::Closed | State::Failed => Ok(ClientEvent::Closed),
        };
        outcome.inspect_err(|error| {
            self.conversation.fail(Role::Server);
            self.close.get_or_insert(CloseReason::PeerFailed);
            self.failure = Some(Box::new(error.clone()));
        })
    }

    /// Between requests. A server may say goodbye before it closes (408); any byte makes the connection useless all the same.
    fn read_unasked(&mut self) -> Result<ClientEvent, PeerError> {
        if let Some(byte) = self.buffer.first() {
            return Err(PeerError::UnaskedBytes { byte: *byte });
        }
        if self.ended {
            self.close.get_or_insert(CloseReason::PeerClosed);
            let _ = self.conversation.say(Role::Server, Word::Close);
            return Ok(ClientEvent::Closed);
        }
        Ok(ClientEvent::Paused)
    }

    fn read_head(&mut self) -> Result<ClientEvent, PeerError> {
        // RFC 9112 4: a response begins with its version.
        if let Some(byte) = self.buffer.first().filter(|byte| **byte != b'H') {
            return Err(PeerError::NotHttp { byte: *byte });
        }
        let limit = self.limits.max_head_bytes;
        let size = match self.section.look(&self.buffer, limit, Place::Head)? {
            Found::Whole(size) => size,
            Found::TooLarge { .. } => return Err(PeerError::HeadTooLarge { limit }),
            Found::More if self.ended => {
                return Err(PeerError::Truncated { place: Place::Head, missing: Missing::Unknown });
            }
            Found::More => return Ok(ClientEvent::NeedData),
        };
        let head = self.buffer.split_to(size).freeze();
        let head = head::read_response(&head, self.asked.head, &self.limits)?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS || (self.asked.connect && head.status.is_success())
        {
            return self.switch(head);
        }
        if head.status.is_informational() {
            let _ = self.conversation.say(Role::Server, Word::Informational);
            return Ok(ClientEvent::Informational(head));
        }
        self.reader = Reader::new(head.body, self.limits.max_body_bytes)?;
        let _ = self.conversation.say(Role::Server, Word::Response);
        if head.body == Framing::UntilClose {
            self.close_after(CloseReason::UntilClose);
        } else if !head.keep_alive {
            let http10 = head.version == http::Version::HTTP_10;
            self.close_after(if http10 { CloseReason::Http10 } else { CloseReason::PeerAsked });
        }
        Ok(ClientEvent::Response(head))
    }

    /// RFC 9110 15.2.2: a switch counts if it was proposed and the request is complete.
    fn switch(&mut self, mut head: ResponseHead) -> Result<ClientEvent, PeerError> {
        if !self.conversation.say(Role::Server, Word::Switch) {
            return Err(PeerError::UnaskedSwitch);
        }
        // RFC 9110 9.3.6: whatever length a 2xx to CONNECT tells means nothing.
        head.body = Framing::None;
        Ok(ClientEvent::Response(head))
    }

    fn read_body(&mut self) -> Result<ClientEvent, PeerError> {
        match self.reader.read(&mut self.buffer, self.ended, &self.limits)? {
            Part::NeedData => Ok(ClientEvent::NeedData),
            Part::Content(content) => {
                let _ = self.conversation.say(Role::Server, Word::Body);
                Ok(ClientEvent::Body(content))
            }
            Part::End(trailers) => {
                let _ = self.conversation.say(Role::Server, Word::End);
                Ok(ClientEvent::End { trailers })
            }
        }
    }

    /// Appends a request's head to `out`. `body` says how its content will be framed.
    ///
    /// # Errors
    /// [`SendError::OutOfTurn`] unless the connection is idle, [`SendError::RequestUntilClose`] for such a framing,
    /// [`SendError::Target`] and [`SendError::Host`] for what no request may have. Nothing is written then.
    pub fn send_request(
        &mut self,
        head: &Request<'_>,
        body: Framing,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if body == Framing::UntilClose {
            return Err(SendError::RequestUntilClose);
        }
        self.check_turn(Word::Request)?;
        let persistence = if self.close.is_some() { Persistence::Close } else { Persistence::Silent };
        encode::request(head, persistence, body.into(), out)?;
        self.asked = Asked { head: *head.method == Method::HEAD, connect: *head.method == Method::CONNECT };
        self.writer = Writer::new(body);
        let _ = self.conversation.say(Role::Client, Word::Request);
        if head.upgrade || self.asked.connect {
            self.conversation.propose_switch();
        }
        Ok(())
    }

    /// Frames the next `len` bytes of content: see [`Piece`].
    ///
    /// # Errors
    /// [`SendError::OutOfTurn`] unless a request has begun and not ended.
    pub fn send_body(&mut self, len: usize) -> Result<Piece, SendError> {
        self.take_turn(Word::Body)?;
        let piece = self.writer.write(len);
        if piece.excess() > 0 && matches!(self.writer, Writer::Length { .. }) {
            self.close_after(CloseReason::BodyTooLong);
        }
        Ok(piece)
    }

    /// Ends the request; what has to be written for that is appended to `out`. Trailers go out behind chunks only.
    ///
    /// # Errors
    /// [`SendError::BodyTooShort`] if less came than announced: the connection must be cut.
    /// [`SendError::ForbiddenTrailer`], and nothing is ended.
    /// [`SendError::OutOfTurn`] unless a request has begun and not ended.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_turn(Word::End)?;
        match self.writer {
            Writer::Length { declared, left } if left > 0 => {
                self.close = Some(CloseReason::BodyTooShort);
                self.conversation.fail(Role::Client);
                return Err(SendError::BodyTooShort { declared, missing: left });
            }
            Writer::Chunked => encode::last_chunk(trailers, out)?,
            _ => {}
        }
        self.take_turn(Word::End)
    }

    /// The bytes behind the response that switched protocols: they belong to the new one.
    pub fn take_leftover(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    /// Lets the connection end with the present exchange; said before the request, it is in the request. The first reason
    /// stays.
    pub fn close_after(&mut self, reason: CloseReason) {
        self.close.get_or_insert(reason);
        self.conversation.keep_no_longer();
    }

    /// Why the connection ends with the present exchange; `None` as long as it is kept.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        self.close
    }

    /// Whether the connection is to be closed now: the exchange is over, or broken, and it is not kept.
    #[must_use]
    pub fn must_close(&self) -> bool {
        if self.failure.is_some() {
            return true;
        }
        match self.conversation.state(Role::Client) {
            State::MustClose => {
                !matches!(self.conversation.state(Role::Server), State::OwesResponse | State::OwesBody)
            }
            State::Closed | State::Failed => true,
            _ => false,
        }
    }

    fn check_turn(&self, word: Word) -> Result<(), SendError> {
        if self.conversation.may_say(Role::Client, word) {
            return Ok(());
        }
        Err(SendError::OutOfTurn { word, state: self.conversation.state(Role::Client) })
    }

    fn take_turn(&mut self, word: Word) -> Result<(), SendError> {
        self.check_turn(word)?;
        let _ = self.conversation.say(Role::Client, word);
        Ok(())
    }
}
