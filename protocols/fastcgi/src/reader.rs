//! Cuts received bytes into records and hands out their content without copying it. It must not know what a record
//! means or which side reads.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::Violation;
use crate::record::{FIXED_BODY_BYTES, HEADER_BYTES, Header, VERSION};

/// Reads records out of a buffer that the I/O layer fills.
///
/// ```text
/// header --(content_length > 0)--> content --(last byte)--> padding --(last byte)--> header
/// ```
#[derive(Debug, Default)]
pub(crate) struct RecordReader {
    buffer: BytesMut,
    /// The record whose header has been read and whose content has not all been taken.
    open: Option<OpenRecord>,
    /// Padding of the record before that is still to be dropped.
    padding_due: usize,
}

#[derive(Debug, Clone, Copy)]
struct OpenRecord {
    header: Header,
    content_due: usize,
}

impl RecordReader {
    /// Where received bytes are appended.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The record that is being read; takes the next header when the last record has been consumed. `None` asks for
    /// more bytes.
    pub(crate) fn header(&mut self) -> Result<Option<Header>, Violation> {
        if let Some(open) = &self.open {
            return Ok(Some(open.header));
        }
        // FastCGI 1.0 3.3: padding is 0 to 255 bytes that are ignored.
        let dropped = self.padding_due.min(self.buffer.len());
        self.buffer.advance(dropped);
        self.padding_due -= dropped;
        // A peer that does not speak FastCGI shows with its first byte: no need to wait for eight.
        if let Some(&found) = self.buffer.first()
            && found != VERSION
        {
            return Err(Violation::Version { found });
        }
        let Some((bytes, _)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = Header::from_bytes(*bytes)?;
        self.buffer.advance(HEADER_BYTES);
        self.open = Some(OpenRecord { header, content_due: usize::from(header.content_length) });
        Ok(Some(header))
    }

    /// Bytes of the open record's content that have not been taken.
    pub(crate) fn content_due(&self) -> usize {
        self.open.map_or(0, |open| open.content_due)
    }

    /// The next piece of the open record's content, as much as is here. It is empty only when the record has no
    /// content at all. `None` asks for more bytes.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        let open = self.open.as_mut()?;
        let length = open.content_due.min(self.buffer.len());
        if length == 0 && open.content_due > 0 {
            return None;
        }
        open.content_due -= length;
        if open.content_due == 0 {
            self.close();
        }
        Some(self.buffer.split_to(length).freeze())
    }

    /// The whole content of the open record, once its padding is here too, so that nothing of the record is
    /// left behind. `None` asks for more bytes.
    pub(crate) fn whole(&mut self) -> Option<Bytes> {
        let open = self.open?;
        let padding = usize::from(open.header.padding_length);
        if self.buffer.len() < open.content_due + padding {
            return None;
        }
        let content = self.buffer.split_to(open.content_due).freeze();
        self.buffer.advance(padding);
        self.open = None;
        Some(content)
    }

    /// The whole content of the open record, which must be of the length that fixed bodies have. `None` asks for more
    /// bytes.
    pub(crate) fn whole_fixed(
        &mut self,
        header: Header,
    ) -> Result<Option<[u8; FIXED_BODY_BYTES]>, Violation> {
        let wrong_length = Violation::BodyLength {
            record_type: header.record_type,
            found: header.content_length,
            expected: FIXED_BODY_BYTES as u16,
        };
        if usize::from(header.content_length) != FIXED_BODY_BYTES {
            return Err(wrong_length);
        }
        let Some(content) = self.whole() else { return Ok(None) };
        <[u8; FIXED_BODY_BYTES]>::try_from(&content[..]).map(Some).map_err(|_| wrong_length)
    }

    /// Drops what is here of the open record's content. `None` asks for more bytes.
    pub(crate) fn skip(&mut self) -> Option<()> {
        let open = self.open.as_mut()?;
        let length = open.content_due.min(self.buffer.len());
        self.buffer.advance(length);
        open.content_due -= length;
        if open.content_due > 0 {
            return None;
        }
        self.close();
        Some(())
    }

    /// The open record has no content left; its padding follows.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.padding_due = usize::from(open.header.padding_length);
        }
    }

    /// Whether every byte that came has been consumed and no record is incomplete.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.open.is_none() && self.padding_due == 0 && self.buffer.is_empty()
    }

    /// The least number of bytes that complete what has begun; 0 at rest.
    pub(crate) fn missing_bytes(&self) -> usize {
        let due = match &self.open {
            Some(open) => open.content_due + usize::from(open.header.padding_length),
            None if self.padding_due > 0 => self.padding_due,
            None if self.buffer.is_empty() => 0,
            None => HEADER_BYTES,
        };
        due.saturating_sub(self.buffer.len())
    }

    /// Gives the buffer's memory back when nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// What became of the open record.
pub(crate) enum Reading<E> {
    /// It said something.
    Event(E),
    /// It said nothing, and has been consumed.
    Dropped,
    /// More bytes are needed.
    Incomplete,
}

impl<E> Reading<E> {
    /// The record's content is being skipped.
    pub(crate) fn skipped(skipped: Option<()>) -> Self {
        skipped.map_or(Self::Incomplete, |()| Self::Dropped)
    }
}
