//! What a server says: informational heads, the response, its body and end, a switch; reads nothing.

use http::{HeaderMap, StatusCode};

use super::{Asked, Server};
use crate::body::{Piece, Writer};
use crate::close::CloseReason;
use crate::encode::{self, Persistence, Response, Says};
use crate::error::SendError;
use crate::framing::{self, Framing};
use crate::state::{Role, State, Word};

impl Server {
    /// Appends `100 Continue` to `out`, if the client waits for it; nothing otherwise.
    ///
    /// # Errors
    /// [`SendError::OutOfTurn`] if the response has begun.
    pub fn send_continue(&mut self, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_turn(Word::Informational)?;
        if self.asked.awaits_continue {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.asked.awaits_continue = false;
        }
        Ok(())
    }

    /// Appends a head with a 1xx status (103, say) to `out`; any number of them may precede a response. `false`, and
    /// nothing written, for a client of HTTP/1.0, which would take it for the response (RFC 9110 15.2).
    ///
    /// # Errors
    /// [`SendError::Status`] for any other status, and for 101, which [`Server::send_switch`] sends;
    /// [`SendError::OutOfTurn`] unless a request waits for its response.
    pub fn send_informational(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        out: &mut Vec<u8>,
    ) -> Result<bool, SendError> {
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(SendError::Status { status, word: Word::Informational });
        }
        self.check_turn(Word::Informational)?;
        if self.asked.http10 {
            return Ok(false);
        }
        if status == StatusCode::CONTINUE {
            self.asked.awaits_continue = false;
        }
        encode::response(&Response::new(status, headers), Persistence::Silent, Says::Nothing, out)?;
        Ok(true)
    }

    /// Appends the final response's head to `out`. `length` is the size of its content if that is known.
    ///
    /// The result says how the content will be framed; [`Framing::None`] that none goes out (HEAD, 204, 304), and
    /// that all of it that is given will be discarded. It may be sent before the request is complete, and also
    /// without a request (408) and after a broken one (400).
    ///
    /// # Errors
    /// [`SendError::OutOfTurn`] if a response has been sent already, [`SendError::Status`] below 200,
    /// [`SendError::Reason`] for control bytes in the phrase. Nothing is written then.
    pub fn send_response(
        &mut self,
        head: &Response<'_>,
        length: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<Framing, SendError> {
        if head.status.is_informational() {
            return Err(SendError::Status { status: head.status, word: Word::Response });
        }
        // RFC 9110 9.3.6: a 2xx to CONNECT begins the tunnel.
        if self.asked.connect
            && head.status.is_success()
            && self.conversation.may_say(Role::Server, Word::Switch)
        {
            encode::response(head, Persistence::Silent, Says::Nothing, out)?;
            let _ = self.conversation.say(Role::Server, Word::Switch);
            self.writer = Writer::Discard;
            return Ok(Framing::None);
        }
        self.check_turn(Word::Response)?;
        let unasked = self.conversation.state(Role::Server) == State::Idle;
        let asked = if unasked { Asked::default() } else { self.asked };
        let framing = framing::to_send(head.status, asked.head, !asked.http10 && !unasked, length);
        let reason = self.reason_to_close(unasked, framing);
        let persistence = match reason {
            Some(_) => Persistence::Close,
            None if asked.http10 => Persistence::KeepAlive,
            None => Persistence::Silent,
        };
        // RFC 9110 8.6: the answer to HEAD may tell the length that GET would have; 204 must not, 304 need not.
        let says = match length {
            Some(n) if asked.head && !framing::has_no_content(head.status) => Says::Length(n),
            _ => framing.into(),
        };
        encode::response(head, persistence, says, out)?;
        self.asked.awaits_continue = false;
        self.writer = Writer::new(framing);
        let _ = self.conversation.say(Role::Server, Word::Response);
        if let Some(reason) = reason {
            self.close_after(reason);
        }
        Ok(framing)
    }

    fn reason_to_close(&self, unasked: bool, framing: Framing) -> Option<CloseReason> {
        if self.close.is_some() || !self.conversation.is_kept() {
            return Some(self.close.unwrap_or(CloseReason::PeerFailed));
        }
        if unasked {
            Some(CloseReason::NoRequest)
        } else if framing == Framing::UntilClose {
            Some(CloseReason::UntilClose)
        } else if self.awaits_continue() {
            Some(CloseReason::ExpectationUnmet)
        } else if self.ended && self.buffer.is_empty() {
            Some(CloseReason::PeerClosed)
        } else {
            None
        }
    }

    /// Frames the next `len` bytes of content: see [`Piece`].
    ///
    /// # Errors
    /// [`SendError::OutOfTurn`] unless a response has begun and not ended.
    pub fn send_body(&mut self, len: usize) -> Result<Piece, SendError> {
        self.take_turn(Word::Body)?;
        let piece = self.writer.write(len);
        if piece.excess() > 0 && matches!(self.writer, Writer::Length { .. }) {
            // Lesson 11: whoever is wrong about one length is not trusted with another.
            self.close_after(CloseReason::BodyTooLong);
        }
        Ok(piece)
    }

    /// Ends the response; what has to be written for that is appended to `out`. Trailers go out only behind
    /// chunks and to a client that said `TE: trailers`.
    ///
    /// # Errors
    /// [`SendError::BodyTooShort`] if less came than announced: the connection must be cut, and
    /// [`Server::must_close`] says so. [`SendError::ForbiddenTrailer`], and nothing is ended.
    /// [`SendError::OutOfTurn`] unless a response has begun and not ended.
    pub fn send_end(&mut self, trailers: Option<&HeaderMap>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_turn(Word::End)?;
        match self.writer {
            Writer::Length { declared, left } if left > 0 => {
                self.close = Some(CloseReason::BodyTooShort);
                self.conversation.fail(Role::Server);
                return Err(SendError::BodyTooShort { declared, missing: left });
            }
            Writer::Chunked => {
                encode::last_chunk(trailers.filter(|_| self.asked.takes_trailers), out)?;
            }
            _ => {}
        }
        self.take_turn(Word::End)
    }

    /// Appends `101 Switching Protocols` to `out`, with the `Upgrade` field of `headers`. The request must have proposed it, and
    /// must have been read to its end.
    ///
    /// # Errors
    /// [`SendError::UnaskedSwitch`] if it did not, or an end is still to be read; [`SendError::OutOfTurn`] if a response has begun.
    pub fn send_switch(&mut self, headers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_turn(Word::Informational)?;
        if self.asked.connect || !self.conversation.may_say(Role::Server, Word::Switch) {
            return Err(SendError::UnaskedSwitch);
        }
        let head = Response::new(StatusCode::SWITCHING_PROTOCOLS, headers);
        encode::response(&head, Persistence::Upgrade, Says::Nothing, out)?;
        self.take_turn(Word::Switch)
    }

    fn check_turn(&self, word: Word) -> Result<(), SendError> {
        if self.conversation.may_say(Role::Server, word) {
            return Ok(());
        }
        Err(SendError::OutOfTurn { word, state: self.conversation.state(Role::Server) })
    }

    fn take_turn(&mut self, word: Word) -> Result<(), SendError> {
        self.check_turn(word)?;
        let _ = self.conversation.say(Role::Server, word);
        Ok(())
    }
}
