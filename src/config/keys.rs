//! The table of every key that a file may hold, with its type and default: the reader obeys it and the
//! documentation is compared with it; it does not know what a key does.

use std::fmt;
use std::time::Duration;

use super::defaults as d;
use super::units::{ByteSize, Time};

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// `[[listen]]`
    Listen,
    /// `[server]`
    Server,
    /// `[log]`
    Log,
    /// `[pool.NAME]`
    Pool,
    /// `[pool.NAME.workers]`, or `workers = { ... }` in `[pool.NAME]`
    Workers,
    /// `[[route]]`
    Route,
}

impl Table {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Listen, Self::Server, Self::Log, Self::Pool, Self::Workers, Self::Route];

    /// The header as one writes it.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Listen => "[[listen]]",
            Self::Server => "[server]",
            Self::Log => "[log]",
            Self::Pool => "[pool.NAME]",
            Self::Workers => "[pool.NAME.workers]",
            Self::Route => "[[route]]",
        }
    }

    /// Its keys, in the order of the documentation.
    pub const fn keys(self) -> &'static [Key] {
        match self {
            Self::Listen => LISTEN,
            Self::Server => SERVER,
            Self::Log => LOG,
            Self::Pool => POOL,
            Self::Workers => WORKERS,
            Self::Route => ROUTE,
        }
    }
}

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What may stand behind it.
    pub kind: Kind,
    /// What holds when it is not written.
    pub preset: Preset,
    /// For which kind of pool or route it is.
    pub only: Only,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// One of a few words.
    Word,
    /// A path; a relative one starts at the folder of the file.
    Path,
    /// `true` or `false`.
    Flag,
    /// `true`, `false` or a word.
    FlagOrWord,
    /// A list of strings.
    List,
    /// A table of strings.
    Table,
    /// A whole number.
    Count {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
        /// Whether `"none"` may be written: no limit.
        none: bool,
    },
    /// A whole number, or a table of its own that says more.
    CountOrTable {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A string like `"30s"`.
    Duration {
        /// Whether `"0s"` makes sense.
        zero: bool,
        /// Whether `"none"` may be written: no limit.
        none: bool,
    },
    /// A string like `"64KiB"`, or a whole number of bytes.
    Size {
        /// The smallest, in bytes.
        min: u64,
        /// The largest, in bytes.
        max: u64,
        /// Whether `"none"` may be written: no limit.
        none: bool,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, none) = match self {
            Self::Text => ("string", false),
            Self::Word => ("word", false),
            Self::Path => ("path", false),
            Self::Flag => ("true or false", false),
            Self::FlagOrWord => ("true, false or word", false),
            Self::List => ("list of strings", false),
            Self::Table => ("table of strings", false),
            Self::Count { none, .. } => ("number", *none),
            Self::CountOrTable { .. } => ("number or table", false),
            Self::Duration { none, .. } => ("duration", *none),
            Self::Size { none, .. } => ("size", *none),
        };
        write!(formatter, "{word}{}", if none { " or `\"none\"`" } else { "" })
    }
}

/// What holds when a key is not written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preset {
    /// It must be written.
    Required,
    /// Depends on something else, or nothing; in words for the documentation.
    Words(&'static str),
    /// This string.
    Text(&'static str),
    /// This truth.
    Flag(bool),
    /// This number.
    Count(u64),
    /// This time.
    Duration(Duration),
    /// This many bytes.
    Size(u64),
    /// These permission bits.
    Mode(u32),
    /// No limit.
    None,
    /// An empty list or table.
    Empty,
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => write!(formatter, "required"),
            Self::Words(words) => write!(formatter, "{words}"),
            Self::Text(text) => write!(formatter, "`\"{text}\"`"),
            Self::Flag(flag) => write!(formatter, "`{flag}`"),
            Self::Count(number) => write!(formatter, "`{number}`"),
            Self::Duration(duration) => write!(formatter, "`\"{}\"`", Time(*duration)),
            Self::Size(bytes) => write!(formatter, "`\"{}\"`", ByteSize(*bytes)),
            Self::Mode(mode) => write!(formatter, "`\"{mode:04o}\"`"),
            Self::None => write!(formatter, "`\"none\"`"),
            Self::Empty => write!(formatter, "empty"),
        }
    }
}

