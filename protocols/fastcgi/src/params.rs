//! Name-value pairs (section 3.4): a reader that takes them cut at any byte, a writer that appends them to a buffer
//! as records. It must not know what the names mean.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{MAX_PAIR_PART_BYTES, Misuse, ParamsFault};
use crate::limits::ParamsLimits;
use crate::record::{HEADER_BYTES, Header, MAX_ALIGNED_CONTENT_BYTES, RecordType, RequestId};

/// The bit of the first length byte that says that the length has four bytes.
const LONG_LENGTH: u8 = 0x80;

/// A buffer to which records are appended, and in which the lengths in their headers are filled in afterwards:
/// `Vec<u8>` and [`BytesMut`] are such buffers.
pub trait Output: BufMut + AsMut<[u8]> {}

impl<B: BufMut + AsMut<[u8]>> Output for B {}

/// The name-value pairs of a request, in the order in which they came, as slices of one buffer. Names and values are
/// bytes; the same name may come twice.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    buffer: Bytes,
    spans: Vec<Span>,
}

/// Where a pair lies in the buffer: the value follows the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    name_length: u32,
    value_length: u32,
}

impl Span {
    fn name(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.name_length as usize
    }

    fn value(self) -> std::ops::Range<usize> {
        let start = self.name().end;
        start..start + self.value_length as usize
    }

    fn end(self) -> usize {
        self.value().end
    }
}

impl Params {
    /// The pairs in order, borrowed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.spans.iter().map(|span| (&self.buffer[span.name()], &self.buffer[span.value()]))
    }

    /// The pairs in order, as slices that keep the whole buffer alive.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = (Bytes, Bytes)> {
        self.spans.iter().map(|span| (self.buffer.slice(span.name()), self.buffer.slice(span.value())))
    }

    /// The value of the first pair with that name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Shows the names and the lengths of the values only: Cookie and Authorization are among them.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.iter().map(|(name, value)| (String::from_utf8_lossy(name), value.len()));
        f.debug_map().entries(pairs).finish()
    }
}

/// Collects a stream of pairs that may be cut anywhere, also within a length.
#[derive(Debug)]
pub(crate) struct ParamsReader {
    limits: ParamsLimits,
    buffer: BytesMut,
    spans: Vec<Span>,
    /// A pair whose lengths are known and whose bytes have not all come.
    pending: Option<Span>,
    /// Where the next pair begins, when none is pending.
    cursor: usize,
}

impl ParamsReader {
    pub(crate) fn new(limits: ParamsLimits) -> Self {
        Self { limits, buffer: BytesMut::new(), spans: Vec::new(), pending: None, cursor: 0 }
    }

    /// A record says that so many bytes of the stream will come. Too many are refused before any of them is taken, and
    /// so in the same way however they are cut.
    pub(crate) fn announce(&self, length: usize) -> Result<(), ParamsFault> {
        self.check_total(self.buffer.len().saturating_add(length))
    }

    /// Takes the next bytes of the stream, which were announced. Every limit is checked as soon as the length is known;
    /// memory is taken only for bytes that have come, never for a length that a pair only claims.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ParamsFault> {
        self.announce(bytes.len())?;
        self.buffer.extend_from_slice(bytes);
        loop {
            let span = match self.pending.take() {
                Some(span) => span,
                None => match self.lengths()? {
                    Some(span) => span,
                    None => return Ok(()),
                },
            };
            if self.buffer.len() < span.end() {
                self.pending = Some(span);
                return Ok(());
            }
            self.cursor = span.end();
            self.spans.push(span);
        }
    }

    /// The lengths at the cursor; `None` when they have not all come.
    fn lengths(&self) -> Result<Option<Span>, ParamsFault> {
        let Some((name_length, rest)) = length(self.buffer.get(self.cursor..).unwrap_or_default()) else {
            return Ok(None);
        };
        if self.spans.len() >= self.limits.max_pairs {
            return Err(ParamsFault::TooManyPairs { limit: self.limits.max_pairs });
        }
        if name_length as usize > self.limits.max_name_bytes {
            return Err(ParamsFault::NameTooLong { length: name_length, limit: self.limits.max_name_bytes });
        }
        let Some((value_length, rest)) = length(rest) else { return Ok(None) };
        if value_length as usize > self.limits.max_value_bytes {
            return Err(ParamsFault::ValueTooLong {
                length: value_length,
                limit: self.limits.max_value_bytes,
            });
        }
        let start = self.buffer.len() - rest.len();
        let end =
            start.checked_add(name_length as usize).and_then(|sum| sum.checked_add(value_length as usize));
        self.check_total(end.unwrap_or(usize::MAX))?;
        let Ok(start) = u32::try_from(start) else { return Err(self.total_too_long(start)) };
        Ok(Some(Span { start, name_length, value_length }))
    }

    fn check_total(&self, needed: usize) -> Result<(), ParamsFault> {
        if needed > self.limits.max_total_bytes { Err(self.total_too_long(needed)) } else { Ok(()) }
    }

    fn total_too_long(&self, needed: usize) -> ParamsFault {
        ParamsFault::TotalTooLong { needed, limit: self.limits.max_total_bytes }
    }

    /// The stream has ended.
    pub(crate) fn finish(self) -> Result<Params, ParamsFault> {
        let missing = match self.pending {
            Some(span) => span.end() - self.buffer.len(),
            None => usize::from(self.cursor < self.buffer.len()),
        };
        if missing > 0 {
            return Err(ParamsFault::Unfinished { missing });
        }
        Ok(Params { buffer: self.buffer.freeze(), spans: self.spans })
    }
}

