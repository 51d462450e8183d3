//! The configuration as meant, behind the routes: pools, CGI folders, files, and their limits; it knows nothing of
//! TOML, of positions in a file, or of how a program is started.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What answers the requests of a route.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RouteBack {
    /// A process per request.
    Cgi(CgiBack),
    /// A pool of workers.
    Pool(PoolBack),
    /// A folder of files.
    Files(FilesBack),
    /// A page that lists what can be called here.
    Index,
    /// A page that tells how the gateway is.
    Status(StatusBack),
}

/// A page that tells how the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusBack {
    /// Whether everybody may see it; else only those on this machine.
    pub is_public: bool,
}

/// A folder of CGI scripts, or one script.
#[derive(Debug, Clone, PartialEq)]
pub struct CgiBack {
    /// The absolute path of the folder or of the executable.
    pub path: PathBuf,
    /// Which of the two it was when the configuration was read.
    pub kind: CgiKind,
    /// The environment that scripts get beside the request's meta-variables and [`super::Route::env`].
    pub environment: Environment,
    /// The most processes of this route at once.
    pub max_processes: usize,
    /// Requests that wait for a process slot; 503 when it is full or the wait is over.
    pub queue: Queue,
    /// From TERM to KILL for a script that took too long or whose client left.
    pub kill_grace: Duration,
    /// Which scripts write the whole HTTP response themselves.
    pub nph: Nph,
    /// The most lines of stderr that are logged per request.
    pub stderr_lines: usize,
}

/// Whether a CGI path is a folder or one script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgiKind {
    /// A folder of executables.
    Folder,
    /// One executable.
    Executable,
}

/// Which scripts write the whole HTTP response themselves (RFC 3875 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nph {
    /// Those whose file name starts with `nph-`.
    ByName,
    /// Every script of the route.
    Always,
    /// None.
    Never,
}

/// The environment of a process, apart from what a request adds. It is built from nothing: only this is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// PATH.
    pub path: String,
    /// Names of the gateway's own variables that are let through when they are set.
    pub pass: Vec<String>,
    /// Variables by name and value, sorted by name; they win over `pass`. Empty for a CGI route, whose `env` are
    /// meta-variables (see [`super::Route::env`]).
    pub set: Vec<(String, String)>,
}

/// A bounded queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The most requests that wait; 0 means that nobody does.
    pub length: usize,
    /// The longest wait.
    pub timeout: Duration,
}

/// A route to a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolBack {
    /// The name of a pool of the same configuration.
    pub pool: String,
    /// SCRIPT_FILENAME is this absolute folder and the script's name; `None` sends no SCRIPT_FILENAME of a file.
    pub root: Option<PathBuf>,
    /// The script for a path that ends in a slash, for example `index.php`.
    pub index: Option<String>,
    /// PATH_INFO starts after the first component that ends so, compared as ASCII bytes: `.php`. `None` means that
    /// SCRIPT_NAME is the route's path and everything below is PATH_INFO.
    pub split: Option<String>,
    /// Its requests come before those of routes with a lower one when both wait; 0 to 9.
    pub priority: u8,
}

/// A folder of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesBack {
    /// The absolute folder.
    pub root: PathBuf,
    /// The file for a path that ends in a slash, for example `index.html`.
    pub index: String,
}

/// How the body of a request reaches the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyMode {
    /// As it comes, when its length is known; a body of unknown length is always spooled.
    Stream,
    /// Whole: the program is started, or a worker taken, after the last byte came.
    Spool,
}

/// Limits of one request on a route. Sizes are in bytes; `None` is no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteLimits {
    /// The longest body; 413 beyond.
    pub max_body: Option<u64>,
    /// The whole request, from its head to the last byte of the response; 504, or cut short.
    pub timeout: Option<Duration>,
    /// The program is silent before the head of its response; 504.
    pub first_byte_timeout: Option<Duration>,
    /// The program is silent later; the response is cut short.
    pub output_timeout: Option<Duration>,
    /// The longest head of a program's response; 502 beyond.
    pub max_output_head: usize,
    /// How the body of a request reaches the program.
    pub body: BodyMode,
    /// A spooled body stays in memory up to this size and goes to a temporary file beyond.
    pub spool_memory: usize,
}