/// For which kind of pool or route a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// For every kind.
    Any,
    /// Routes with `cgi`.
    Cgi,
    /// Routes with `pool`.
    ToPool,
    /// Routes with `cgi` or `pool`: what a program answers.
    Program,
    /// Routes with `pool` or `files`.
    PoolOrFiles,
    /// Routes with `page = "status"`.
    StatusPage,
    /// Pools with `command`.
    Command,
    /// Pools with `connect`.
    Connect,
    /// Listeners at a unix socket.
    Unix,
    /// Workers whose number follows the load within limits.
    Dynamic,
    /// Workers whose number follows the load.
    Elastic,
}

impl Only {
    /// The kinds in words, for messages.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Any => "any table",
            Self::Cgi => "routes with `cgi`",
            Self::ToPool => "routes with `pool`",
            Self::Program => "routes with `cgi` or `pool`",
            Self::PoolOrFiles => "routes with `pool` or `files`",
            Self::StatusPage => "routes with `page = \"status\"`",
            Self::Command => "pools with `command`",
            Self::Connect => "pools with `connect`",
            Self::Unix => "listeners at a \"unix:\" address",
            Self::Dynamic => "the mode \"dynamic\"",
            Self::Elastic => "the modes \"dynamic\" and \"ondemand\"",
        }
    }
}

const MIB: u64 = 1024 * 1024;
/// Beyond this a number of bytes is a slip of the keyboard (and would not fit a file offset).
pub(super) const HUGE: u64 = i64::MAX as u64;

/// More processes than this one machine does not run well.
const MAX_WORKERS: u64 = 10_000;

const TIME: Kind = Kind::Duration { zero: false, none: false };
const TIME_OR_ZERO: Kind = Kind::Duration { zero: true, none: false };
const TIME_OR_NONE: Kind = Kind::Duration { zero: false, none: true };
const SIZE: Kind = Kind::Size { min: 0, max: HUGE, none: false };
const SIZE_OR_NONE: Kind = Kind::Size { min: 0, max: HUGE, none: true };

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max, none: false }
}

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset, only: Only::Any }
}

const fn only(only: Only, name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset, only }
}

const LISTEN: &[Key] = &[
    key("address", Kind::Text, Preset::Required),
    key("speak", Kind::Word, Preset::Text(d::LISTEN_SPEAK)),
    only(Only::Unix, "mode", Kind::Text, Preset::Mode(d::UNIX_MODE)),
    key("trusted_proxies", Kind::List, Preset::Empty),
    key("max_connections", count(1, 10_000_000), Preset::Count(d::MAX_CONNECTIONS)),
    key("max_connections_per_ip", Kind::Count { min: 1, max: 10_000_000, none: true }, Preset::None),
    key("head_timeout", TIME, Preset::Duration(d::HEAD_TIMEOUT)),
    key("idle_timeout", TIME, Preset::Duration(d::IDLE_TIMEOUT)),
    key("min_body_rate", Kind::Size { min: 1, max: HUGE, none: true }, Preset::Size(d::MIN_BODY_RATE)),
    key("body_grace", TIME_OR_ZERO, Preset::Duration(d::BODY_GRACE)),
    key("write_timeout", TIME, Preset::Duration(d::WRITE_TIMEOUT)),
    key("max_head", Kind::Size { min: 1024, max: 16 * MIB, none: false }, Preset::Size(d::MAX_HEAD)),
    key("max_headers", count(1, 10_000), Preset::Count(d::MAX_HEADERS)),
    key("max_target", Kind::Size { min: 64, max: 16 * MIB, none: false }, Preset::Size(d::MAX_TARGET)),
    key("linger_timeout", TIME_OR_ZERO, Preset::Duration(d::LINGER_TIMEOUT)),
    key("linger_bytes", SIZE, Preset::Size(d::LINGER_BYTES)),
    key("half_close", Kind::Flag, Preset::Flag(d::HALF_CLOSE)),
];

