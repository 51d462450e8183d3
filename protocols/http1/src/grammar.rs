//! Classes of bytes and the small rules of RFC 9110 and RFC 9112 that are built from them; knows no message and no limit.

use http::HeaderMap;
use http::header::AsHeaderName;

/// RFC 9110 5.6.2: a byte of a token, as methods and field names are.
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// RFC 5234 B.1: a visible character of ASCII.
pub(crate) const fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e)
}

/// RFC 9110 5.5: a byte of a field value or a reason phrase: visible, 8-bit, space or tab; no other control byte.
pub(crate) const fn is_value(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)
}

/// A byte of a request target as it is taken here: every visible character but `#`, which begins a fragment, and a
/// fragment is never sent (RFC 9112 3.2). `"<>\^`{|}` are not in RFC 3986 but in many a query, and
/// mean nothing to anybody on the way.
pub(crate) const fn is_target(byte: u8) -> bool {
    is_visible(byte) && byte != b'#'
}

/// RFC 3986 3.2.2: a byte of a registered name, `%` left to its caller.
pub(crate) const fn is_reg_name(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 3986 2.1: whether each `%` is followed by two hexadecimal digits.
pub(crate) fn percent_is_sound(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let digits = rest.get(at + 1..at + 3);
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        rest = &rest[at + 3..];
    }
    true
}

/// RFC 9110 8.6: one or more digits that fit; no sign, no space, no list.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

/// Without the spaces and tabs around it (RFC 9110 5.6.3, OWS).
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let Some(start) = bytes.iter().position(|b| !blank(b)) else { return &[] };
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// The elements of a field that is a list (RFC 9110 5.6.1), over all its lines, empty ones left out.
pub(crate) fn list(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(trimmed)
        .filter(|element| !element.is_empty())
}

/// Whether a list holds a token, in whatever case.
pub(crate) fn lists(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}
