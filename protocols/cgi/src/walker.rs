//! The one walker that lists an environ's variables, and its rules; knows no process, no stream and no
//! netstring.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bytes::Bytes;
use http::Version;
use http::header::{CONNECTION, COOKIE, HeaderName};

use crate::environ::{Environ, Scheme};
use crate::{fields, names};

/// What takes the variables of an environ, one after the other: a process's environment, a PARAMS stream, an
/// SCGI header.
///
/// Every `FnMut(&[u8], &[u8])` is one. It cannot refuse: an appender that may fail remembers why until it is
/// asked.
pub trait Appender {
    /// Takes one variable. No name comes twice in one walk.
    fn append(&mut self, name: &[u8], value: &[u8]);
}

impl<F: FnMut(&[u8], &[u8])> Appender for F {
    fn append(&mut self, name: &[u8], value: &[u8]) {
        self(name, value);
    }
}

/// For whom the variables are listed, where that makes a difference.
///
/// ```
/// use gatebridge_cgi::Listing;
/// let listing = Listing::CGI.with_shell_guard();
/// assert_ne!(listing, Listing::CGI);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    always_length: bool,
    is_process: bool,
    shell_guard: bool,
}

impl Listing {
    /// For the environment of a process. `CONTENT_LENGTH` is set only with a body (RFC 3875 4.1.2), and front
    /// variables that [steer a process](names::steers_a_process) are left out.
    pub const CGI: Self = Self { always_length: false, is_process: true, shell_guard: false };
    /// For a FastCGI PARAMS stream. `CONTENT_LENGTH` is set only with a body (RFC 3875 4.1.2).
    pub const FASTCGI: Self = Self { always_length: false, is_process: false, shell_guard: false };
    /// For an SCGI header. `CONTENT_LENGTH` comes first whatever happens, `0` without a body. (The marker
    /// `SCGI` is the header writer's business.)
    pub const SCGI: Self = Self { always_length: true, is_process: false, shell_guard: false };

    /// Keeps out every value that came with the request and begins with `() {`, which an old bash takes for a
    /// function and runs (Shellshock, CVE-2014-6271). A typed field becomes empty then, any other variable is
    /// left out. For routes whose scripts may reach such a bash.
    #[must_use]
    pub const fn with_shell_guard(self) -> Self {
        Self { shell_guard: true, ..self }
    }
}

/// A place for numbers and addresses to be written: the longest is an IPv6 address of 45 bytes.
type Scratch = [u8; 64];

/// How one typed field is read: `None` leaves the variable out.
type Getter = for<'a> fn(&'a Environ, &'a mut Scratch) -> Option<&'a [u8]>;

/// The typed fields and their variables, in the order of the list; `CONTENT_LENGTH` comes before all of them.
const TYPED: [(&str, Getter); 27] = [
    (names::CONTENT_TYPE, |environ, _| environ.content_type.as_ref().map(|value| value.as_bytes())),
    (names::GATEWAY_INTERFACE, |_, _| Some(b"CGI/1.1")),
    (names::SERVER_SOFTWARE, |environ, _| Some(&environ.server_software)),
    (names::SERVER_PROTOCOL, |environ, _| Some(protocol(environ.protocol))),
    (names::SERVER_NAME, |environ, _| Some(&environ.server_name)),
    (names::SERVER_PORT, |environ, scratch| Some(decimal(environ.server_port.into(), scratch))),
    (names::SERVER_ADDR, |environ, scratch| environ.server_addr.map(|address| numeric(address, scratch))),
    (names::REQUEST_METHOD, |environ, _| Some(environ.method.as_str().as_bytes())),
    (names::REQUEST_SCHEME, |environ, _| Some(environ.scheme.as_str().as_bytes())),
    (names::HTTPS, |environ, _| (environ.scheme == Scheme::Https).then_some(b"on")),
    (names::REQUEST_URI, |environ, _| not_empty(&environ.request_uri)),
    (names::SCRIPT_NAME, |environ, _| Some(&environ.script_name)),
    (names::PATH_INFO, |environ, _| Some(&environ.path_info)),
    (names::PATH_TRANSLATED, |environ, _| path(environ.path_translated.as_ref())),
    (names::QUERY_STRING, |environ, _| Some(&environ.query_string)),
    (names::SCRIPT_FILENAME, |environ, _| path(environ.script_filename.as_ref())),
    (names::DOCUMENT_ROOT, |environ, _| path(environ.document_root.as_ref())),
    (names::REMOTE_ADDR, |environ, scratch| environ.remote_addr.map(|address| numeric(address, scratch))),
    (names::REMOTE_PORT, |environ, scratch| environ.remote_port.map(|port| decimal(port.into(), scratch))),
    (names::REMOTE_HOST, |environ, _| environ.remote_host.as_deref()),
    (names::REMOTE_USER, |environ, _| environ.remote_user.as_deref()),
    (names::AUTH_TYPE, |environ, _| environ.auth_type.as_deref()),
    (names::UNIQUE_ID, |environ, _| not_empty(&environ.unique_id)),
    (names::REDIRECT_STATUS, |environ, scratch| match environ.redirect_status {
        0 => None,
        status => Some(decimal(status.into(), scratch)),
    }),
    (names::REDIRECT_URL, |environ, _| environ.redirect.as_ref().map(|from| &from.url[..])),
    (names::REDIRECT_QUERY_STRING, |environ, _| {
        environ.redirect.as_ref().and_then(|from| not_empty(&from.query_string))
    }),
    (names::REDIRECT_REQUEST_METHOD, |environ, _| {
        environ.redirect.as_ref().map(|from| from.request_method.as_str().as_bytes())
    }),
];

