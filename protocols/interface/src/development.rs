//! A small HTTP/1.1 server for developing a program: one request for each connection, no routes, no files. It must not
//! know how the program will be run in earnest.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::Environ;
use gatebridge_http1::{
    CloseReason, Event, Framing, Limits, PeerError, Piece, RequestHead, Response, SendError, Server,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use rustix::net::{getpeername, getsockname, sockopt};

use crate::application::Application;
use crate::descriptor::{Descriptor, write_all};
use crate::head::Head;
use crate::input::{Input, Pull, Pulled};
use crate::perform::{Outcome, perform};
use crate::script::{Carrier, Facts, ScriptOutlet};
use crate::settings::{HEADER_TIMEOUT_MS, READ_BYTES, Settings};
use crate::socket::{self, Listener};
use crate::stop::Stop;
use crate::worker::complain;

/// Threads at the least: a browser opens six connections, and some of them without saying anything.
const THREADS: usize = 16;

/// Serves HTTP/1.1 for development until told to stop, then finishes the requests in flight. `SCRIPT_NAME` is empty, so
/// `PATH_INFO` is the whole path.
///
/// It has no TLS, keeps no connection, spools nothing and protects nobody: in earnest a gateway stands before the
/// program.
///
/// # Errors
/// When the system refuses threads or polling. What goes wrong on one connection is written to standard error and
/// ends that connection.
pub fn serve_http(
    application: impl Application,
    listener: TcpListener,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    serve(&application, listener, settings, stop)
}

/// The same, compiled once and apart from the program.
pub(crate) fn serve(
    application: &dyn Application,
    listener: TcpListener,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let listener = &Listener::new(listener, settings.peers.clone())?;
    let none = &Mutex::new(Vec::new());
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for number in 1..=settings.threads.max(THREADS) {
            let work = move || {
                while let Some(socket) = listener.next(none, stop)? {
                    if let Err(fault) = answer(application, &socket, stop) {
                        complain(&format!("an HTTP connection was closed: {fault}"));
                    }
                }
                Ok(())
            };
            match thread::Builder::new().name(format!("http-{number}")).spawn_scoped(scope, work) {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    stop.stop();
                    return Err(error);
                }
            }
        }
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Ok(())))
    })
}

/// One connection. The codec is asked by both directions, never at the same moment for long.
struct Exchange<'a> {
    socket: &'a OwnedFd,
    server: Mutex<Server>,
}

impl Exchange<'_> {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, slices: &[&[u8]]) -> io::Result<()> {
        write_all(Descriptor(self.socket.as_fd()), slices)
    }

    /// Reads what the socket has, or waits for it.
    fn receive(&self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        match rustix::io::retry_on_intr(|| rustix::io::read(self.socket, &mut buffer[..]))? {
            0 => self.server().receive_end(),
            count => self.server().receive(&buffer[..count]),
        }
        Ok(())
    }

    /// The head of the request; `None` when none came.
    fn head(&self, stop: &Stop) -> Result<Option<RequestHead>, Box<dyn std::error::Error>> {
        let deadline = Instant::now() + Duration::from_millis(HEADER_TIMEOUT_MS);
        loop {
            let event = self.server().next_event();
            match event {
                Ok(Event::Request(head)) => return Ok(Some(head)),
                Ok(Event::NeedData) => {}
                Ok(_) => return Ok(None),
                Err(fault) => {
                    self.refuse(&fault)?;
                    return Err(fault.into());
                }
            }
            match socket::wait_for_head(self.socket, deadline, stop) {
                Ok(true) => self.receive()?,
                Ok(false) => return Ok(None),
                // A browser's spare connection, most likely.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn refuse(&self, fault: &PeerError) -> Result<(), Box<dyn std::error::Error>> {
        let mut out = Vec::new();
        refuse(&mut self.server(), fault, &mut out)?;
        Ok(self.write(&[&out])?)
    }
}

/// The answer to what is no request.
pub(crate) fn refuse(server: &mut Server, fault: &PeerError, out: &mut Vec<u8>) -> Result<(), SendError> {
    let text = format!("{fault}\n");
    let headers =
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    let response = Response::new(StatusCode::BAD_REQUEST, &headers);
    server.send_response(&response, Some(text.len() as u64), out)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The length of a body in bytes, if it is known.
pub(crate) const fn length(framing: &Framing) -> Option<u64> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(*length),
        Framing::Chunked | Framing::UntilClose => None,
    }
}

/// What has to be known of a request to answer it over HTTP.
pub(crate) fn facts(environ: &Environ) -> Facts {
    Facts { is_head: environ.method == Method::HEAD, takes_hints: environ.protocol == Version::HTTP_11 }
}

fn answer(
    application: &dyn Application,
    socket: &OwnedFd,
    stop: &Stop,
) -> Result<(), Box<dyn std::error::Error>> {
    let exchange = Exchange { socket, server: Mutex::new(Server::new(Limits::default())) };
    let Some(head) = exchange.head(stop)? else { return Ok(()) };
    // Between two requests a browser would keep a thread for nothing.
    exchange.server().close_after(CloseReason::RequestLimit);
    let length = length(&head.body);
    let environ = environ(head, length, socket);
    let mut source = Body { exchange: &exchange, current: Bytes::new(), has_ended: false };
    let mut pulled = Pulled(&mut source);
    let mut input = Input::new(&mut pulled, length);
    let mut connection = Connection(&exchange);
    let mut outlet = ScriptOutlet::new(&mut connection, facts(&environ));
    match perform(application, &environ, &mut input, &mut outlet) {
        Outcome::Answered if !source.has_ended => socket::linger(socket),
        Outcome::Answered | Outcome::Aborted => {}
        // To a client of HTTP/1.0 a close would look like an end.
        Outcome::Broken => sockopt::set_socket_linger(socket, Some(Duration::ZERO))?,
    }
    Ok(())
}

