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
        let scheme = match single(&environ.headers, "x-forwarded-proto") {
            Some(b"https") => Some(Scheme::Https),
            Some(b"http") => Some(Scheme::Http),
            _ => None,
        };
        if let Some(scheme) = scheme {
            environ.scheme = scheme;
        }
        let host = single(&environ.headers, "x-forwarded-host");
        // Who knows how the client came knows that it did not come by the port of this listener: the host that it asked
        // for tells which.
        let host = host.or_else(|| scheme.and_then(|_| single(&environ.headers, HOST.as_str())));
        if let Some(host) = host {
            let host = Bytes::copy_from_slice(host);
            believe_host(environ, &host);
        }
    }

    /// The rightmost address that is no listed proxy. A list with an element that is no address is believed up to there.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        // A line that is no text is an element that is no address.
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?")).collect();
        let mut client = None;
        for element in lines.iter().flat_map(|line| line.split(',')).rev() {
            let Some(address) = address(element.trim()) else { return client };
            let address = address.to_canonical();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{Recorded, request};
    use crate::exchange::{Failure, FailureKind};
    use std::sync::{Arc, Mutex};

    /// Keeps the environ that it was asked with.
    struct Asked(Mutex<Option<Environ>>);

    impl Application for Arc<Asked> {
        fn call(&self, request: Request) -> Answer<'_> {
            *self.0.lock().unwrap() = Some(request.environ);
            Box::pin(async { Err(Failure::new(FailureKind::NotFound, "")) })
        }
    }

    /// What becomes of a request from `peer` (none: a unix socket) to port 8080 with these fields, where proxies of
    /// 10.0.0.0/8 and ::1 are listed.
    fn environ(peer: Option<&str>, trusts_unix: bool, fields: &[(&'static str, &[u8])]) -> Environ {
        let asked = Arc::new(Asked(Mutex::default()));
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let policy = Forwarded::new(trusted, trusts_unix, Arc::clone(&asked));
        let sink = Recorded::new();
        let mut request = request("/", &sink);
        request.environ.remote_addr = peer.map(|peer| peer.parse().unwrap());
        request.environ.remote_port = Some(4711);
        request.environ.server_name = Bytes::from_static(b"inside");
        request.environ.server_port = 8080;
        for (name, value) in fields {
            request.environ.headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        ready(policy.call(request));
        asked.0.lock().unwrap().take().unwrap()
    }

    fn ready(mut answer: Answer<'_>) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(answer.as_mut().poll(&mut cx).is_ready());
    }

    fn client(peer: &str, lines: &[&'static [u8]]) -> String {
        let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        environ(Some(peer), false, &fields).remote_addr.unwrap().to_string()
    }

    #[test]
    fn lesson_36_the_client_is_the_rightmost_that_is_no_listed_proxy() {
        assert_eq!(client("10.0.0.1", &[b"203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6, 203.0.113.9, 10.9.9.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6", b"203.0.113.9,10.9.9.9"]), "203.0.113.9");
        assert_eq!(client("::1", &[b"[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &[b"203.0.113.9:80"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &[b"203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[b"::ffff:203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[b"10.0.0.8, 10.0.0.9"]), "10.0.0.8", "listed all the way");
    }

    #[test]
    fn lesson_36_nothing_left_of_what_is_no_address_is_believed() {
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6, unknown, 10.9.9.9"]), "10.9.9.9");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6", b"\xff", b"10.9.9.9"]), "10.9.9.9");
        assert_eq!(client("10.0.0.1", &[b"6.6.6.6,"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn lesson_36_a_peer_that_is_not_listed_is_not_believed() {
        let fields: &[(&str, &[u8])] = &[
            ("x-forwarded-for", b"6.6.6.6"),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-host", b"evil.example"),
        ];
        for (peer, trusts_unix) in [(Some("203.0.113.1"), true), (Some("::2"), true), (None, false)] {
            let environ = environ(peer, trusts_unix, fields);
            assert_eq!(environ.remote_addr, peer.map(|peer| peer.parse().unwrap()));
            assert_eq!((environ.scheme, environ.server_port), (Scheme::Http, 8080));
            assert_eq!(environ.server_name, "inside");
            assert_eq!(environ.remote_port, Some(4711));
        }
    }

    #[test]
    fn a_listed_peer_tells_scheme_host_and_port() {
        let fields: &[(&str, &[u8])] = &[
            ("host", b"gateway:8080"),
            ("x-forwarded-for", b"203.0.113.9"),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-host", b"www.example.org"),
        ];
        let environ = environ(None, true, fields);
        assert_eq!(environ.remote_addr, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(environ.remote_port, None, "it was the proxy's");
        assert_eq!((environ.scheme, environ.server_port), (Scheme::Https, 443));
        assert_eq!(environ.server_name, "www.example.org");
        assert_eq!(environ.headers[HOST], "www.example.org");
    }

    #[test]
    fn without_a_forwarded_host_the_port_is_that_of_the_host_that_was_asked_for() {
        let port = |host: &'static [u8], proto: &'static [u8]| {
            environ(Some("10.0.0.1"), false, &[("host", host), ("x-forwarded-proto", proto)]).server_port
        };
        assert_eq!(port(b"www.example.org", b"https"), 443);
        assert_eq!(port(b"www.example.org:8443", b"https"), 8443);
        assert_eq!(port(b"www.example.org", b"http"), 80);
        assert_eq!(port(b"www.example.org", b"gopher"), 8080);
    }

    #[test]
    fn a_host_that_is_none_and_a_field_that_is_there_twice_are_no_news() {
        for fields in [
            &[("x-forwarded-host", &b"evil example"[..])][..],
            &[("x-forwarded-host", b"one.example"), ("x-forwarded-host", b"two.example")],
            &[("x-forwarded-proto", b"https"), ("x-forwarded-proto", b"http")],
        ] {
            let environ = environ(Some("10.0.0.1"), false, fields);
            assert_eq!((environ.server_name, environ.scheme), (Bytes::from_static(b"inside"), Scheme::Http));
        }
    }
}
