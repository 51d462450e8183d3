//! The names of the meta-variables and which of them nobody outside may set; knows no values and no environ.

/// `AUTH_TYPE`: how the gateway authenticated the user (RFC 3875 4.1.1).
pub const AUTH_TYPE: &str = "AUTH_TYPE";
/// `CONTENT_LENGTH`: bytes of the request's body (RFC 3875 4.1.2).
pub const CONTENT_LENGTH: &str = "CONTENT_LENGTH";
/// `CONTENT_TYPE`: media type of the request's body (RFC 3875 4.1.3).
pub const CONTENT_TYPE: &str = "CONTENT_TYPE";
/// `GATEWAY_INTERFACE`: always `CGI/1.1` (RFC 3875 4.1.4).
pub const GATEWAY_INTERFACE: &str = "GATEWAY_INTERFACE";
/// `PATH_INFO`: the decoded path after the script (RFC 3875 4.1.5).
pub const PATH_INFO: &str = "PATH_INFO";
/// `PATH_TRANSLATED`: `PATH_INFO` as a file below the document root (RFC 3875 4.1.6).
pub const PATH_TRANSLATED: &str = "PATH_TRANSLATED";
/// `QUERY_STRING`: what follows the `?`, not decoded (RFC 3875 4.1.7).
pub const QUERY_STRING: &str = "QUERY_STRING";
/// `REMOTE_ADDR`: the client's address (RFC 3875 4.1.8).
pub const REMOTE_ADDR: &str = "REMOTE_ADDR";
/// `REMOTE_HOST`: the client's host name (RFC 3875 4.1.9).
pub const REMOTE_HOST: &str = "REMOTE_HOST";
/// `REMOTE_USER`: the authenticated user (RFC 3875 4.1.11).
pub const REMOTE_USER: &str = "REMOTE_USER";
/// `REQUEST_METHOD` (RFC 3875 4.1.12).
pub const REQUEST_METHOD: &str = "REQUEST_METHOD";
/// `SCRIPT_NAME`: the decoded path that names the script (RFC 3875 4.1.13).
pub const SCRIPT_NAME: &str = "SCRIPT_NAME";
/// `SERVER_NAME`: the host that the client asked for (RFC 3875 4.1.14).
pub const SERVER_NAME: &str = "SERVER_NAME";
/// `SERVER_PORT` (RFC 3875 4.1.15).
pub const SERVER_PORT: &str = "SERVER_PORT";
/// `SERVER_PROTOCOL`: the version of HTTP (RFC 3875 4.1.16).
pub const SERVER_PROTOCOL: &str = "SERVER_PROTOCOL";
/// `SERVER_SOFTWARE` (RFC 3875 4.1.17).
pub const SERVER_SOFTWARE: &str = "SERVER_SOFTWARE";

/// `DOCUMENT_ROOT`: the folder of the site; by common use, not in RFC 3875.
pub const DOCUMENT_ROOT: &str = "DOCUMENT_ROOT";
/// `HTTPS`: `on` over TLS, else not set; by common use.
pub const HTTPS: &str = "HTTPS";
/// `REDIRECT_QUERY_STRING`: the query before a local redirect; by common use.
pub const REDIRECT_QUERY_STRING: &str = "REDIRECT_QUERY_STRING";
/// `REDIRECT_REQUEST_METHOD`: the method before a local redirect; by common use.
pub const REDIRECT_REQUEST_METHOD: &str = "REDIRECT_REQUEST_METHOD";
/// `REDIRECT_STATUS`: php-cgi refuses to run without it.
pub const REDIRECT_STATUS: &str = "REDIRECT_STATUS";
/// `REDIRECT_URL`: the path before a local redirect; by common use.
pub const REDIRECT_URL: &str = "REDIRECT_URL";
/// `REMOTE_PORT`: the client's port; by common use.
pub const REMOTE_PORT: &str = "REMOTE_PORT";
/// `REQUEST_SCHEME`: `http` or `https`; by common use.
pub const REQUEST_SCHEME: &str = "REQUEST_SCHEME";
/// `REQUEST_URI`: the request's target exactly as received; by common use.
pub const REQUEST_URI: &str = "REQUEST_URI";
/// `SCRIPT_FILENAME`: the script's file; by common use.
pub const SCRIPT_FILENAME: &str = "SCRIPT_FILENAME";
/// `SERVER_ADDR`: the address that the client connected to; by common use.
pub const SERVER_ADDR: &str = "SERVER_ADDR";
/// `UNIQUE_ID`: the request's id, as in the log; by common use.
pub const UNIQUE_ID: &str = "UNIQUE_ID";

