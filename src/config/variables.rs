//! Names and values of variables that a file sets or lets through: which are allowed; it does not know who gets them.

use super::diagnostic::Kind as Mistake;
use super::notes::{Notes, Written};

/// The longest `NAME=value` that Linux passes to a program (MAX_ARG_STRLEN, less the NUL).
const MAX_VARIABLE_BYTES: usize = 128 * 1024 - 1;

/// RFC 3875 4.1: what a request is described with belongs to the gateway. AUTH_TYPE, REMOTE_USER, REMOTE_IDENT and
/// DOCUMENT_ROOT are not here: the gateway does not know better than the file.
const OF_THE_REQUEST: [&str; 21] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCGI",
    "SERVER_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "UNIQUE_ID",
    "REDIRECT_STATUS",
];

/// For whom a table of variables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The meta-variables of a route.
    Route,
    /// The environment of a worker process.
    Process,
}

/// Why a variable may not be set, and what to do instead.
fn refusal(name: &str, target: For) -> Option<(&'static str, &'static str)> {
    if name == "HTTP_PROXY" {
        let hint = "write http_proxy in small letters, which no client can set and most programs read";
        return Some(("holds what a client sent and nothing else", hint));
    }
    if name.starts_with("HTTP_") {
        // Lessons of httpoxy: a variable of this name is what a client sent, never anything else.
        return Some(("holds what a client sent and nothing else", "choose a name without HTTP_"));
    }
    if OF_THE_REQUEST.contains(&name) || name.starts_with("SCRIPT_") || name.starts_with("REDIRECT_") {
        return Some(("describes the request, and only the gateway sets it", "remove it"));
    }
    match target {
        For::Route if name.starts_with("LD_") => {
            Some(("changes how every program is loaded", "set it in a script that starts the program"))
        }
        For::Route if name == "PATH" => Some((
            "is not a variable of a request",
            "set `cgi_path` of a route with `cgi`, or PATH in `env` of the pool",
        )),
        _ => None,
    }
}

/// The pairs that may be set, sorted by name; the others are noted.
pub(super) fn allowed(
    pairs: Vec<(Written, Written)>,
    target: For,
    notes: &Notes<'_>,
) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        if !name_is_good(&name, notes) {
            continue;
        }
        if let Some((reason, hint)) = refusal(&name.text, target) {
            notes.error(Mistake::Value, &name.span, format!("{} {reason}", name.text), hint);
            continue;
        }
        let bytes = name.text.len() + 1 + value.text.len();
        if value.text.contains('\0') {
            let message = format!("the value of {} holds a NUL, which ends every variable", name.text);
            notes.error(Mistake::Value, &value.span, message, "remove it");
        } else if bytes > MAX_VARIABLE_BYTES {
            let message =
                format!("{} has {bytes} bytes, and a variable at most {MAX_VARIABLE_BYTES}", name.text);
            notes.error(Mistake::Value, &value.span, message, "put the value into a file and name the file");
        } else {
            kept.push((name.text, value.text));
        }
    }
    kept.sort();
    kept
}

/// The names that may be let through from the gateway's own environment; the others are noted.
pub(super) fn passed(names: Vec<Written>, notes: &Notes<'_>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !name_is_good(&name, notes) {
            continue;
        }
        if let Some((reason, _)) = refusal(&name.text, For::Process) {
            let message = format!("{} {reason}", name.text);
            notes.error(Mistake::Value, &name.span, message, "remove it from the list");
        } else if name.text == "PATH" {
            let message = "PATH is not let through, so that programs run alike whoever started the gateway";
            notes.error(
                Mistake::Value,
                &name.span,
                message,
                "set it: `cgi_path` of a route, PATH in `env` of a pool",
            );
        } else if kept.contains(&name.text) {
            notes.error(Mistake::Conflict, &name.span, format!("{} is there twice", name.text), "remove one");
        } else {
            kept.push(name.text);
        }
    }
    kept
}

fn name_is_good(name: &Written, notes: &Notes<'_>) -> bool {
    // POSIX 8.1: upper and lower case letters, digits and underscores, not starting with a digit.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let good =
        name.text.bytes().all(letter) && !name.text.is_empty() && !name.text.as_bytes()[0].is_ascii_digit();
    if !good {
        let message = format!("\"{}\" is not the name of a variable", name.text.escape_debug());
        let hint = "use letters, digits and underscores, and start with a letter";
        notes.error(Mistake::Value, &name.span, message, hint);
    }
    good
}
