//! HTTP/1.1 by the letter of RFC 9112, both sides, with the I/O taken out; knows no socket, no clock, no application.
//!
//! Three verbs drive either side: `receive` takes bytes, `next_event` says what they mean, and `send_...` turns what is to be
//! said into bytes. A whole exchange:
//!
//! ```
//! use gatebridge_http1::{Client, ClientEvent, Event, Framing, Limits, Request, Response, Server};
//! use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut client, mut server) = (Client::new(Limits::default()), Server::new(Limits::default()));
//! let mut wire = Vec::new();
//!
//! // The client asks, with five bytes of content.
//! let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example"))]);
//! client.send_request(&Request::new(&Method::POST, b"/echo", &headers), Framing::Length(5), &mut wire)?;
//! let piece = client.send_body(5)?;
//! wire.extend([piece.prefix(), &b"hello"[..piece.payload()], piece.suffix()].concat());
//! client.send_end(None, &mut wire)?;
//!
//! // The server reads it.
//! server.receive(&wire);
//! let Event::Request(request) = server.next_event()? else { panic!("a request begins") };
//! assert_eq!((request.method, request.target.path()), (Method::POST, "/echo"));
//! let Event::Body(content) = server.next_event()? else { panic!("its content follows") };
//! assert_eq!(content, "hello");
//! assert!(matches!(server.next_event()?, Event::End { trailers: None }));
//! assert!(matches!(server.next_event()?, Event::Paused));
//!
//! // It answers without knowing how long the answer will be: in chunks.
//! wire.clear();
//! let framing = server.send_response(&Response::new(StatusCode::OK, &HeaderMap::new()), None, &mut wire)?;
//! assert_eq!(framing, Framing::Chunked);
//! let piece = server.send_body(content.len())?;
//! wire.extend([piece.prefix(), &content[..piece.payload()], piece.suffix()].concat());
//! server.send_end(None, &mut wire)?;
//! assert_eq!(wire, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
//!
//! // The client reads that, and both may begin again.
//! client.receive(&wire);
//! assert!(matches!(client.next_event()?, ClientEvent::Response(head) if head.status == StatusCode::OK));
//! assert!(matches!(client.next_event()?, ClientEvent::Body(content) if content == "hello"));
//! assert!(matches!(client.next_event()?, ClientEvent::End { trailers: None }));
//! assert!(server.is_idle() && client.is_idle());
//! # Ok(())
//! # }
//! ```
//!
//! | RFC 9112 | where |
//! |---|---|
//! | 2.1, 2.2 message format, line ends | `section`, `fields` |
//! | 2.3 version; 3 request line; 4 status line | `head` |
//! | 3.2 request target, 3.3 target URI | `target`, `host`, `head` |
//! | 5 field syntax | `fields`, `grammar` |
//! | 6 message body, 6.3 its length | `framing`, `body` |
//! | 7 transfer codings, chunks, trailers | `chunked`, `body`, `encode` |
//! | 8 incomplete messages | `body`, `server`, `client` |
//! | 9 connections, pipelining, closing, upgrade | [`state`], `close`, `server`, `client` |
//!
//! A body is never copied: what is received is told in slices of the receive buffer, and what is sent stays where it is,
//! between the two short slices of a [`Piece`].
#![forbid(unsafe_code)]

mod body;
mod chunked;
mod client;
mod close;
mod encode;
mod error;
mod fields;
mod framing;
mod grammar;
mod head;
mod host;
pub mod limits;
mod section;
mod server;
pub mod state;
mod target;
mod violation;

pub use body::{BodyLeft, Piece};
pub use client::{Client, ClientEvent};
pub use close::CloseReason;
pub use encode::{Request, Response};
pub use error::{Blame, Excerpt, Missing, Place, SendError};
pub use framing::Framing;
pub use head::{RequestHead, ResponseHead};
pub use host::Host;
pub use limits::Limits;
pub use server::{Event, Server};
pub use target::{Form, Target};
pub use violation::PeerError;