/// `SCGI`: the marker of the SCGI protocol. It belongs to one connection and is never a variable of an
/// environ.
pub const SCGI: &str = "SCGI";
/// `HTTP_PROXY`: what the field `Proxy` would become, and what many programs take for their own proxy
/// setting.
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// What the name of a variable that was a request field begins with (RFC 3875 4.1.18).
pub const HTTP_PREFIX: &str = "HTTP_";

/// Every name that the gateway itself sets, `CONTENT_LENGTH` first.
pub const SERVER_SET: [&str; 28] = [
    CONTENT_LENGTH,
    CONTENT_TYPE,
    GATEWAY_INTERFACE,
    SERVER_SOFTWARE,
    SERVER_PROTOCOL,
    SERVER_NAME,
    SERVER_PORT,
    SERVER_ADDR,
    REQUEST_METHOD,
    REQUEST_SCHEME,
    HTTPS,
    REQUEST_URI,
    SCRIPT_NAME,
    PATH_INFO,
    PATH_TRANSLATED,
    QUERY_STRING,
    SCRIPT_FILENAME,
    DOCUMENT_ROOT,
    REMOTE_ADDR,
    REMOTE_PORT,
    REMOTE_HOST,
    REMOTE_USER,
    AUTH_TYPE,
    UNIQUE_ID,
    REDIRECT_STATUS,
    REDIRECT_URL,
    REDIRECT_QUERY_STRING,
    REDIRECT_REQUEST_METHOD,
];

/// Names by which an environment changes what a new process loads or runs.
const STEERING: [&str; 26] = [
    "BASH_ENV",
    "BASHOPTS",
    "CDPATH",
    "ENV",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PS4",
    "RES_OPTIONS",
    "RESOLV_HOST_CONF",
    "SHELLOPTS",
    "TMPDIR",
    "TZDIR",
    "_JAVA_OPTIONS",
];

/// First letters of further names of that sort: whole families that an interpreter or loader reads.
const STEERING_PREFIXES: [&str; 9] =
    ["LD_", "DYLD_", "BASH_FUNC_", "GLIBC_", "MALLOC_", "PERL", "PYTHON", "RUBY", "_RLD"];

/// Is it the name of a variable that the gateway itself sets ([`SERVER_SET`])?
#[must_use]
pub fn is_server_set(name: &[u8]) -> bool {
    SERVER_SET.iter().any(|set| set.as_bytes() == name)
}

/// Would a variable of this name, in a process's environment, change what that process loads or runs
/// (`LD_PRELOAD`, `PATH`, `PYTHONPATH`, `BASH_ENV` ...)?
///
/// Such a variable may come from the configuration; the walker keeps one that came with a request out of a
/// process's environment.
#[must_use]
pub fn steers_a_process(name: &[u8]) -> bool {
    STEERING.iter().any(|steering| steering.as_bytes() == name)
        || STEERING_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Must nothing that a request or a program says be able to set this variable?
///
/// That is each name of [`SERVER_SET`], each that [steers a process](steers_a_process), and the two by which
/// php-fpm takes settings (`PHP_VALUE`, `PHP_ADMIN_VALUE`).
///
/// ```
/// use gatebridge_cgi::names::is_protected;
/// assert!(is_protected(b"REMOTE_USER") && is_protected(b"PHP_ADMIN_VALUE") && is_protected(b"LD_PRELOAD"));
/// assert!(!is_protected(b"HTTP_ACCEPT") && !is_protected(b"GIT_PROJECT_ROOT"));
/// ```
#[must_use]
pub fn is_protected(name: &[u8]) -> bool {
    is_server_set(name) || steers_a_process(name) || name == b"PHP_VALUE" || name == b"PHP_ADMIN_VALUE"
}
