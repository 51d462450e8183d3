//! Turns the parsed lines of a head or trailer section into a `HeaderMap`, and says what is wrong with lines that do
//! not parse; knows no field's meaning.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Excerpt, Place};
use crate::grammar::{is_token, is_value};
use crate::violation::PeerError;

/// The fields of a section, their values being slices of it.
pub(crate) fn collect(
    section: &Bytes,
    fields: &[httparse::Header<'_>],
    place: Place,
) -> Result<HeaderMap, PeerError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| PeerError::FieldName { place, line: Excerpt::of(field.name.as_bytes()) })?;
        // An empty value is a slice of nothing in particular; `slice_ref` takes it too.
        let value = HeaderValue::from_maybe_shared(section.slice_ref(field.value))
            .map_err(|_| PeerError::FieldValue { place, line: Excerpt::of(field.name.as_bytes()) })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// What is wrong with the field lines of a section that httparse refused; `None` if nothing is found.
pub(crate) fn diagnose(lines: &[u8], place: Place) -> Option<PeerError> {
    let mut rest = lines;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            return None;
        }
        let excerpt = || Excerpt::of(line);
        if line.contains(&b'\r') {
            return Some(PeerError::BareCr { place });
        }
        // RFC 9112 5.2: a server refuses a folded line, or replaces it by spaces; it is refused.
        if matches!(line[0], b' ' | b'\t') {
            return Some(PeerError::FoldedField { place, line: excerpt() });
        }
        // RFC 9112 5.1: no space between name and colon.
        let name = memchr::memchr(b':', line).map_or(&[][..], |at| &line[..at]);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Some(PeerError::FieldName { place, line: excerpt() });
        }
        if !line[name.len()..].iter().all(|b| is_value(*b)) {
            return Some(PeerError::FieldValue { place, line: excerpt() });
        }
    }
    None
}
