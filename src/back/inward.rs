//! The task's side of a program that runs inside this process: carries the request body to it, and is the body of its
//! answer. It must not know what thread the program is on.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gatebridge_interface::{Head, Outcome};

use super::junction::{Junction, Output, Piece};
use super::patience::{Clock, Patience};
use crate::exchange::{Body, BodyStream, Chunk, Failure, FailureKind};

/// Both directions of one exchange with the program. Dropping it tells the program that nobody waits any more.
pub(crate) struct Inward {
    junction: Arc<Junction>,
    /// What the program did not have yet; `None` when that is nothing, or not wanted.
    input: Option<Body>,
    /// A part of a file that is being read into pieces.
    file: Body,
    clock: Clock,
    patience: Patience,
    /// The consumer has a piece in its hands, so time passes that is not the program's.
    is_consumer_busy: bool,
    /// Bytes still to come, where the program announced them.
    left: Option<u64>,
    /// What broke while nobody asked for output.
    failed: Option<Failure>,
    program: Arc<str>,
}

impl Inward {
    /// Carries `input` to the program at the other side of the junction.
    pub(crate) fn new(junction: Arc<Junction>, input: Body, patience: Patience, program: Arc<str>) -> Self {
        Self {
            junction,
            input: Some(input),
            file: Body::Empty,
            clock: Clock::new(patience.first_byte),
            patience,
            is_consumer_busy: false,
            left: None,
            failed: None,
            program,
        }
    }

    /// The head of the answer.
    ///
    /// # Errors
    /// What the request's body failed with; 504 when the program was silent for too long; 500 when it gave no answer.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        if let Err(failure) = self.carry_input(cx) {
            return Poll::Ready(Err(failure));
        }
        let Poll::Ready(head) = self.junction.poll_head(cx) else {
            let limit = ready!(self.clock.poll_over(cx));
            return Poll::Ready(Err(self.too_slow(FailureKind::TimedOut, limit, "the head of its response")));
        };
        self.clock.restart(self.patience.output);
        let no_answer = || Failure::internal(format!("{} ended without an answer", self.program));
        Poll::Ready(head.ok_or_else(no_answer))
    }

    /// The body of an answer with this head: in memory, or as a file, if it is complete already.
    pub(crate) fn into_body(mut self, is_head: bool, head: &Head) -> Body {
        // RFC 9110 9.3.2: the head says what it would say to GET; a body that is known to be empty would contradict.
        if !is_head {
            match self.junction.whole() {
                Some(None) => return Body::Empty,
                Some(Some(Piece::Bytes(bytes))) => return Body::from(bytes),
                Some(Some(Piece::File(range))) => return Body::File(range),
                None => {}
            }
        }
        self.left = head.content_length().filter(|_| head.has_body());
        Body::Stream(Box::new(self))
    }

    /// Carries request body as far as it goes now, and stops the clock while the client owes some.
    fn carry_input(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut is_clients_turn = false;
        while let Some(input) = &mut self.input {
            if self.junction.has_ended() {
                // Dropping the body tells the front that nobody wants the rest.
                self.input = None;
                break;
            }
            // An end that is known beforehand need not be waited for.
            if !input.is_empty() && !self.junction.wants_input(cx) {
                break;
            }
            match input.poll_chunk(cx) {
                Poll::Pending => {
                    is_clients_turn = self.junction.is_starved();
                    break;
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.clock.touch();
                    self.junction.give(piece);
                }
                Poll::Ready(None) => {
                    self.junction.end_input(Ok(()));
                    self.input = None;
                }
                Poll::Ready(Some(Err(failure))) => {
                    self.junction.end_input(Err(failure.to_string()));
                    self.input = None;
                    return Err(failure);
                }
            }
        }
        self.clock.hold(is_clients_turn);
        Ok(())
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        loop {
            if let Some(piece) = ready!(self.file.poll_chunk(cx)) {
                return Poll::Ready(Some(piece));
            }
            let Poll::Ready(output) = self.junction.poll_output(cx) else {
                let limit = ready!(self.clock.poll_over(cx));
                let failure = self.too_slow(FailureKind::BrokenOff, limit, "more of its response");
                return Poll::Ready(Some(Err(failure)));
            };
            match output {
                Output::Piece(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Output::Piece(Piece::File(range)) => self.file = Body::File(range),
                Output::End(Outcome::Answered) => return Poll::Ready(None),
                Output::End(Outcome::Aborted | Outcome::Broken) => {
                    let detail = format!("{} failed after the head of its response", self.program);
                    return Poll::Ready(Some(Err(Failure::new(FailureKind::BrokenOff, detail))));
                }
            }
        }
    }

    fn too_slow(&self, kind: FailureKind, limit: Duration, awaited: &str) -> Failure {
        let (waited, program) = (limit.as_secs_f64(), &self.program);
        let detail = format!("waited {waited} s for {awaited}; {program} still has its thread");
        Failure::new(kind, detail)
    }
}

impl BodyStream for Inward {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(failure) = &self.failed {
            return Poll::Ready(Some(Err(failure.clone())));
        }
        if std::mem::take(&mut self.is_consumer_busy) {
            self.clock.touch();
        }
        let polled = match self.carry_input(cx) {
            Ok(()) => ready!(self.poll_output(cx)),
            Err(failure) => Some(Err(failure)),
        };
        match &polled {
            Some(Ok(piece)) => {
                self.is_consumer_busy = true;
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            }
            Some(Err(failure)) => {
                self.failed = Some(failure.clone());
                self.junction.abandon();
            }
            None => {}
        }
        Poll::Ready(polled)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if self.failed.is_none()
            && let Err(failure) = self.carry_input(cx)
        {
            self.failed = Some(failure);
        }
    }

    fn length(&self) -> Option<u64> {
        self.left
    }
}

impl Drop for Inward {
    fn drop(&mut self) {
        self.junction.abandon();
    }
}
