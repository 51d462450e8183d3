//! The asynchronous shape, for programs that wait on the network: the same nouns, on tasks instead of threads. It must not
//! know a protocol that the synchronous shape does not know.
//!
//! ```no_run
//! use gatebridge_interface::tokio::{Input, StartResponse, serve};
//! use gatebridge_interface::{Environ, Result};
//! use std::time::Duration;
//! use tokio::io::AsyncWriteExt as _;
//!
//! /// Counts the seconds, for any number of clients at once.
//! async fn clock(_: Environ, _: Input, start: StartResponse) -> Result {
//!     let mut body = start.start(200, [("Content-Type", "text/plain")])?;
//!     for second in 1..=10 {
//!         tokio::time::sleep(Duration::from_secs(1)).await;
//!         // Fails when nobody listens any more.
//!         body.write_all(format!("{second}\n").as_bytes()).await?;
//!         body.flush().await?;
//!     }
//!     Ok(body.end().await?)
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     serve(clock)
//! }
//! ```
//!
//! | what | synchronous | here |
//! |---|---|---|
//! | a program | [`crate::Application`] | [`Application`]: what was borrowed is owned |
//! | the request | [`Environ`](crate::Environ), [`crate::Input`] | the same environ; [`Input`] is [`AsyncRead`](::tokio::io::AsyncRead), or taken by [`piece`](Input::piece)s |
//! | the answer | [`crate::StartResponse`], [`crate::Body`] | [`StartResponse`], [`Body`] is [`AsyncWrite`](::tokio::io::AsyncWrite) |
//! | the error stream | [`crate::Errors`] | [`Errors`]: does not wait, so `writeln!` will do |
//! | nobody waits any more | `is_aborted()` | `is_aborted()`, and [`Aborted`] to wait for |
//! | a program around a program | [`crate::Onward`], [`crate::Outlet`] | [`Onward`], [`Outlet`], [`Shared`] |
//! | the contract | [`crate::lint()`] | [`lint()`]: the same rules |
//! | to find out how it was started | [`crate::serve`] | [`serve`]; [`serve_here`] on a runtime that runs |
//! | to be told | [`crate::run_cgi`] ... | [`run_cgi`], [`run_fastcgi`], [`run_scgi`]; [`serve_fastcgi`], [`serve_scgi`] and, with `development`, `serve_http` |
//! | in a test | [`crate::rehearse`] | [`rehearse`] |
//!
//! The heads, the errors, the settings and the proof of an answer are the same types. What goes over the wire is the same,
//! too: both shapes share the codecs and all that is known about a request, and differ in how they wait.

mod abort;
mod answer;
mod application;
mod cgi;
#[cfg(feature = "development")]
mod development;
mod fastcgi;
mod input;
mod lint;
mod outbox;
mod outlet;
mod perform;
mod rehearsal;
mod scgi;
mod serve;
mod single;
mod socket;

pub use abort::Aborted;
pub use answer::{Body, Errors, StartResponse};
pub use application::{Application, application};
pub use cgi::run_cgi;
#[cfg(feature = "development")]
pub use development::serve_http;
pub use fastcgi::{run_fastcgi, serve_fastcgi};
pub use input::{Input, Source};
pub use lint::lint;
pub use outlet::{Onward, Outlet, Shared};
pub use rehearsal::rehearse;
pub use scgi::{run_scgi, serve_scgi};
pub use serve::{serve, serve_here, serve_with};
