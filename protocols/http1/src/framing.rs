//! Which rule says where a body ends (RFC 9112 6.3), for messages read and messages written; reads and writes none itself.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

use crate::error::Excerpt;
use crate::grammar::{decimal, is_token, list};
use crate::violation::PeerError;

/// Where a message's content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk (RFC 9112 7.1).
    Chunked,
    /// Where the connection ends: responses only, and nobody can tell it from a broken one.
    UntilClose,
}

/// RFC 9112 6.3 for requests: chunked, a length, or nothing.
pub(crate) fn of_request(version: Version, headers: &HeaderMap) -> Result<Framing, PeerError> {
    if is_chunked(version, headers)? {
        return Ok(Framing::Chunked);
    }
    // RFC 9112 6.3, rule 7: a request without either has no body.
    Ok(match length(headers)? {
        None | Some(0) => Framing::None,
        Some(n) => Framing::Length(n),
    })
}

/// RFC 9112 6.3 for responses; `to_head` says that the request was HEAD.
pub(crate) fn of_response(
    version: Version,
    status: StatusCode,
    to_head: bool,
    headers: &HeaderMap,
) -> Result<Framing, PeerError> {
    // RFC 9112 6.3, rule 1: whatever the fields say, there is no body; but a lie in them is still one.
    let chunked = is_chunked(version, headers)?;
    let length = length(headers)?;
    Ok(if to_head || has_no_content(status) {
        Framing::None
    } else if chunked {
        Framing::Chunked
    } else {
        match length {
            Some(0) => Framing::None,
            Some(n) => Framing::Length(n),
            None => Framing::UntilClose,
        }
    })
}

/// How a response is framed that we send. `length` is what is known of its content.
pub(crate) const fn to_send(
    status: StatusCode,
    to_head: bool,
    may_chunk: bool,
    length: Option<u64>,
) -> Framing {
    if to_head || has_no_content(status) {
        return Framing::None;
    }
    match length {
        Some(n) => Framing::Length(n),
        // RFC 9112 6.1: chunked is not sent to a client that did not say HTTP/1.1.
        None if may_chunk => Framing::Chunked,
        None => Framing::UntilClose,
    }
}

/// RFC 9110 6.4.1: 1xx, 204 and 304 never have content.
pub(crate) const fn has_no_content(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100..=199 | 204 | 304)
}

/// Whether `Transfer-Encoding` is there and says exactly `chunked`; all else that it may say is refused.
fn is_chunked(version: Version, headers: &HeaderMap) -> Result<bool, PeerError> {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(false) };
    // RFC 9112 6.1: in HTTP/1.0 it is a sign of a message that somebody changed on the way.
    if version == Version::HTTP_10 {
        return Err(PeerError::ChunkedInHttp10);
    }
    // RFC 9112 6.1 allows to take the coding and drop the length; it is refused, because one who sees the length
    // first reads another message (lesson 9).
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(PeerError::LengthAndChunked);
    }
    if values.next().is_none() && value.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    // RFC 9112 6.1: a coding that is not understood is answered with 501; nonsense, and chunked twice or not last, with 400.
    let mut codings = list(headers, TRANSFER_ENCODING).peekable();
    let mut well_formed = codings.peek().is_some();
    let (mut chunked, mut others) = (0u32, 0u32);
    for coding in codings {
        let name = coding.split(|b| matches!(b, b';' | b' ' | b'\t')).next().unwrap_or_default();
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else {
            others += 1;
            well_formed &= chunked == 0 && !name.eq_ignore_ascii_case(b"chunked");
        }
        well_formed &= !name.is_empty() && name.iter().all(|b| is_token(*b));
    }
    well_formed &= chunked <= 1 && others > 0;
    Err(PeerError::TransferCoding { value: Excerpt::of(value.as_bytes()), well_formed })
}

/// `Content-Length`, at most one, digits only (lesson 9).
fn length(headers: &HeaderMap) -> Result<Option<u64>, PeerError> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let more = values.count();
    if more > 0 {
        return Err(PeerError::TwoLengths { count: 1 + more });
    }
    // RFC 9112 6.3, rule 5: a list of equal numbers may be taken as one; it is refused with all other lists.
    match decimal(value.as_bytes()) {
        Some(n) => Ok(Some(n)),
        None => Err(PeerError::BadLength { value: Excerpt::of(value.as_bytes()) }),
    }
}