/// The environ of a request.
pub(crate) fn environ(head: RequestHead, length: Option<u64>, socket: &OwnedFd) -> Environ {
    let local = getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
    let remote = getpeername(socket).ok().flatten().and_then(|address| SocketAddr::try_from(address).ok());
    let path = decode(head.target.path().as_bytes());
    let name = head.host.as_ref().map(|host| Bytes::copy_from_slice(host.name().as_bytes()));
    let ip = |address: Option<SocketAddr>| address.map(|address| address.ip().to_canonical());
    let fallback = |address: Option<IpAddr>| address.map_or("localhost".into(), |ip| ip.to_string().into());
    Environ {
        path_info: path.into(),
        server_name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| fallback(ip(local))),
        server_port: local.map_or(80, |address| address.port()),
        server_addr: ip(local),
        server_software: concat!("gatebridge-interface/", env!("CARGO_PKG_VERSION")).into(),
        remote_addr: ip(remote),
        remote_port: remote.map(|address| address.port()),
        content_length: length.filter(|length| *length > 0),
        ..Environ::from_head(head.method, head.target.bytes().clone(), head.version, head.headers)
    }
}

/// Decodes `%XX` once. What is no such sequence stays.
fn decode(path: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        decoded.push(match (first, after) {
            (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                rest = after;
                (digit(high).unwrap_or(0) * 16 + digit(low).unwrap_or(0)) as u8
            }
            _ => *first,
        });
    }
    decoded
}

/// The body of the request.
struct Body<'a> {
    exchange: &'a Exchange<'a>,
    current: Bytes,
    has_ended: bool,
}

impl Pull for Body<'_> {
    fn fill(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.has_ended {
            let event = self.exchange.server().next_event();
            match event {
                Ok(Event::Body(piece)) => self.current = piece,
                Ok(Event::NeedData) => {
                    let mut out = Vec::new();
                    // Too late once the answer has begun: then the client sends without it.
                    let _ = self.exchange.server().send_continue(&mut out);
                    self.exchange.write(&[&out])?;
                    self.exchange.receive()?;
                }
                Ok(_) => self.has_ended = true,
                Err(fault) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault)),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }

    fn is_aborted(&self) -> bool {
        socket::has_gone(self.exchange.socket)
    }
}

/// The answer as HTTP/1.1.
struct Connection<'a>(&'a Exchange<'a>);

impl Connection<'_> {
    fn send_and(&self, [head, first, second]: [&[u8]; 3], ends: bool) -> io::Result<()> {
        let (pieces, tail) = frame(&mut self.0.server(), [first, second], ends)?;
        let mut slices = vec![head];
        for (piece, payload) in &pieces {
            slices.extend([piece.prefix(), &payload[..piece.payload()], piece.suffix()]);
        }
        slices.push(&tail);
        self.0.write(&slices)
    }
}

/// Frames pieces of a body, and perhaps its end.
#[allow(clippy::type_complexity, reason = "the pieces around their payloads, and what comes behind them")]
pub(crate) fn frame<'a>(
    server: &mut Server,
    payloads: [&'a [u8]; 2],
    ends: bool,
) -> io::Result<(Vec<(Piece, &'a [u8])>, Vec<u8>)> {
    let (mut pieces, mut tail) = (Vec::with_capacity(2), Vec::new());
    for payload in payloads.into_iter().filter(|payload| !payload.is_empty()) {
        pieces.push((server.send_body(payload.len()).map_err(io::Error::other)?, payload));
    }
    if ends {
        server.send_end(None, &mut tail).map_err(io::Error::other)?;
    }
    Ok((pieces, tail))
}

/// The bytes of a head, final or 1xx.
pub(crate) fn head(server: &mut Server, head: &Head) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    if head.status.is_informational() {
        server.send_informational(head.status, &head.headers, &mut out).map_err(io::Error::other)?;
        return Ok(out);
    }
    // RFC 9110 6.6.1: whoever has a clock says what time it is.
    let date =
        HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())).map_err(io::Error::other)?;
    let response = Response::new(head.status, &head.headers).date(&date);
    server.send_response(&response, head.content_length(), &mut out).map_err(io::Error::other)?;
    Ok(out)
}

impl Carrier for Connection<'_> {
    fn head(&mut self, answer: &Head) -> io::Result<Vec<u8>> {
        head(&mut self.0.server(), answer)
    }

    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.send_and(slices, false)
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.send_and(slices, true)
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        write_all(Descriptor(rustix::stdio::stderr()), &[text])
    }

    fn is_aborted(&self) -> bool {
        socket::has_gone(self.0.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_path_is_decoded_once() {
        for (path, decoded) in
            [("/a%20b", "/a b"), ("/%2541", "/%41"), ("/100%", "/100%"), ("/%zz%4", "/%zz%4"), ("", "")]
        {
            assert_eq!(decode(path.as_bytes()), decoded.as_bytes(), "{path}");
        }
    }
}
