//! The side that sends a request and receives the answer; knows no socket, and leaves the answer's meaning to
//! others.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::{Error, Fault};
use crate::headers::HeaderWriter;

/// Writes the headers of a request from pairs, `CONTENT_LENGTH` first; `SCGI` = `1` is added.
///
/// # Errors
/// As for [`HeaderWriter::finish`].
pub fn encode_request<N, V>(headers: impl IntoIterator<Item = (N, V)>) -> Result<Bytes, Error>
where
    N: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let mut writer = HeaderWriter::new();
    for (name, value) in headers {
        writer.append(name.as_ref(), value.as_ref());
    }
    writer.finish()
}

/// What a client can say.
#[derive(Debug)]
pub enum Message {
    /// The headers: first, once.
    Headers(HeaderWriter),
    /// A piece of the body; passes by without being copied.
    Body(Bytes),
    /// The body is complete. It yields no bytes: it is the check that as many came as the headers say.
    End,
}

/// What the answer's bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// Nothing more can be said: hand in more.
    NeedData,
    /// A piece of the answer: script output (RFC 3875 6), a slice of what was handed in.
    Output(Bytes),
    /// The connection has ended, and so has the answer. SCGI cannot tell a complete one from one that was cut
    /// short.
    End,
}

/// The sending half: what may be said next.
#[derive(Debug, Clone, Copy)]
enum Sending {
    Headers,
    Body { declared: u64, sent: u64 },
    Done,
}

/// One request of the side that the SCGI specification calls the client (the web server). One connection, one
/// request.
#[derive(Debug)]
pub struct Client {
    sending: Sending,
    pending: VecDeque<Bytes>,
    ended: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that has said nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { sending: Sending::Headers, pending: VecDeque::new(), ended: false }
    }

    /// Turns what we want to say into the bytes to write.
    ///
    /// # Errors
    /// Always the caller's fault: a wrong order, headers that break a rule, or a body that is not as long as
    /// `CONTENT_LENGTH`.
    pub fn send(&mut self, message: Message) -> Result<Bytes, Error> {
        match (self.sending, message) {
            (Sending::Headers, Message::Headers(writer)) => {
                let (bytes, declared) = writer.finish_with_length()?;
                self.sending = Sending::Body { declared, sent: 0 };
                Ok(bytes)
            }
            (Sending::Body { declared, sent }, Message::Body(bytes)) => {
                if bytes.len() as u64 > declared - sent {
                    return Err(Error::caller(Fault::ExtraBytes { declared }));
                }
                self.sending = Sending::Body { declared, sent: sent + bytes.len() as u64 };
                Ok(bytes)
            }
            (Sending::Body { declared, sent }, Message::End) if sent == declared => {
                self.sending = Sending::Done;
                Ok(Bytes::new())
            }
            (Sending::Body { declared, sent }, Message::End) => {
                Err(Error::caller(Fault::BodyTruncated { declared, received: sent }))
            }
            (Sending::Headers, _) => Err(Error::caller(Fault::Order { what: "the headers come first" })),
            (Sending::Body { .. }, Message::Headers(_)) => {
                Err(Error::caller(Fault::Order { what: "a connection carries one request" }))
            }
            (Sending::Done, _) => {
                Err(Error::caller(Fault::Order { what: "the request was complete already" }))
            }
        }
    }

    /// Takes bytes of the answer; empty ones, and any after the end, are ignored.
    pub fn receive(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && !self.ended {
            self.pending.push_back(bytes);
        }
    }

    /// Takes the fact that the connection has ended.
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// Says what the bytes so far mean. An answer may begin before the request is complete.
    ///
    /// # Errors
    /// None today; the shape is that of every codec.
    pub fn next_event(&mut self) -> Result<ClientEvent, Error> {
        Ok(match self.pending.pop_front() {
            Some(bytes) => ClientEvent::Output(bytes),
            None if self.ended => ClientEvent::End,
            None => ClientEvent::NeedData,
        })
    }
}
