//! Where a program's thread and the task that answers for it meet: a body on its way down, an answer on its way up, each
//! within a window. It must not know what the program is, nor who asked.
//!
//! ```text
//!                  give, end_input                       read
//!   task --------------------------------> [ input  ] --------> thread of the program
//!   task <-------------------------------- [ output ] <-------- thread of the program
//!          poll_head, poll_output                   head, put, send, close
//! ```
//!
//! The thread waits where its window is empty (input) or full (output); the task never waits, it is woken. The thread wakes
//! it when something is to leave, not for every piece, so that a short answer is whole when the task looks.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use gatebridge_interface::{Head, Outcome};

use crate::exchange::FileRange;

/// What may wait in each direction, in bytes: as much as a pipe holds. One more piece may come on top.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;

/// Where the two meet.
#[derive(Debug, Default)]
pub(crate) struct Junction {
    state: Mutex<State>,
    /// For the thread: there is input, there is room, or nobody waits any more.
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    task: Option<Waker>,
    /// Nobody waits for the answer any more.
    is_abandoned: bool,
    input: Queue<Bytes>,
    input_end: Option<Result<(), String>>,
    /// The program has asked for input at least once: before that, the client is not even told to go on.
    is_input_wanted: bool,
    /// The program waits for input at this moment.
    is_starved: bool,
    head: Option<Head>,
    output: Queue<Piece>,
    /// What is in the output is to leave now.
    is_due: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Queue<P> {
    pieces: VecDeque<P>,
    bytes: usize,
}

impl<P> Default for Queue<P> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), bytes: 0 }
    }
}

/// A piece of an answer's body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// In a file; it takes nothing of the window.
    File(FileRange),
}

impl Piece {
    const fn window(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(_) => 0,
        }
    }
}

/// The next of an answer's body.
#[derive(Debug)]
pub(crate) enum Output {
    Piece(Piece),
    /// No more, for this reason.
    End(Outcome),
}

/// The side of the task.
impl Junction {
    /// Takes the head when the answer, or the beginning of it, is to leave; `None` when the program has ended without one.
    pub(crate) fn poll_head(&self, cx: &Context<'_>) -> Poll<Option<Head>> {
        let mut state = self.lock();
        if state.is_due || state.outcome.is_some() {
            return Poll::Ready(state.head.take());
        }
        state.remember(cx);
        Poll::Pending
    }

    /// Takes the next of the answer's body.
    pub(crate) fn poll_output(&self, cx: &Context<'_>) -> Poll<Output> {
        let mut state = self.lock();
        if (state.is_due || state.outcome.is_some())
            && let Some(piece) = state.output.pieces.pop_front()
        {
            let was_full = state.output.bytes >= WINDOW_BYTES;
            state.output.bytes -= piece.window();
            if was_full && state.output.bytes < WINDOW_BYTES {
                self.turn.notify_all();
            }
            return Poll::Ready(Output::Piece(piece));
        }
        state.is_due = false;
        if let Some(outcome) = state.outcome {
            return Poll::Ready(Output::End(outcome));
        }
        state.remember(cx);
        Poll::Pending
    }

    /// The whole body, if it is here already and at most one piece. Its `Some(None)` is the empty one.
    pub(crate) fn whole(&self) -> Option<Option<Piece>> {
        let mut state = self.lock();
        let is_whole = state.outcome == Some(Outcome::Answered) && state.output.pieces.len() <= 1;
        is_whole.then(|| state.output.pieces.pop_front())
    }

    /// Whether the program would take more input now.
    pub(crate) fn wants_input(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        state.remember(cx);
        state.is_input_wanted && state.input.bytes < WINDOW_BYTES && state.outcome.is_none()
    }

    /// Whether the program waits for input and can do nothing else.
    pub(crate) fn is_starved(&self) -> bool {
        self.lock().is_starved
    }

    /// Whether the program has ended, so that it reads no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// Gives a piece of input.
    pub(crate) fn give(&self, piece: Bytes) {
        let mut state = self.lock();
        state.input.bytes += piece.len();
        state.input.pieces.push_back(piece);
        self.turn.notify_all();
    }

    /// Says that the input is complete, or why it never will be.
    pub(crate) fn end_input(&self, end: Result<(), String>) {
        self.lock().input_end.get_or_insert(end);
        self.turn.notify_all();
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        // Nobody looks at either again, and a program may take long to notice.
        (state.input, state.output) = (Queue::default(), Queue::default());
        self.turn.notify_all();
    }
}

/// The side of the thread.
impl Junction {
    /// The next piece of input; waits for it. `None` is the proper end.
    ///
    /// # Errors
    /// Why there will be no more; [`io::ErrorKind::ConnectionAborted`] when nobody waits for the answer any more.
    pub(crate) fn read(&self) -> io::Result<Option<Bytes>> {
        let mut state = self.lock();
        state.is_input_wanted = true;
        loop {
            if state.is_abandoned {
                return Err(aborted());
            }
            if let Some(piece) = state.input.pieces.pop_front() {
                let was_full = state.input.bytes >= WINDOW_BYTES;
                state.input.bytes -= piece.len();
                if was_full && state.input.bytes < WINDOW_BYTES {
                    state.wake();
                }
                return Ok(Some(piece));
            }
            match &state.input_end {
                Some(Ok(())) => return Ok(None),
                Some(Err(why)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why.clone())),
                None => {}
            }
            state.is_starved = true;
            state.wake();
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_starved = false;
        }
    }

    /// Gives the head. It leaves with what follows.
    pub(crate) fn head(&self, head: Head) -> io::Result<()> {
        let mut state = self.lock();
        state.head = Some(head);
        state.check()
    }

    /// Gives a piece of the body; waits for room first. It leaves when it is due, or when there is no more room.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionAborted`] when nobody waits for the answer any more.
    pub(crate) fn put(&self, piece: Piece) -> io::Result<()> {
        let mut state = self.lock();
        while state.output.bytes >= WINDOW_BYTES && !state.is_abandoned {
            state.send();
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.check()?;
        state.output.bytes += piece.window();
        state.output.pieces.push_back(piece);
        Ok(())
    }

    /// Whether nothing of the body was given, or has left, so far.
    pub(crate) fn is_untouched(&self) -> bool {
        let state = self.lock();
        state.head.is_some() && state.output.pieces.is_empty()
    }

    /// What was given is to leave now.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub(crate) fn send(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.send();
        state.check()
    }

    /// The program has ended, so.
    pub(crate) fn close(&self, outcome: Outcome) {
        let mut state = self.lock();
        state.outcome.get_or_insert(outcome);
        state.input = Queue::default();
        state.wake();
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().is_abandoned
    }

    /// A panic elsewhere has left the state as it was: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.task {
            Some(known) => known.clone_from(cx.waker()),
            None => self.task = Some(cx.waker().clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    fn send(&mut self) {
        self.is_due = true;
        self.wake();
    }

    fn check(&self) -> io::Result<()> {
        if self.is_abandoned { Err(aborted()) } else { Ok(()) }
    }
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "nobody waits for the answer any more")
}
