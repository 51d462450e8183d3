//! gatebridge: the bridge between HTTP and programs. This is the library that `gatebridge serve` is made of, for programs that
//! have a gateway of their own inside; it must not know which program that is.
//!
//! A program mounts what it has, names what else is to answer, and starts:
//!
//! ```
//! use gatebridge::{Gateway, interface::application};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), gatebridge::Error> {
//!     let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
//!     let gateway = Gateway::builder()
//!         .config_text("[[route]]\npath = \"/\"\npage = \"index\"\n") // what gatebridge.toml would say: scripts, pools, files
//!         .mount("/hello", hello) //                                   a program of this process, on threads of its own
//!         .listen("127.0.0.1:0")
//!         .start()
//!         .await?;
//!     println!("http://{}/hello", gateway.local_addresses()[0]);
//!     gateway.stop().await; // running requests end, workers too
//!     Ok(())
//! }
//! ```
//!
//! | wanted | is |
//! |---|---|
//! | routes of a configuration: CGI scripts, FastCGI and SCGI pools, files | [`Builder::config_file`], [`Builder::config_text`] |
//! | a program of the [`interface`] crate, in this process | [`Builder::mount`], [`AppSettings`] |
//! | a tower service, such as an axum router, in this gateway | [`Builder::mount_service`] |
//! | this gateway as a tower service, in an axum application | [`Gateway::service`], [`GatewayService`], [`Arrival`] |
//! | an application of one's own, asynchronous, of the gateway's kind | [`exchange::Application`], [`Builder::mount_application`] |
//!
//! What it does not do in a program of somebody else: it exits from nowhere, installs no signal handler and no `tracing`
//! subscriber, writes nothing to standard output unless the configuration says so, and reaps no child that is not its own. It
//! needs a tokio runtime with I/O and time, on Linux.
//!
//! Everything else that is public here is for the program `gatebridge` and its tests, and may change at any time.
#![deny(unsafe_code)]

pub mod exchange;

#[doc(hidden)]
pub mod back;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod compare;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod front;
#[doc(hidden)]
pub mod gateway;
#[doc(hidden)]
pub mod io;
#[doc(hidden)]
pub mod observe;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod route;

pub use config::{AddressError, Report};
pub use front::service::{Arrival, GatewayService, ResponseBody};
pub use gatebridge_interface as interface;
pub use gateway::{AppSettings, Builder, Error, Gateway};

/// The tutorial, whose programs are compiled and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/interface.md")]
struct Tutorial;
