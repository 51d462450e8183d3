//! Bytes on their way to a socket: gathered without copying payload, written with as few calls as the socket allows. It
//! must not know what they mean.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::io::Stream;

/// The most pieces of one write: a record's header, payload and padding a few times over. The kernel would take 1024.
const MAX_SLICES: usize = 16;

/// The longest piece that is kept in place: a FastCGI header with the padding before it is one.
const SMALL_BYTES: usize = 16;

/// What waits to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    written: u64,
}

#[derive(Debug)]
enum Piece {
    Shared(Bytes),
    Small { bytes: [u8; SMALL_BYTES], from: u8, to: u8 },
}

impl Piece {
    fn rest(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Small { bytes, from, to } => &bytes[usize::from(*from)..usize::from(*to)],
        }
    }
}

impl Outgoing {
    /// Adds bytes, which are not copied.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Adds a few bytes, which are copied and need no allocation.
    pub(crate) fn push_small(&mut self, small: &[u8]) {
        for part in small.chunks(SMALL_BYTES) {
            let mut bytes = [0; SMALL_BYTES];
            bytes[..part.len()].copy_from_slice(part);
            // A chunk has at most SMALL_BYTES bytes.
            self.pieces.push_back(Piece::Small { bytes, from: 0, to: part.len() as u8 });
        }
    }

    /// Whether all was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many bytes the kernel took.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Forgets what was not written.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Ready when all is written.
    ///
    /// # Errors
    ///
    /// What the socket says.
    pub(crate) fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece.rest());
                count += 1;
            }
            let written = ready!(stream.poll_write(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written as u64;
        while let Some(piece) = self.pieces.front_mut() {
            let length = piece.rest().len();
            if written < length {
                match piece {
                    Piece::Shared(bytes) => bytes.advance(written),
                    // Less than SMALL_BYTES.
                    Piece::Small { from, .. } => *from += written as u8,
                }
                return;
            }
            written -= length;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn pieces_arrive_in_order_however_they_are_cut() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut stream = Stream::from(ours);
        let mut outgoing = Outgoing::default();
        let large = Bytes::from(vec![7; 1 << 20]);
        let mut expected = Vec::new();
        for round in 0..20u8 {
            outgoing.push_small(&[round; 9]);
            outgoing.push(Bytes::copy_from_slice(&[round; 40]));
            expected.extend_from_slice(&[round; 49]);
        }
        outgoing.push(large.clone());
        expected.extend_from_slice(&large);
        let total = expected.len();
        let reading = tokio::spawn(async move {
            let mut all = vec![0; total];
            theirs.read_exact(&mut all).await.unwrap();
            all
        });
        std::future::poll_fn(|cx| outgoing.poll_flush(&mut stream, cx)).await.unwrap();
        assert!(reading.await.unwrap() == expected);
        assert_eq!((outgoing.written(), outgoing.is_empty()), (total as u64, true));
    }

    #[test]
    fn a_partial_write_leaves_the_rest() {
        for cut in 0..30 {
            let mut outgoing = Outgoing::default();
            outgoing.push_small(b"0123456789");
            outgoing.push(Bytes::from_static(b"abcdefghij"));
            outgoing.push_small(b"ABCDEFGHIJ");
            outgoing.advance(cut);
            let rest: Vec<u8> = outgoing.pieces.iter().flat_map(|piece| piece.rest().to_vec()).collect();
            assert_eq!(rest, b"0123456789abcdefghijABCDEFGHIJ"[cut..], "cut at {cut}");
        }
    }
}
