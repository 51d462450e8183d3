//! The front that is a tower service: requests come from a server that this process runs itself. It does not know what
//! answers, nor how that server frames what it is given.
//!
//! | file | noun |
//! |---|---|
//! | `arrival` | what only the server in front knows of a request |
//! | `intake` | a request of the `http` crate becomes an environ and a record |
//! | `upload` | its body on the way down |
//! | `payload` | the response's body on the way up, and the end of the record |

mod arrival;
mod intake;
mod payload;
#[cfg(test)]
mod service_tests;
mod upload;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode};
use tracing::{info, warn};

use super::http::{Applications, refusal};
use crate::exchange::{self, Body, Exchange, Failure};
use crate::io::{Entrance, Phase};

pub use arrival::Arrival;
use intake::Intake;
use payload::Noted;
pub use payload::ResponseBody;

/// What a client is told to wait while this gateway ends: about as long as the next one takes to be there.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// Any error, as bodies have them.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Where the server in front keeps what it knows.
type FindArrival = dyn Fn(&Extensions) -> Arrival + Send + Sync;

/// A gateway as a tower service, for a server that the program runs itself: axum, hyper, tonic's router.
///
/// Bodies stream both ways. A server that drops a response, or the future of one, says so that the client has left: the
/// program behind is told, or ended. The service answers every request (its error is [`Infallible`]); a failure is a page.
///
/// What a server of this kind has no way to carry is lost: 1xx responses of programs (103 Early Hints), and reason phrases.
///
/// # Where it stands
///
/// As a `fallback_service` it sees the whole path. In a `nest_service` it sees the path below; so that SCRIPT_NAME,
/// REQUEST_URI and local redirects are those of the client, it must be told what was taken away, by
/// [`nested_at`](Self::nested_at) or [`Arrival::original_uri`].
///
/// # Who asked
///
/// Only the server knows the client's address. [`with_arrival`](Self::with_arrival) says where it keeps it; without it,
/// REMOTE_ADDR is empty.
///
/// ```
/// # use std::net::SocketAddr;
/// use axum::extract::{ConnectInfo, OriginalUri};
/// use gatebridge::{Arrival, Gateway};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gatebridge::Error> {
/// let gateway = Gateway::builder().config_text("[[route]]\npath = \"/\"\npage = \"index\"\n").start().await?;
/// let service = gateway.service().with_arrival(|extensions| Arrival {
///     remote: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
///     original_uri: extensions.get::<OriginalUri>().map(|uri| uri.0.clone()),
///     ..Arrival::default()
/// });
/// let app: axum::Router = axum::Router::new().nest_service("/cgi-bin", service);
/// # drop(app);
/// gateway.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GatewayService {
    applications: Arc<dyn Applications>,
    entrance: Entrance,
    server_software: Bytes,
    /// What was taken off the path, without a slash at its end.
    nested_at: Arc<str>,
    arrival: Option<Arc<FindArrival>>,
}

impl GatewayService {
    /// The service of whatever `applications` say, for as long as `entrance` lets anybody in.
    pub(crate) fn new(
        applications: Arc<dyn Applications>,
        entrance: Entrance,
        server_software: Bytes,
    ) -> Self {
        Self { applications, entrance, server_software, nested_at: "".into(), arrival: None }
    }

    /// The same for a server that takes this path away from the front of every request's, as axum's `nest_service` does.
    ///
    /// [`Arrival::original_uri`] says the same for each request, and goes before this.
    #[must_use]
    pub fn nested_at(self, path: &str) -> Self {
        Self { nested_at: path.trim_end_matches('/').into(), ..self }
    }

    /// The same with this way to find out what the server in front knows. Without it, an [`Arrival`] among the request's
    /// extensions is taken, if there is one.
    #[must_use]
    pub fn with_arrival(self, find: impl Fn(&Extensions) -> Arrival + Send + Sync + 'static) -> Self {
        Self { arrival: Some(Arc::new(find)), ..self }
    }

    fn arrival(&self, extensions: &Extensions) -> Arrival {
        match &self.arrival {
            Some(find) => find(extensions),
            None => extensions.get().cloned().unwrap_or_default(),
        }
    }

    async fn answer(self, head: http::request::Parts, body: Body) -> Response<ResponseBody> {
        let arrival = self.arrival(&head.extensions);
        let (application, sink) = self.applications.current();
        let is_head = head.method == Method::HEAD;
        let exchange = intake::exchange(&head, &arrival, sink);
        if arrival.remote.is_none() {
            exchange.set_peer_unknown();
        }
        let Some(mut drain) = self.entrance.enter() else {
            let page = refusal::busy(RETRY_AFTER, &exchange.id());
            return payload::response(page, is_head, Noted::new(exchange), None);
        };
        let noted = Noted::new(Arc::clone(&exchange));
        let intake =
            intake::environ(head, &arrival, &self.nested_at, &self.server_software, &body, &exchange);
        let response = match intake {
            Ok(Intake::Request(environ)) => {
                let request = exchange::Request { environ: *environ, body, exchange: Arc::clone(&exchange) };
                let cut = drain.reached(Phase::Cut);
                tokio::select! {
                    biased;
                    answered = application.call(request) => answered,
                    () = cut => Err(Failure::overloaded(RETRY_AFTER, "the gateway ends, and does not wait any longer")),
                }
            }
            Ok(Intake::Own(status)) => Ok(exchange::Response::new(status, Body::Empty)),
            Ok(Intake::Tunnel) => Ok(refusal::page(StatusCode::NOT_IMPLEMENTED, &exchange.id())),
            Err(failure) => Err(failure),
        };
        // One that a reload has replaced ends with the last request that it still has to answer.
        drop(application);
        let response = response.unwrap_or_else(|failure| page(&failure, &exchange));
        payload::response(response, is_head, noted, Some(drain))
    }
}

/// The page of a failure, which is told to the log: with alarm only where the client is not to blame.
fn page(failure: &Failure, exchange: &Exchange) -> exchange::Response {
    let id = exchange.id();
    exchange.note(|record| _ = record.failure.get_or_insert(failure.kind));
    let told = refusal::response(failure, &id);
    let status = told.as_ref().map_or(0, |page| page.status.as_u16());
    if failure.kind.is_clients_fault() {
        info!(id = %id.escape_ascii(), status, "{failure}");
    } else {
        warn!(id = %id.escape_ascii(), status, "{failure}");
    }
    // A client that left its own request: this is for nobody.
    told.unwrap_or_else(|| refusal::page(StatusCode::BAD_REQUEST, &id))
}

impl<B> tower_service::Service<Request<B>> for GatewayService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<AnyError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Who may begin, and when, is decided behind: by slots and queues that know what they are for.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(head, upload::body(body)).await) })
    }
}

impl fmt::Debug for GatewayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayService").field("nested_at", &self.nested_at).finish_non_exhaustive()
    }
}