/// A pool of workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its name in the file: `[pool.NAME]`.
    pub name: String,
    /// What its workers speak.
    pub speak: PoolProtocol,
    /// Who runs the workers.
    pub kind: PoolKind,
    /// Requests that wait for a worker; 503 when it is full or the wait is over.
    pub queue: Queue,
    /// Whether a request that would wait for too long, as far as can be told, is refused at once.
    pub predict_wait: bool,
    /// The longest wait for a connection to be made; 502 after that when no other worker can take the request.
    pub connect_timeout: Duration,
    /// Whether connections are kept and used again. Never for SCGI, which ends a request by closing.
    pub keep_alive: bool,
    /// A kept connection that nobody used for this long is closed.
    pub idle_timeout: Duration,
}

/// A protocol that workers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolProtocol {
    /// FastCGI 1.0, as Responder.
    FastCgi,
    /// SCGI.
    Scgi,
}

/// Who runs the workers of a pool.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PoolKind {
    /// gatebridge starts and supervises them.
    Started(Box<Started>),
    /// Somebody else does.
    Connected(Connected),
}

/// Workers that gatebridge starts. Each gets a listening socket of its own as descriptor 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// The name it is called by (`argv[0]`): the first element of `command`, as written.
    pub arg0: String,
    /// Its arguments, without `argv[0]`.
    pub args: Vec<String>,
    /// How many are kept alive.
    pub workers: Scale,
    /// Requests at once that one worker takes; at least 1.
    pub concurrency: usize,
    /// When one is replaced although nothing is wrong with it.
    pub recycle: Recycle,
    /// The environment of the process.
    pub environment: Environment,
    /// The absolute folder it is started in.
    pub cwd: PathBuf,
    /// The first pause before a worker that died is replaced; doubled each time.
    pub restart_backoff_min: Duration,
    /// The longest pause.
    pub restart_backoff_max: Duration,
    /// A worker that takes no connection for this long after its start has failed.
    pub start_timeout: Duration,
    /// From TERM to KILL when a worker is stopped.
    pub stop_grace: Duration,
}

/// When a worker is replaced although nothing is wrong with it. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recycle {
    /// After so many requests.
    pub requests: Option<u64>,
    /// So long after its start, when it has no request.
    pub lifetime: Option<Duration>,
    /// When it has more bytes of resident memory than this, and no request.
    pub memory: Option<u64>,
    /// When it has more bytes of resident memory than this, at once.
    pub memory_hard: Option<u64>,
    /// Of each of the first three so many percent at most are taken away, for each worker by chance; 0 to 50.
    pub jitter_percent: u8,
}

/// How many workers there are, and what makes them more or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Never fewer than this; 0 for a pool that starts workers on demand.
    pub min: usize,
    /// Never more than this; at least 1 and at least `min`. The same as `min` for a fixed number.
    pub max: usize,
    /// So many that have nothing to do are kept beside those that have.
    pub spare: usize,
    /// One that is not needed and had nothing to do for this long leaves.
    pub idle_timeout: Duration,
    /// A request that has waited for this long has a worker started.
    pub scale_after: Duration,
}

/// Workers that somebody else runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Connected {
    /// Where they listen; never empty, each once.
    pub addresses: Vec<ConnectAddress>,
    /// The most connections to each address; at least 1.
    pub max_connections: usize,
}

/// An address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConnectAddress {
    /// `"10.0.0.7:9000"`, `"[::1]:9000"`.
    Tcp(SocketAddr),
    /// `"php:9000"`: a name that is looked up each time a connection is made.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
    /// `"unix:/run/php/php-fpm.sock"`, absolute. It need not exist yet when the configuration is read.
    Unix(PathBuf),
}

impl fmt::Display for ConnectAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Name { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}
