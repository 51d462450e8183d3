//! What has come of one request between who reads its connection and who answers it; it must not know sockets, nor what is
//! spoken on them.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::bell::Bell;
use crate::settings::INPUT_BYTES;

/// The body. (FastCGI 1.0 6.2, 6.4: the streams to an application have this order.)
pub(crate) const STDIN: usize = 0;
/// The file that a Filter filters.
pub(crate) const DATA: usize = 1;

/// The streams of one request as far as they have come, and whether anybody waits for its answer.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    kept: Mutex<Kept>,
    arrived: Bell,
    /// Nobody waits for the answer any more.
    aborted: AtomicBool,
    /// The answer would not even be taken.
    cut: AtomicBool,
    /// It was given up because too much of its body had to be kept.
    overloaded: AtomicBool,
}

#[derive(Debug, Default)]
struct Kept {
    streams: [Stream; 2],
    /// The stream that the application reads.
    reading: usize,
    /// The application waits for bytes.
    is_awaited: bool,
    /// Nothing more comes, though a stream has not ended.
    is_broken: bool,
}

#[derive(Debug, Default)]
struct Stream {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    has_ended: bool,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.streams.iter().map(|stream| stream.bytes).sum()
    }

    /// The next piece of the stream that is read, an empty one at its end, and whether taking it has made room. `None`
    /// when it has not come yet.
    fn next(&mut self) -> Option<io::Result<(Bytes, bool)>> {
        let stream = &mut self.streams[self.reading];
        if let Some(piece) = stream.pieces.pop_front() {
            let was_full = stream.bytes >= INPUT_BYTES;
            stream.bytes -= piece.len();
            return Some(Ok((piece, was_full && stream.bytes < INPUT_BYTES)));
        }
        if stream.has_ended {
            return Some(Ok((Bytes::new(), false)));
        }
        self.is_broken.then(|| {
            let message = "the request was aborted while its body was being read";
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, message))
        })
    }
}

impl Inbox {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of a stream has come. Gives the number of bytes that wait to be read.
    pub(crate) fn deliver(&self, stream: usize, piece: Bytes) -> usize {
        let mut kept = self.kept();
        if self.is_cut() {
            kept.streams = Default::default();
        } else if stream >= kept.reading {
            kept.streams[stream].bytes += piece.len();
            kept.streams[stream].pieces.push_back(piece);
        }
        kept.is_awaited = false;
        self.arrived.ring();
        kept.bytes()
    }

    /// A stream has ended.
    pub(crate) fn end(&self, stream: usize) {
        let mut kept = self.kept();
        kept.streams[stream].has_ended = true;
        kept.is_awaited = false;
        self.arrived.ring();
    }

    /// Nobody waits any more, and nothing more comes: wakes whoever reads the body (lesson 15). `cut` forbids writing, too.
    pub(crate) fn abort(&self, cut: bool) {
        let mut kept = self.kept();
        kept.is_broken = true;
        self.cut.fetch_or(cut, Ordering::SeqCst);
        self.aborted.store(true, Ordering::SeqCst);
        self.arrived.ring();
    }

    /// Nobody waits any more, but some of its body may still come.
    #[cfg(feature = "tokio")]
    pub(crate) fn desert(&self) {
        let _kept = self.kept();
        self.aborted.store(true, Ordering::SeqCst);
        self.arrived.ring();
    }

    /// Too much of its body would have to be kept: it is given up.
    pub(crate) fn overload(&self) {
        self.overloaded.store(true, Ordering::SeqCst);
        self.abort(true);
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.overloaded.load(Ordering::SeqCst)
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Whether more of its input has come than it has room for, and whether it waits for input.
    pub(crate) fn pressure(&self) -> (bool, bool) {
        let kept = self.kept();
        (kept.bytes() >= INPUT_BYTES, kept.is_awaited)
    }

    /// The stream that is read.
    pub(crate) fn reading(&self) -> usize {
        self.kept().reading
    }

    /// Goes over to another stream.
    pub(crate) fn turn_to(&self, stream: usize) {
        self.kept().reading = stream;
    }

    /// Waits for the next piece of the stream that is read; an empty one is its end. `demand` tells whoever reads the
    /// connection that it is awaited, or that there is room again.
    pub(crate) fn next_piece(&self, demand: impl Fn()) -> io::Result<Bytes> {
        self.wait(&demand, |kept| {
            kept.next().map(|next| {
                let (piece, made_room) = next?;
                if made_room {
                    demand();
                }
                Ok(piece)
            })
        })
    }

    /// Waits until a stream has ended or nobody waits for the answer. What comes of it meanwhile is kept.
    pub(crate) fn wait_for_end(&self, stream: usize, demand: impl Fn()) {
        self.wait(&demand, |kept| (kept.streams[stream].has_ended || self.is_aborted()).then_some(()));
    }

    /// Waits until there is an answer to a question.
    fn wait<T>(&self, demand: &impl Fn(), mut question: impl FnMut(&mut Kept) -> Option<T>) -> T {
        let mut kept = self.kept();
        loop {
            if let Some(answer) = question(&mut kept) {
                return answer;
            }
            kept = if kept.is_awaited {
                self.arrived.wait(kept)
            } else {
                kept.is_awaited = true;
                drop(kept);
                demand();
                self.kept()
            };
        }
    }
}

/// The same for tasks.
#[cfg(feature = "tokio")]
impl Inbox {
    /// See [`next_piece`](Self::next_piece).
    pub(crate) fn poll_piece(&self, context: &Context<'_>, demand: impl Fn()) -> Poll<io::Result<Bytes>> {
        self.poll(context, &demand, Kept::next).map(|next| {
            let (piece, made_room) = next?;
            if made_room {
                demand();
            }
            Ok(piece)
        })
    }

    /// See [`wait_for_end`](Self::wait_for_end).
    pub(crate) fn poll_end(&self, context: &Context<'_>, stream: usize, demand: impl Fn()) -> Poll<()> {
        let has_ended = |kept: &mut Kept| (kept.streams[stream].has_ended || self.is_aborted()).then_some(());
        self.poll(context, &demand, has_ended)
    }

    /// Waits until nobody waits for the answer.
    pub(crate) fn poll_aborted(&self, context: &Context<'_>) -> Poll<()> {
        self.arrived.listen(context);
        if self.is_aborted() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the application waits for bytes.
    pub(crate) fn is_awaited(&self) -> bool {
        self.kept().is_awaited
    }

    fn poll<T>(
        &self,
        context: &Context<'_>,
        demand: &impl Fn(),
        question: impl FnOnce(&mut Kept) -> Option<T>,
    ) -> Poll<T> {
        let mut kept = self.kept();
        if let Some(answer) = question(&mut kept) {
            return Poll::Ready(answer);
        }
        self.arrived.listen(context);
        let was_awaited = std::mem::replace(&mut kept.is_awaited, true);
        drop(kept);
        if !was_awaited {
            demand();
        }
        Poll::Pending
    }
}
