//! One program, four ways to run it: CGI script, FastCGI worker, SCGI worker, or in-process. It knows the protocols
//! that carry requests to programs, and must not know the gateway.
//!
//! A program is a function of a request's variables, its body, and the one chance to answer it. [`serve`] finds out how
//! the program was started and does the rest:
//!
//! ```
//! use gatebridge_interface::{Environ, Input, Result, StartResponse, rehearse};
//! use std::io::{Read, Write};
//!
//! /// Answers with the body turned round.
//! fn reverse(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
//!     if environ.method != "POST" {
//!         return start.answer(405, [("Allow", "POST"), ("Content-Type", "text/plain")], "POST a text\n");
//!     }
//!     // Nothing is sent before the first byte of the body: the head can still be replaced.
//!     let mut body = start.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
//!     let mut text = String::new();
//!     if let Err(error) = input.read_to_string(&mut text) {
//!         writeln!(body.errors(), "{}: {error}", environ.script_name.escape_ascii())?;
//!         body = body.restart(400, [("Content-Type", "text/plain")])?;
//!         body.write_all(b"this is no text\n")?;
//!         return Ok(body.end()?);
//!     }
//!     for letter in text.chars().rev() {
//!         write!(body, "{letter}")?;
//!     }
//!     Ok(body.end()?)
//! }
//!
//! // fn main() -> std::process::ExitCode { gatebridge_interface::serve(reverse) }
//!
//! let post = Environ { method: "POST".parse()?, ..Environ::default() };
//! assert_eq!(rehearse(&reverse, &post, "gebär".as_bytes())?.text(), "räbeg");
//! assert_eq!(rehearse(&reverse, &post, b"\xff")?.status, 400);
//! assert_eq!(rehearse(&reverse, &Environ::default(), b"")?.headers["allow"], "POST");
//! # Ok::<(), gatebridge_interface::Error>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | the contract, both sides of it | [`Lint`] |
//! | a program, and a program around a program | [`Application`], [`Onward`], [`Outlet`] |
//! | the request | [`Environ`], [`Input`] |
//! | the answer | [`StartResponse`], [`Body`], [`Head`], [`Answered`] |
//! | the ways to run it | [`serve`]; [`run_cgi`], [`run_fastcgi`], [`run_scgi`]; [`serve_fastcgi`], [`serve_scgi`]; `serve_http` with the feature `development`; [`perform`]; [`rehearse`] |
//! | what a worker can be told | [`Settings`], [`Peers`], [`Stop`] |
//! | all of it for tasks instead of threads | the module `tokio`, with the feature of this name |
//! | services of tower, such as axum's routers | the module `tower`, with the feature of this name |
//!
//! # Features
//!
//! None is on by itself, and a program that turns none on holds nothing of them.
//!
//! | feature | is for |
//! |---|---|
//! | `development` | `serve` at a terminal or with `--listen ADDRESS`, and `serve_http` |
//! | `tokio` | programs that wait on the network: async functions, one task for a request |
//! | `tower` | programs that are a `tower::Service`, among them every axum router; includes `tokio` |
//!
//! # Beside PEP 3333
//!
//! The shape is that of WSGI, Python's interface of the same purpose. What differs, and why:
//!
//! | PEP 3333 | here |
//! |---|---|
//! | `environ` is a dictionary of strings | [`Environ`]: typed fields, header fields in HTTP spelling; [`Environ::walk`](gatebridge_cgi::Environ::walk) lists the variables |
//! | `wsgi.input` | [`Input`], which also tells its length, and its file if it lies in one |
//! | `wsgi.errors` | `errors()` of [`StartResponse`] and [`Body`] |
//! | `start_response` is called once, which servers check | it is moved, which the compiler checks |
//! | to forget `start_response` fails at run time | does not compile: without an end there is no [`Answered`] |
//! | `exc_info` replaces headers that were not sent | [`Body::restart`], until the first byte of the body |
//! | an iterable is returned | [`Body::send_all`] takes an iterator; each piece leaves at once there too |
//! | `write()`, discouraged | [`Body`] is [`std::io::Write`]; small writes leave together, `flush` sends them |
//! | `close()` of the iterable | `Drop` |
//! | `wsgi.file_wrapper`, optional | [`Body::send_file`] |
//! | the status is a text with a reason phrase | a number: HTTP/2 has no phrase, and the runners write the usual one |
//! | hop-by-hop fields are forbidden | refused when the head is made: [`HeadError::Reserved`] |
//! | `wsgi.multithread`, `wsgi.multiprocess`, `wsgi.run_once` | an application is `Sync` and may be called from many threads, in many processes, once or often |
//! | `wsgi.url_scheme` | [`Environ::scheme`](gatebridge_cgi::Environ) |
//! | `wsgi.version` | the version of this crate |
//! | a body longer than `Content-Length` is cut by servers | an error of the write that goes too far |
//! | (nothing) | [`StartResponse::early_hints`]: 103, where the next hop is known to take it |
//! | (nothing) | `is_aborted()`: nobody waits any more; reading and writing fail then |
//! | (nothing) | Authorizers and Filters (FastCGI 1.0 6): the variable `FCGI_ROLE`, [`Input::next_stream`] |
//! | (nothing) | what becomes of an error: a 500, or an answer that is visibly cut |
//! | (nothing; that is ASGI's) | waiting without a thread: the module `tokio` |
//!
//! Neither has upgrades to other protocols or trailers.

#![forbid(unsafe_code)]

mod answer;
mod application;
mod bell;
mod cgi;
mod descriptor;
#[cfg(feature = "development")]
mod development;
mod fastcgi;
mod head;
mod inbox;
mod input;
mod inside;
mod lint;
mod onward;
mod outlet;
mod perform;
mod rehearsal;
mod scgi;
mod script;
mod serve;
mod settings;
mod socket;
mod stop;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;
mod worker;

pub use answer::{Answered, Body, Errors, StartResponse};
pub use application::{Application, Error, Result, application};
pub use cgi::{EXIT_BROKEN, EXIT_NO_CGI, run_cgi};
#[cfg(feature = "development")]
pub use development::serve_http;
pub use fastcgi::{run_fastcgi, serve_fastcgi};
pub use gatebridge_cgi::{Environ, Redirect, Scheme};
pub use head::{Head, HeadError, IntoHeaders, IntoStatus};

pub use http;
pub use input::{Input, Source};
pub use inside::perform;
pub use lint::{Lint, Violation, lint};
pub use onward::Onward;
pub use outlet::Outlet;
pub use perform::Outcome;
pub use rehearsal::{Rehearsal, rehearse};
pub use scgi::{run_scgi, serve_scgi};
pub use serve::{serve, serve_with};
pub use settings::{
    DEFAULT_CONNECTION_REQUESTS, DEFAULT_CONNECTIONS, DEFAULT_THREADS, HEADER_TIMEOUT_MS, INPUT_BYTES,
    LINGER_MS, MAX_INPUT_BYTES, READ_BYTES, Settings,
};
#[cfg(feature = "tokio")]
pub use settings::{DEFAULT_REQUESTS, ERRORS_BYTES, WRITE_BYTES};
pub use socket::Peers;
pub use stop::Stop;
pub use worker::{EXIT_IMPATIENT, EXIT_NO_SOCKET, EXIT_SYSTEM};
