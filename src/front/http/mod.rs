//! The HTTP/1.1 front: accepts connections, within limits, and serves each until it ends. It does not know what
//! answers the requests.
//!
//! | file | noun |
//! |---|---|
//! | `connection` | one connection, from its first byte to its last: idle, head, serve, linger |
//! | `serving` | one request of it: body up and response down at once |
//! | `uplink` | the client's side of it: body pieces, pace, and leaving |
//! | `downlink` | the response body on its way into the output |
//! | `upload` | the request body between connection and application |
//! | `output` | what waits to be written |
//! | `intake` | a request head becomes an environ and a record |
//! | `refusal` | a failure becomes a page |
//! | `census` | how many connections there are, in all and for each address |

mod census;
mod connection;
mod downlink;
mod intake;
mod output;
pub(in crate::front) mod refusal;
mod serving;
mod uplink;
mod upload;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::config::HttpLimits;
use crate::exchange::{Application, RecordSink};
use crate::io::{Deadline, DrainWatch, Listener, Peer, Phase, Stream, in_words};

use census::{Admission, Census};
use connection::Connection;
pub(in crate::front) use intake::blank_record;

/// How long the front waits before it accepts again when the process is out of descriptors and no connection of its
/// own ends meanwhile: long enough not to spin, short enough that nobody notices the end of the shortage.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come and go at the edge of a shortage, it is told of only so often.
const SHORTAGE_WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What a front needs to know; shared by all its connections.
pub struct HttpSettings {
    /// Limits of each connection.
    pub limits: HttpLimits,
    /// The most connections at once; further ones wait in the kernel.
    pub max_connections: usize,
    /// The most connections at once from one address; further ones are refused with 503.
    pub max_connections_per_ip: Option<usize>,
    /// SERVER_SOFTWARE, and the `Server` field.
    pub server_name: String,
}

/// What answers the requests right now: asked once for each request, so that a reload takes effect with the next one.
pub trait Applications: Send + Sync + 'static {
    /// The application, and where finished records go.
    fn current(&self) -> (Arc<dyn Application>, Arc<dyn RecordSink>);
}

/// One HTTP front: a listener and those who serve its connections.
pub struct HttpFront {
    listener: Arc<Listener>,
    shared: Arc<Shared>,
}

/// How many connections a front has. It keeps no front alive, and none from ending.
#[derive(Clone)]
pub struct OpenConnections(Weak<Shared>);

impl OpenConnections {
    /// So many now; 0 when the front has ended.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.upgrade().map_or(0, |shared| shared.census.open())
    }
}

/// What all connections of a front share.
struct Shared {
    settings: HttpSettings,
    codec_limits: gatebridge_http1::Limits,
    server: ::http::HeaderValue,
    server_software: bytes::Bytes,
    applications: Arc<dyn Applications>,
    census: Census,
    drain: DrainWatch,
}

impl HttpFront {
    /// A front on this listener, until the drain begins.
    pub fn new(
        listener: Arc<Listener>,
        settings: HttpSettings,
        applications: Arc<dyn Applications>,
        drain: DrainWatch,
    ) -> Self {
        let shared = Shared {
            codec_limits: connection::codec_limits(&settings.limits),
            server: ::http::HeaderValue::from_str(&settings.server_name)
                .unwrap_or(::http::HeaderValue::from_static("gatebridge")),
            server_software: bytes::Bytes::copy_from_slice(settings.server_name.as_bytes()),
            census: Census::new(settings.max_connections, settings.max_connections_per_ip),
            settings,
            applications,
            drain,
        };
        Self { listener, shared: Arc::new(shared) }
    }

    /// How many connections it has, for whoever wants to know later.
    #[must_use]
    pub fn connections(&self) -> OpenConnections {
        OpenConnections(Arc::downgrade(&self.shared))
    }

    /// Accepts and serves until the drain begins; the connections go on as long as their requests need.
    pub async fn serve(self) {
        let mut drain = self.shared.drain.clone();
        let begun = drain.reached(Phase::Draining);
        tokio::pin!(begun);
        let mut warned: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = &mut begun => return,
            };
            match accepted {
                Ok((stream, peer)) => self.start(stream, peer),
                Err(error) => {
                    if warned.is_none_or(|at| at.elapsed() > SHORTAGE_WARNING_PAUSE) {
                        warned = Some(Instant::now());
                        warn!(
                            listener = self.listener.local_name(),
                            error = in_words(&error),
                            "cannot accept connections; new ones wait until this passes"
                        );
                    }
                    let mut pause = Deadline::unset();
                    pause.set(Some(SHORTAGE_PAUSE));
                    tokio::select! {
                        () = pause.passed() => {}
                        () = self.shared.census.one_left() => {}
                    }
                }
            }
        }
    }

    /// A connection is accepted only when there is room for it: others wait in the kernel, where they cost us nothing.
    async fn accept(&self) -> std::io::Result<(Stream, Peer)> {
        self.shared.census.room().await;
        self.listener.accept().await
    }

    fn start(&self, stream: Stream, peer: Peer) {
        let connection = |seat| Connection::new(stream, peer, Arc::clone(&self.shared), seat);
        match self.shared.census.enter(&self.shared, peer) {
            Admission::Served(seat) => {
                tokio::spawn(connection(seat).run());
            }
            Admission::Refused(seat) => {
                debug!(?peer, "refused: this address has as many connections as it may");
                tokio::spawn(connection::refuse(connection(seat)));
            }
            Admission::Dropped => debug!(?peer, "dropped: this address does not take no for an answer"),
        }
    }
}
