//! One FastCGI connection: its codec, its requests, and the order of what is written to it. It must not know threads
//! nor applications.
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

use gatebridge_fastcgi::{
    Error, Params, ProtocolStatus, RecordFraming, RequestId, Role, Server, ServerEvent,
};
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::request::{DATA, Request, STDIN};
use crate::descriptor::{Descriptor, write_all};
use crate::settings::MAX_INPUT_BYTES;
use crate::worker::as_text;

/// Slices of up to so many bytes together are copied into one record.
const ONE_RECORD_BYTES: usize = 16 * 1024;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    codec: Mutex<Codec>,
    writing: Mutex<()>,
    /// It is not being read, because some request of it has enough.
    paused: AtomicBool,
    /// The end of each of its requests matters to the thread that reads it.
    watched: AtomicBool,
}

#[derive(Debug)]
struct Codec {
    server: Server,
    /// Records that are to be written before any other.
    said: Vec<u8>,
    /// Requests whose variables have not all come.
    begun: Vec<(RequestId, Role)>,
    requests: Vec<Arc<Request>>,
}

/// Records around their payloads, and perhaps the end of a request.
type Framed<'a> = (Vec<(RecordFraming, &'a [u8])>, Option<Vec<u8>>);

/// A stream from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    Stdout,
    Stderr,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, server: Server) -> Self {
        let codec = Codec { server, said: Vec::new(), begun: Vec::new(), requests: Vec::new() };
        Self {
            socket,
            codec: Mutex::new(codec),
            writing: Mutex::new(()),
            paused: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        }
    }

    pub(super) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes received bytes, or their end, and gives the requests that can be worked on now. With `draining`, new ones
    /// are refused.
    ///
    /// # Errors
    /// When the peer broke the protocol: all its requests are aborted, and the connection is to be dropped.
    pub(super) fn receive(&self, bytes: &[u8], draining: bool) -> Result<Vec<(Arc<Request>, Params)>, Error> {
        let mut codec = self.codec();
        if bytes.is_empty() {
            codec.server.receive_end();
        } else {
            codec.server.receive(bytes);
        }
        let mut ready = Vec::new();
        loop {
            match codec.server.next_event() {
                Ok(Some(event)) => codec.take(event, draining, &mut ready),
                Ok(None) => return Ok(ready),
                Err(error) => {
                    codec.abort_all(true);
                    return Err(error);
                }
            }
        }
    }

    /// Nobody waits for any of its answers any more; `cut` says that they could not even be written.
    pub(super) fn abort_all(&self, cut: bool) {
        self.codec().abort_all(cut);
    }

    /// Refuses the requests whose variables have not all come: a peer that never completes them does not keep a worker
    /// that was told to stop.
    pub(super) fn refuse_begun(&self) {
        let mut codec = self.codec();
        for (id, _) in std::mem::take(&mut codec.begun) {
            codec.refuse(id);
        }
    }

    /// Whether a request is in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.codec().server.requests_in_progress() > 0
    }

    /// Whether it is to be closed after what was written.
    pub(super) fn should_close(&self) -> bool {
        self.codec().server.should_close()
    }

    /// Whether it is better not read now: one of its requests has enough, and none waits for more.
    pub(super) fn pause(&self) -> bool {
        // Set before it is found out: a request that begins to wait in between sees it, and wakes us.
        self.paused.store(true, Ordering::SeqCst);
        let (mut full, mut awaited) = (false, false);
        for request in &self.codec().requests {
            let (is_full, is_awaited) = request.pressure();
            full |= is_full && !request.is_cut();
            awaited |= is_awaited;
        }
        let paused = full && !awaited;
        self.paused.store(paused, Ordering::SeqCst);
        paused
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
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
        self.write(|codec| codec.frame(request, out, slices).map(|frames| (frames, None)))
    }

    /// Sends the last bytes of a request's answer, and that it is over.
    pub(super) fn finish(
        &self,
        request: &Request,
        slices: &[&[u8]],
        status: ProtocolStatus,
    ) -> io::Result<()> {
        self.write(|codec| {
            let frames =
                if request.is_cut() { Vec::new() } else { codec.frame(request, Out::Stdout, slices)? };
            let mut tail = Vec::with_capacity(32);
            codec.server.end_request(request.id, 0, status, &mut tail).map_err(as_text)?;
            codec.forget(request);
            Ok((frames, Some(tail)))
        })
    }

    /// Ends a request whose answer is not whole. On a connection of its own that is said by closing it without
    /// END_REQUEST, which every Web server understands; beside other requests the application status has to do.
    pub(super) fn break_off(&self, request: &Request) -> io::Result<()> {
        let alone = {
            let mut codec = self.codec();
            let alone = codec.server.requests_in_progress() <= 1;
            if alone {
                codec.forget(request);
            }
            alone
        };
        if alone {
            return Ok(shutdown(&self.socket, Shutdown::Both)?);
        }
        self.write(|codec| {
            let mut tail = Vec::with_capacity(32);
            codec
                .server
                .end_request(request.id, 1, ProtocolStatus::RequestComplete, &mut tail)
                .map_err(as_text)?;
            codec.forget(request);
            Ok((Vec::new(), Some(tail)))
        })
    }

    /// Writes what `frame` frames, after whatever else is to be said. A tail ends a request.
    fn write<'a>(&self, frame: impl FnOnce(&mut Codec) -> io::Result<Framed<'a>>) -> io::Result<()> {
        let written = {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut codec = self.codec();
            let framed = frame(&mut codec);
            let said = std::mem::take(&mut codec.said);
            let closing = codec.server.should_close();
            drop(codec);
            let (frames, tail) = match framed {
                Ok(framed) => framed,
                Err(error) => {
                    write_all(Descriptor(self.socket.as_fd()), &[&said])?;
                    return Err(error);
                }
            };
            let mut all: Vec<&[u8]> = Vec::with_capacity(2 + 3 * frames.len());
            all.push(&said);
            for (framing, payload) in &frames {
                all.extend([&framing.header[..], payload, framing.padding()]);
            }
            all.push(tail.as_deref().unwrap_or_default());
            let written = write_all(Descriptor(self.socket.as_fd()), &all);
            if tail.is_some() && closing {
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

impl Codec {
    fn take(&mut self, event: ServerEvent, draining: bool, ready: &mut Vec<(Arc<Request>, Params)>) {
        match event {
            ServerEvent::BeginRequest { id, .. } if draining => self.refuse(id),
            ServerEvent::BeginRequest { id, role, .. } => self.begun.push((id, role)),
            ServerEvent::Params(id, params) => {
                if let Some(at) = self.begun.iter().position(|(begun, _)| *begun == id) {
                    let (_, role) = self.begun.swap_remove(at);
                    let request = Arc::new(Request::new(id, role));
                    self.requests.push(Arc::clone(&request));
                    ready.push((request, params));
                }
            }
            ServerEvent::Stdin(id, piece) => self.deliver(id, STDIN, piece),
            ServerEvent::Data(id, piece) => self.deliver(id, DATA, piece),
            ServerEvent::StdinEnd(id) => self.with(id, |request| request.end(STDIN)),
            ServerEvent::DataEnd(id) => self.with(id, |request| request.end(DATA)),
            ServerEvent::Abort(id) => {
                if let Some(at) = self.begun.iter().position(|(begun, _)| *begun == id) {
                    // Nobody works on it yet, so its end is said here.
                    self.begun.swap_remove(at);
                    let _ = self.server.end_request(id, 0, ProtocolStatus::RequestComplete, &mut self.said);
                }
                self.with(id, |request| request.abort(true));
            }
            ServerEvent::Answer(answer) => self.said.extend_from_slice(&answer.bytes),
        }
    }

    fn with(&self, id: RequestId, then: impl FnOnce(&Request)) {
        if let Some(request) = self.requests.iter().find(|request| request.id == id) {
            then(request);
        }
    }

    fn deliver(&self, id: RequestId, stream: usize, piece: bytes::Bytes) {
        self.with(id, |request| {
            if request.deliver(stream, piece) > MAX_INPUT_BYTES {
                request.overload();
            }
        });
    }

    fn refuse(&mut self, id: RequestId) {
        let _ = self.server.end_request(id, 0, ProtocolStatus::Overloaded, &mut self.said);
    }

    fn abort_all(&mut self, cut: bool) {
        for request in &self.requests {
            request.abort(cut);
        }
    }

    fn forget(&mut self, request: &Request) {
        self.requests.retain(|other| other.id != request.id);
    }

    /// Frames slices as records of a stream.
    fn frame<'a>(
        &mut self,
        request: &Request,
        out: Out,
        slices: &[&'a [u8]],
    ) -> io::Result<Vec<(RecordFraming, &'a [u8])>> {
        if request.is_cut() {
            let message = "the request was aborted while it was being answered";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        let mut frames = Vec::with_capacity(slices.len());
        for mut slice in slices.iter().copied() {
            while !slice.is_empty() {
                let framing = match out {
                    Out::Stdout => self.server.send_stdout(request.id, slice.len()),
                    Out::Stderr => self.server.send_stderr(request.id, slice.len()),
                }
                .map_err(as_text)?;
                let (now, later) = slice.split_at(framing.content_length);
                frames.push((framing, now));
                slice = later;
            }
        }
        Ok(frames)
    }
}

/// Slices as one, if that is short.
pub(super) fn joined(slices: [&[u8]; 3]) -> Option<Vec<u8>> {
    let length: usize = slices.iter().map(|slice| slice.len()).sum();
    (length <= ONE_RECORD_BYTES).then(|| slices.concat())
}
