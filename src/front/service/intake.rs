//! A request of the `http` crate becomes an environ and the beginning of a record. It does not know who will answer.

use std::sync::Arc;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Scheme};
use gatebridge_http1::Host;
use http::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};

use super::Arrival;
use crate::exchange::{Body, Exchange, Failure, FailureKind, Record, RecordSink};
use crate::front::http::blank_record;
use crate::io::Peer;
use crate::route::decode_path;

/// What is made of a request's head.
pub(super) enum Intake {
    /// A request for the application.
    Request(Box<Environ>),
    /// A request about the server itself, answered with this status and nothing else.
    Own(StatusCode),
    /// A request for a tunnel, which this server does not make.
    Tunnel,
}

/// The note pad of the exchange that this head begins.
pub(super) fn exchange(head: &Parts, arrival: &Arrival, sink: Arc<dyn RecordSink>) -> Arc<Exchange> {
    let uri = arrival.original_uri.as_ref().unwrap_or(&head.uri);
    let record = Record {
        remote_addr: arrival.remote.map(|remote| remote.ip().to_canonical()),
        method: head.method.clone(),
        target: target(uri),
        version: head.version,
        host: host(head).map(|host| Bytes::copy_from_slice(host.as_bytes())),
        referer: head.headers.get(REFERER).cloned(),
        user_agent: head.headers.get(USER_AGENT).cloned(),
        ..blank_record(Peer::Unix)
    };
    Exchange::new(record, sink)
}

/// The environ of the request that this head begins; its whole decoded path below the mount point is PATH_INFO.
///
/// # Errors
///
/// 400 for a path that does not decode or escapes the root, and for a host that is none or is not the one of the URI.
pub(super) fn environ(
    head: Parts,
    arrival: &Arrival,
    nested_at: &str,
    server_software: &Bytes,
    body: &Body,
    exchange: &Exchange,
) -> Result<Intake, Failure> {
    match (head.uri.path(), &head.method) {
        // RFC 9110 9.3.7: OPTIONS * asks about the server as a whole, and is good for a ping.
        ("*", _) => return Ok(Intake::Own(StatusCode::NO_CONTENT)),
        // RFC 9110 9.3.6: a server that is no proxy does not tunnel.
        (_, &Method::CONNECT) => return Ok(Intake::Tunnel),
        _ => {}
    }
    let place = Place::of(&head.uri, arrival.original_uri.as_ref(), nested_at)?;
    let host = parsed_host(&head)?;
    let headers = with_host(head.headers, host.as_ref())?;
    let mut environ = Environ::from_head(head.method, place.target, head.version, headers);
    (environ.mount_point, environ.path_info) = (place.mount_point, place.path_info);
    environ.content_length = body.length().filter(|length| {
        // RFC 3875 4.1.2: no body, no length; but one that was announced and is empty has one.
        *length > 0 || environ.headers.contains_key(http::header::CONTENT_LENGTH)
    });
    environ.server_software = server_software.clone();
    environ.unique_id = exchange.id();
    environ.remote_addr = arrival.remote.map(|remote| remote.ip().to_canonical());
    environ.remote_port = arrival.remote.map(|remote| remote.port());
    environ.server_addr = arrival.local.map(|local| local.ip().to_canonical());
    let scheme = |uri: &Uri| (uri.scheme_str() == Some("https")).then_some(Scheme::Https);
    let by_uri = || scheme(&head.uri).or_else(|| arrival.original_uri.as_ref().and_then(scheme));
    environ.scheme = arrival.scheme.or_else(by_uri).unwrap_or_default();
    if let Some(host) = &host {
        environ.server_name = Bytes::copy_from_slice(host.name().as_bytes());
    }
    let asked_for = host.and_then(|host| host.port());
    // RFC 3875 4.1.15: the port on which the request was received; without that, the one that was asked for.
    let port = arrival.local.map(|local| local.port()).or(asked_for);
    environ.server_port = port.unwrap_or_else(|| environ.scheme.default_port());
    Ok(Intake::Request(Box::new(environ)))
}

/// Where in the client's eyes, and where in ours.
struct Place {
    target: Bytes,
    mount_point: Bytes,
    path_info: Bytes,
}