/// Reads one length, of one byte or four, and what follows it.
fn length(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first & LONG_LENGTH == 0 {
        return Some((u32::from(first), rest));
    }
    // FastCGI 1.0 3.4: the high bit of the first byte says that the length has 31 bits. Some write short ones so too.
    let (&[a, b, c, d], rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes([a & !LONG_LENGTH, b, c, d]), rest))
}

/// Appends a length in its shortest form. It must be below 2^31.
fn put_length(out: &mut impl BufMut, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short & LONG_LENGTH == 0 => out.put_u8(short),
        _ => out.put_u32(length as u32 | u32::from(LONG_LENGTH) << 24),
    }
}

/// Appends one pair without any record around it.
pub(crate) fn put_pair(out: &mut impl BufMut, name: &[u8], value: &[u8]) {
    put_length(out, name.len());
    put_length(out, value.len());
    out.put_slice(name);
    out.put_slice(value);
}

/// Appends a request's PARAMS stream to a buffer, pair by pair, as its variables are walked. Records are opened and
/// their headers filled in as needed; what is longer than one record goes over into the next.
///
/// Nothing is lost when the buffer already holds something, such as the BEGIN_REQUEST before it.
#[derive(Debug)]
#[must_use = "the stream is not complete before `finish`"]
pub struct ParamsWriter<'a, B: Output> {
    out: &'a mut B,
    id: RequestId,
    /// Where the header of the open record lies in `out`.
    header_at: usize,
    /// The first pair that could not be expressed.
    refused: Option<Misuse>,
}

impl<'a, B: Output> ParamsWriter<'a, B> {
    pub(crate) fn new(id: RequestId, out: &'a mut B) -> Self {
        let mut writer = Self { out, id, header_at: 0, refused: None };
        writer.open();
        writer
    }

    /// Appends one pair. A name or value of 2 GiB or more cannot be expressed: it is left out, and
    /// [`finish`](Self::finish) reports it.
    pub fn pair(&mut self, name: &[u8], value: &[u8]) {
        let length = name.len().max(value.len());
        if length > MAX_PAIR_PART_BYTES {
            self.refused.get_or_insert(Misuse::PairTooLong { length });
            return;
        }
        if self.room() >= 2 * size_of::<u32>() + name.len() + value.len() {
            return put_pair(self.out, name, value);
        }
        let mut lengths = [0; 2 * size_of::<u32>()];
        let mut unwritten = lengths.as_mut_slice();
        put_length(&mut unwritten, name.len());
        put_length(&mut unwritten, value.len());
        let written = 2 * size_of::<u32>() - unwritten.len();
        for part in [&lengths[..written], name, value] {
            self.put(part);
        }
    }

    /// Closes the stream: the last record, and the empty one that says that no more come.
    ///
    /// # Errors
    /// [`Misuse::PairTooLong`] when a pair had to be left out; the stream is closed all the same.
    pub fn finish(mut self) -> Result<(), Misuse> {
        if self.content_length() > 0 {
            self.close();
            self.open();
        }
        self.close();
        self.refused.map_or(Ok(()), Err)
    }

    /// Appends bytes that may go over into further records.
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room() == 0 {
                self.close();
                self.open();
            }
            let (now, later) = bytes.split_at(self.room().min(bytes.len()));
            self.out.put_slice(now);
            bytes = later;
        }
    }

    fn length(&mut self) -> usize {
        self.out.as_mut().len()
    }

    fn content_length(&mut self) -> usize {
        self.length() - self.header_at - HEADER_BYTES
    }

    /// Bytes that still fit into the open record.
    fn room(&mut self) -> usize {
        MAX_ALIGNED_CONTENT_BYTES - self.content_length()
    }

    fn open(&mut self) {
        self.header_at = self.length();
        self.out.put_bytes(0, HEADER_BYTES);
    }

    fn close(&mut self) {
        let content_length = self.content_length() as u16;
        let header = Header::aligned(RecordType::Params, self.id.get(), content_length);
        let header_end = self.header_at + HEADER_BYTES;
        self.out.as_mut()[self.header_at..header_end].copy_from_slice(&header.to_bytes());
        self.out.put_bytes(0, usize::from(header.padding_length));
    }
}