const SERVER: &[Key] = &[
    key("grace", TIME_OR_ZERO, Preset::Duration(d::SERVER_GRACE)),
    key("threads", count(1, 1024), Preset::Words("the number of CPUs")),
    key("spawners", count(1, 256), Preset::Count(d::SPAWNERS)),
    key("name", Kind::Text, Preset::Text(d::SERVER_NAME)),
    key("temp_dir", Kind::Path, Preset::Words("`TMPDIR`, else `/tmp`")),
    key("max_spool_total", SIZE, Preset::Size(d::MAX_SPOOL_TOTAL)),
];

const LOG: &[Key] = &[
    key("access", Kind::Text, Preset::Text(d::LOG_ACCESS)),
    key("access_format", Kind::Word, Preset::Text(d::LOG_ACCESS_FORMAT)),
    key("level", Kind::Word, Preset::Text(d::LOG_LEVEL)),
    key("format", Kind::Word, Preset::Text(d::LOG_FORMAT)),
];

const POOL: &[Key] = &[
    key("speak", Kind::Word, Preset::Required),
    only(Only::Command, "command", Kind::List, Preset::Words("this or `connect`")),
    only(
        Only::Command,
        "workers",
        Kind::CountOrTable { min: 1, max: MAX_WORKERS },
        Preset::Count(d::WORKERS),
    ),
    only(Only::Command, "concurrency", count(1, 10_000), Preset::Count(d::CONCURRENCY)),
    only(Only::Command, "env", Kind::Table, Preset::Empty),
    only(Only::Command, "pass_env", Kind::List, Preset::Empty),
    only(Only::Command, "cwd", Kind::Path, Preset::Words("the folder of the file")),
    only(Only::Command, "start_timeout", TIME, Preset::Duration(d::START_TIMEOUT)),
    only(Only::Command, "stop_grace", TIME_OR_ZERO, Preset::Duration(d::STOP_GRACE)),
    only(Only::Command, "max_requests", Kind::Count { min: 1, max: 1 << 40, none: true }, Preset::None),
    only(Only::Command, "max_lifetime", TIME_OR_NONE, Preset::None),
    only(Only::Command, "max_memory", Kind::Size { min: MIB, max: HUGE, none: true }, Preset::None),
    only(Only::Command, "max_memory_hard", Kind::Size { min: MIB, max: HUGE, none: true }, Preset::None),
    only(Only::Command, "recycle_jitter", count(0, 50), Preset::Count(d::RECYCLE_JITTER)),
    only(Only::Command, "restart_backoff_min", TIME, Preset::Duration(d::RESTART_BACKOFF_MIN)),
    only(Only::Command, "restart_backoff_max", TIME, Preset::Duration(d::RESTART_BACKOFF_MAX)),
    only(Only::Connect, "connect", Kind::List, Preset::Words("this or `command`")),
    only(Only::Connect, "max_connections", count(1, 100_000), Preset::Count(d::POOL_MAX_CONNECTIONS)),
    key("queue", count(0, 1_000_000), Preset::Count(d::POOL_QUEUE)),
    key("queue_timeout", TIME, Preset::Duration(d::QUEUE_TIMEOUT)),
    key("predict_wait", Kind::Flag, Preset::Flag(d::PREDICT_WAIT)),
    key("connect_timeout", TIME, Preset::Duration(d::CONNECT_TIMEOUT)),
    key("keep_alive", Kind::Flag, Preset::Words("`true` for FastCGI, `false` for SCGI")),
    key("idle_timeout", TIME, Preset::Duration(d::POOL_IDLE_TIMEOUT)),
];

