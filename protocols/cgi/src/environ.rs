//! The environ: one request's meta-variables as typed fields; knows neither how they are listed nor who sent
//! them.

use std::net::IpAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Version};

/// Whether the client came by TLS: `REQUEST_SCHEME` and `HTTPS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// Plain HTTP; `HTTPS` is not set.
    #[default]
    Http,
    /// HTTP over TLS; `HTTPS` is `on`.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that an address without one means: 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What the request was before a local redirect (RFC 3875 6.2.2): the `REDIRECT_*` variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirect {
    /// `REDIRECT_URL`: the decoded path of the first request.
    pub url: Bytes,
    /// `REDIRECT_QUERY_STRING`: its query, not decoded; listed if not empty.
    pub query_string: Bytes,
    /// `REDIRECT_REQUEST_METHOD`: its method.
    pub request_method: Method,
}

/// One request's meta-variables (RFC 3875 4.1) as typed fields, and its header fields in HTTP spelling.
///
/// Listing them under their CGI names is [`walk`](Self::walk)'s part. Most fields are [`Bytes`], so that they
/// can be slices of the buffer that the request was read into.
///
/// ```
/// use gatebridge_cgi::Environ;
///
/// let environ = Environ {
///     script_name: "/cgi-bin/hello".into(),
///     path_info: "/a b".into(),
///     request_uri: "/cgi-bin/hello/a%20b?x=1".into(),
///     query_string: "x=1".into(),
///     ..Environ::default()
/// };
/// let mut names = Vec::new();
/// environ.walk(&mut |name: &[u8], _value: &[u8]| names.push(name.to_vec()));
/// assert!(names.contains(&b"SCRIPT_NAME".to_vec()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environ {
    /// `REQUEST_METHOD` (RFC 3875 4.1.12).
    pub method: Method,
    /// `SERVER_PROTOCOL` (RFC 3875 4.1.16); HTTP/2 and HTTP/3 are listed as `HTTP/2.0` and `HTTP/3.0`.
    pub protocol: Version,
    /// `REQUEST_SCHEME`, and `HTTPS` = `on`.
    pub scheme: Scheme,
    /// `REQUEST_URI`: the target exactly as received, neither decoded nor repaired. Listed if not empty.
    pub request_uri: Bytes,
    /// `SCRIPT_NAME` (RFC 3875 4.1.13), decoded: empty, or begins with `/`.
    pub script_name: Bytes,
    /// Where a server in front has mounted the gateway, decoded and without a slash at its end: what comes before
    /// `SCRIPT_NAME`, which the gateway itself is not asked for. Empty at the root, and listed never.
    pub mount_point: Bytes,
    /// `PATH_INFO` (RFC 3875 4.1.5), decoded. Always listed, if empty: programs look it up without asking.
    pub path_info: Bytes,
    /// `PATH_TRANSLATED` (RFC 3875 4.1.6).
    pub path_translated: Option<PathBuf>,
    /// `SCRIPT_FILENAME`.
    pub script_filename: Option<PathBuf>,
    /// `DOCUMENT_ROOT`.
    pub document_root: Option<PathBuf>,
    /// `QUERY_STRING` (RFC 3875 4.1.7), not decoded; always listed, if empty.
    pub query_string: Bytes,
    /// `SERVER_NAME` (RFC 3875 4.1.14): host name or address (IPv6 in brackets), without the port.
    pub server_name: Bytes,
    /// `SERVER_PORT` (RFC 3875 4.1.15).
    pub server_port: u16,
    /// `SERVER_ADDR`; `None` when the client came by a unix socket.
    pub server_addr: Option<IpAddr>,
    /// `SERVER_SOFTWARE` (RFC 3875 4.1.17), such as `gatebridge/0.1.0`.
    pub server_software: Bytes,
    /// `REMOTE_ADDR` (RFC 3875 4.1.8). `None` when the client came by a unix socket: then it is listed as the
    /// empty string. It MUST be set, so it is never left out; and the only true answer is "no address":
    /// programs trust 127.0.0.1.
    pub remote_addr: Option<IpAddr>,
    /// `REMOTE_PORT`.
    pub remote_port: Option<u16>,
    /// `REMOTE_HOST` (RFC 3875 4.1.9). `None` (nobody looked it up) leaves it out; the address never stands
    /// in for it.
    pub remote_host: Option<Bytes>,
    /// `REMOTE_USER` (RFC 3875 4.1.11): the user that the gateway authenticated, never what a client claims.
    pub remote_user: Option<Bytes>,
    /// `AUTH_TYPE` (RFC 3875 4.1.1): `Basic` and so on.
    pub auth_type: Option<Bytes>,
    /// `CONTENT_LENGTH` (RFC 3875 4.1.2), in bytes. `None` means that there is no body; a body of unknown
    /// length is spooled first, so that this says the truth. `Some(0)` is a body that was announced and is
    /// empty.
    pub content_length: Option<u64>,
    /// `CONTENT_TYPE` (RFC 3875 4.1.3).
    pub content_type: Option<HeaderValue>,
    /// The request's header fields, all of them, in HTTP spelling. Which of them become `HTTP_*` is the
    /// walker's decision.
    pub headers: HeaderMap,
    /// `UNIQUE_ID`: the request's id, as in the log. Listed if not empty.
    pub unique_id: Bytes,
    /// `REDIRECT_STATUS`: 200 but for error pages; php-cgi refuses to run without it. 0 leaves it out.
    pub redirect_status: u16,
    /// What the request was before a local redirect.
    pub redirect: Option<Redirect>,
    /// Is `HTTP_AUTHORIZATION` listed? Default `true`.
    ///
    /// RFC 3875 9.2 leaves this to the configuration. Programs that check passwords or tokens themselves (PHP
    /// and WSGI frameworks, git servers) need it, and nginx and lighttpd pass it. Set `false` where the
    /// gateway itself checked the credentials: then they are consumed, and no script should see a password.
    pub pass_authorization: bool,
    /// Variables that the configuration adds (a route's `env`), verbatim. Of two with one name the later
    /// counts. They win over every other variable but `CONTENT_LENGTH` and `GATEWAY_INTERFACE`.
    pub variables: Vec<(Bytes, Bytes)>,
    /// Variables that a FastCGI or SCGI front received and that are no field above, verbatim. They win over
    /// header fields only, and those that [steer a process](crate::names::steers_a_process) are kept out of a
    /// process's environment.
    pub front_variables: Vec<(Bytes, Bytes)>,
}

