//! Who the client is when a proxy stands before us: `X-Forwarded-*`, believed from listed peers only. It does not know
//! what stands behind it.

use std::net::IpAddr;

use bytes::Bytes;
use gatebridge_cgi::{Environ, Scheme};
use gatebridge_http1::Host;
use http::header::{HOST, HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::exchange::{Answer, Application, Request};

/// Believes `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` of listed peers, and nobody else's.
///
/// The client is the rightmost address of `X-Forwarded-For` that is no listed proxy: everything to the left of it may be
/// the client's own invention.
pub struct Forwarded<A> {
    trusted: Vec<IpNet>,
    trust_unix_peers: bool,
    inner: A,
}

impl<A> Forwarded<A> {
    /// Believes peers of these networks, and those of unix sockets if so wished.
    pub const fn new(trusted: Vec<IpNet>, trust_unix_peers: bool, inner: A) -> Self {
        Self { trusted, trust_unix_peers, inner }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        // A listener on [::] sees IPv4 peers as mapped addresses; the list names them as people write them.
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn apply(&self, environ: &mut Environ) {
        let trusted = environ.remote_addr.map_or(self.trust_unix_peers, |address| self.trusts(address));
        if !trusted {
            return;
        }
        if let Some(client) = self.client(&environ.headers) {
            environ.remote_addr = Some(client);
            // The port belonged to the proxy.
            environ.remote_port = None;
        }
        match single(&environ.headers, "x-forwarded-proto") {
            Some(b"https") => environ.scheme = Scheme::Https,
            Some(b"http") => environ.scheme = Scheme::Http,
            _ => {}
        }
        if let Some(host) = single(&environ.headers, "x-forwarded-host") {
            let host = Bytes::copy_from_slice(host);
            believe_host(environ, &host);
        }
    }

    /// The rightmost address that is no listed proxy. A list with an element that is no address is believed up to there.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        let mut client = None;
        for element in lines.iter().flat_map(|line| line.split(',')).rev() {
            let Some(address) = address(element.trim()) else { return client };
            client = Some(address);
            if !self.trusts(address) {
                return client;
            }
        }
        client
    }
}

impl<A: Application> Application for Forwarded<A> {
    fn call(&self, mut request: Request) -> Answer<'_> {
        let before = request.environ.remote_addr;
        self.apply(&mut request.environ);
        let after = request.environ.remote_addr;
        if before != after {
            request.exchange.note(|record| record.remote_addr = after);
        }
        self.inner.call(request)
    }
}

/// The host that the client asked the proxy for; one that is no host is no news.
fn believe_host(environ: &mut Environ, host: &Bytes) {
    let (Ok(parsed), Ok(value)) = (Host::parse(host), HeaderValue::from_bytes(host)) else { return };
    environ.server_name = Bytes::copy_from_slice(parsed.name().as_bytes());
    environ.server_port = parsed.port().unwrap_or_else(|| environ.scheme.default_port());
    environ.headers.insert(HOST, value);
}

/// The field's only value; a field that is there twice says nothing.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        return Some(socket.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
