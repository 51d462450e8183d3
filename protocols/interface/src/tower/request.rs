//! An environ and its input as a request of the crate `http`; it must not know what answers it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gatebridge_cgi::Environ;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::{InvalidUri, PathAndQuery};
use http::{Request, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::tokio::Input;

/// Which path a service sees as that of the request's URI.
///
/// A gateway splits the path of a request: `SCRIPT_NAME` is the place where it has the program, and `PATH_INFO` what comes
/// behind. Either way the query stays, and where the path is as the client sent it (`REQUEST_URI`), it is so to the byte:
/// `%2F` stays `%2F`. Where a gateway has rewritten it, it is put together from the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Seen {
    /// `SCRIPT_NAME` and `PATH_INFO`: the whole path, as behind any HTTP server. The routes of the service begin with its
    /// place.
    #[default]
    WholePath,
    /// `PATH_INFO` alone, or `/` if that is empty: the service is the same wherever a gateway has its place. For links it
    /// needs `SCRIPT_NAME`, which is in the [`Environ`] among the request's extensions.
    PathInfo,
}

/// The body of a request.
#[derive(Debug)]
pub struct Body(Input);

impl Body {
    /// The input that it is read from, to be read in another way.
    #[must_use]
    pub fn into_input(self) -> Input {
        self.0
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.get_mut()
            .0
            .poll_piece(context)
            .map(|piece| piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.length() == Some(self.0.position())
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.0.length().map(|length| length.saturating_sub(self.0.position()));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Makes a request of an environ.
pub(super) fn request(mut environ: Environ, input: Input, seen: Seen) -> Result<Request<Body>, InvalidUri> {
    let uri = uri(&environ, seen)?;
    let aborted = input.aborted();
    let mut request = Request::new(Body(input));
    *request.uri_mut() = uri;
    *request.method_mut() = environ.method.clone();
    *request.version_mut() = environ.protocol;
    let mut headers = std::mem::take(&mut environ.headers);
    // RFC 3875 4.1.18: these two have variables of their own, and are no fields there.
    if let Some(content_type) = &environ.content_type {
        headers.entry(CONTENT_TYPE).or_insert_with(|| content_type.clone());
    }
    if let Some(length) = environ.content_length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    *request.headers_mut() = headers;
    request.extensions_mut().insert(environ);
    request.extensions_mut().insert(aborted);
    Ok(request)
}

fn uri(environ: &Environ, seen: Seen) -> Result<Uri, InvalidUri> {
    if environ.request_uri == "*" {
        // RFC 9112 3.2.4: the server itself is asked.
        return Ok(Uri::from(PathAndQuery::from_static("*")));
    }
    let (path, info) = as_sent(environ).unwrap_or_else(|| {
        let (script, info) = (encoded(&environ.script_name), encoded(&environ.path_info));
        let split = script.len();
        let path = [script, info].concat();
        let info = path[split..].to_vec();
        (path, info)
    });
    let mut target = match seen {
        Seen::WholePath => path,
        Seen::PathInfo => info,
    };
    if target.is_empty() {
        target.push(b'/');
    }
    if !environ.query_string.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&environ.query_string);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map(Uri::from)
}

/// The path, and the part of it that is PATH_INFO, as the client has sent them. `None` when `REQUEST_URI` says something
/// else than the other variables.
fn as_sent(environ: &Environ) -> Option<(Vec<u8>, Vec<u8>)> {
    let target = &environ.request_uri[..];
    // RFC 9112 3.2.2: to a proxy, a target names its host as well.
    let target = match target.windows(3).position(|three| three == b"://") {
        Some(at) if !target.starts_with(b"/") => {
            let rest = &target[at + 3..];
            &rest[rest.iter().position(|&byte| byte == b'/')?..]
        }
        _ => target,
    };
    let path = &target[..target.iter().position(|&byte| byte == b'?').unwrap_or(target.len())];
    let split = decoded_prefix(path, &environ.script_name)?;
    let end = split + decoded_prefix(&path[split..], &environ.path_info)?;
    let is_whole = end == path.len() && !path.is_empty();
    // What is no URI for the crate `http` may be one when it is encoded.
    (is_whole && PathAndQuery::try_from(path).is_ok()).then(|| (path.to_vec(), path[split..].to_vec()))
}

/// How many bytes at the beginning of an encoded path mean these decoded ones.
fn decoded_prefix(encoded: &[u8], decoded: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut at = 0;
    for &expected in decoded {
        let (byte, length) = match encoded.get(at..)? {
            [b'%', high, low, ..] => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                _ => (b'%', 1),
            },
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        if byte != expected {
            return None;
        }
        at += length;
    }
    Some(at)
}

/// Encodes what a path cannot hold as it is (RFC 3986 3.3).
fn encoded(path: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            encoded.push(byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(request_uri: &str, script_name: &str, path_info: &str, query: &str) -> [String; 2] {
        let environ = Environ {
            request_uri: request_uri.to_owned().into(),
            script_name: script_name.to_owned().into(),
            path_info: path_info.to_owned().into(),
            query_string: query.to_owned().into(),
            ..Environ::default()
        };
        [Seen::WholePath, Seen::PathInfo].map(|seen| uri(&environ, seen).unwrap().to_string())
    }

    #[test]
    fn a_path_is_seen_as_it_was_sent() {
        for (sent, whole, info) in [
            (("/app/a%2Fb?x=%20", "/app", "/a/b", "x=%20"), "/app/a%2Fb?x=%20", "/a%2Fb?x=%20"),
            (("/app", "/app", "", ""), "/app", "/"),
            (("/app?q", "/app", "", "q"), "/app?q", "/?q"),
            (("/%61pp/x", "/app", "/x", ""), "/%61pp/x", "/x"),
            (("/", "", "/", ""), "/", "/"),
            (("http://a.example:80/app/x?y", "/app", "/x", "y"), "/app/x?y", "/x?y"),
            (("/a?b://c", "/a", "", "b://c"), "/a?b://c", "/?b://c"),
            (("/100%", "", "/100%", ""), "/100%", "/100%"),
            (("*", "", "", ""), "*", "*"),
        ] {
            let (request_uri, script_name, path_info, query) = sent;
            assert_eq!(seen(request_uri, script_name, path_info, query), [whole, info], "{sent:?}");
        }
    }

    #[test]
    fn a_path_that_was_rewritten_is_put_together() {
        for (request_uri, whole, info) in [
            ("", "/app/a%20b?q", "/a%20b?q"),
            ("/before/rewriting?old", "/app/a%20b?q", "/a%20b?q"),
            ("/app/a%20b/more", "/app/a%20b?q", "/a%20b?q"),
            ("/app", "/app/a%20b?q", "/a%20b?q"),
            // What the crate `http` does not take, though it was sent.
            ("/app/a b", "/app/a%20b?q", "/a%20b?q"),
        ] {
            assert_eq!(seen(request_uri, "/app", "/a b", "q"), [whole, info], "{request_uri}");
        }
        assert_eq!(seen("", "", "", ""), ["/", "/"]);
        assert_eq!(seen("", "", "/\u{e4}%?#", ""), ["/%C3%A4%25%3F%23", "/%C3%A4%25%3F%23"]);
    }
}
