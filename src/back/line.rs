//! What carries one exchange between the gateway and a program, as the relay sees it. It must not know which protocol is
//! spoken, nor what the bytes mean.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::exchange::Chunk;

/// One program's side of an exchange, whatever carries it: three pipes, a FastCGI connection, an SCGI connection.
///
/// A line is polled by one task, both directions in turn, so every method that answers `Pending` must have left the
/// task's waker where its I/O will find it. Dropping a line without [`finish`](Line::finish) aborts: the process gets
/// TERM and then KILL, the connection is closed.
pub(crate) trait Line: Send + 'static {
    /// Ready when the next piece of request body may be given: everything that was given before has been sent. Asked
    /// after [`end_input`](Line::end_input) too, until it is ready once more.
    ///
    /// A program that stopped reading is no error (it may answer all the same): the line then discards what it holds,
    /// is ready, and says so by [`wants_input`](Line::wants_input). What broke is told by `poll_output`.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the program still reads. Once `false`, it stays so.
    fn wants_input(&self) -> bool;

    /// Takes a piece of request body (never empty); only after `poll_ready` was ready.
    fn send(&mut self, piece: Bytes);

    /// The request body is complete: closes stdin, sends the empty STDIN record, does nothing for SCGI. Called at most
    /// once, and only after `poll_ready` was ready.
    fn end_input(&mut self);

    /// The next piece of script output, head and body as one stream of bytes. While it waits it also moves whatever
    /// else the line carries (stderr).
    ///
    /// `None`: the program ended properly (exit status 0; END_REQUEST with REQUEST_COMPLETE; end of file for SCGI).
    ///
    /// `Err`: it did not, with all that is known: exit status and last stderr lines, protocol status, errno. Before the
    /// head is complete the relay turns [`BrokenOff`] into [`BadOutput`] and leaves every other kind as it is, so that a
    /// line may say [`Unreachable`] when not one byte of output came (which is what makes a retry safe) or
    /// [`Overloaded`].
    ///
    /// [`BrokenOff`]: crate::exchange::FailureKind::BrokenOff
    /// [`BadOutput`]: crate::exchange::FailureKind::BadOutput
    /// [`Unreachable`]: crate::exchange::FailureKind::Unreachable
    /// [`Overloaded`]: crate::exchange::FailureKind::Overloaded
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>>;

    /// What to add to a complaint about the output: who it is and its last stderr lines, such as
    /// `/srv/cgi-bin/x (process 4711); last lines on stderr: "..."`. Bounded and escaped.
    fn testimony(&self) -> String;

    /// The program has let its time pass. A worker that serves nobody else must be ended, because closing its connection
    /// does not stop a program that never looks at it (lesson 17); a process of one request ends by the drop that follows.
    fn overdue(&mut self, _why: &str) {}

    /// The output ended properly and was what it had announced: the line may serve another exchange.
    fn finish(self)
    where
        Self: Sized;
}
