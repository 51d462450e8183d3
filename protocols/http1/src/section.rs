//! Finds where a section of lines ends (a head, a trailer section) while it comes in pieces; knows no field and no message.

use crate::error::Place;
use crate::violation::PeerError;

/// How far a section has been looked through, so that no byte is looked at twice however it is cut.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Section {
    /// Bytes looked through.
    seen: usize,
    /// Where the line begins that `seen` is in.
    line: usize,
}

/// What has been found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The section is the first so many bytes, its empty line included.
    Whole(usize),
    /// It goes on after what has come.
    More,
    /// It is longer than the limit; `in_first_line` says that not even its first line ended before it.
    TooLarge {
        /// No line has ended.
        in_first_line: bool,
    },
}

impl Section {
    /// Looks on in `bytes`, which begin with the section and hold everything that has come.
    ///
    /// # Errors
    /// [`PeerError::BareLf`]: RFC 9112 2.2 allows to take LF for a line end; two who disagree about it read two
    /// different messages, so it is refused (lesson 9).
    pub(crate) fn look(&mut self, bytes: &[u8], limit: usize, place: Place) -> Result<Found, PeerError> {
        let within = &bytes[..bytes.len().min(limit)];
        while let Some(at) = memchr::memchr(b'\n', &within[self.seen..]) {
            let at = self.seen + at;
            if at == self.line || within[at - 1] != b'\r' {
                return Err(PeerError::BareLf { place });
            }
            let empty = at == self.line + 1;
            self.seen = at + 1;
            self.line = at + 1;
            if empty {
                *self = Self::default();
                return Ok(Found::Whole(at + 1));
            }
        }
        self.seen = within.len();
        Ok(if within.len() == limit {
            Found::TooLarge { in_first_line: self.line == 0 }
        } else {
            Found::More
        })
    }
}
