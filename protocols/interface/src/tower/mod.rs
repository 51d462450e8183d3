//! Services of tower as applications: an axum router runs as a CGI program, a FastCGI or SCGI worker. It must not know how
//! they are run, nor any particular service.
//!
//! ```no_run
//! use axum::{Router, extract::Path, routing::get};
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     let router = Router::new().route("/hello/{name}", get(|Path(name): Path<String>| async move {
//!         format!("Hello {name}\n")
//!     }));
//!     gatebridge_interface::tower::serve(router)
//! }
//! ```
//!
//! [`serve`] is short for [`tokio::serve`](crate::tokio::serve) of an [`application`], and every other runner takes one
//! too. What becomes of what:
//!
//! | there | here |
//! |---|---|
//! | method, version, header fields of the request | those of the [`Environ`], moved; `content-type` and `content-length` are among the fields again |
//! | its URI | what the client sent: see [`Seen`] |
//! | its body | [`Body`], which is read as the service asks for it |
//! | its extensions | the [`Environ`], its header fields taken out; and [`Aborted`](crate::tokio::Aborted) |
//! | status and header fields of the response | the same, without the fields of a connection, which is the gateway's |
//! | a body without a type | `application/octet-stream`: with CGI a body must have one |
//! | its body | streamed; what has come is sent as soon as nothing further is there |
//! | its trailers | dropped: CGI has no place for them |
//! | an error of the service or of the response's body | an error of the application: a 500, or an answer that is visibly cut |
//! | 1xx statuses, upgrades | not there; a 101 becomes a 500 |
//! | the client leaves | the service's future, or the body, is dropped |
//! | `poll_ready` | is waited for, on a clone of the service for each request |
//!
//! A service keeps to the contract of the crate `http`, so runners do not look for breaches of this one's; where that is
//! wanted, wrap it in [`tokio::lint`](crate::tokio::lint()).

mod request;
mod response;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use gatebridge_cgi::Environ;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower_service::Service;

pub use request::{Body, Seen};

use crate::application::{Error, Result};
use crate::settings::Settings;
use crate::tokio::{Application, Input, StartResponse};

/// A service as an application: see [`application`].
#[derive(Debug)]
pub struct ServiceApplication<S> {
    /// A service need not be `Sync`; each request gets a clone.
    service: Mutex<S>,
    seen: Seen,
}

/// Makes an application of a service.
///
/// ```
/// use axum::{Router, routing::get};
/// use gatebridge_interface::{Environ, tokio::rehearse, tower};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gatebridge_interface::Error> {
/// let hello = tower::application(Router::new().route("/hello", get(|| async { "hello\n" })));
/// let environ = Environ { script_name: "".into(), path_info: "/hello".into(), ..Environ::default() };
/// assert_eq!(rehearse(&hello, &environ, "").await?.text(), "hello\n");
/// # Ok(())
/// # }
/// ```
pub const fn application<S>(service: S) -> ServiceApplication<S> {
    ServiceApplication { service: Mutex::new(service), seen: Seen::WholePath }
}

impl<S> ServiceApplication<S> {
    /// The same, with another path for the service to see.
    #[must_use]
    pub fn seen(self, seen: Seen) -> Self {
        Self { seen, ..self }
    }
}

impl<S, B> Application for ServiceApplication<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
    B: HttpBody + Send,
    B::Data: Send,
    B::Error: Into<Error>,
{
    async fn call(&self, environ: Environ, input: Input, start: StartResponse) -> Result {
        let request = match request::request(environ, input, self.seen) {
            Ok(request) => request,
            Err(fault) => {
                let text = [("Content-Type", "text/plain; charset=utf-8")];
                return start.answer(400, text, format!("the path is no URI: {fault}\n")).await;
            }
        };
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let aborted = start.aborted();
        let answered = async {
            std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            response::send(response, start).await
        };
        ::tokio::select! {
            // What was answered is answered, though the client may have left meanwhile.
            biased;
            answered = answered => answered,
            () = aborted => Err("nobody waits for the answer any more".into()),
        }
    }

    fn is_watched(&self) -> bool {
        false
    }
}

/// Runs a service in the way in which the program was started: see [`tokio::serve`](crate::tokio::serve).
#[must_use = "it is what `main` returns"]
pub fn serve<S, B>(service: S) -> ExitCode
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Error>,
{
    serve_with(service, &Settings::default())
}

/// [`serve`] with settings for the persistent ways.
#[must_use = "it is what `main` returns"]
pub fn serve_with<S, B>(service: S, settings: &Settings) -> ExitCode
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Error>,
{
    crate::tokio::serve_with(application(service), settings)
}
