//! A request head becomes an environ and the beginning of a record. It does not know who will answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gatebridge_cgi::Environ;
use gatebridge_http1::{Form, RequestHead};
use http::header::{REFERER, USER_AGENT};
use http::{Method, StatusCode};

use crate::exchange::{Ending, Exchange, Failure, FailureKind, Record, RecordSink, unique_id};
use crate::io::Peer;
use crate::route::decode_path;

/// What the front makes of a request head.
pub(super) enum Intake {
    /// A request for the application.
    Request(Box<Environ>),
    /// A request about the gateway itself, answered with this status and nothing else.
    Own(StatusCode),
    /// A request for a tunnel, which this server does not make.
    Tunnel,
}

/// The note pad of the exchange that this head begins.
pub(super) fn exchange(head: &RequestHead, peer: Peer, sink: Arc<dyn RecordSink>) -> Arc<Exchange> {
    let record = Record {
        method: head.method.clone(),
        target: head.target.bytes().clone(),
        version: head.version,
        host: head.host.as_ref().map(|host| Bytes::copy_from_slice(host.as_str().as_bytes())),
        referer: head.headers.get(REFERER).cloned(),
        user_agent: head.headers.get(USER_AGENT).cloned(),
        ..blank_record(peer)
    };
    Exchange::new(record, sink)
}

/// A record of a request of which nothing could be read.
pub(in crate::front) fn blank_record(peer: Peer) -> Record {
    Record {
        id: unique_id(),
        at: SystemTime::now(),
        remote_addr: match peer {
            Peer::Tcp { remote, .. } => Some(remote.ip().to_canonical()),
            Peer::Unix => None,
        },
        remote_user: None,
        method: Method::GET,
        target: Bytes::from_static(b"-"),
        version: http::Version::HTTP_11,
        host: None,
        referer: None,
        user_agent: None,
        route: None,
        back: None,
        queue_wait: None,
        status: None,
        first_byte: None,
        total: Duration::ZERO,
        bytes_received: 0,
        bytes_sent: 0,
        // Until it is known to have ended in another way: an exchange that is cut leaves nobody to note it.
        ending: Ending::BrokenOff,
        usage: None,
        failure: None,
    }
}

/// The environ of the request that this head begins; its whole decoded path is PATH_INFO until the routes split it.
///
/// # Errors
///
/// 400 for a path that does not decode or escapes the root.
pub(super) fn environ(
    head: RequestHead,
    peer: Peer,
    server_name: &Bytes,
    exchange: &Exchange,
) -> Result<Intake, Failure> {
    let path = match head.target.form() {
        Form::Origin | Form::Absolute => match head.target.path() {
            "" => "/",
            path => path,
        },
        // RFC 9110 9.3.7: OPTIONS * asks about the server as a whole, and is good for a ping.
        Form::Asterisk => return Ok(Intake::Own(StatusCode::NO_CONTENT)),
        // RFC 9110 9.3.6: a server that is no proxy does not tunnel.
        Form::Authority => return Ok(Intake::Tunnel),
    };
    let path = decode_path(path.as_bytes()).map_err(|error| {
        Failure::new(FailureKind::BadRequest, format!("the path of {:?}: {error}", head.target.as_str()))
    })?;
    let path_info = Bytes::copy_from_slice(path.as_bytes());
    let host = head.host.as_ref().map(|host| (Bytes::copy_from_slice(host.name().as_bytes()), host.port()));
    let content_length = match head.body {
        gatebridge_http1::Framing::Length(length) => Some(length),
        _ => None,
    };
    let mut environ =
        Environ::from_head(head.method, head.target.bytes().clone(), head.version, head.headers);
    environ.path_info = path_info;
    environ.content_length = content_length;
    environ.server_software = server_name.clone();
    environ.unique_id = exchange.id();
    if let Peer::Tcp { remote, local } = peer {
        environ.remote_addr = Some(remote.ip().to_canonical());
        environ.remote_port = Some(remote.port());
        environ.server_addr = Some(local.ip().to_canonical());
    }
    let (name, port) = host.unzip();
    environ.server_name = match (name, environ.server_addr) {
        (Some(name), _) => name,
        // RFC 3875 4.1.14: a host name or an address literal, so IPv6 in brackets.
        (None, Some(std::net::IpAddr::V6(address))) => format!("[{address}]").into(),
        (None, Some(address)) => address.to_string().into(),
        (None, None) => environ.server_name,
    };
    environ.server_port = match peer {
        // RFC 3875 4.1.15: the port on which the request was received.
        Peer::Tcp { local, .. } => local.port(),
        Peer::Unix => port.flatten().unwrap_or_else(|| environ.scheme.default_port()),
    };
    Ok(Intake::Request(Box::new(environ)))
}