impl Environ {
    /// Lists the variables for a process's environment: [`walk_with`](Self::walk_with) and [`Listing::CGI`].
    pub fn walk(&self, appender: &mut impl Appender) {
        self.walk_with(Listing::CGI, appender);
    }

    /// Lists the variables: `CONTENT_LENGTH` first, then the other typed fields, then the configuration's and
    /// the front's variables, then `HTTP_*`. No name comes twice.
    ///
    /// Of two with one name the first of these wins: `CONTENT_LENGTH` and `GATEWAY_INTERFACE`; a variable of
    /// the configuration; a typed field; a front's variable; a header field. The rules for header fields:
    /// - only names of letters, digits and hyphens;
    /// - never `Proxy`, nor hop-by-hop fields (`Connection` and what it names, `Keep-Alive`, `TE`, `Trailer`,
    ///   `Transfer-Encoding`, `Upgrade`), nor `Content-Length` and `Content-Type`, which have their own
    ///   variables, nor `Expect` and `Proxy-Authorization`, which are for the gateway;
    /// - `Authorization` if [`pass_authorization`](Self::pass_authorization) says so;
    /// - several fields of one name are joined, `Cookie` by `"; "`, the others by `", "`.
    ///
    /// Nothing is checked for NUL bytes or length here: each appender knows what its protocol can carry.
    pub fn walk_with(&self, listing: Listing, appender: &mut impl Appender) {
        Walk { environ: self, listing, appender }.run();
    }

    /// Takes out the header fields that [`walk`](Self::walk) never lists: hop-by-hop fields, `Proxy`, fields that have a
    /// variable of their own, names that are no plain ones, and credentials that are not to be passed on. For a program
    /// that is given the environ itself and should see in it what every other program sees.
    ///
    /// ```
    /// use gatebridge_cgi::Environ;
    ///
    /// let mut environ = Environ { pass_authorization: false, ..Environ::default() };
    /// for name in ["accept", "proxy", "authorization", "x_forwarded_for", "te"] {
    ///     environ.headers.insert(name, "x".parse()?);
    /// }
    /// environ.retain_listed();
    /// assert_eq!(environ.headers.keys().collect::<Vec<_>>(), ["accept"]);
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    pub fn retain_listed(&mut self) {
        let headers = &self.headers;
        let is_listed = |name: &HeaderName| {
            fields::may_be_listed(name)
                && (self.pass_authorization || !fields::is_authorization(name))
                && !fields::nominated(headers, name)
        };
        let unlisted: Vec<_> = headers.keys().filter(|name| !is_listed(name)).cloned().collect();
        for name in unlisted {
            self.headers.remove(name);
        }
    }

    /// What a typed field says for a variable of this name, if it is one and has a value.
    fn typed<'a>(&'a self, name: &[u8], scratch: &'a mut Scratch) -> Option<&'a [u8]> {
        let (_, get) = TYPED.iter().find(|(typed, _)| typed.as_bytes() == name)?;
        get(self, scratch)
    }
}

/// One walk.
struct Walk<'a, A> {
    environ: &'a Environ,
    listing: Listing,
    appender: &'a mut A,
}

