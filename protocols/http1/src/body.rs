//! A body being read and a body being written, whatever its framing; knows no head and no state of a connection.

use bytes::BytesMut;

use crate::chunked::{Chunked, Part};
use crate::error::{Missing, Place};
use crate::framing::Framing;
use crate::limits::Limits;
use crate::violation::PeerError;

/// How much of a request's body the client still has to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyLeft {
    /// Nothing: its end has been told.
    Nothing,
    /// So many bytes that no event has told yet (they may have been received already).
    Exactly(u64),
    /// Nobody knows: it is chunked, or lasts until the connection closes.
    Unknown,
}

/// A body being read.
#[derive(Debug)]
pub(crate) struct Reader {
    kind: Kind,
    /// Bytes of content told so far, for the limit.
    told: u64,
    limit: u64,
}

#[derive(Debug)]
enum Kind {
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Reader {
    /// Begins a body. An announced length above the limit is refused here, before anything of it is read.
    pub(crate) fn new(framing: Framing, limit: u64) -> Result<Self, PeerError> {
        let kind = match framing {
            Framing::None => Kind::None,
            Framing::Length(size) => Kind::Length(size),
            Framing::Chunked => Kind::Chunked(Chunked::new()),
            Framing::UntilClose => Kind::UntilClose,
        };
        let mut reader = Self { kind, told: 0, limit };
        reader.limit(limit)?;
        Ok(reader)
    }

    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::None, told: 0, limit: u64::MAX }
    }

    /// Changes the limit; what is known to come is measured against it at once.
    pub(crate) fn limit(&mut self, limit: u64) -> Result<(), PeerError> {
        self.limit = limit;
        let known = match &self.kind {
            Kind::Length(left) => self.told.saturating_add(*left),
            Kind::Chunked(chunked) => self.told.saturating_add(chunked.present_chunk()),
            Kind::None | Kind::UntilClose => self.told,
        };
        if known > limit { Err(PeerError::BodyTooLarge { size: known, limit }) } else { Ok(()) }
    }

    pub(crate) const fn left(&self) -> BodyLeft {
        match &self.kind {
            Kind::None => BodyLeft::Nothing,
            Kind::Length(left) => BodyLeft::Exactly(*left),
            Kind::Chunked(_) | Kind::UntilClose => BodyLeft::Unknown,
        }
    }

    /// The next part of the body. `ended` says that no byte follows those in `buffer`.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        ended: bool,
        limits: &Limits,
    ) -> Result<Part, PeerError> {
        let part = match &mut self.kind {
            Kind::None | Kind::Length(0) => Part::End(None),
            Kind::Length(left) if !buffer.is_empty() => {
                let taken = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                *left -= taken as u64;
                Part::Content(buffer.split_to(taken).freeze())
            }
            Kind::UntilClose if !buffer.is_empty() => {
                let room = self.limit - self.told;
                let taken = usize::try_from(room).map_or(buffer.len(), |room| room.min(buffer.len()));
                if taken == 0 {
                    return Err(PeerError::BodyTooLarge { size: self.limit + 1, limit: self.limit });
                }
                Part::Content(buffer.split_to(taken).freeze())
            }
            Kind::UntilClose if ended => Part::End(None),
            Kind::Chunked(chunked) => {
                let part = chunked.read(buffer, limits)?;
                // A chunk that would pass the limit is refused by its size, before its data.
                let known = self.told.saturating_add(chunked.present_chunk());
                let telling = if let Part::Content(content) = &part { content.len() as u64 } else { 0 };
                if known.saturating_add(telling) > self.limit {
                    return Err(PeerError::BodyTooLarge {
                        size: known.saturating_add(telling),
                        limit: self.limit,
                    });
                }
                part
            }
            Kind::Length(_) | Kind::UntilClose => Part::NeedData,
        };
        match &part {
            Part::Content(content) => self.told += content.len() as u64,
            Part::End(_) => self.kind = Kind::None,
            Part::NeedData if ended => return Err(self.truncated()),
            Part::NeedData => {}
        }
        Ok(part)
    }

    const fn truncated(&self) -> PeerError {
        match &self.kind {
            Kind::Length(left) => PeerError::Truncated { place: Place::Body, missing: Missing::Bytes(*left) },
            Kind::Chunked(chunked) => {
                PeerError::Truncated { place: chunked.place(), missing: Missing::Unknown }
            }
            Kind::None | Kind::UntilClose => {
                PeerError::Truncated { place: Place::Body, missing: Missing::Unknown }
            }
        }
    }
}

/// Room for 16 digits and CR LF.
const PREFIX_BYTES: usize = 18;

/// How one piece of content goes out: `prefix`, the first `payload` bytes of the piece itself, `suffix`; three slices for
/// one vectored write, none of them a copy of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    prefix: [u8; PREFIX_BYTES],
    prefix_len: u8,
    payload: usize,
    excess: usize,
    suffix: &'static [u8],
}

impl Piece {
    const fn plain(payload: usize, excess: usize) -> Self {
        Self { prefix: [0; PREFIX_BYTES], prefix_len: 0, payload, excess, suffix: b"" }
    }

    /// A chunk (RFC 9112 7.1). No content makes no chunk: an empty one would be the last.
    fn chunk(payload: usize) -> Self {
        let mut piece = Self::plain(payload, 0);
        if payload == 0 {
            return piece;
        }
        let digits = (usize::BITS - payload.leading_zeros()).div_ceil(4) as usize;
        for (i, place) in piece.prefix[..digits].iter_mut().enumerate() {
            let digit = payload >> (4 * (digits - 1 - i)) & 0xf;
            *place = b"0123456789abcdef"[digit];
        }
        piece.prefix[digits..digits + 2].copy_from_slice(b"\r\n");
        piece.prefix_len = digits as u8 + 2;
        piece.suffix = b"\r\n";
        piece
    }

    /// What is written before the payload; empty unless the body is chunked.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.prefix_len)]
    }

    /// How many bytes of the piece are written.
    #[must_use]
    pub const fn payload(&self) -> usize {
        self.payload
    }

    /// How many bytes of the piece are not written: behind the announced length, or all of them where no content goes out.
    #[must_use]
    pub const fn excess(&self) -> usize {
        self.excess
    }

    /// What is written behind the payload; empty unless the body is chunked.
    #[must_use]
    pub const fn suffix(&self) -> &'static [u8] {
        self.suffix
    }
}

/// A body being written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Writer {
    /// Nothing goes out; what comes is discarded.
    Discard,
    /// So many bytes in all, so many left.
    Length { declared: u64, left: u64 },
    /// Chunks.
    Chunked,
    /// Everything as it comes.
    UntilClose,
}

impl Writer {
    pub(crate) const fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Discard,
            Framing::Length(n) => Self::Length { declared: n, left: n },
            Framing::Chunked => Self::Chunked,
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Frames the next `len` bytes.
    pub(crate) fn write(&mut self, len: usize) -> Piece {
        match self {
            Self::Discard => Piece::plain(0, len),
            Self::Length { left, .. } => {
                let payload = usize::try_from(*left).map_or(len, |left| left.min(len));
                *left -= payload as u64;
                Piece::plain(payload, len - payload)
            }
            Self::Chunked => Piece::chunk(len),
            Self::UntilClose => Piece::plain(len, 0),
        }
    }
}
