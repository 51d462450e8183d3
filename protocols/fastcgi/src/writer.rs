//! Writes records: frames payload that it never sees, and appends records without payload. It must not know when a
//! record may be sent or which side writes.

use bytes::BufMut;

use crate::record::{
    ALIGNMENT_BYTES, EndRequest, FIXED_BODY_BYTES, HEADER_BYTES, Header, MAX_ALIGNED_CONTENT_BYTES,
    ProtocolStatus, RecordType, RequestId,
};

const NO_BYTES: [u8; ALIGNMENT_BYTES] = [0; ALIGNMENT_BYTES];

/// What goes around a piece of payload that is sent as one record: a header before it, padding behind it. The payload
/// itself is never touched, so the three can leave in one vectored write (or by sendfile between two writes).
///
/// A record holds 65535 bytes at most. When `content_length` is less than what was offered, only so many bytes go into
/// this record; offer the rest again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the payload may only be sent between this header and this padding"]
pub struct RecordFraming {
    /// To be sent before the payload.
    pub header: [u8; HEADER_BYTES],
    /// How many bytes of the offered payload belong to this record: at least 1.
    pub content_length: usize,
    /// How many zero bytes follow the payload: 0 to 7.
    pub padding_length: u8,
}

impl RecordFraming {
    /// Frames as much of `offered_bytes` as one record takes.
    pub(crate) fn new(record_type: RecordType, id: RequestId, offered_bytes: usize) -> Self {
        let content_length = match u16::try_from(offered_bytes) {
            Ok(all) => all,
            Err(_) => MAX_ALIGNED_CONTENT_BYTES as u16,
        };
        let header = Header::aligned(record_type, id.get(), content_length);
        Self {
            header: header.to_bytes(),
            content_length: usize::from(content_length),
            padding_length: header.padding_length,
        }
    }

    /// The zero bytes to be sent behind the payload.
    pub fn padding(&self) -> &'static [u8] {
        &NO_BYTES[..usize::from(self.padding_length) % ALIGNMENT_BYTES]
    }
}

/// Appends a whole record with a body of fixed length.
pub(crate) fn put_fixed(
    out: &mut impl BufMut,
    record_type: RecordType,
    request_id: u16,
    body: [u8; FIXED_BODY_BYTES],
) {
    out.put_slice(&Header::aligned(record_type, request_id, FIXED_BODY_BYTES as u16).to_bytes());
    out.put_slice(&body);
}

/// Appends a record without content: the end of a stream, or ABORT_REQUEST.
pub(crate) fn put_empty(out: &mut impl BufMut, record_type: RecordType, id: RequestId) {
    out.put_slice(&Header::aligned(record_type, id.get(), 0).to_bytes());
}

/// Appends a management record with content of any length; `content` must fit into one record.
pub(crate) fn put_management(out: &mut impl BufMut, record_type: RecordType, content: &[u8]) {
    let header = Header::aligned(record_type, 0, content.len() as u16);
    out.put_slice(&header.to_bytes());
    out.put_slice(content);
    out.put_bytes(0, usize::from(header.padding_length));
}

/// Appends END_REQUEST.
pub(crate) fn put_end_request(
    out: &mut impl BufMut,
    id: RequestId,
    app_status: u32,
    protocol_status: ProtocolStatus,
) {
    let body = EndRequest { app_status, protocol_status }.to_bytes();
    put_fixed(out, RecordType::EndRequest, id.get(), body);
}
