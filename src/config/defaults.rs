//! Every default of the configuration, once, with its reason; it does not know where a default is used.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

// [[listen]]

/// Only this machine can call a gateway that nobody configured.
pub const LISTEN_ADDRESS: &str = "127.0.0.1:8080";
/// HTTP is what a gateway is for; the others are for one that stands behind another server.
pub const LISTEN_SPEAK: &str = "http";
/// The owner and the group of the gateway: a front server is put into the group, and nobody else is let in.
pub const UNIX_MODE: u32 = 0o660;
/// A head is one packet for an honest client; ten seconds forgive two lost ones and still end a slow-head attack.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Long enough for a person to follow a link, and what most fronts in the field keep.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Slower than any line that is still in use; a body slower than this is an attack or a dead peer.
pub const MIN_BODY_RATE: u64 = KIB;
/// One stall of a mobile line, at the start of a body, costs nothing.
pub const BODY_GRACE: Duration = Duration::from_secs(10);
/// A reader that takes not one byte for this long is gone or stalls on purpose.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Four times what browsers with large cookies send; every open request may hold this much memory.
pub const MAX_HEAD: u64 = 32 * KIB;
/// Browsers send about 20 fields, a chain of proxies adds as many again.
pub const MAX_HEADERS: u64 = 100;
/// RFC 9112 3: recommends at least 8000 octets for a request line.
pub const MAX_TARGET: u64 = 8 * KIB;
/// Ten thousand idle connections cost about 10 MB; each also takes a descriptor.
pub const MAX_CONNECTIONS: u64 = 10_000;
/// Two seconds let an honest client read the answer before it notices that the rest of its body is not wanted.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// What a client has usually sent before it sees the answer; more is not worth reading.
pub const LINGER_BYTES: u64 = MIB;
/// Browsers and HTTP libraries do not half-close: a closed sending side means that the client has left.
pub const HALF_CLOSE: bool = false;

// [server]

/// What service managers and container runtimes allow before they kill (docker stop: 10 s, Kubernetes: 30 s).
pub const SERVER_GRACE: Duration = Duration::from_secs(30);
/// SERVER_SOFTWARE names the product and its version (RFC 3875 4.1.17).
pub const SERVER_NAME: &str = concat!("gatebridge/", env!("CARGO_PKG_VERSION"));
/// Starting a program takes 0.1 ms of one thread; two threads keep one slow disk from stopping every start.
pub const SPAWNERS: u64 = 2;
/// Four bodies of the largest size that a route takes by default; a full disk hurts everybody on the machine.
pub const MAX_SPOOL_TOTAL: u64 = 4 * GIB;

// [log]

/// A person who starts a gateway in a terminal wants to see the requests arrive.
pub const LOG_ACCESS: &str = "-";
/// What every log reader understands.
pub const LOG_ACCESS_FORMAT: &str = "combined";
/// What the gateway does as a whole, and nothing per request: the access log has that.
pub const LOG_LEVEL: &str = "info";
/// For people; machines ask for JSON.
pub const LOG_FORMAT: &str = "text";

// [pool.NAME]

/// One worker is the only number that is right for a program that nobody described: it may hold a large model.
pub const WORKERS: u64 = 1;
/// Who writes a table wants the number to follow the load.
pub const WORKERS_MODE: &str = "dynamic";
/// One that is there answers the first request without a start.
pub const WORKERS_MIN: u64 = 1;
/// One more than is busy: the next request finds a worker, and its successor's start is paid by nobody.
pub const WORKERS_SPARE: u64 = 1;
/// Bursts come back within half a minute or not soon; a program that takes longer to start should be kept longer.
pub const WORKERS_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than the hiccups of a busy machine, shorter than what a person or a chart of latencies would notice.
pub const SCALE_AFTER: Duration = Duration::from_millis(5);
/// Most FastCGI and SCGI programs take one request at a time; a second one would wait inside the worker.
pub const CONCURRENCY: u64 = 1;
/// Workers that were started at the same moment should not be replaced at the same moment; a tenth less of what they may
/// have spreads them well and costs nothing.
pub const RECYCLE_JITTER: u64 = 10;
/// Quick enough that one crash goes unnoticed.
pub const RESTART_BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Slow enough that a worker that cannot start costs nothing, quick enough to be back soon after it was repaired.
pub const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Interpreters start within a second; programs that load a large model need more and say so.
pub const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A worker that got TERM finishes its request within this or is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// php-fpm ships with 5 children, most others with 4 to 8; a connection beyond the workers only waits there.
pub const POOL_MAX_CONNECTIONS: u64 = 8;
/// A thousand waiting requests cost a few MB; what waits behind them would be answered too late anyway.
pub const POOL_QUEUE: u64 = 1024;
/// A person gives up after about ten seconds.
pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// An honest 503 at once is worth more than the same one after ten seconds.
pub const PREDICT_WAIT: bool = true;
/// A local socket answers at once, another machine within a lost packet or two.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// As long as clients keep theirs.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

// [[route]]

/// Large enough for a push or a video, small enough that one client cannot fill a disk.
pub const MAX_BODY: u64 = GIB;
/// What web servers usually allow a program to think; longer is taken for hung.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// A stream of events should send a comment more often than this.
pub const OUTPUT_TIMEOUT: Duration = Duration::from_secs(60);
/// The head of a program's response, cookies and all; it is held in memory until it ends.
pub const MAX_OUTPUT_HEAD: u64 = 64 * KIB;
/// Streaming starts work at once and needs no disk; a body of unknown length is spooled whatever this says.
pub const BODY: &str = "stream";
/// Forms and JSON stay in memory; uploads go to a file.
pub const SPOOL_MEMORY: u64 = 64 * KIB;
/// RFC 3875 4.1.18: fields that carry authentication should not become meta-variables; a program that checks
/// passwords or tokens itself asks for them.
pub const AUTHORIZATION: bool = false;
/// An unpatched bash runs such a value (CVE-2014-6271), and no honest client sends one.
pub const STRIP_SHELLSHOCK: bool = true;
/// Each costs a process; 64 of Python take about 600 MB.
pub const MAX_PROCESSES: u64 = 64;
/// Four full rounds of the process slots.
pub const CGI_QUEUE: u64 = 256;
/// From TERM to KILL: time to remove a lock file, not to finish the work.
pub const KILL_GRACE: Duration = Duration::from_secs(2);
/// RFC 3875 5 leaves the way to recognise such scripts to the server; this name is the custom.
pub const NPH: &str = "by-name";
/// Where a POSIX system and its administrator put programs; the gateway's own PATH is not passed on.
pub const PROGRAM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Enough for a traceback of every language; a script that writes for ever must not fill the log.
pub const STDERR_LINES: u64 = 100;
/// In the middle: a route can be set above the others, or below.
pub const PRIORITY: u64 = 5;
/// What the status page tells of programs and paths is nobody's business who is not on this machine.
pub const STATUS_PUBLIC: bool = false;
/// What a browser gets for a folder.
pub const FILES_INDEX: &str = "index.html";
/// What an `index` that ends in it means.
pub const SPLIT_PHP: &str = ".php";

// Programs inside the process that mounts them; the mounting says otherwise.

/// As many as processes of a CGI route: each is started when it is needed, and costs some ten KiB that were touched.
pub const APP_THREADS: usize = 64;
/// As before the process slots of a CGI route.
pub const APP_QUEUE: usize = 256;
