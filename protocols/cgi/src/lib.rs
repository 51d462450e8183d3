//! RFC 3875 without I/O: the environ, its one walker, and the reader of script output; knows no process and
//! no socket.
//!
//! | RFC 3875 | here |
//! |---|---|
//! | 4.1 meta-variables | [`Environ`], [`names`] |
//! | 4.1.18 protocol-specific meta-variables | [`Environ::walk_with`], [`alias`] |
//! | 6.2 response types | [`ScriptResponse`], [`Kind`] |
//! | 6.3 response header fields, 5 non-parsed headers | [`ScriptReader`] |
//! | 9 security | [`Listing`], [`names::is_protected`], [`limits`] |
//!
//! A whole exchange, with the script's part played by two literals:
//!
//! ```
//! use gatebridge_cgi::{Environ, Environment, Event, Facts, Kind, ScriptLimits, ScriptReader};
//! use bytes::Bytes;
//! use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
//!
//! // The front has read a head; the route has split its path.
//! let mut headers = HeaderMap::new();
//! headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
//! headers.insert("proxy", HeaderValue::from_static("http://attacker.example"));
//! let target = Bytes::from_static(b"/cgi-bin/hello/you?greeting=hi");
//! let mut environ = Environ::from_head(Method::GET, target, Version::HTTP_11, headers);
//! environ.script_name = "/cgi-bin/hello".into();
//! environ.path_info = "/you".into();
//!
//! // The back lists the variables for the process.
//! let mut environment = Environment::default();
//! environ.walk(&mut environment);
//! let pairs = environment.finish()?;
//! assert!(pairs.contains(&("QUERY_STRING".into(), "greeting=hi".into())));
//! assert!(pairs.contains(&("HTTP_ACCEPT".into(), "text/html".into())));
//! assert!(!pairs.iter().any(|(name, _)| name == "HTTP_PROXY"));
//!
//! // The script answers, in pieces as the pipe happens to cut them.
//! let mut reader = ScriptReader::new(ScriptLimits::default(), Facts::from(&environ));
//! reader.receive(Bytes::from_static(b"Content-Type: text/plain\nSta"));
//! assert_eq!(reader.next_event()?, Event::NeedData);
//! reader.receive(Bytes::from_static(b"tus: 404 No Such Friend\n\nWho?"));
//! let Event::Response(response) = reader.next_event()? else { unreachable!() };
//! assert_eq!((response.kind, response.head.status), (Kind::Document, StatusCode::NOT_FOUND));
//! assert_eq!(response.head.reason.as_deref(), Some(&b"No Such Friend"[..]));
//! assert_eq!(reader.next_event()?, Event::Body("Who?".into()));
//! reader.receive_end();
//! assert_eq!(reader.next_event()?, Event::End);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod environ;
mod environment;
mod error;
mod fields;
pub mod limits;
pub mod names;
mod proxied;
mod script;
mod variables;
mod walker;

pub use environ::{Environ, Redirect, Scheme};
pub use environment::{Environment, EnvironmentBlock};
pub use error::{Blame, EnvironmentError, Excerpt, LineFault, ScriptError, VariablesError};
pub use fields::{alias, remove_hop_by_hop};
pub use limits::ScriptLimits;
pub use script::{Event, Facts, Head, Kind, ScriptReader, ScriptResponse};
pub use walker::{Appender, Listing};
