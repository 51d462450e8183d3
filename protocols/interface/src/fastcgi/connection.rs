//! One FastCGI connection for threads: its codec, and the order of what is written to it. It must not know applications.
//!
//! Two locks, always taken in this order, so that nobody waits for a slow peer but who writes to it:
//!
//! ```text
//! writing  held while bytes go out, and from before their records are framed: the order of the calls is the order on
//!          the wire
//! codec    held for moments only, never while the system is asked to read or write
//! ```
//!
//! The thread that reads all connections must not wait for `writing`: what it has to say (answers of the codec) it
//! leaves in `said`, and whoever has the right to write next sends that first.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatebridge_fastcgi::{Error, Params, ProtocolStatus};
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::codec::{Codec, Framed, Out, Pause};
use super::request::Request;
use crate::descriptor::{Descriptor, write_all};

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    codec: Mutex<Codec>,
    writing: Mutex<()>,
    paused: Pause,
    /// The end of each of its requests matters to the thread that reads it.
    watched: AtomicBool,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, codec: Codec) -> Self {
        Self {
            socket,
            codec: Mutex::new(codec),
            writing: Mutex::new(()),
            paused: Pause::default(),
            watched: AtomicBool::new(false),
        }
    }

    pub(super) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Codec::receive`].
    pub(super) fn receive(&self, bytes: &[u8], draining: bool) -> Result<Vec<(Arc<Request>, Params)>, Error> {
        self.codec().receive(bytes, draining)
    }

    /// See [`Codec::abort_all`].
    pub(super) fn abort_all(&self, cut: bool) {
        self.codec().abort_all(cut);
    }

    /// See [`Codec::refuse_begun`].
    pub(super) fn refuse_begun(&self) {
        self.codec().refuse_begun();
    }

    /// Whether a request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.codec().is_busy()
    }

    /// Whether it is to be closed after what was written.
    pub(super) fn should_close(&self) -> bool {
        self.codec().should_close()
    }

    /// Whether it is better not read now.
    pub(super) fn pause(&self) -> bool {
        self.paused.consider(|| self.codec())
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_on()
    }

    /// From now on the end of a request is to wake whoever reads it.
    pub(super) fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::SeqCst)
    }

    /// Sends bytes of a stream of a request.
    pub(super) fn send(&self, request: &Request, out: Out, slices: &[&[u8]]) -> io::Result<()> {
        self.write(|codec| codec.send(request, out, slices))
    }

    /// Sends the last bytes of a request's answer, and that it is over.
    pub(super) fn finish(
        &self,
        request: &Request,
        slices: &[&[u8]],
        status: ProtocolStatus,
    ) -> io::Result<()> {
        self.write(|codec| codec.finish(request, slices, status))
    }

    /// Ends a request whose answer is not whole.
    pub(super) fn break_off(&self, request: &Request) -> io::Result<()> {
        let mut alone = false;
        let written = self.write(|codec| {
            codec.break_off(request).unwrap_or_else(|| {
                alone = true;
                (Framed::default(), Ok(()))
            })
        });
        if alone { Ok(shutdown(&self.socket, Shutdown::Both)?) } else { written }
    }

    /// Writes what `frame` frames.
    fn write<'a>(&self, frame: impl FnOnce(&mut Codec) -> (Framed<'a>, io::Result<()>)) -> io::Result<()> {
        let written = {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let (framed, fault) = frame(&mut self.codec());
            let written = write_all(Descriptor(self.socket.as_fd()), &framed.slices());
            fault?;
            if framed.closes() {
                // FastCGI 1.0 5.1: without KEEP_CONN the application closes. Only the writing half at first: what the
                // peer still sends must not turn into a reset that overtakes the answer.
                let _ = shutdown(&self.socket, Shutdown::Write);
            }
            written
        };
        self.say();
        written
    }

    /// Writes what the codec has to say by itself, unless somebody is writing who will do it, and as far as the peer
    /// takes it at once.
    pub(super) fn say(&self) {
        while self.has_to_say() {
            let Ok(_writing) = self.writing.try_lock() else { return };
            let said = std::mem::take(&mut self.codec().said);
            let sent = match send(&self.socket, &said, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => sent,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::WOULDBLOCK) => 0,
                Err(_) => return,
            };
            if sent < said.len() {
                self.codec().said.splice(..0, said[sent..].iter().copied());
                return;
            }
        }
    }

    /// Whether the codec has something to say that was not written.
    pub(super) fn has_to_say(&self) -> bool {
        !self.codec().said.is_empty()
    }
}
