//! What is to leave of one request between the task that answers it and what writes to its connection; it must not know
//! sockets, nor what is spoken on them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use super::abort::Aborted;
use super::outlet::Outlet;
use crate::bell::Bell;
use crate::head::Head;
use crate::inbox::Inbox;
use crate::script::{Carrier, ScriptWriter, lines};
use crate::settings::ERRORS_BYTES;

/// What leaves together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// It is the end of the answer.
    pub(super) ends: bool,
}

impl Batch {
    const fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && !self.ends
    }
}

/// The way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Bell,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// A batch was taken and has not left.
    is_leaving: bool,
    /// Why nothing leaves any more.
    fault: Option<(io::ErrorKind, String)>,
    is_closed: bool,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    pub(super) fn put<T>(&self, fill: impl FnOnce(&mut Batch) -> io::Result<T>) -> io::Result<T> {
        let mut waiting = self.waiting();
        if let Some((kind, fault)) = &waiting.fault {
            return Err(io::Error::new(*kind, fault.clone()));
        }
        if waiting.is_closed {
            let message = "the application has returned; nothing is taken of its answer any more";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, message));
        }
        let filled = fill(&mut waiting.batch)?;
        self.changed.ring();
        Ok(filled)
    }

    /// Waits until everything has left.
    fn poll_sent(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.waiting();
        if let Some((kind, fault)) = &waiting.fault {
            return Poll::Ready(Err(io::Error::new(*kind, fault.clone())));
        }
        if waiting.batch.is_empty() && !waiting.is_leaving {
            return Poll::Ready(Ok(()));
        }
        self.changed.listen(context);
        Poll::Pending
    }

    /// Takes what is to leave, or waits for it; `None` when nothing more comes. Each batch is to be followed by
    /// [`done`](Self::done).
    pub(super) fn poll_batch(&self, context: &Context<'_>) -> Poll<Option<Batch>> {
        let mut waiting = self.waiting();
        if !waiting.batch.is_empty() && waiting.fault.is_none() {
            waiting.is_leaving = true;
            return Poll::Ready(Some(std::mem::take(&mut waiting.batch)));
        }
        if waiting.is_closed {
            return Poll::Ready(None);
        }
        self.changed.listen(context);
        Poll::Pending
    }

    /// The batch has left, or nothing leaves any more.
    pub(super) fn done(&self, left: io::Result<()>) {
        let mut waiting = self.waiting();
        waiting.is_leaving = false;
        if let Err(error) = left {
            waiting.fault = Some((error.kind(), error.to_string()));
        }
        self.changed.ring();
    }

    /// Whether something that was put in will never leave.
    pub(super) fn has_failed(&self) -> bool {
        self.waiting().fault.is_some()
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.changed.ring();
    }
}

/// What the bytes of an answer look like.
pub(super) trait Form: Send + 'static {
    /// The bytes of a head, final or 1xx.
    fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        Ok(lines(head))
    }

    /// Puts a head and two pieces of body behind what is to leave; `ends` if they are the last ones.
    fn put(&mut self, slices: [&[u8]; 3], _ends: bool, out: &mut Vec<u8>) -> io::Result<()> {
        slices.iter().for_each(|slice| out.extend_from_slice(slice));
        Ok(())
    }
}

/// Script output (RFC 3875 6): as it is.
#[derive(Debug)]
pub(super) struct Script;

impl Form for Script {}

/// Carries an answer into its outbox; it never waits.
#[derive(Debug)]
pub(super) struct Posting<F> {
    pub(super) form: F,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
}

impl<F: Form> Carrier for Posting<F> {
    fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        self.form.head(head)
    }

    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.outbox.put(|batch| self.form.put(slices, false, &mut batch.stdout))
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.outbox.put(|batch| {
            self.form.put(slices, true, &mut batch.stdout)?;
            batch.ends = true;
            Ok(())
        })
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.outbox.put(|batch| {
            if batch.stderr.len() >= ERRORS_BYTES {
                let message = format!(
                    "{} bytes of errors were not taken yet; wait with `errors().sent()`",
                    batch.stderr.len()
                );
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            batch.stderr.extend_from_slice(text);
            Ok(())
        })
    }

    fn is_aborted(&self) -> bool {
        self.inbox.is_aborted()
    }
}

impl<F: Form> Outlet for ScriptWriter<Box<Posting<F>>> {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier().outbox.poll_sent(context)
    }

    fn aborted(&self) -> Aborted {
        Aborted::of(Arc::clone(&self.carrier().inbox))
    }
}
