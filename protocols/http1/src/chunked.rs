//! The chunked coding, read (RFC 9112 7.1): sizes, extensions, data, trailers; knows no message and no limit on bodies.
//!
//! Written by hand, because the parser of chunk sizes in httparse takes a line without digits for the last chunk and
//! lets a bare LF pass in extensions: each a way to smuggle a request.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

use crate::error::{Excerpt, Place};
use crate::fields;
use crate::grammar::is_value;
use crate::limits::{FIELDS_CEILING, Limits};
use crate::section::{Found, Section};
use crate::violation::PeerError;

/// Most digits of a chunk size: a 64-bit number has no more, so no size can overflow.
pub(crate) const MAX_SIZE_DIGITS: usize = 16;

/// What is awaited of a chunked body.
#[derive(Debug, Clone, Copy)]
enum Awaits {
    /// A chunk-size line.
    Size,
    /// So many bytes of the present chunk's data.
    Data(u64),
    /// The CR LF behind a chunk's data.
    DataEnd,
    /// The trailer section.
    Trailer(Section),
}

/// A chunked body being read.
#[derive(Debug)]
pub(crate) struct Chunked {
    awaits: Awaits,
    extension_bytes: usize,
}

/// A step of reading a body.
#[derive(Debug)]
pub(crate) enum Part {
    /// More bytes are needed.
    NeedData,
    /// A piece of content.
    Content(Bytes),
    /// The body is complete.
    End(Option<HeaderMap>),
}

impl Chunked {
    pub(crate) const fn new() -> Self {
        Self { awaits: Awaits::Size, extension_bytes: 0 }
    }

    /// Bytes that are still to come of the present chunk's data.
    pub(crate) const fn present_chunk(&self) -> u64 {
        match self.awaits {
            Awaits::Data(left) => left,
            _ => 0,
        }
    }

    /// Where the connection would break off, if it ended now.
    pub(crate) const fn place(&self) -> Place {
        match self.awaits {
            Awaits::Trailer(_) => Place::Trailer,
            _ => Place::Chunk,
        }
    }

    /// Takes the next part off the front of `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Part, PeerError> {
        loop {
            match self.awaits {
                Awaits::Size => match self.read_size(buffer, limits)? {
                    None => return Ok(Part::NeedData),
                    Some(0) => self.awaits = Awaits::Trailer(Section::default()),
                    Some(size) => self.awaits = Awaits::Data(size),
                },
                Awaits::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Part::NeedData);
                    }
                    let taken = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                    let rest = left - taken as u64;
                    self.awaits = if rest == 0 { Awaits::DataEnd } else { Awaits::Data(rest) };
                    return Ok(Part::Content(buffer.split_to(taken).freeze()));
                }
                Awaits::DataEnd => match buffer[..] {
                    [b'\r', b'\n', ..] => {
                        let _ = buffer.split_to(2);
                        self.awaits = Awaits::Size;
                    }
                    [] | [b'\r'] => return Ok(Part::NeedData),
                    // RFC 9112 7.1: data longer than its size, or another line end: the next size would be guesswork.
                    [b'\r', byte, ..] | [byte, ..] => return Err(PeerError::ChunkEnd { byte }),
                },
                Awaits::Trailer(section) => return self.read_trailer(section, buffer, limits),
            }
        }
    }

    /// A chunk-size line: digits, extensions, CR LF. `None` until it is whole.
    fn read_size(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<u64>, PeerError> {
        let limit = limits.max_chunk_line_bytes;
        let within = &buffer[..buffer.len().min(limit)];
        let Some(end) = memchr::memchr(b'\n', within) else {
            return if within.len() == limit { Err(PeerError::ChunkLineTooLong { limit }) } else { Ok(None) };
        };
        let Some(line) = within[..end].strip_suffix(b"\r") else {
            return Err(PeerError::BareLf { place: Place::Chunk });
        };
        if line.contains(&b'\r') {
            return Err(PeerError::BareCr { place: Place::Chunk });
        }
        let (size, extension_bytes) = size_of(line)?;
        self.extension_bytes += extension_bytes;
        if self.extension_bytes > limits.max_extension_bytes {
            return Err(PeerError::ExtensionsTooLong { limit: limits.max_extension_bytes });
        }
        let _ = buffer.split_to(end + 1);
        Ok(Some(size))
    }

    fn read_trailer(
        &mut self,
        mut section: Section,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Part, PeerError> {
        match section.look(buffer, limits.max_trailer_bytes, Place::Trailer)? {
            Found::Whole(size) => {
                let trailer = buffer.split_to(size).freeze();
                read_fields(&trailer, limits).map(Part::End)
            }
            Found::More => {
                self.awaits = Awaits::Trailer(section);
                Ok(Part::NeedData)
            }
            Found::TooLarge { .. } => Err(PeerError::TrailerTooLarge { limit: limits.max_trailer_bytes }),
        }
    }
}

/// The size on a chunk-size line, and how many bytes of extensions follow it.
fn size_of(line: &[u8]) -> Result<(u64, usize), PeerError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    // RFC 9112 7.1: one digit or more; no sign, no 0x, no space, and no number that does not fit.
    if digits == 0 || digits > MAX_SIZE_DIGITS {
        return Err(PeerError::ChunkSize { line: Excerpt::of(line) });
    }
    let size = line[..digits].iter().fold(0u64, |n, digit| {
        let value = char::from(*digit).to_digit(16).unwrap_or_default();
        n << 4 | u64::from(value)
    });
    let extension = &line[digits..];
    match extension {
        [] => Ok((size, 0)),
        // RFC 9112 7.1.1: extensions that mean nothing here are skipped, unless they could not be extensions.
        [b';', rest @ ..] if !rest.is_empty() && rest.iter().all(|b| is_value(*b)) => {
            Ok((size, extension.len()))
        }
        [b';', ..] => Err(PeerError::ChunkExtension { line: Excerpt::of(line) }),
        // RFC 9112 7.1.1 wants "bad" whitespace before a semicolon to be parsed. It is refused on purpose: nobody sends it, and
        // parsers disagree about where the size ends then (lesson 9).
        _ => Err(PeerError::ChunkSize { line: Excerpt::of(line) }),
    }
}

fn read_fields(trailer: &Bytes, limits: &Limits) -> Result<Option<HeaderMap>, PeerError> {
    if trailer.len() == 2 {
        return Ok(None);
    }
    let mut places = [httparse::EMPTY_HEADER; FIELDS_CEILING];
    let limit = limits.max_trailer_fields.min(FIELDS_CEILING);
    let fields = match httparse::parse_headers(trailer, &mut places[..limit]) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(PeerError::TooManyTrailers { limit }),
        _ => {
            return Err(fields::diagnose(trailer, Place::Trailer).unwrap_or_else(|| PeerError::FieldName {
                place: Place::Trailer,
                line: Excerpt::of(trailer),
            }));
        }
    };
    let headers = fields::collect(trailer, fields, Place::Trailer)?;
    match headers.keys().find(|name| is_forbidden(name)) {
        Some(name) => Err(PeerError::ForbiddenTrailer { name: Excerpt::of(name.as_str().as_bytes()) }),
        None => Ok(Some(headers)),
    }
}

/// RFC 9110 6.5.1: fields that frame, route, authenticate, condition or describe a message are decided at its head and
/// may not come behind it.
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "host"
            | "keep-alive"
            | "max-forwards"
            | "pragma"
            | "proxy"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "range"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "www-authenticate"
    ) || name.as_str().starts_with("if-")
}