impl<A: Appender> Walk<'_, A> {
    fn run(&mut self) {
        self.length();
        self.typed();
        self.configured();
        self.front_variables();
        self.fields();
    }

    /// RFC 3875 4.1.2: set if and only if there is a body; SCGI: first, and 0 without a body.
    fn length(&mut self) {
        let mut scratch = [0; 64];
        let without = self.listing.always_length.then_some(0);
        if let Some(length) = self.environ.content_length.or(without) {
            self.appender.append(names::CONTENT_LENGTH.as_bytes(), decimal(length, &mut scratch));
        }
    }

    fn typed(&mut self) {
        let mut scratch = [0; 64];
        for (name, get) in TYPED {
            let fixed = name == names::GATEWAY_INTERFACE;
            if !fixed && contains(&self.environ.variables, name.as_bytes()) {
                continue;
            }
            if let Some(value) = get(self.environ, &mut scratch) {
                // Some of these are always set, so the guard empties them instead of leaving them out.
                let value = if self.guards_against(value) { b"" } else { value };
                self.appender.append(name.as_bytes(), value);
            } else if name == names::REMOTE_ADDR && !contains(&self.environ.front_variables, name.as_bytes())
            {
                // RFC 3875 4.1.8: it MUST be set; a client that came by a unix socket has no address.
                self.appender.append(name.as_bytes(), b"");
            }
        }
    }

    fn configured(&mut self) {
        let variables = &self.environ.variables;
        for (at, (name, value)) in variables.iter().enumerate() {
            let overtaken = contains(&variables[at + 1..], name);
            if !overtaken && !is_fixed(name) {
                self.appender.append(name, value);
            }
        }
    }

    fn front_variables(&mut self) {
        let environ = self.environ;
        let mut scratch = [0; 64];
        for (at, (name, value)) in environ.front_variables.iter().enumerate() {
            let overtaken = contains(&environ.front_variables[at + 1..], name)
                || contains(&environ.variables, name)
                || environ.typed(name, &mut scratch).is_some();
            let dangerous = name.eq_ignore_ascii_case(names::HTTP_PROXY.as_bytes())
                || (self.listing.is_process && names::steers_a_process(name));
            if !overtaken && !dangerous && !is_fixed(name) {
                self.append_received(name, value);
            }
        }
    }

    fn fields(&mut self) {
        let environ = self.environ;
        let has_connection = environ.headers.contains_key(CONNECTION);
        let (mut variable, mut joined) = (Vec::with_capacity(64), Vec::new());
        for name in environ.headers.keys() {
            let hidden = fields::is_authorization(name) && !environ.pass_authorization;
            if hidden
                || !fields::may_be_listed(name)
                || (has_connection && fields::nominated(&environ.headers, name))
            {
                continue;
            }
            fields::variable_name(name, &mut variable);
            if contains(&environ.variables, &variable) || contains(&environ.front_variables, &variable) {
                continue;
            }
            let value = self.joined(name, &mut joined);
            self.append_received(&variable, value);
        }
    }

    /// All values of a field in one (RFC 3875 4.1.18: the server MUST join several fields of one name).
    fn joined<'b>(&self, name: &HeaderName, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        Self: 'b,
    {
        // RFC 6265 5.4 and RFC 9113 8.2.3 join cookies by "; "; RFC 9110 5.3 everything else by ", ".
        let separator: &[u8] = if name == COOKIE { b"; " } else { b", " };
        buffer.clear();
        for (at, value) in self.environ.headers.get_all(name).iter().enumerate() {
            if at > 0 {
                buffer.extend_from_slice(separator);
            }
            buffer.extend_from_slice(value.as_bytes());
        }
        buffer
    }

    /// Appends what came with the request and is no typed field, so not without the guard.
    fn append_received(&mut self, name: &[u8], value: &[u8]) {
        if !self.guards_against(value) {
            self.appender.append(name, value);
        }
    }

    fn guards_against(&self, value: &[u8]) -> bool {
        self.listing.shell_guard && value.starts_with(b"() {")
    }
}

/// Names that no variable of the configuration or a front may set: they frame the request, or belong to a
/// protocol.
fn is_fixed(name: &[u8]) -> bool {
    [names::CONTENT_LENGTH, names::GATEWAY_INTERFACE, names::SCGI]
        .iter()
        .any(|fixed| fixed.as_bytes() == name)
}

fn contains(variables: &[(Bytes, Bytes)], name: &[u8]) -> bool {
    variables.iter().any(|(set, _)| set == name)
}

fn not_empty(value: &Bytes) -> Option<&[u8]> {
    (!value.is_empty()).then_some(&value[..])
}

fn path(path: Option<&PathBuf>) -> Option<&[u8]> {
    path.map(|path| path.as_os_str().as_bytes())
}

const fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}

/// Digits without an allocation.
fn decimal(mut number: u64, scratch: &mut Scratch) -> &[u8] {
    let mut start = scratch.len();
    loop {
        start -= 1;
        scratch[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &scratch[start..];
        }
    }
}

/// An address without an allocation; an IPv4 address that came through an IPv6 socket is shown as what it is.
fn numeric(address: IpAddr, scratch: &mut Scratch) -> &[u8] {
    let room = scratch.len();
    let mut rest = &mut scratch[..];
    let written = match write!(rest, "{}", address.to_canonical()) {
        Ok(()) => room - rest.len(),
        Err(_) => 0,
    };
    &scratch[..written]
}
