//! A request on its way down. It does not know which front it came through.

use std::sync::Arc;

use gatebridge_cgi::Environ;

use super::{Body, Exchange};

/// A request on its way down: the environ, the body, and where the exchange is noted.
#[derive(Debug)]
pub struct Request {
    /// The meta-variables and the headers. A front leaves `script_name` empty and puts the whole decoded path into
    /// `path_info`; the route table moves what it matched from one to the other.
    pub environ: Environ,
    /// The payload.
    pub body: Body,
    /// The note pad of this exchange; a holder that must outlive the request (a process that is still being reaped)
    /// keeps a clone.
    pub exchange: Arc<Exchange>,
}
