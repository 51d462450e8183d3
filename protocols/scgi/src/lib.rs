//! SCGI by the letter, both sides, without I/O; knows no socket, and not what headers mean beyond the two
//! that frame.
//!
//! | SCGI specification | here |
//! |---|---|
//! | 3 request format: netstring, NUL-terminated pairs | [`HeaderWriter`], [`Headers`] |
//! | 3 `CONTENT_LENGTH` first, `SCGI` = `1`, no duplicates | [`Fault`] lists every rule; both sides obey them |
//! | 4 response format | script output until the end: not this crate's business |
//!
//! [`Client`] and [`Server`] share three verbs: `send` turns what we want to say into bytes, `receive` takes
//! bytes, and `next_event` says what they mean. A whole exchange, with no socket between the two:
//!
//! ```
//! use bytes::Bytes;
//! use gatebridge_scgi::{Client, ClientEvent, HeaderWriter, Message, Server, ServerEvent};
//!
//! // The client asks.
//! let mut headers = HeaderWriter::new();
//! headers.append(b"CONTENT_LENGTH", b"5");
//! headers.append(b"REQUEST_METHOD", b"POST");
//! let mut client = Client::new();
//! let mut server = Server::default();
//! server.receive(client.send(Message::Headers(headers))?);
//! server.receive(client.send(Message::Body("hello".into()))?);
//! client.send(Message::End)?;
//!
//! // The server understands.
//! let ServerEvent::Request(request) = server.next_event()? else { unreachable!() };
//! assert_eq!(request.content_length(), 5);
//! assert_eq!(request.get(b"REQUEST_METHOD"), Some(&Bytes::from("POST")));
//! assert_eq!(server.next_event()?, ServerEvent::Body("hello".into()));
//! assert_eq!(server.next_event()?, ServerEvent::End);
//!
//! // It answers with script output, and closes.
//! client.receive(server.send("Status: 204 No Content\r\n\r\n".into()));
//! client.receive_end();
//! assert_eq!(client.next_event()?, ClientEvent::Output("Status: 204 No Content\r\n\r\n".into()));
//! assert_eq!(client.next_event()?, ClientEvent::End);
//! # Ok::<(), gatebridge_scgi::Error>(())
//! ```

#![forbid(unsafe_code)]

mod client;
mod error;
mod headers;
pub mod limits;
mod netstring;
mod server;

pub use client::{Client, ClientEvent, Message, encode_request};
pub use error::{Blame, Error, Excerpt, Fault};
pub use headers::{CONTENT_LENGTH, HeaderWriter, Headers, SCGI};
pub use limits::Limits;
pub use server::{Server, ServerEvent};
