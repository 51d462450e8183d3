//! Which header fields become `HTTP_*` variables and under which names; knows single names, no environ and no
//! values.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::names::HTTP_PREFIX;

/// Fields on which access or framing may depend: an alias of one of them is an attack even when the field
/// itself is absent.
const SENSITIVE: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "proxy",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-remote-user",
];

/// Is it a field of one connection only (RFC 9110 7.6.1)?
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Does a `Connection` field name this one (RFC 9110 7.6.1)? `Host` cannot be named away: RFC 9110 7.2
/// demands it.
pub(crate) fn nominated(headers: &HeaderMap, name: &HeaderName) -> bool {
    let names_it = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    *name != HOST && headers.get_all(CONNECTION).iter().any(names_it)
}

/// Takes the fields of one connection out of a head: `Connection` and what it names, `Keep-Alive`, `TE`, `Trailer`,
/// `Transfer-Encoding`, `Upgrade`, `Proxy-Connection` (RFC 9110 7.6.1).
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// for (name, value) in [("connection", "x-own, close"), ("x-own", "1"), ("te", "trailers"), ("accept", "*/*")] {
///     headers.insert(name, value.parse()?);
/// }
/// gatebridge_cgi::remove_hop_by_hop(&mut headers);
/// assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let is_hop = |name: &&HeaderName| is_hop_by_hop(name) || nominated(headers, name);
    let hops: Vec<_> = headers.keys().filter(is_hop).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

/// May a field of this name ever become a variable, whatever the environ says?
pub(crate) fn may_be_listed(name: &HeaderName) -> bool {
    // Only letters, digits and hyphens: "X_Forwarded_For" and "X.Forwarded.For" would turn into the variable
    // of "X-Forwarded-For", which a proxy before us has checked, and they have not been.
    let plain = name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain && !has_own_variable(name) && !is_hop_by_hop(name) && !consumed(name) && name != "proxy"
}

/// RFC 3875 4.1.18: a field that is available through a variable of its own need not come again.
fn has_own_variable(name: &HeaderName) -> bool {
    name == CONTENT_LENGTH || name == CONTENT_TYPE
}

/// Fields that are answered by the gateway itself: 100-continue is its business, and proxy credentials are
/// for a proxy.
fn consumed(name: &HeaderName) -> bool {
    name == EXPECT || name == PROXY_AUTHORIZATION
}

/// Is it the field that [`pass_authorization`](crate::Environ::pass_authorization) decides about?
pub(crate) fn is_authorization(name: &HeaderName) -> bool {
    name == AUTHORIZATION
}

/// Writes `HTTP_` and the name in capitals with `_` for `-` into `buffer`, in place of what was there (RFC
/// 3875 4.1.18).
pub(crate) fn variable_name(name: &HeaderName, buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.extend_from_slice(HTTP_PREFIX.as_bytes());
    buffer.extend(
        name.as_str().bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }),
    );
}

/// The field that a variable `HTTP_FOO_BAR` was: `foo-bar`. `None` for what [`variable_name`] never writes.
pub(crate) fn field_name(variable: &[u8]) -> Option<HeaderName> {
    let name = variable.strip_prefix(HTTP_PREFIX.as_bytes())?;
    let canonical = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    if name.is_empty() || !name.iter().all(canonical) {
        return None;
    }
    let lower: Vec<u8> =
        name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
    HeaderName::from_bytes(&lower).ok()
}

/// The first field that passes itself off as another: its name holds a byte that is no letter, digit or
/// hyphen, and with hyphens in those places it is the name of a field that is present too, or on which access
/// or framing may depend.
///
/// The walker leaves such a field out anyway. A front that is strict answers 400.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::HeaderName};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(HeaderName::from_static("x_forwarded_for"), HeaderValue::from_static("::1"));
/// assert_eq!(gatebridge_cgi::alias(&headers).map(HeaderName::as_str), Some("x_forwarded_for"));
/// ```
#[must_use]
pub fn alias(headers: &HeaderMap) -> Option<&HeaderName> {
    headers.keys().find(|name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.as_str().bytes().all(plain) {
            return false;
        }
        let meant: String =
            name.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
        SENSITIVE.contains(&meant.as_str()) || headers.contains_key(meant.as_str())
    })
}
