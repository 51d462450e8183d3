//! The way of a request body to a program: piece by piece, as fast as the slower of the two. It must not know the
//! program's output, nor how long anybody may take.

use std::task::{Context, Poll};

use crate::exchange::{Body, Failure};

use super::line::Line;

/// The most pieces that are carried before the output is looked at again: with an unbounded turn a fast client and a
/// fast program would keep the output waiting.
const PIECES_PER_TURN: usize = 16;

/// The part of a request body that the program did not have yet.
#[derive(Debug)]
pub(crate) enum Feed {
    /// There may be more.
    Open(Body),
    /// The end was told; the line still sends.
    Closing,
    /// All is sent, or the program wants no more.
    Over,
}

/// Who has to move for the body to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The client owes a piece that the program would take.
    Client,
    /// The program has not read what was sent.
    Program,
    /// Nobody: it is all sent, or not wanted.
    Nobody,
}

impl Feed {
    pub(crate) const fn new(body: Body) -> Self {
        Self::Open(body)
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Carries as much as goes now; says who has to move next, and whether anything moved.
    ///
    /// # Errors
    ///
    /// What the request body failed with.
    pub(crate) fn carry(
        &mut self,
        line: &mut impl Line,
        cx: &mut Context<'_>,
    ) -> Result<(Turn, bool), Failure> {
        if self.is_over() {
            return Ok((Turn::Nobody, false));
        }
        let mut has_moved = false;
        for _ in 0..PIECES_PER_TURN {
            if let Some(turn) = self.step(line, cx)? {
                return Ok((turn, has_moved || turn == Turn::Nobody));
            }
            has_moved = true;
        }
        cx.waker().wake_by_ref();
        Ok((Turn::Program, has_moved))
    }

    /// One step; `None` when it went on and there may be another.
    fn step(&mut self, line: &mut impl Line, cx: &mut Context<'_>) -> Result<Option<Turn>, Failure> {
        if line.poll_ready(cx).is_pending() {
            return Ok(Some(Turn::Program));
        }
        let body = match self {
            Self::Open(body) if line.wants_input() => body,
            // Dropping the body tells the front that nobody wants the rest.
            _ => {
                *self = Self::Over;
                return Ok(Some(Turn::Nobody));
            }
        };
        match body.poll_chunk(cx) {
            Poll::Pending => Ok(Some(Turn::Client)),
            Poll::Ready(Some(Ok(piece))) => {
                line.send(piece);
                Ok(None)
            }
            Poll::Ready(None) => {
                line.end_input();
                *self = Self::Closing;
                Ok(None)
            }
            Poll::Ready(Some(Err(failure))) => Err(failure),
        }
    }
}
