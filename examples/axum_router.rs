//! An axum router as a program of its own. It teaches what becomes of routes, extractors, streams and state when the same
//! binary is a CGI script, a FastCGI worker or an SCGI worker; it must not know which of them it is.
//!
//! A router is a service of tower, and every such service is an application: the features `tokio` and `tower` of
//! gatebridge-interface. Each request is a task, so one worker waits for many clients at once on one thread, and needs no
//! more: `concurrency` says how many at once gatebridge asks it for.
//!
//! ```toml
//! [pool.router]
//! speak   = "fastcgi"                                  # or "scgi"
//! command = ["target/release/examples/axum_router"]
//! concurrency = 100
//!
//! [[route]]
//! path = "/app"                                        # SCRIPT_NAME: the routes below do not name it
//! pool = "router"
//! ```
//!
//! Or by itself: `cargo run --example axum_router -- --listen 127.0.0.1:8080`, and <http://127.0.0.1:8080/hello/you>.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::stream;
use gatebridge_interface::tower::{self, Seen};
use gatebridge_interface::{Environ, tokio};

/// How long a tick takes.
const TICK_MS: u64 = 100;

/// What all requests of one process share. In a worker that is every request of its life; of a CGI script it is one request,
/// so that what has to last belongs into a file or a database.
#[derive(Debug, Default)]
pub struct Shared {
    visits: AtomicU64,
}

/// The routes, from the place of the program on.
pub fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/hello/{name}", get(hello))
        .route("/sum", post(sum))
        .route("/ticks", get(ticks))
        .route("/visits", get(visits))
        .with_state(Arc::new(Shared::default()))
}

/// Links need the place of the program. It is in the environ, as is everything else that a gateway says: who asks, and who
/// has authenticated.
async fn index(Extension(environ): Extension<Environ>) -> String {
    let place = String::from_utf8_lossy(&environ.script_name).into_owned();
    format!("{place}/hello/you\n{place}/ticks\n{place}/visits\nPOST numbers to {place}/sum\n")
}

/// The path is matched as the client sent it, and axum decodes what it takes from it: `/hello/a%20b` is a name of two words.
async fn hello(Path(name): Path<String>) -> String {
    format!("Hello {name}\n")
}

/// A body is read as it comes, up to axum's limit.
async fn sum(Json(numbers): Json<Vec<f64>>) -> Json<f64> {
    Json(numbers.iter().sum())
}

/// An answer without an end: each tick is sent at once, and when the client leaves, the stream is dropped.
async fn ticks() -> Response {
    let ticks = stream::unfold(0_u64, |number| async move {
        ::tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        Some((Ok::<_, Infallible>(format!("tick {number}\n")), number + 1))
    });
    ([("content-type", "text/plain")], Body::from_stream(ticks)).into_response()
}

async fn visits(State(shared): State<Arc<Shared>>) -> String {
    format!("{}\n", shared.visits.fetch_add(1, Ordering::Relaxed) + 1)
}

fn main() -> ExitCode {
    // The path behind the program's place, so that the routes are the same wherever it is.
    tokio::serve(tower::application(router()).seen(Seen::PathInfo))
}
