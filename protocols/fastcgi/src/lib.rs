//! The whole FastCGI 1.0 specification, both sides, as pure state: bytes in, events out; what is to be said in, bytes
//! out. It must not know sockets, clocks, futures or HTTP.
//!
//! [`Client`] is what the specification calls the Web server: it sends requests. [`Server`] is the application: it
//! receives them. Both have the same verbs. `receive_buffer` is where received bytes are put, `next_event` says what
//! they mean, and `begin`, `params`, `send_...`, `end_...` turn what is to be said into bytes. Payload is never copied:
//! what comes in is sliced out of the receive buffer, a record of any size as it arrives; what goes out is framed by a
//! [`RecordFraming`], a header before the payload and padding behind it.
//!
//! # A whole exchange
//!
//! ```
//! use gatebridge_fastcgi::{Client, ClientEvent, ProtocolStatus, Role, Server, ServerEvent};
//!
//! let (mut client, mut server) = (Client::default(), Server::default());
//!
//! // The Web server says a whole request in one buffer: BEGIN_REQUEST, PARAMS, and STDIN without content.
//! let mut request = Vec::new();
//! let id = client.begin(Role::Responder, true, &mut request)?;
//! let mut params = client.params(id, &mut request)?;
//! params.pair(b"REQUEST_METHOD", b"GET");
//! params.pair(b"SCRIPT_NAME", b"/hello");
//! params.finish()?;
//! client.end_stdin(id, &mut request)?;
//!
//! // The application understands it, however the bytes were cut,
//! server.receive(&request);
//! let begin = ServerEvent::BeginRequest { id, role: Role::Responder, keep_conn: true };
//! assert_eq!(server.next_event()?, Some(begin));
//! let Some(ServerEvent::Params(_, params)) = server.next_event()? else { panic!("no params") };
//! assert_eq!(params.get("SCRIPT_NAME"), Some(&b"/hello"[..]));
//! assert_eq!(server.next_event()?, Some(ServerEvent::StdinEnd(id)));
//! assert_eq!(server.next_event()?, None);
//!
//! // and answers. The three slices would leave in one vectored write.
//! let body = b"Content-Type: text/plain\r\n\r\nhello";
//! let framing = server.send_stdout(id, body.len())?;
//! assert_eq!(framing.content_length, body.len());
//! let mut response = [&framing.header, &body[..], framing.padding()].concat();
//! server.end_request(id, 0, ProtocolStatus::RequestComplete, &mut response)?;
//!
//! client.receive(&response);
//! assert_eq!(client.next_event()?, Some(ClientEvent::Stdout(id, body[..].into())));
//! assert_eq!(client.next_event()?, Some(ClientEvent::StdoutEnd(id)));
//! assert!(!client.is_reusable());
//! let protocol_status = ProtocolStatus::RequestComplete;
//! assert_eq!(client.next_event()?, Some(ClientEvent::EndRequest { id, app_status: 0, protocol_status }));
//! assert_eq!(client.next_event()?, None);
//! assert!(client.is_reusable() && !server.should_close());
//! # Ok::<(), gatebridge_fastcgi::Error>(())
//! ```
//!
//! # Where the specification is obeyed
//!
//! | section | about | where |
//! |---|---|---|
//! | 2.2, 3.2 | the listening socket, `FCGI_WEB_SERVER_ADDRS` | constants in `record.rs`; the rest is I/O |
//! | 3.3 | records, padding, request ids, streams | `record.rs`, `reader.rs`, `writer.rs`, `state.rs` |
//! | 3.4 | name-value pairs | `params.rs` |
//! | 3.5 | closing: `KEEP_CONN` | [`Client::is_reusable`], [`Server::should_close`] |
//! | 4 | management records | `management.rs` |
//! | 5 | application records | `record.rs`, `events.rs`, `client.rs`, `server.rs` |
//! | 6 | roles and their streams | the table in `state.rs` |
//! | 7 | errors | `error.rs` |
//! | 8 | types and constants | `record.rs`, `management.rs` |
//!
//! Every limit stands in `limits.rs` with its reason.

#![forbid(unsafe_code)]

mod client;
mod error;
mod events;
mod limits;
mod management;
mod params;
mod reader;
mod record;
mod server;
mod state;
mod writer;

pub use client::Client;
pub use error::{Blame, Error, Misuse, ParamsFault, Unclean, Violation};
pub use events::{Answer, AnswerReason, ClientEvent, ServerEvent};
pub use limits::{
    ClientLimits, DEFAULT_CLIENT_REQUESTS, DEFAULT_HALF_OPEN_REQUESTS, DEFAULT_MANAGEMENT_BYTES,
    DEFAULT_PARAM_NAME_BYTES, DEFAULT_PARAM_PAIRS, DEFAULT_PARAM_VALUE_BYTES, DEFAULT_PARAMS_BYTES,
    DEFAULT_SERVER_REQUESTS, ParamsLimits, ServerLimits,
};
pub use management::{Capabilities, MAX_CONNS, MAX_REQS, MPXS_CONNS, Values};
pub use params::{Output, Params, ParamsWriter};
pub use record::{
    ALIGNMENT_BYTES, BeginRequest, DATA_LAST_MOD, DATA_LENGTH, EndRequest, HEADER_BYTES, Header, KEEP_CONN,
    LISTENSOCK_FILENO, MAX_ALIGNED_CONTENT_BYTES, MAX_CONTENT_BYTES, ProtocolStatus, RecordType, RequestId,
    Role, VARIABLE_PREFIX, VERSION, WEB_SERVER_ADDRS,
};
pub use server::Server;
pub use writer::RecordFraming;
