//! A netstring, `12:hello world!,`: written in place, and read at any cut; knows nothing of what is inside.

use bytes::{Bytes, BytesMut};

use crate::error::Fault;
use crate::limits::LENGTH_ROOM;

/// A netstring in the making: the content goes behind room for its length, which is patched in at the end, so
/// that nothing is copied.
#[derive(Debug)]
pub(crate) struct NetstringWriter {
    buffer: Vec<u8>,
}

impl NetstringWriter {
    pub(crate) fn new() -> Self {
        let mut buffer = Vec::with_capacity(1024);
        buffer.resize(LENGTH_ROOM, 0);
        Self { buffer }
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - LENGTH_ROOM
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.buffer[LENGTH_ROOM..]
    }

    /// Appends a string and its NUL.
    pub(crate) fn append_string(&mut self, string: &[u8]) {
        self.buffer.extend_from_slice(string);
        self.buffer.push(0);
    }

    /// The whole netstring: digits and colon right before the content, the comma behind it.
    pub(crate) fn finish(mut self) -> Bytes {
        let mut number = self.len();
        let mut start = LENGTH_ROOM - 1;
        self.buffer[start] = b':';
        loop {
            start -= 1;
            self.buffer[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.buffer.push(b',');
        Bytes::from(self.buffer).slice(start..)
    }
}

/// What the reader of a netstring awaits.
#[derive(Debug)]
enum State {
    /// A digit or the colon; so many digits came, and they mean this.
    Length { digits: usize, value: usize },
    /// This many bytes of content in all.
    Content { length: usize },
    /// The comma.
    Comma,
}

/// Reads one netstring from pieces.
#[derive(Debug)]
pub(crate) struct NetstringReader {
    state: State,
    limit: usize,
    /// Content that came in earlier pieces; stays empty when it comes in one.
    gathered: BytesMut,
    content: Bytes,
}

impl NetstringReader {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State::Length { digits: 0, value: 0 };
        Self { state, limit, gathered: BytesMut::new(), content: Bytes::new() }
    }

    /// Takes what belongs to the netstring from the front of `piece`. Gives the content when it is complete;
    /// a slice of the piece if it came in one.
    pub(crate) fn take(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, Fault> {
        while !piece.is_empty() {
            match self.state {
                State::Length { digits, value } => {
                    let byte = piece.split_to(1)[0];
                    self.state = self.length(digits, value, byte)?;
                }
                State::Content { length } => self.content(length, piece),
                State::Comma => {
                    let byte = piece.split_to(1)[0];
                    if byte != b',' {
                        return Err(Fault::NoComma { byte });
                    }
                    return Ok(Some(std::mem::take(&mut self.content)));
                }
            }
        }
        Ok(None)
    }

    fn length(&self, digits: usize, value: usize, byte: u8) -> Result<State, Fault> {
        match byte {
            b':' if digits == 0 => Err(Fault::NoLength),
            b':' if value == 0 => Ok(State::Comma),
            b':' => Ok(State::Content { length: value }),
            b'0'..=b'9' if digits > 0 && value == 0 => Err(Fault::LeadingZero),
            b'0'..=b'9' => {
                let size = value.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
                if size > self.limit {
                    return Err(Fault::HeaderTooLarge { size, limit: self.limit });
                }
                Ok(State::Length { digits: digits + 1, value: size })
            }
            byte => Err(Fault::LengthByte { byte }),
        }
    }

    fn content(&mut self, length: usize, piece: &mut Bytes) {
        let missing = length - self.gathered.len();
        let taken = piece.split_to(missing.min(piece.len()));
        if taken.len() == length {
            self.content = taken;
        } else {
            self.gathered.extend_from_slice(&taken);
            if self.gathered.len() < length {
                return;
            }
            self.content = self.gathered.split().freeze();
        }
        self.state = State::Comma;
    }
}
