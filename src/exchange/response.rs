//! A response on its way up. It does not know how it will be framed.

use bytes::Bytes;
use gatebridge_cgi::Environ;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Body;

/// A response on its way up.
///
/// `headers` hold no framing: a `Content-Length` that a program gave is a fact the front checks the body against, and
/// hop-by-hop fields are dropped there.
#[derive(Debug)]
pub struct Response {
    /// The status, 200 to 999.
    pub status: StatusCode,
    /// The reason phrase of a program's `Status:`; `None` lets the front write the usual one.
    pub reason: Option<Bytes>,
    /// The fields of the head.
    pub headers: HeaderMap,
    /// The payload.
    pub body: Body,
    /// A local redirect (RFC 3875 6.2.2). It never leaves the gateway: the redirect policy takes it and asks the routes
    /// again.
    pub local_redirect: Option<Box<LocalRedirect>>,
}

/// A program asks the gateway to answer with another of its resources (RFC 3875 6.2.2).
#[derive(Debug)]
pub struct LocalRedirect {
    /// The path and query of that resource, as the program wrote them; starts with `/`.
    pub target: Bytes,
    /// The environ of the request that the program answered so, given back: the next request is made from it.
    pub environ: Environ,
}

impl Response {
    /// A response without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self { status, reason: None, headers: HeaderMap::new(), body, local_redirect: None }
    }

    /// A response of plain text in UTF-8.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::with_type(status, "text/plain; charset=utf-8", text.into())
    }

    /// A response of HTML in UTF-8.
    #[must_use]
    pub fn html(status: StatusCode, text: impl Into<String>) -> Self {
        Self::with_type(status, "text/html; charset=utf-8", text.into())
    }

    fn with_type(status: StatusCode, content_type: &'static str, text: String) -> Self {
        let mut response = Self::new(status, Body::from(text));
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}
