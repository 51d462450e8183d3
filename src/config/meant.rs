//! The configuration as meant: every default filled in, every path absolute, every name resolved; it knows nothing
//! of TOML, of positions in a file, or of what the gateway does with it.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::meant_back::{Pool, RouteBack, RouteLimits};

/// A whole configuration, ready to build a gateway from.
///
/// Everything in it compares with `==`, so that a reload can tell which pools and routes did not change.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from; `None` when it was made for a folder (`gatebridge serve` without a file).
    pub file: Option<PathBuf>,
    /// The absolute folder that relative paths were resolved against.
    pub folder: PathBuf,
    /// Where the gateway listens, in the order of the file; empty only for one inside another program.
    pub listeners: Vec<Listener>,
    /// Settings of the process as a whole.
    pub server: Server,
    /// What is logged, and where.
    pub log: Log,
    /// The pools of workers, sorted by name; names are unique.
    pub pools: Vec<Arc<Pool>>,
    /// The routes, in the order of the file; each (host, path) is there once. Routes for
    /// the request's host are looked at first, then those for any host; among them the longest path wins.
    pub routes: Vec<Arc<Route>>,
}

impl Config {
    /// The pool of that name. Every name that a route of this configuration mentions is there.
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.name == name)
    }
}

/// One place to listen at, with the limits of its connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// What is spoken there.
    pub speak: FrontProtocol,
    /// Permission bits of the socket file of a [`ListenAddress::Unix`], for example `0o660`.
    pub unix_mode: u32,
    /// Limits of HTTP connections accepted here.
    pub http: HttpLimits,
    /// The most connections open at once at this listener.
    pub max_connections: usize,
    /// The most connections open at once from one IP address; `None` is no limit of its own.
    pub max_connections_per_ip: Option<usize>,
    /// Peers whose `X-Forwarded-For`, `-Proto` and `-Host` are believed; empty means nobody's are.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether every peer of this unix socket is a trusted proxy too (`trusted_proxies` contains `"unix"`).
    pub trust_unix_peers: bool,
}

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `"127.0.0.1:8080"`, `"[::1]:8080"`; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// `"unix:/run/gatebridge.sock"`, absolute.
    Unix(PathBuf),
    /// `"fd:3"`: a listening socket that the parent process handed down. At least 3.
    Descriptor(i32),
    /// `"fd:web"`: the listening sockets that the service manager passed under this name.
    Named(String),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Descriptor(number) => write!(formatter, "fd:{number}"),
            Self::Named(name) => write!(formatter, "fd:{name}"),
        }
    }
}

/// A protocol that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrontProtocol {
    /// HTTP/1.1 and HTTP/1.0.
    Http,
}

/// Limits of one HTTP connection. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpLimits {
    /// From the first byte of a request to the end of its head; 408 after that.
    pub head_timeout: Duration,
    /// A kept-alive connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// The slowest average at which a request body may arrive, in bytes per second; `None` switches the check off.
    pub min_body_rate: Option<u64>,
    /// How long a body may be slower than `min_body_rate`: at its start, and again after it was faster.
    pub body_grace: Duration,
    /// A client that takes no byte of the response for this long has its connection cut.
    pub write_timeout: Duration,
    /// The longest request head, request line included; 431 beyond.
    pub max_head: usize,
    /// The most fields in a request head; 431 beyond.
    pub max_headers: usize,
    /// The longest request target; 414 beyond.
    pub max_target: usize,
    /// How long bytes of an unwanted body are read and thrown away before the connection is closed.
    pub linger_timeout: Duration,
    /// The most bytes of an unwanted body that are read and thrown away.
    pub linger_bytes: u64,
    /// Whether a client that closes its sending side still waits for its answer; `false` takes it to have left.
    pub half_close: bool,
}

/// Settings of the process as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// How long running requests may take to end after SIGTERM before they are cut.
    pub grace: Duration,
    /// Worker threads of the runtime.
    pub threads: NonZeroUsize,
    /// Threads that do nothing but start processes.
    pub spawners: NonZeroUsize,
    /// SERVER_SOFTWARE.
    pub name: String,
    /// An existing, absolute folder for the temporary files of spooled bodies.
    pub temp_dir: PathBuf,
    /// The most bytes that all spooled bodies together may take on disk; 503 beyond.
    pub max_spool_total: u64,
}

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Where the access log goes.
    pub access: AccessLog,
    /// How a line of the access log looks.
    pub access_format: AccessFormat,
    /// The least severe events that the error log (stderr) shows.
    pub level: LogLevel,
    /// How a line of the error log looks.
    pub format: LogFormat,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To this file (absolute), which is opened for appending and reopened on SIGUSR1.
    File(PathBuf),
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// The combined format that every log reader knows, with the gateway's own facts behind it.
    Combined,
    /// One JSON object a line.
    Json,
}

/// The least severe events that the error log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what should be looked at.
    Warn,
    /// And what the gateway does as a whole.
    Info,
    /// And what happens to each request.
    Debug,
    /// And every step of it.
    Trace,
}

impl LogLevel {
    /// The word in the file, which is also what a filter of tracing understands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a line of the error log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One route: which requests, what answers them, and within what limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The host name it is for, in lower case and without a port; `None` is any host.
    pub host: Option<String>,
    /// The path as written, for messages: `"/cgi-bin/"`.
    pub path: String,
    /// The path to match by components, without the slash at its end: `"/cgi-bin"`, and `""` for `"/"`. It is what
    /// SCRIPT_NAME starts with. Compared with the decoded path of a request.
    pub prefix: String,
    /// What answers.
    pub back: RouteBack,
    /// The methods that are let through, as written (methods are case-sensitive); `None` is every method.
    pub methods: Option<Vec<String>>,
    /// Limits of a request on this route.
    pub limits: RouteLimits,
    /// Meta-variables of this route beside the request's own, sorted by name. For a CGI script they are part of its
    /// environment, for a worker they are params.
    pub env: Vec<(String, String)>,
    /// Whether HTTP_AUTHORIZATION is passed on.
    pub authorization: bool,
    /// Whether a value that starts with `() {` is left out (lesson of CVE-2014-6271).
    pub strip_shellshock: bool,
}

impl Route {
    /// The name of the route in logs and metrics: host and path as written.
    pub fn name(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}{}", self.path),
            None => self.path.clone(),
        }
    }
}
