//! The four kinds of response that a script can give (RFC 3875 6.2); knows a finished head only, neither
//! lines nor bytes.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};

/// A head, ready to be passed on: status, reason and fields.
///
/// `Status`, hop-by-hop fields and `X-CGI-*` fields are taken out of `headers`; `Content-Length` is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status, from the field `Status` or the status line; 200 or, with a `Location`, 302 when neither
    /// came.
    pub status: StatusCode,
    /// The reason phrase as the script wrote it; `None` when it wrote none.
    pub reason: Option<Bytes>,
    /// The fields for the client.
    pub headers: HeaderMap,
    /// The script's own `Content-Length`, in bytes. The reader holds the script to it.
    pub content_length: Option<u64>,
}

/// Which of the four kinds a response is (RFC 3875 6.2). There is no fifth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// 6.2.1: a document with a status; also every response with a `Location` and an explicit status that is
    /// no redirect (`201 Created`).
    Document,
    /// 6.2.2: the gateway answers with another of its own resources, as if the client had asked for that with
    /// `GET`.
    LocalRedirect {
        /// Where to: begins with one `/`, may have a query, not decoded.
        path_query: Bytes,
    },
    /// 6.2.3: the client is sent elsewhere, without a document.
    ClientRedirect {
        /// Where to, as the script wrote it.
        location: Bytes,
    },
    /// 6.2.4: the client is sent elsewhere, with a document for one that does not follow.
    ClientRedirectWithDocument {
        /// Where to, as the script wrote it.
        location: Bytes,
    },
}

/// The final response of a script: its kind, and its head in one form for all kinds.
///
/// A gateway that does not follow local redirects may pass the head of one on as it is: it is a 302 with the
/// `Location`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptResponse {
    /// Which of the four kinds.
    pub kind: Kind,
    /// Status, reason and fields.
    pub head: Head,
}

impl ScriptResponse {
    /// Sorts a finished head into its kind. `explicit` says that the script named the status itself; `sole`
    /// that `Location` is the only field.
    pub(super) fn classify(mut head: Head, explicit: bool, sole: bool) -> Self {
        let Some(location) = head.headers.get(LOCATION) else {
            return Self { kind: Kind::Document, head };
        };
        if explicit && !head.status.is_redirection() {
            return Self { kind: Kind::Document, head };
        }
        let location = Bytes::copy_from_slice(location.as_bytes());
        if !explicit {
            head.status = StatusCode::FOUND;
        }
        // RFC 3875 6.2.2: a local redirect has no other field. With any (Set-Cookie, Content-Type ...) the
        // client is redirected instead, so that the field reaches it. "//host/path" names another host (RFC
        // 3986 4.2), so it is never local.
        let kind = if sole && location.starts_with(b"/") && !location.starts_with(b"//") {
            Kind::LocalRedirect { path_query: location }
        } else if head.headers.contains_key(CONTENT_TYPE) {
            Kind::ClientRedirectWithDocument { location }
        } else {
            Kind::ClientRedirect { location }
        };
        Self { kind, head }
    }

    /// May a body follow for the client? Not after a local redirect, nor with a status that has none (204,
    /// 304).
    #[must_use]
    pub fn has_body(&self) -> bool {
        let bodiless = matches!(self.head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        !bodiless && !matches!(self.kind, Kind::LocalRedirect { .. })
    }
}