impl Place {
    /// What was taken off the path is what the original one has more at its front.
    fn of(uri: &Uri, original: Option<&Uri>, nested_at: &str) -> Result<Self, Failure> {
        let decode = |path: &str| {
            let bad = |error| Failure::new(FailureKind::BadRequest, format!("the path {path:?}: {error}"));
            decode_path(path.as_bytes()).map(|path| Bytes::from(path.into_bytes())).map_err(bad)
        };
        let below = if uri.path().is_empty() { "/" } else { uri.path() };
        let whole = match original {
            Some(original) => original.path().to_owned(),
            None if nested_at.is_empty() => below.to_owned(),
            None => format!("{nested_at}{below}"),
        };
        // Who nests at `/at` gives `/` for `/at` too: then nothing is left, not even the slash.
        let below = if below == "/" && whole.len() > 1 && !whole.ends_with('/') { "" } else { below };
        let Some(mount_point) = whole.strip_suffix(below) else {
            let detail =
                format!("the path {below:?} is no end of the original one, {whole:?}: the server rewrote it");
            return Err(Failure::internal(detail));
        };
        let target = match (original, uri.query()) {
            (Some(original), _) => target(original),
            (None, None) => Bytes::from(whole.clone()),
            (None, Some(query)) => Bytes::from(format!("{whole}?{query}")),
        };
        let mount_point = if mount_point.is_empty() { Bytes::new() } else { decode(mount_point)? };
        let path_info = if below.is_empty() { Bytes::new() } else { decode(below)? };
        Ok(Self { target, mount_point, path_info })
    }
}

/// Path and query, as they were received.
fn target(uri: &Uri) -> Bytes {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    Bytes::copy_from_slice(target.as_bytes())
}

/// The host that was asked for: of the URI, which HTTP/2 has, else of the field.
fn host(head: &Parts) -> Option<&str> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| head.headers.get(HOST)?.to_str().ok())
}

fn parsed_host(head: &Parts) -> Result<Option<Host>, Failure> {
    let bad = |what: &str| {
        let detail = format!("the host {:?} {what}", host(head).unwrap_or_default());
        Failure::new(FailureKind::BadRequest, detail)
    };
    let Some(text) = host(head).filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = Host::parse(&Bytes::copy_from_slice(text.as_bytes())).map_err(|_| bad("is none"))?;
    // RFC 9112 3.2.2: in an absolute form the target counts; but HTTP/2 has both, and they must agree (lesson 32).
    let field = head.headers.get(HOST).filter(|_| head.version >= http::Version::HTTP_2);
    match field {
        Some(field) if !field.as_bytes().eq_ignore_ascii_case(text.as_bytes()) => {
            Err(bad("is not the one of the Host field"))
        }
        _ => Ok(Some(parsed)),
    }
}

/// RFC 9110 7.2: programs read HTTP_HOST, wherever the host stood.
fn with_host(mut headers: http::HeaderMap, host: Option<&Host>) -> Result<http::HeaderMap, Failure> {
    if let Some(host) = host {
        let value = HeaderValue::from_str(host.as_str())
            .map_err(|error| Failure::new(FailureKind::BadRequest, format!("the host: {error}")))?;
        headers.insert(HOST, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str, original: Option<&str>, nested_at: &str) -> (String, String, String) {
        let original = original.map(|uri| uri.parse().unwrap());
        let place = Place::of(&uri.parse().unwrap(), original.as_ref(), nested_at).unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&place.mount_point), text(&place.path_info), text(&place.target))
    }

    fn is(mount_point: &str, path_info: &str, target: &str) -> (String, String, String) {
        (mount_point.into(), path_info.into(), target.into())
    }

    #[test]
    fn what_was_taken_off_the_path_is_known_again() {
        assert_eq!(place("/a%20b?x=1", None, ""), is("", "/a b", "/a%20b?x=1"));
        assert_eq!(place("/a?x", None, "/at"), is("/at", "/a", "/at/a?x"));
        assert_eq!(place("/a?x", Some("/a%74/a?x"), ""), is("/at", "/a", "/a%74/a?x"));
        assert_eq!(place("/", Some("/at/"), ""), is("/at", "/", "/at/"));
        assert_eq!(place("/", Some("/at"), ""), is("/at", "", "/at"));
        assert_eq!(place("/", Some("/"), ""), is("", "/", "/"));
        assert_eq!(place("/a", Some("/a"), "/at"), is("", "/a", "/a"));
        assert_eq!(place("http://h/a?b", None, ""), is("", "/a", "/a?b"));
    }

    #[test]
    fn a_path_that_was_rewritten_cannot_be_known_again() {
        let original = "/other".parse().unwrap();
        let failure = Place::of(&"/a".parse().unwrap(), Some(&original), "").err().unwrap();
        assert_eq!(failure.kind, FailureKind::Internal);
        let failure = Place::of(&"/%00".parse().unwrap(), None, "").err().unwrap();
        assert_eq!(failure.kind, FailureKind::BadRequest);
    }
}
