//! What only the server in front of the service knows of a request. It does not know which server that is.

use std::net::SocketAddr;

use gatebridge_cgi::Scheme;
use http::Uri;

/// What only the server in front knows of a request. Each fact may be left out.
///
/// A middleware may put one into a request's extensions; or see
/// [`with_arrival`](super::GatewayService::with_arrival).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address: REMOTE_ADDR and REMOTE_PORT. Without it the first is empty and the second is not there.
    pub remote: Option<SocketAddr>,
    /// Our address, as the client reached it: SERVER_ADDR, and SERVER_PORT. Without it the port is that of the host that
    /// was asked for.
    pub local: Option<SocketAddr>,
    /// The request's URI before anything was taken off its path: REQUEST_URI, and what SCRIPT_NAME begins with.
    pub original_uri: Option<Uri>,
    /// Whether the client came by TLS: HTTPS and REQUEST_SCHEME. Without it, what the URI says, if it says anything.
    pub scheme: Option<Scheme>,
}