impl Default for Environ {
    /// `GET` of an empty target over HTTP/1.1 from nobody at `localhost:80`: for tests, and for
    /// `..Environ::default()`.
    fn default() -> Self {
        Self {
            method: Method::GET,
            protocol: Version::HTTP_11,
            scheme: Scheme::Http,
            request_uri: Bytes::new(),
            script_name: Bytes::new(),
            mount_point: Bytes::new(),
            path_info: Bytes::new(),
            path_translated: None,
            script_filename: None,
            document_root: None,
            query_string: Bytes::new(),
            server_name: Bytes::from_static(b"localhost"),
            server_port: 80,
            server_addr: None,
            server_software: Bytes::from_static(b"gatebridge"),
            remote_addr: None,
            remote_port: None,
            remote_host: None,
            remote_user: None,
            auth_type: None,
            content_length: None,
            content_type: None,
            headers: HeaderMap::new(),
            unique_id: Bytes::new(),
            redirect_status: 200,
            redirect: None,
            pass_authorization: true,
            variables: Vec::new(),
            front_variables: Vec::new(),
        }
    }
}

impl Environ {
    /// An environ with what an HTTP request's head says by itself: method, target, query, protocol, fields,
    /// content type.
    ///
    /// The target is kept as it is, and the query is a slice of it. What the head cannot say (the split into
    /// script name and path info, addresses, the name of the server, the body's length as framed) is for the
    /// caller to fill in.
    ///
    /// ```
    /// use gatebridge_cgi::Environ;
    /// use http::{HeaderMap, Method, Version};
    ///
    /// let environ = Environ::from_head(Method::GET, "/a%20b?c=d".into(), Version::HTTP_11, HeaderMap::new());
    /// assert_eq!((&environ.request_uri[..], &environ.query_string[..]), (&b"/a%20b?c=d"[..], &b"c=d"[..]));
    /// ```
    #[must_use]
    pub fn from_head(method: Method, target: Bytes, protocol: Version, headers: HeaderMap) -> Self {
        let query_string = match target.iter().position(|&byte| byte == b'?') {
            Some(at) => target.slice(at + 1..),
            None => Bytes::new(),
        };
        let content_type = headers.get(CONTENT_TYPE).cloned();
        Self { method, protocol, request_uri: target, query_string, content_type, headers, ..Self::default() }
    }

    /// The value of a variable that is no field above, such as `FCGI_ROLE` or what a route's `env` gives.
    ///
    /// ```
    /// let mut environ = gatebridge_cgi::Environ::default();
    /// environ.set_variable("GREETING", "hello");
    /// assert_eq!(environ.variable("GREETING"), Some(&b"hello"[..]));
    /// assert_eq!(environ.variable("REQUEST_METHOD"), None, "that is the field `method`");
    /// ```
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        let mut known = self.variables.iter().rev().chain(&self.front_variables);
        known.find(|(other, _)| other == name).map(|(_, value)| &value[..])
    }

    /// Sets a variable of the configuration; of two with one name the later counts.
    pub fn set_variable(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (name, value) = (name.into(), value.into());
        match self.variables.iter_mut().find(|(set, _)| *set == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name, value)),
        }
    }

    /// Puts the [`mount_point`](Self::mount_point) before `SCRIPT_NAME`, when all else that the name is good for has been
    /// done: a program must be able to make links of it.
    pub fn complete_script_name(&mut self) {
        if !self.mount_point.is_empty() {
            self.script_name = [&self.mount_point[..], &self.script_name[..]].concat().into();
        }
    }
}