const WORKERS: &[Key] = &[
    key("mode", Kind::Word, Preset::Text(d::WORKERS_MODE)),
    key("max", count(1, MAX_WORKERS), Preset::Required),
    only(Only::Dynamic, "min", count(0, MAX_WORKERS), Preset::Count(d::WORKERS_MIN)),
    only(Only::Dynamic, "spare", count(0, MAX_WORKERS), Preset::Count(d::WORKERS_SPARE)),
    only(Only::Elastic, "idle_timeout", TIME, Preset::Duration(d::WORKERS_IDLE_TIMEOUT)),
    only(Only::Elastic, "scale_after", TIME_OR_ZERO, Preset::Duration(d::SCALE_AFTER)),
];

const ROUTE: &[Key] = &[
    key("path", Kind::Text, Preset::Required),
    key("host", Kind::Text, Preset::Words("any host")),
    key("methods", Kind::List, Preset::Words("every method")),
    key("cgi", Kind::Path, Preset::Words("one of these four")),
    key("pool", Kind::Text, Preset::Words("one of these four")),
    key("files", Kind::Path, Preset::Words("one of these four")),
    key("page", Kind::Word, Preset::Words("one of these four")),
    key("timeout", TIME_OR_NONE, Preset::None),
    key("max_body", SIZE_OR_NONE, Preset::Size(d::MAX_BODY)),
    only(Only::Program, "env", Kind::Table, Preset::Empty),
    only(Only::Program, "first_byte_timeout", TIME_OR_NONE, Preset::Duration(d::FIRST_BYTE_TIMEOUT)),
    only(Only::Program, "output_timeout", TIME_OR_NONE, Preset::Duration(d::OUTPUT_TIMEOUT)),
    only(
        Only::Program,
        "max_output_head",
        Kind::Size { min: 1024, max: 16 * MIB, none: false },
        Preset::Size(d::MAX_OUTPUT_HEAD),
    ),
    only(Only::Program, "body", Kind::Word, Preset::Text(d::BODY)),
    only(
        Only::Program,
        "spool_memory",
        Kind::Size { min: 0, max: 1024 * MIB, none: false },
        Preset::Size(d::SPOOL_MEMORY),
    ),
    only(Only::Program, "authorization", Kind::Flag, Preset::Flag(d::AUTHORIZATION)),
    only(Only::Program, "strip_shellshock", Kind::Flag, Preset::Flag(d::STRIP_SHELLSHOCK)),
    only(Only::Cgi, "max_processes", count(1, 100_000), Preset::Count(d::MAX_PROCESSES)),
    only(Only::Cgi, "queue", count(0, 1_000_000), Preset::Count(d::CGI_QUEUE)),
    only(Only::Cgi, "queue_timeout", TIME, Preset::Duration(d::QUEUE_TIMEOUT)),
    only(Only::Cgi, "kill_grace", TIME_OR_ZERO, Preset::Duration(d::KILL_GRACE)),
    only(Only::Cgi, "nph", Kind::FlagOrWord, Preset::Text(d::NPH)),
    only(Only::Cgi, "cgi_path", Kind::Text, Preset::Text(d::PROGRAM_PATH)),
    only(Only::Cgi, "pass_env", Kind::List, Preset::Empty),
    only(Only::Cgi, "stderr_lines", count(0, 1_000_000), Preset::Count(d::STDERR_LINES)),
    only(Only::ToPool, "priority", count(0, 9), Preset::Count(d::PRIORITY)),
    only(Only::ToPool, "root", Kind::Path, Preset::Words("none")),
    only(Only::ToPool, "split", Kind::Text, Preset::Words("`\".php\"` when `index` ends in it, else none")),
    only(
        Only::PoolOrFiles,
        "index",
        Kind::Text,
        Preset::Words("with `files`: `\"index.html\"`; with `pool`: none"),
    ),
    only(Only::StatusPage, "public", Kind::Flag, Preset::Flag(d::STATUS_PUBLIC)),
];
